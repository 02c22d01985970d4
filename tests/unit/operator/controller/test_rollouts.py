"""The calls that a rollout makes: which workloads are read, and when one is restarted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from carrier_operator.controller import rollouts
from carrier_operator.controller.rollout import RESTARTED_AT, read_workload, restart_patch
from carrier_operator.controller.world import BindingRecord
from carrier_operator.kube.client import ApiError
from carrier_operator.policy import Policy
from tests.unit.operator.controller.live import CLUSTER, Shop, at, live_pod
from tests.unit.operator.pods_for_tests import QUEUE, binding

UID = "01234567-89ab"
MISSING = binding(selector={"app": "worker"}, rollout="Missing")


class Clock:
    """In the place of the module's `time`."""

    gmtime = staticmethod(time.gmtime)
    strftime = staticmethod(time.strftime)

    def __init__(self) -> None:
        self.now = 2000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class ApiServer:
    """Workloads by path. `restarted`: in this order."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.restarted: list[str] = []
        self.lists = 0

    def put(self, kind: str, name: str, *, complete: bool = True) -> dict[str, Any]:
        number = 1 if complete else 0
        metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "generation": 1, "resourceVersion": "1"}
        document: dict[str, Any] = {
            "metadata": metadata,
            "spec": {"replicas": 1, "template": {"spec": {"containers": []}}},
            "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": number,
                       "desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberAvailable": number},
        }  # fmt: skip
        self.objects[f"/apis/apps/v1/namespaces/shop/{kind.lower()}s/{name}"] = document
        return document

    async def request(self, method: str, path: str, **_: Any) -> dict[str, Any]:
        if path not in self.objects:
            raise ApiError(404, "NotFound", path)
        return self.objects[path]

    async def pages(self, path: str) -> AsyncIterator[dict[str, Any]]:
        self.lists += 1
        yield {"items": [it for key, it in self.objects.items() if key.startswith(f"{path}/")]}

    async def write(self, what: str, method: str, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        assert (what, method) == ("restart", "PATCH")
        document = self.objects[path]
        assert body["metadata"]["resourceVersion"] == document["metadata"]["resourceVersion"]
        assert RESTARTED_AT in body["spec"]["template"]["metadata"]["annotations"]
        self.restarted.append(document["metadata"]["name"])
        return document


class Told:
    """In the place of Events."""

    async def restarted(self, *_: object) -> None:
        pass


class Scene:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.api = ApiServer()
        self.shop = Shop(MISSING)
        self.injecting = True
        self.again_s: float | None = None
        self.rollouts = self.new_leader()
        metadata = {"name": "orders", "namespace": "shop", "uid": UID, "generation": 1, "creationTimestamp": at(1000)}
        spec = {"selector": {"matchLabels": {"app": "worker"}}, "queue": QUEUE, "rollout": "Missing"}
        self.record = BindingRecord({"metadata": metadata, "spec": spec}, Policy(), CLUSTER)

    def new_leader(self) -> rollouts.Rollouts:
        api: Any = self.api
        told: Any = Told()
        return rollouts.Rollouts(api, api, told, lambda: self.injecting, allowed=True)

    def look(self) -> list[str]:
        """What is said, by reason and message."""
        found = self.shop.tally(MISSING, changed_at=1000)
        advice, self.again_s = asyncio.run(self.rollouts.look(self.record, found))
        return [it.text for it in advice]

    def again(self) -> float | None:
        """After how many seconds it would look again (None: when something changes)."""
        self.look()
        return self.again_s

    def look_again(self) -> list[str]:
        self.look()
        self.clock.now += rollouts.AGAIN_S
        return self.look()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    clock = Clock()
    monkeypatch.setattr(rollouts, "time", clock)
    return Scene(clock)


def test_a_workload_whose_pods_miss_the_sidecar_is_restarted(scene: Scene) -> None:
    scene.api.put("Deployment", "worker")
    scene.shop.put(live_pod("worker-1"))
    scene.look_again()
    assert scene.api.restarted == ["worker"]


def test_nothing_is_restarted_before_an_injector_is_ready_and_called(scene: Scene) -> None:
    scene.api.put("Deployment", "worker")
    scene.shop.put(live_pod("worker-1"))
    scene.injecting = False
    assert scene.look_again() == ["RolloutWaits: no injector is ready."]
    scene.injecting = True
    scene.look()
    assert scene.api.restarted == []
    scene.injecting = False
    scene.look_again()
    scene.injecting = True
    scene.look()
    assert scene.api.restarted == [], "it must be ready for a while"
    scene.clock.now += rollouts.INJECTORS_ARE_CALLED_S
    assert scene.look() == []
    assert scene.api.restarted == ["worker"]


def test_nothing_is_restarted_before_every_injector_knows_the_binding(scene: Scene) -> None:
    scene.api.put("Deployment", "worker")
    scene.shop.put(live_pod("worker-1"))
    scene.record.changed_at = scene.clock.now + 1
    scene.look_again()
    assert scene.api.restarted == []
    scene.clock.now += rollouts.INJECTORS_KNOW_S
    scene.look()
    assert scene.api.restarted == ["worker"]


def test_one_under_way_is_found_though_it_has_no_pod_and_the_leader_is_new(scene: Scene) -> None:
    scene.api.put("Deployment", "worker")
    scene.shop.put(live_pod("worker-1"))
    gap = scene.api.put("DaemonSet", "logs", complete=False)
    patch = restart_patch(read_workload({**gap, "kind": "DaemonSet"}), MISSING, UID, "now")
    gap["metadata"]["annotations"] = patch["metadata"]["annotations"]
    assert scene.look_again() == ["RolloutUnderWay: daemonset/logs."]
    assert scene.api.restarted == []
    gap["status"]["numberAvailable"] = 1
    scene.look()
    assert scene.api.restarted == ["worker"]


def test_lists_are_read_only_where_something_is_to_be_restarted(scene: Scene) -> None:
    scene.api.put("Deployment", "worker")
    scene.shop.put(live_pod("worker-1", injected_by=MISSING, ready=False))
    assert scene.look_again() == []
    assert scene.api.lists == 0
    scene.shop.put(live_pod("worker-2"))
    scene.look()
    assert scene.api.lists == 3


def test_pods_whose_deployment_is_gone_are_left(scene: Scene) -> None:
    scene.shop.put(live_pod("worker-1"))
    scene.shop.put(live_pod("bare", owner=None))
    assert scene.look_again() == ["RolloutLeft: bare, worker-1."]


def test_looks_are_as_frequent_as_something_may_change_unseen(scene: Scene) -> None:
    scene.api.put("Deployment", "worker")
    scene.shop.put(live_pod("ours", injected_by=MISSING, ready=False))
    assert scene.again() is None, "an unready pod is no concern of a rollout; when it changes that is seen"
    scene.shop.put(live_pod("bare", owner=None))
    assert scene.again() == rollouts.RARELY_S
    scene.shop.put(live_pod("worker-1"))
    assert scene.again() == rollouts.AGAIN_S
    under_way = scene.api.put("Deployment", "worker", complete=False)
    patch = restart_patch(read_workload({**under_way, "kind": "Deployment"}), MISSING, UID, "now")
    under_way["metadata"]["annotations"] = patch["metadata"]["annotations"]
    assert scene.look() == ["RolloutLeft: bare.", "RolloutUnderWay: deployment/worker."]
    assert scene.again() == rollouts.AGAIN_S
