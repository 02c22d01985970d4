"""Status and events on a real API server; pods are objects only."""

from __future__ import annotations

import time
from typing import Any

import kubernetes
import pytest

from carrier_operator.container import ClusterFacts
from carrier_operator.inject import inject
from carrier_operator.policy import Policy, read_binding
from tests.integration.controller.rig import Installation, Process, wait_until

pytestmark = pytest.mark.usefixtures("controller")
WITHIN_S = 5.0


def injected(installation: Installation, namespace: str, name: str, *, by: str = "orders", **status: Any) -> None:
    """A pod as the injector would have made it."""
    document = read_binding(installation.read(namespace, by), Policy())
    image = installation.environ("controller")["CARRIER_OPERATOR_SIDECAR_IMAGE"]
    container = {"name": "app", "image": "example.test/app:1", "ports": [{"containerPort": 9000}]}
    pod = {"metadata": {"name": name, "labels": {"app": "worker"}}, "spec": {"containers": [container]}}
    made = inject(pod, namespace, [document], ClusterFacts(image, native=True), "t" * 32).pod
    installation.core.create_namespaced_pod(namespace, made)
    if status:
        installation.pod_status(name, namespace, **{"ready": True, **status})


def test_a_new_binding_has_a_status_within_seconds(installation: Installation, shop: str) -> None:
    installation.bind(shop)
    took_s = wait_until(lambda: installation.condition(shop, "Ready") == "True NoPods")
    assert took_s < WITHIN_S
    assert installation.condition(shop, "Injected") == "Unknown SelectorMatchesNothing"
    assert installation.condition(shop, "QueueVerified") == "Unknown NotChecked"
    status = installation.read(shop)["status"]
    assert status["observedGeneration"] == 1
    assert {it["observedGeneration"] for it in status["conditions"]} == {1}


def test_pods_are_counted_as_they_come_and_go(installation: Installation, shop: str) -> None:
    installation.pod(shop, "old")
    time.sleep(1.1)  # times of the API server are whole seconds
    installation.bind(shop)
    wait_until(lambda: installation.condition(shop, "Injected") == "False PodsPredateBinding")
    assert installation.counts(shop) == {
        "matched": 1, "injected": 0, "missing": 1, "stale": 0, "outdated": 0, "missingNames": ["old"],
    }  # fmt: skip
    time.sleep(1.1)
    installation.pod(shop, "new")
    wait_until(lambda: installation.condition(shop, "Injected") == "False PodsMissed")
    installation.delete_pod(shop, "old")
    installation.delete_pod(shop, "new")
    injected(installation, shop, "good")
    wait_until(lambda: installation.condition(shop, "Ready") == "True MessagesFlow")
    assert installation.counts(shop) == {"matched": 1, "injected": 1, "missing": 0, "stale": 0, "outdated": 0}


def test_a_changed_binding_has_stale_pods(installation: Installation, shop: str) -> None:
    installation.bind(shop)
    injected(installation, shop, "a")
    wait_until(lambda: installation.condition(shop, "Injected") == "True AllInjected")
    installation.change(shop, concurrency={"workers": 7})
    wait_until(lambda: installation.condition(shop, "Injected") == "True PodsStale")
    assert installation.counts(shop)["stale"] == 1
    assert installation.read(shop)["status"]["observedGeneration"] == 2


def test_a_failing_sidecar_is_said_with_its_last_words(installation: Installation, shop: str) -> None:
    installation.bind(shop)
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    ended = {"terminated": {"exitCode": 3, "message": "sqs: no such queue"}}
    entry = {"name": "carrier-orders", "restartCount": 5, "ready": False, "image": "x", "imageID": "", "state": state,
             "lastState": ended}  # fmt: skip
    injected(installation, shop, "a", ready=False, initContainerStatuses=[entry])
    wait_until(lambda: installation.condition(shop, "Ready") == "False SidecarsFailing")
    counts = installation.counts(shop)
    assert counts["failingNames"] == ["a"]
    assert counts["lastFailure"] == "exit code 3: sqs: no such queue"


def test_what_the_policy_forbids_is_not_accepted(installation: Installation, shop: str) -> None:
    installation.bind(shop, sidecar={"image": "evil.test/x"})
    wait_until(lambda: installation.condition(shop, "Accepted") == "False NotAllowed")
    wait_until(lambda: bool(installation.events(shop, "NotAllowed")))


