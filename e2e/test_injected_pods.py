"""Pods that a binding gave their sidecar, from start to end on a real kubelet: SQS on the test's address, AWS identity
by a projected token, the images as they are shipped, the injector as the chart installs it. Each ends with an account.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from carrier_operator.pods import our_containers
from e2e.injection.installation import LABEL
from e2e.injection.side_by_side import running, side_by_side
from e2e.injection.told import Told, wait_until
from e2e.injection.world import HANDLER_PORT, WORKERS, World
from tests.process.account import Account

__all__ = ["running"]

EXAMPLES = Path(__file__).parents[1] / "examples"
LISTENS_AFTER_S = 20
SLOW_S = 6.0
SLOW_MESSAGES = 12
RETURNS_AFTER_S = 10  # the queues' visibility timeout where messages are left


@side_by_side
def test_every_message_is_delivered_once(world: World) -> object:
    queue = world.queue("steady")
    world.bind("steady")
    queue.send({"n": n} for n in range(100))
    pod = world.run("steady")
    pod.wait_until(lambda: len(pod.told.accepted) == 100, "the first hundred is delivered")
    queue.send({"n": n} for n in range(100))
    pod.wait_until(lambda: len(pod.told.accepted) == 200 and queue.empty, "all are delivered and deleted")
    pod.delete()
    return all_delivered_at_the_first_receive(world.account(queue, pod.told), pod.told)


@side_by_side
def test_nothing_is_received_before_the_app_listens(world: World) -> object:
    return listens_late(world, "late")


@side_by_side
def test_nothing_is_received_before_the_health_check_says_well(world: World) -> object:
    return listens_late(world, "late-checked", webhook={"port": HANDLER_PORT, "healthCheck": {"path": "/healthz"}})


def listens_late(world: World, name: str, **spec: Any) -> object:
    queue = world.queue(name, RETURNS_AFTER_S)
    world.bind(name, **spec)
    queue.send({"n": n} for n in range(10))
    pod = world.run(name, listen_after_s=LISTENS_AFTER_S)
    pod.wait_until(lambda: pod.told.events("listens"), "the app listens")
    assert queue.counts() == (10, 0) or pod.told.events("received"), "something was received, and not for the app"
    pod.wait_until(lambda: len(pod.told.accepted) == 10 and queue.empty, "all are delivered and deleted")
    assert pod.told.first("listens") - pod.told.first("started") >= LISTENS_AFTER_S
    pod.delete()
    return all_delivered_at_the_first_receive(world.account(queue, pod.told), pod.told)


@side_by_side
def test_the_app_of_a_deleted_pod_lives_until_its_last_answer(world: World) -> object:
    account, told = deleted_with_messages_in_hand(world, "barrier")
    return what_was_in_hand_is_finished(account, told)


@side_by_side
def test_an_ordinary_container_keeps_the_app_alive_as_well(world: World) -> object:
    account, told = deleted_with_messages_in_hand(world, "container", mode="Container")
    return what_was_in_hand_is_finished(account, told)


@side_by_side
def test_without_the_barrier_what_is_in_hand_is_cut_and_comes_back(world: World) -> object:
    account, told = deleted_with_messages_in_hand(world, "no-barrier", drainBarrier=False)
    account.balances(left=SLOW_MESSAGES)
    assert sum(told.cut.values()) == WORKERS
    return f"{account}; cut in the handler {sum(told.cut.values())}"


def deleted_with_messages_in_hand(world: World, name: str, **sidecar: Any) -> tuple[Account, Told]:
    """Slow messages, more than the app may have at once; the pod is deleted as soon as it has all that it may."""
    queue = world.queue(name, RETURNS_AFTER_S)
    world.bind(name, sidecar=sidecar)
    queue.send({"n": n, "takes_s": SLOW_S} for n in range(SLOW_MESSAGES))
    pod = world.run(name)
    containers = {it.name for it in pod.read().spec.containers}
    assert containers == ({"app", f"carrier-{name}"} if sidecar.get("mode") == "Container" else {"app"})
    pod.wait_until(lambda: len(pod.told.events("received")) == WORKERS, "the app has its hands full")
    pod.delete()
    return world.account(queue, pod.told), pod.told


def what_was_in_hand_is_finished(account: Account, told: Told) -> object:
    account.balances(left=SLOW_MESSAGES - WORKERS)
    assert not told.cut
    waited_s = told.first("told to end") - told.last("answered")
    assert waited_s >= 0, "the app was told to end before its last answer"
    return f"{account}; the app's SIGTERM {waited_s:.2f} s after its last answer"


@side_by_side
def test_a_restart_of_the_app_by_its_liveness_probe_cuts_nothing(world: World) -> object:
    queue = world.queue("liveness", RETURNS_AFTER_S)
    world.bind("liveness")
    queue.send({"n": n, "takes_s": SLOW_S, "breaks_liveness": n == 0} for n in range(WORKERS))
    port = {"port": HANDLER_PORT}
    probes = {
        "startupProbe": {"httpGet": {"path": "/readyz", **port}, "periodSeconds": 1, "failureThreshold": 60},
        "livenessProbe": {"httpGet": {"path": "/livez", **port}, "periodSeconds": 1, "failureThreshold": 1},
    }
    pod = world.run("liveness", app=probes)
    pod.wait_until(lambda: len(pod.told.events("received")) == WORKERS, "the app has its hands full")
    queue.send({"n": n} for n in range(20))
    pod.wait_until(lambda: len(pod.told.accepted) == WORKERS + 20 and queue.empty, "all are delivered and deleted", 90)
    before, after = pod.told.boots
    waited_s = pod.told.first("told to end", before) - pod.told.last("answered", before)
    assert waited_s >= 0, "the app was told to end before its last answer"
    assert len(pod.told.events("answered", before)) == WORKERS
    assert len(pod.told.events("answered", after)) == 20
    pod.wait_until(lambda: pod.status("app").restart_count == 1, "the restart is in the pod's status")
    assert pod.status("carrier-liveness").restart_count == 0
    gone_s = pod.told.first("listens", after) - pod.told.first("told to end", before)
    resumed_s = pod.told.first("received", after) - pod.told.first("listens", after)
    pod.delete()
    account = all_delivered_at_the_first_receive(world.account(queue, pod.told), pod.told)
    return f"{account}; gone for {gone_s:.2f} s, goes on {resumed_s:.1f} s after it listens again"


@side_by_side
def test_a_job_completes_when_its_app_does(world: World) -> object:
    queue = world.queue("job", RETURNS_AFTER_S)
    world.bind("job", concurrency={"workers": 1})
    queue.send({"n": n} for n in range(8))
    template = world.template("job", exit_after=5)
    template["spec"]["restartPolicy"] = "Never"
    job = {"metadata": {"name": "job"}, "spec": {"backoffLimit": 0, "template": template}}
    world.batch.create_namespaced_job(world.namespace, job)
    pod = world.pod_of_job("job")
    pod.wait_until(
        lambda: world.batch.read_namespaced_job("job", world.namespace).status.succeeded, "the Job completes"
    )
    assert pod.read().status.phase == "Succeeded"
    assert pod.status("carrier-job").state.terminated.exit_code == 0
    pod.wait_until(lambda: pod.told.events("done"), "all of the app's output is here")
    account = world.account(queue, pod.told)
    account.balances(left=3)
    return account


@side_by_side
def test_the_app_starts_while_sqs_is_out_of_reach(world: World) -> object:
    queue = world.queue("unreachable")
    closed = world.closed_address()
    world.bind("unreachable", endpoint=closed.url)
    queue.send({"n": n} for n in range(10))
    pod = world.run("unreachable")
    pod.wait_until(lambda: pod.ready, "the pod is ready without SQS")
    assert not pod.told.events("received")
    opened = closed.open()
    try:
        pod.wait_until(lambda: len(pod.told.accepted) == 10 and queue.empty, "all are delivered and deleted")
        assert pod.status("carrier-unreachable").restart_count == 0
        pod.delete()
    finally:
        opened.stop()
    return all_delivered_at_the_first_receive(world.account(queue, pod.told), pod.told)


@side_by_side
def test_the_example_works_as_it_stands_but_for_names_and_images(world: World) -> object:
    queue = world.queue("orders")
    documents = list(yaml.safe_load_all((EXAMPLES / "orders.yaml").read_text()))
    by_kind = {it["kind"]: it for it in documents}
    namespace = f"{world.namespace}-shop"
    for document in documents:
        document["metadata"]["namespace"] = namespace
    del by_kind["Namespace"]["metadata"]["namespace"]
    by_kind["Namespace"]["metadata"].update(name=namespace, labels={LABEL: ""})
    by_kind["CarrierBinding"]["spec"]["queue"]["endpoint"] = world.sqs.url
    by_kind["CarrierBinding"]["spec"]["sidecar"] = {"env": world.sidecar_env}
    world.fill(by_kind["Deployment"]["spec"]["template"]["spec"], "orders")
    told = world.collector.of("orders")
    pods: set[str] = set()
    try:
        world.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))
        world.kubectl("rollout", "status", "deployment/orders-worker", "-n", namespace, "--timeout=60s")
        for pod in world.core.list_namespaced_pod(namespace).items:
            assert "carrier-orders" in our_containers(world.api.sanitize_for_serialization(pod))
            pods.add(pod.metadata.name)
        # Slow enough for both: one that came up later may look for its handler every 5 s.
        queue.send({"n": n, "takes_s": 0.5} for n in range(200))
        wait_until(lambda: len(told.accepted) == 200 and queue.empty, "all are delivered and deleted")
    finally:
        world.kubectl("delete", "--wait=false", "-f", "-", stdin=yaml.safe_dump_all(documents))
    assert len(pods) == 2
    assert len({event["boot"] for event in told.events("answered")}) == 2, "both pods had their share"
    return all_delivered_at_the_first_receive(world.account(queue, told), told)


def all_delivered_at_the_first_receive(account: Account, told: Told) -> Account:
    account.balances()
    assert told.receive_counts == {1}
    return account
