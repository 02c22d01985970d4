from __future__ import annotations

import json
from typing import Any

import pytest

from carrier_operator.controller.snapshots import Shapes, snapshot, unix_seconds
from tests.unit.operator.controller.live import TOKEN, at, fare, live_pod
from tests.unit.operator.pods_for_tests import binding

ORDERS = binding(selector={"app": "worker"})


def test_pods_of_one_template_share_a_shape_with_or_without_the_sidecar() -> None:
    shapes = Shapes()
    first = snapshot(live_pod("a", volumes=[{"name": "kube-api-access-x7x7x"}]), shapes)
    second = snapshot(live_pod("b", injected_by=ORDERS, volumes=[{"name": "kube-api-access-abcde"}]), shapes)
    other = snapshot(live_pod("c", labels={"app": "other"}), shapes)
    assert first is not None
    assert second is not None
    assert other is not None
    assert first.shape is second.shape
    assert first.shape is not other.shape


def test_shapes_go_with_their_last_pod() -> None:
    shapes = Shapes()
    first, second = snapshot(live_pod("a"), shapes), snapshot(live_pod("b"), shapes)
    assert first is not None
    assert second is not None
    assert len(shapes) == 1
    del first
    assert len(shapes) == 1
    del second
    assert len(shapes) == 0


def test_what_an_annotation_has_in_place_of_a_hash_is_kept_to_a_hashs_length() -> None:
    document = live_pod(injected_by=ORDERS)
    said = {"sidecars": [{"binding": "orders", "generation": 1, "hash": "x" * 200_000}]}
    document["metadata"]["annotations"]["carrier.dev/status"] = json.dumps(said)
    pod = snapshot(document, Shapes())
    assert pod is not None
    assert pod.sidecars[0].hash == "x" * 16


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "5", '{"sidecars": 5}', '{"sidecars": [5, {"binding": []}]}', "[" * 9999]
)
def test_a_status_annotation_of_any_shape_is_no_more_than_a_stale_sidecar(text: str) -> None:
    document = live_pod(injected_by=ORDERS)
    document["metadata"]["annotations"]["carrier.dev/status"] = text
    pod = snapshot(document, Shapes())
    assert pod is not None
    assert [(it.binding, it.generation) for it in pod.sidecars] == [("orders", None)]


def test_a_status_annotation_alone_makes_no_sidecar() -> None:
    said = {"sidecars": [{"binding": "orders", "generation": 1, "hash": "x"}]}
    pod = snapshot(live_pod(annotations={"carrier.dev/status": json.dumps(said)}), Shapes())
    assert pod is not None
    assert pod.sidecars == ()


@pytest.mark.parametrize(
    "status",
    [
        None,
        {"conditions": None},
        {"conditions": []},
        {"conditions": [{}]},
        {"initContainerStatuses": None},
        {"initContainerStatuses": [{}]},
        {"initContainerStatuses": [{"name": "carrier-orders", "state": None, "lastState": None}]},
        {"initContainerStatuses": [{"name": "carrier-orders", "state": {"waiting": None}, "restartCount": None}]},
        {
            "initContainerStatuses": [
                {"name": "carrier-orders", "state": {"waiting": {}}, "lastState": {"terminated": {}}}
            ]
        },
    ],
)
def test_a_pod_that_has_no_status_yet_counts_as_injected_and_not_ready(status: Any) -> None:
    document = live_pod(injected_by=ORDERS)
    document["status"] = status
    pod = snapshot(document, Shapes())
    assert pod is not None
    assert not pod.ready
    assert len(pod.sidecars) == 1
    assert not pod.sidecars[0].running


def test_a_pod_of_hundreds_of_containers_and_of_a_huge_annotation() -> None:
    containers = [{"name": f"c{number}", "ports": [{"containerPort": number + 1}]} for number in range(800)]
    document = live_pod(injected_by=ORDERS, annotations={"note": "x" * 250_000}, initContainers=containers)
    shapes = Shapes()
    pod = snapshot(document, shapes)
    assert pod is not None
    assert len(pod.sidecars) == 1
    assert len(pod.shape.digest) < 100_000


