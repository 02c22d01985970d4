"""Two controllers on one Lease: handover, ends of every kind, and an API server that goes away."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import kubernetes
import pytest

from carrier_operator.kube.client import PAGE
from tests.integration.controller.rig import Installation, Process, wait_until
from tests.integration.controller.test_suspending import FakeSidecar, ready, running
from tests.integration.controller.throttle import ApiGate

LEASE_S = 15.0


@pytest.fixture
def pair(cluster: Any, api: Any, crd: Any, tmp_path: Any) -> Iterator[tuple[Installation, Process, Process]]:
    """An installation with a leader and a replica that stands by."""
    with Installation(cluster, api, tmp_path, "controller.certificates=false") as installation:
        leader = installation.controller()
        wait_until(lambda: leader.said("everything is read"))
        standby = installation.controller()
        wait_until(lambda: installation.lease_holder() == "c0")
        yield installation, leader, standby


def test_a_leader_that_is_told_to_end_hands_over_within_three_seconds(
    pair: tuple[Installation, Process, Process],
) -> None:
    installation, leader, standby = pair
    assert standby.metric("carrier_controller_leading") == 0
    leader.signal(signal.SIGTERM)
    took_s = wait_until(lambda: installation.lease_holder() == "c1")
    assert took_s < 3.0
    assert leader.process.wait(10) == 0
    wait_until(lambda: standby.said("everything is read"))
    namespace = installation.new_namespace()
    installation.bind(namespace)
    wait_until(lambda: installation.condition(namespace, "Ready") == "True NoPods")


def test_a_killed_leader_is_followed_when_its_lease_has_run_out(pair: tuple[Installation, Process, Process]) -> None:
    installation, leader, _ = pair
    leader.signal(signal.SIGKILL)
    took_s = wait_until(lambda: installation.lease_holder() == "c1", timeout_s=30)
    assert LEASE_S - 3 < took_s < LEASE_S + 4
    namespace = installation.new_namespace()
    installation.bind(namespace)
    wait_until(lambda: installation.condition(namespace, "Ready") == "True NoPods")


def test_a_stopped_leader_writes_nothing_after_it_wakes(pair: tuple[Installation, Process, Process]) -> None:
    installation, leader, standby = pair
    namespace = installation.new_namespace()
    leader.signal(signal.SIGSTOP)
    installation.bind(namespace)
    wait_until(lambda: standby.said("everything is read"), timeout_s=40)
    wait_until(lambda: installation.condition(namespace, "Ready") == "True NoPods")
    version = installation.read(namespace)["metadata"]["resourceVersion"]
    leader.signal(signal.SIGCONT)
    assert leader.process.wait(10) == 3
    assert leader.said("no longer the leader")
    time.sleep(1)
    assert installation.read(namespace)["metadata"]["resourceVersion"] == version
    assert installation.lease_holder() == "c1"


def test_a_write_that_was_under_way_when_the_leader_was_killed_is_refused(
    cluster: Any, api: Any, crd: Any, tmp_path: Any
) -> None:
    """The API server has it only after the next leader has written: by then it is about a version that is gone."""
    with (
        Installation(cluster, api, tmp_path, "controller.certificates=false") as installation,
        ApiGate(cluster) as gate,
    ):
        installation.through = gate.url
        first = installation.controller()
        wait_until(lambda: first.said("everything is read"))
        shop = installation.new_namespace()
        gate.hold = "/status"
        installation.bind(shop)
        wait_until(lambda: gate.held > 0)
        first.signal(signal.SIGKILL)
        installation.through = None
        installation.controller()
        installation.pod(shop, "a")
        wait_until(lambda: installation.counts(shop).get("missing") == 1, timeout_s=40)
        version = installation.read(shop)["metadata"]["resourceVersion"]
        gate.hold = None
        wait_until(lambda: len(gate.late) == gate.held)
        assert set(gate.late) == {409}
        assert installation.read(shop)["metadata"]["resourceVersion"] == version


def test_a_replica_that_stands_by_asks_for_the_lease_alone(cluster: Any, api: Any, crd: Any, tmp_path: Any) -> None:
    """No kopf, no list, no watch: what it would keep is memory for nothing, and what it would do is somebody else's."""
    with Installation(cluster, api, tmp_path) as installation, ApiGate(cluster) as gate:
        leader = installation.controller()
        wait_until(lambda: leader.said("everything is read"))
        installation.through = gate.url
        standby = installation.controller()
        installation.bind(installation.new_namespace())
        wait_until(lambda: len(gate.requests) >= 4)
        assert {(method, path.rpartition("/")[0].rpartition("/")[2]) for method, path in gate.requests} == {
            ("GET", "leases")
        }
        assert '"standing by"' in standby.get("/readyz")[1]
        assert standby.get("/readyz")[0] == 200


