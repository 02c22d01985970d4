"""spec.rollout on a real kubelet: workloads whose pods precede their binding, or its last change, are restarted one
after the other, each once and at its own pace; what a restart would not mend is only reported.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from carrier_operator.annotation import read_status
from carrier_operator.pods import our_containers
from e2e.injection.side_by_side import running, side_by_side
from e2e.injection.told import wait_until
from e2e.injection.workloads import Workload, Workloads, watched
from e2e.injection.world import GROUP, HANDLER_PORT, PLURAL, VERSION, World
from e2e.pods import RESTRICTED

__all__ = ["running"]

# One that is ready stays so, however busy the machine is: else it would look as if a restart took too many at once.
PATIENT = {
    "httpGet": {"path": "/readyz", "port": HANDLER_PORT},
    "periodSeconds": 1,
    "timeoutSeconds": 10,
    "failureThreshold": 10,
}
LONG_S = 180  # for a whole rollout, on a machine that is busy with the others
LOOKS_AGAIN_S = 12.0  # in this time the controller has looked twice whether there is something to restart


class Rollouts(Workloads):
    """A world's workloads and bindings."""

    def __init__(self, world: World, image: str) -> None:
        super().__init__(world)
        self.world = world
        self._image = image

    def status(self, name: str) -> dict[str, Any]:
        """The status of a binding."""
        namespace = self.world.namespace
        found = self.world.bindings.get_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, name)
        return {"generation": found["metadata"]["generation"], **(found.get("status") or {})}

    def counts(self, name: str) -> dict[str, int]:
        """Of its pods."""
        found: dict[str, int] = self.status(name).get("pods") or {}
        return found

    def injected(self, name: str) -> tuple[str, str]:
        """The condition Injected: `False PodsMissed`, and the message; empty before there is one for the binding as it
        is now.
        """
        status = self.status(name)
        for it in status.get("conditions") or ():
            if it["type"] == "Injected" and it["observedGeneration"] == status["generation"]:
                return f"{it['status']} {it['reason']}", it["message"]
        return "", ""

    def wait(self, name: str, condition: Callable[[], object], what: str, timeout_s: float = 90) -> None:
        """Polls until the condition holds; AssertionError with the binding's status when it does not in time."""
        try:
            wait_until(condition, what, timeout_s)
        except AssertionError as error:
            status = json.dumps(self.status(name), indent=1)
            raise AssertionError(f"{error}\n{status}\n{self._controllers_say()}") from None

    def controllers(self) -> list[str]:
        """Their pods."""
        selector = "app.kubernetes.io/component=controller"
        found = self.world.core.list_namespaced_pod(self.world.operator, label_selector=selector)
        return [it.metadata.name for it in found.items]

    def _controllers_say(self) -> str:
        log = self.world.core.read_namespaced_pod_log
        return "\n".join(log(name, self.world.operator, tail_lines=30) for name in self.controllers())

    def change(self, name: str, **spec: Any) -> None:
        """Of a binding."""
        self.world.bindings.patch_namespaced_custom_object(
            GROUP, VERSION, self.world.namespace, PLURAL, name, {"spec": spec}
        )

    def idle(
        self, name: str, command: str = "exec sleep 1000 & trap 'exit 0' TERM; wait", **app: Any
    ) -> dict[str, Any]:
        """The template of a pod for the binding `name` that does nothing, and ends when told to."""
        container = {
            "name": "app",
            "image": self._image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", command],
            "ports": [{"containerPort": 8080}],
            "securityContext": RESTRICTED,
            **app,
        }
        spec = {"containers": [container], "securityContext": {"runAsUser": 1000}, "terminationGracePeriodSeconds": 40}
        return {"metadata": {"labels": {"app": name}}, "spec": spec}


@pytest.fixture(scope="module")
def world(world: World, cluster: Any) -> Iterator[Rollouts]:
    made = Rollouts(world, cluster.image("busybox"))
    with watched(made):
        yield made