def test_a_workload_is_told_once_that_its_pods_were_left_out(installation: Installation, shop: str) -> None:
    installation.bind(shop, selector=None)
    template = {
        "metadata": {"labels": {"app": "worker"}, "annotations": {"carrier.dev/binding": "typo"}},
        "spec": {"containers": [{"name": "app", "image": "example.test/app:1"}]},
    }
    body = {
        "metadata": {"name": "worker"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "worker"}}, "template": template},
    }
    kubernetes.client.AppsV1Api(installation.api).create_namespaced_deployment(shop, body)
    wait_until(lambda: bool(installation.events(shop, "SidecarLeftOut")))
    time.sleep(2)
    (event,) = installation.events(shop, "SidecarLeftOut")
    assert (event.involved_object.kind, event.involved_object.name) == ("Deployment", "worker")
    assert event.message == "BindingMissing: no CarrierBinding 'typo' in this namespace"
    assert event.type == "Warning"


def test_events_tell_of_transitions_only(installation: Installation, shop: str) -> None:
    installation.bind(shop)
    injected(installation, shop, "a")
    wait_until(lambda: installation.condition(shop, "Ready") == "True MessagesFlow")
    for name in ("b", "c"):
        installation.pod(shop, name)
        wait_until(lambda: installation.counts(shop).get("missing", 0) > 0)
    wait_until(lambda: installation.counts(shop).get("missing", 0) == 2)
    for name in ("b", "c"):
        installation.delete_pod(shop, name)
    wait_until(lambda: installation.condition(shop, "Ready") == "True MessagesFlow")
    assert len(installation.events(shop, "PodsWithoutSidecar")) == 1
    wait_until(lambda: len(installation.events(shop, "MessagesFlow")) == 1)


def test_nothing_is_written_while_nothing_changes(installation: Installation, shop: str, controller: Process) -> None:
    installation.bind(shop)
    injected(installation, shop, "a")
    wait_until(lambda: installation.condition(shop, "Ready") == "True MessagesFlow")
    time.sleep(1.5)
    before, version = (
        controller.metric("carrier_controller_writes_total"),
        installation.read(shop)["metadata"]["resourceVersion"],
    )
    # Changes that matter to nothing: of a pod that matches nothing, of a pod's own status.
    installation.pod(shop, "other", labels={"app": "other"})
    installation.pod_status("a", shop, ready=True)
    time.sleep(3)
    assert controller.metric("carrier_controller_writes_total") == before
    assert installation.read(shop)["metadata"]["resourceVersion"] == version


def test_a_deleted_binding_blocks_nothing_and_says_that_sidecars_remain(installation: Installation, shop: str) -> None:
    installation.bind(shop)
    injected(installation, shop, "a")
    wait_until(lambda: installation.counts(shop).get("injected") == 1)
    installation.unbind(shop)
    with pytest.raises(kubernetes.client.ApiException) as refused:
        installation.read(shop)
    assert refused.value.status == 404
    wait_until(lambda: bool(installation.events(shop, "SidecarsRemain")))
    (event,) = installation.events(shop, "SidecarsRemain")
    assert event.message == "The binding was deleted; 1 running pod keeps its sidecar until replaced."
    assert {it.metadata.name for it in installation.core.list_namespaced_pod(shop).items} == {"a"}


def test_a_namespace_with_bindings_can_be_deleted(installation: Installation) -> None:
    name = installation.new_namespace()
    installation.namespaces.remove(name)
    installation.bind(name)
    wait_until(lambda: installation.condition(name, "Ready") != "")
    installation.core.delete_namespace(name)

    def gone() -> bool:
        try:
            installation.core.read_namespace(name)
        except kubernetes.client.ApiException as error:
            return bool(error.status == 404)
        return False

    wait_until(gone, what="the namespace's end")


def test_two_bindings_of_one_name_one_after_the_other(installation: Installation, shop: str) -> None:
    installation.bind(shop)
    wait_until(lambda: installation.condition(shop, "Ready") != "")
    installation.unbind(shop)
    installation.bind(shop, selector={"matchLabels": {"app": "other"}})
    installation.pod(shop, "a", labels={"app": "other"})
    wait_until(lambda: installation.counts(shop).get("missing") == 1)