def test_a_lease_that_is_deleted_is_made_again_by_one_of_them(pair: tuple[Installation, Process, Process]) -> None:
    installation, leader, standby = pair
    name = installation.environ("controller")["CARRIER_CONTROLLER_LEASE"]
    kubernetes.client.CoordinationV1Api(installation.api).delete_namespaced_lease(name, installation.namespace)
    wait_until(lambda: installation.lease_holder() != "")
    if installation.lease_holder() == "c1":
        assert leader.process.wait(10) == 3
    else:
        assert leader.metric("carrier_controller_leading") == 1
        assert standby.metric("carrier_controller_leading") == 0


@pytest.fixture
def gated(cluster: Any, api: Any, crd: Any, tmp_path: Any) -> Iterator[tuple[Installation, Process, ApiGate]]:
    """A controller that reaches the API server through a gate which the test shuts."""
    with (
        Installation(cluster, api, tmp_path, "controller.certificates=false") as installation,
        ApiGate(cluster) as gate,
    ):
        installation.through = gate.url
        process = installation.controller()
        wait_until(lambda: process.said("everything is read"))
        yield installation, process, gate


def test_a_leader_without_the_api_server_ends_before_another_may_lead(
    gated: tuple[Installation, Process, ApiGate],
) -> None:
    installation, process, gate = gated
    began = time.monotonic()
    gate.shut()
    assert process.process.wait(20) == 3
    assert time.monotonic() - began < LEASE_S - 3
    gate.open()
    again = installation.controller()
    wait_until(lambda: again.said("everything is read"), timeout_s=40)


def test_an_outage_shorter_than_the_deadline_is_lived_through(gated: tuple[Installation, Process, ApiGate]) -> None:
    installation, process, gate = gated
    namespace = installation.new_namespace()
    gate.shut()
    time.sleep(4)
    installation.bind(namespace)
    gate.open()
    wait_until(lambda: installation.condition(namespace, "Ready") == "True NoPods", timeout_s=40)
    assert process.process.poll() is None
    assert process.said("leading")


def test_a_binding_that_went_while_nobody_watched_is_forgotten(gated: tuple[Installation, Process, ApiGate]) -> None:
    installation, process, gate = gated
    namespace = installation.new_namespace()
    installation.bind(namespace)
    installation.bind(namespace, "refunds")
    wait_until(lambda: installation.condition(namespace, "Ready", "refunds") != "")
    before = process.metric("carrier_controller_bindings")
    # Watches that break and are told 410 afterwards list again; what is gone by then is in no event.
    gate.watch_error = 410
    gate.cut()
    installation.unbind(namespace, "refunds")
    time.sleep(1)
    gate.watch_error = None
    wait_until(lambda: process.metric("carrier_controller_bindings") == before - 1, timeout_s=30)