@side_by_side
def test_pods_that_precede_their_binding_are_replaced_one_workload_after_the_other(world: Rollouts) -> object:
    queue = world.world.queue("first")
    template = world.world.template("first", {"readinessProbe": PATIENT})
    # An old pod of the DaemonSet takes its time to end: until then there is no other, and it is not available.
    slow = world.world.template(
        "first", {"readinessProbe": PATIENT, "lifecycle": {"preStop": {"sleep": {"seconds": 8}}}}
    )
    deployment = world.make(
        "Deployment", "first-d", template, replicas=3,
        strategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}},
    )  # fmt: skip
    stateful = world.make("StatefulSet", "first-s", template, replicas=2)
    daemon = world.make("DaemonSet", "first-n", slow)
    every = [deployment, stateful, daemon]
    for it in every:
        it.wait_until_done()
    before = [pod for it in every for pod in it.pods()]
    assert not any(map(our_containers, before))
    number = len(before)  # there may be several nodes
    queue.send({"n": n, "takes_s": 0.1} for n in range(60))

    world.world.bind("first", rollout="Missing")
    world.wait("first", lambda: any(it.restarts for it in every), "the rollout begins")
    # Whoever leads next knows what has been restarted.
    for name in world.controllers():
        world.world.core.delete_namespaced_pod(name, world.world.operator)
    world.wait("first", lambda: world.counts("first").get("injected") == number, "all pods carry the sidecar", LONG_S)
    for it in every:
        it.wait_until_done()
    told = world.world.collector.of("first")
    wait_until(lambda: len(told.accepted) == 60 and queue.empty, "all messages are delivered and deleted")
    all_injected = ("True AllInjected", f"{number} pods carry the sidecar.")
    world.wait("first", lambda: world.injected("first") == all_injected, "is said")
    assert world.counts("first") == {"matched": number, "injected": number, "missing": 0, "stale": 0, "outdated": 0}

    nothing_more_for(LOOKS_AGAIN_S, every)
    once_and_in_turn(every)
    assert fewest_available(deployment) >= 2, deployment
    assert fewest_available(stateful) >= 1, stateful
    for it in every:
        assert all("carrier-first" in our_containers(pod) for pod in it.pods())
        (event,) = it.events("Restarted")
        assert "first (generation 1)" in event.message
    account = world.world.account(queue, told)
    account.balances()
    return account


@side_by_side
def test_by_default_the_command_is_said_and_nothing_restarted(world: Rollouts) -> None:
    workload = world.make("Deployment", "said", world.idle("said"), replicas=2)
    wait_until(lambda: len(workload.pods()) == 2, "there are pods")
    world.world.bind("said")
    world.wait("said", lambda: world.injected("said")[0] == "False PodsPredateBinding", "the pods are found missing")
    workload.wait_until_done()
    assert world.counts("said")["missing"] == 2
    nothing_more_for(LOOKS_AGAIN_S, [workload])
    assert workload.restarts == []
    (command,) = re.findall(r"Run: (kubectl [^;]+)\.$", world.injected("said")[1])
    world.world.kubectl(*shlex.split(command)[1:])
    world.wait("said", lambda: world.injected("said")[0] == "True AllInjected", "the command mends it")
    assert world.counts("said")["injected"] == 2


@side_by_side
def test_a_change_restarts_where_that_is_asked_for(world: Rollouts) -> None:
    bound = {name: world.make("Deployment", name, world.idle(name), replicas=1) for name in ("follows", "stays")}
    wait_until(lambda: all(workload.pods() for workload in bound.values()), "there are pods")
    # As in the first test, and all of it again for the change.
    world.world.bind("follows", rollout="OnChange")
    world.world.bind("stays", rollout="Missing")
    for name, workload in bound.items():
        world.wait(name, lambda name=name: world.injected(name)[0] == "True AllInjected", "mended", LONG_S)  # type: ignore[misc]  # bound at once
        workload.wait_until_done()
    for name in bound:
        world.change(name, concurrency={"workers": 7})
    follows, stays = bound["follows"], bound["stays"]
    world.wait("follows", lambda: world.counts("follows").get("stale") == 1, "the change makes pods stale")
    world.wait("follows", lambda: generations(follows, "follows") == {2}, "they are replaced")
    world.wait("follows", lambda: world.injected("follows")[0] == "True AllInjected", "is said")
    follows.wait_until_done()
    assert world.counts("follows")["stale"] == 0
    assert len(follows.restarts) == 2
    # Sidecars are told to suspend; they are not stale by it.
    world.change("follows", suspend=True)
    world.wait("follows", lambda: world.injected("follows")[0] == "True AllInjected", "the change is seen")
    nothing_more_for(LOOKS_AGAIN_S, [follows, stays])
    assert len(follows.restarts) == 2
    assert len(stays.restarts) == 1
    assert world.injected("stays")[0] == "True PodsStale"
    assert generations(stays, "stays") == {1}