def test_ended_and_going_pods_are_not_counted() -> None:
    going = live_pod()
    going["metadata"]["deletionTimestamp"] = at(1)
    for document in (going, live_pod(status={"phase": "Succeeded"}), live_pod(status={"phase": "Failed"})):
        assert snapshot(document, Shapes()) is None


def test_what_is_no_pod_is_passed_over() -> None:
    assert snapshot({"metadata": {"name": "x"}, "spec": {"containers": 5}}, Shapes()) is None


def test_the_sidecar_is_read_from_the_container_and_its_annotation() -> None:
    pod = snapshot(live_pod(injected_by=ORDERS, status=fare()), Shapes())
    assert pod is not None
    (sidecar,) = pod.sidecars
    assert (sidecar.binding, sidecar.generation, sidecar.probe_port, sidecar.token) == ("orders", 1, 9464, TOKEN)
    assert sidecar.running
    assert not sidecar.failing
    assert not sidecar.starts_suspended


def test_a_sidecar_on_the_hosts_network_has_no_port_to_reach() -> None:
    orders = binding(selector={"app": "worker"}, sidecar={"allowHostNetwork": True})
    pod = snapshot(live_pod(injected_by=orders, hostNetwork=True), Shapes())
    assert pod is not None
    assert [it.probe_port for it in pod.sidecars] == [None]


def test_what_a_failing_sidecar_said_is_kept() -> None:
    status = fare(4, message="CARRIER_X is not allowed", waiting="CrashLoopBackOff")
    pod = snapshot(live_pod(injected_by=ORDERS, status=status), Shapes())
    assert pod is not None
    assert pod.sidecars[0].failing
    assert pod.sidecars[0].message == "exit code 2: CARRIER_X is not allowed"


def test_a_sidecar_that_had_too_little_memory_is_said_to() -> None:
    status = fare(4, message="starting", waiting="CrashLoopBackOff", reason="OOMKilled")
    pod = snapshot(live_pod(injected_by=ORDERS, status=status), Shapes())
    assert pod is not None
    assert pod.sidecars[0].message == "exit code 2 (OOMKilled): starting"


def test_a_sidecar_that_has_just_ended_for_the_third_time_fails_before_it_is_said_to_wait() -> None:
    entry = {"name": "carrier-orders", "restartCount": 2, "state": {"terminated": {"exitCode": 2}}, "ready": False}
    pod = snapshot(live_pod(injected_by=ORDERS, status={"initContainerStatuses": [entry]}), Shapes())
    assert pod is not None
    assert pod.sidecars[0].failing


def test_a_sidecar_that_restarted_once_and_runs_is_not_failing() -> None:
    pod = snapshot(live_pod(injected_by=ORDERS, status=fare(1, message="x")), Shapes())
    assert pod is not None
    assert not pod.sidecars[0].failing


def test_an_image_that_cant_be_pulled_is_a_failing_sidecar() -> None:
    pod = snapshot(live_pod(injected_by=ORDERS, status=fare(waiting="ImagePullBackOff")), Shapes())
    assert pod is not None
    assert pod.sidecars[0].failing


def test_the_workload_is_what_a_person_would_restart() -> None:
    shapes = Shapes()
    expected = {
        "ReplicaSet": ("Deployment", "worker"),
        "StatefulSet": ("StatefulSet", "worker-abc12"),
        None: None,
    }
    for owner, workload in expected.items():
        pod = snapshot(live_pod(owner=owner), shapes)
        assert pod is not None
        assert pod.workload == workload


def test_times_of_the_api_server() -> None:
    assert unix_seconds("1970-01-01T00:16:40Z") == 1000
    assert unix_seconds("yesterday") is None
    assert unix_seconds(None) is None