@pytest.mark.parametrize("code", [410, 429, 500])
def test_an_error_in_a_watch_is_lived_through(gated: tuple[Installation, Process, ApiGate], code: int) -> None:
    installation, process, gate = gated
    namespace = installation.new_namespace()
    gate.watch_error = code
    gate.cut()
    time.sleep(3)
    gate.watch_error = None
    installation.bind(namespace)
    installation.pod(namespace, "a")
    wait_until(lambda: installation.counts(namespace).get("missing") == 1, timeout_s=40)
    assert process.process.poll() is None


@pytest.mark.parametrize("status", [403, 404, 503])
def test_refused_lists_and_watches_are_asked_for_again(
    gated: tuple[Installation, Process, ApiGate], status: int
) -> None:
    installation, process, gate = gated
    namespace = installation.new_namespace()
    gate.fail = {"/api/v1/pods": status, "/carrierbindings?": status}
    gate.cut()
    time.sleep(5)
    assert 4 < process.metric("carrier_controller_cache_age_seconds") < 60
    installation.bind(namespace)
    installation.pod(namespace, "a")
    gate.fail = {}
    wait_until(lambda: installation.counts(namespace).get("missing") == 1, timeout_s=40)
    assert process.process.poll() is None


def test_lists_whose_later_pages_have_expired_begin_anew(gated: tuple[Installation, Process, ApiGate]) -> None:
    """Of more bindings than a page has: the version of the first page is forgotten when the second is asked for."""
    installation, process, gate = gated
    namespace = installation.new_namespace()
    for number in range(PAGE + 5):
        installation.bind(namespace, f"b{number}")
    wait_until(lambda: process.metric("carrier_controller_bindings") >= PAGE + 5)
    gate.fail = {"continue=": 410}
    gate.cut()
    wait_until(lambda: any("continue=" in path for _, path in gate.requests))
    time.sleep(3)
    installation.unbind(namespace, "b7")
    installation.bind(namespace)
    gate.fail = {}
    wait_until(lambda: installation.condition(namespace, "Ready") == "True NoPods", timeout_s=60)
    wait_until(lambda: process.metric("carrier_controller_bindings") == PAGE + 5, timeout_s=60)
    assert process.process.poll() is None


def test_a_missing_crd_at_the_start_is_waited_for(cluster: Any, api: Any, crd: Any, tmp_path: Any) -> None:
    """The role's own resourceName makes this testable without taking the CRD from other tests: refused is absent."""
    with Installation(cluster, api, tmp_path, "controller.certificates=false") as installation:
        name = installation.named("ClusterRole", "-controller")["metadata"]["name"]
        role = installation.rbac.read_cluster_role(name)
        kept = list(role.rules)
        role.rules = [rule for rule in kept if "customresourcedefinitions" not in rule.resources]
        installation.rbac.replace_cluster_role(name, role)
        process = installation.controller()
        wait_until(lambda: process.said("waiting for the CRD"))
        assert '"waiting for the CRD"' in process.get("/readyz")[1]
        role = installation.rbac.read_cluster_role(name)
        role.rules = kept
        installation.rbac.replace_cluster_role(name, role)
        wait_until(lambda: process.said("everything is read"))


def test_the_next_leader_resumes_what_the_last_one_suspended(cluster: Any, api: Any, crd: Any, tmp_path: Any) -> None:
    with (
        Installation(cluster, api, tmp_path, "controller.certificates=false") as installation,
        closing(FakeSidecar()) as sidecar,
    ):
        first = installation.controller()
        shop = installation.new_namespace()
        installation.bind(shop)
        running(installation, shop, "p", sidecar)
        installation.change(shop, suspend=True)
        wait_until(lambda: "1 of 1" in ready(installation, shop)[1])
        assert first.stop() == 0
        installation.change(shop, suspend=False)
        time.sleep(1)
        assert sidecar.told == ["suspend"]
        installation.controller()
        wait_until(lambda: sidecar.told[-1] == "resume")
        wait_until(lambda: ready(installation, shop)[0] == "True MessagesFlow")