@side_by_side
def test_after_a_workload_that_fails_no_other_is_touched_until_it_is_mended(world: Rollouts) -> None:
    restarted_at = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['carrier.dev/restartedAt']"}}}
    readiness = {
        "exec": {"command": ["sh", "-c", 'test -z "$RESTARTED_AT" || test -n "$MENDED"']},
        "periodSeconds": 1,
        "timeoutSeconds": 10,
    }
    template = world.idle("fails", readinessProbe=readiness, env=[{"name": "RESTARTED_AT", **restarted_at}])
    never_fewer = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    fails = world.make(
        "Deployment", "fails-1", template, progressDeadlineSeconds=15, minReadySeconds=8, strategy=never_fewer
    )
    waits = world.make("Deployment", "fails-2", world.idle("fails"), strategy=never_fewer)
    for it in (fails, waits):
        it.wait_until_done()
    world.world.bind("fails", rollout="Missing")
    for advice in ("RolloutUnderWay: deployment/fails-1.", "RolloutStopped: deployment/fails-1."):
        world.wait("fails", lambda advice=advice: advice in world.injected("fails")[1], advice)  # type: ignore[misc]  # bound at once
    assert world.injected("fails")[0] == "False PodsPredateBinding"
    nothing_more_for(LOOKS_AGAIN_S / 2, [fails, waits])  # as in all the time before
    assert (len(fails.restarts), len(waits.restarts)) == (1, 0)

    env = [{"name": "MENDED", "value": "1"}]
    fails.patch({"spec": {"template": {"spec": {"containers": [{"name": "app", "env": env}]}}}})
    mended = fails.state
    world.wait("fails", lambda: world.injected("fails")[0] == "True AllInjected", "the rollout goes on", LONG_S)
    waits.wait_until_done()
    assert (len(fails.restarts), len(waits.restarts)) == (1, 1), "a change of the template restarts by itself"
    assert fails.done_after(mended).version < waits.restarts[0].version


@side_by_side
def test_what_a_restart_would_not_replace_is_reported_and_left(world: Rollouts) -> None:
    template = world.idle("left")
    paused = world.make("Deployment", "left-d", template)
    stateful = world.make("StatefulSet", "left-s", template, updateStrategy={"type": "OnDelete"})
    daemon = world.make("DaemonSet", "left-n", template, updateStrategy={"type": "OnDelete"})
    bare = world.world.core.create_namespaced_pod(
        world.world.namespace, {**template, "metadata": {"name": "left-bare", "labels": {"app": "left"}}}
    )
    every = [paused, stateful, daemon]
    for it in every:
        it.wait_until_done()
    paused.patch({"spec": {"paused": True}})
    world.world.bind("left", rollout="Missing")
    for of in ("deployment/left-d: it is paused", "statefulset/left-s: its update strategy is OnDelete",
               "daemonset/left-n: its update strategy is OnDelete", "left-bare"):  # fmt: skip
        world.wait("left", lambda of=of: f"RolloutLeft: {of}." in world.injected("left")[1], of)  # type: ignore[misc]  # bound at once
    missing = world.counts("left")["missing"]
    assert missing == 1 + sum(len(it.pods()) for it in every)
    nothing_more_for(LOOKS_AGAIN_S, every)
    assert [it.restarts for it in every] == [[], [], []]
    assert world.world.core.read_namespaced_pod("left-bare", world.world.namespace).metadata.uid == bare.metadata.uid
    # No longer paused, it is restarted as any other.
    paused.patch({"spec": {"paused": False}})
    world.wait("left", lambda: world.counts("left")["missing"] == missing - 1, "the Deployment is restarted")
    assert [len(it.restarts) for it in every] == [1, 0, 0]


def nothing_more_for(seconds: float, every: list[Workload]) -> None:
    """Nobody changes these workloads for so long."""
    before = [it.state.generation for it in every]
    time.sleep(seconds)
    assert [it.state.generation for it in every] == before, every


def once_and_in_turn(every: list[Workload]) -> None:
    """Each was restarted once, and the next one when the last was available."""
    assert [len(it.restarts) for it in every] == [1] * len(every), every
    assert [it.state.generation for it in every] == [2] * len(every), every
    in_turn = sorted(every, key=lambda it: it.restarts[0].version)
    for one, following in itertools.pairwise(in_turn):
        available = one.done_after(one.restarts[0])
        assert available.version < following.restarts[0].version, f"{one}\n{following}"


def fewest_available(workload: Workload) -> int:
    """Since its restart."""
    (restart,) = workload.restarts
    return min(it.available for it in workload.states if it.version >= restart.version)


def generations(workload: Workload, binding: str) -> set[int | None]:
    """Of the binding, in the sidecars of its pods."""
    entries = [read_status(pod).of(binding) for pod in workload.pods()]
    return {it.generation if it is not None else None for it in entries}
