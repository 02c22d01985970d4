"""One look at one binding, from what is known to what is written, against an API server in memory and in virtual time:
statuses, Events, and the telling of sidecars.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from carrier_operator.container import ClusterFacts
from carrier_operator.controller.census import WORKLOADS, Key
from carrier_operator.controller.lease import Elector, Record
from carrier_operator.controller.notices import Notices
from carrier_operator.controller.reconcile import Reconciler
from carrier_operator.controller.rollouts import Rollouts
from carrier_operator.controller.snapshots import Shapes, snapshot
from carrier_operator.controller.suspending import Suspender
from carrier_operator.controller.work_queue import WorkQueue
from carrier_operator.controller.world import BindingRecord, World
from carrier_operator.controller.writing import NotLeading, Writer
from carrier_operator.kube.client import ApiError
from carrier_operator.models import GROUP, PLURAL, VERSION, Binding
from carrier_operator.policy import Policy, read_binding
from tests.unit.operator.controller.api_stub import StubApi
from tests.unit.operator.controller.live import CLUSTER, at, fare, live_pod
from tests.unit.operator.controller.virtual import play
from tests.unit.operator.pods_for_tests import QUEUE

KEY = ("shop", "orders")
BINDINGS = f"/apis/{GROUP}/{VERSION}/namespaces/shop/{PLURAL}"
EVENTS = "/api/v1/namespaces/shop/events"


class Leader:
    """A leading controller without its watches: `put` is what they would tell."""

    def __init__(self, api: StubApi) -> None:
        self.api = api
        self.elector = Elector("me")
        self.elector.absent()
        self.elector.wrote(Record("me", "t", 15, 0, "1"), 0)
        self.now = 0.0
        self.marked: list[Key] = []
        self.gone: list[BindingRecord] = []
        writer = Writer(api, self.elector, lambda: self.now, self)  # type: ignore[arg-type]  # stubs
        notices = Notices(writer, api, "me")  # type: ignore[arg-type]  # a stub
        self.suspender = Suspender(writer.check)
        self.told: list[tuple[str, str]] = []
        self.deaf: set[str] = set()
        self.suspender._call = self._call  # type: ignore[method-assign]  # no network
        rollouts = Rollouts(writer, api, notices, lambda: True, allowed=False)  # type: ignore[arg-type]  # a stub
        facts = ClusterFacts(CLUSTER.image, native=True)
        self.world = World(Policy(), facts, self.marked.append, self.gone.append, auto_native=False)
        self.reconciler = Reconciler(self.world, writer, notices, self.suspender, rollouts, self)
        self.queue = WorkQueue(self.reconciler.look)

    async def _call(self, pod: Any, sidecar: Any, word: str) -> bool:
        await asyncio.sleep(0.01)
        if pod.name in self.deaf:
            return False
        self.told.append((pod.name, word))
        return True

    def wrote(self, what: str, result: str) -> None:
        """As who counts."""

    def latest(self, record: BindingRecord) -> tuple[None, None]:
        """As who looks at queues: nobody."""
        return None, None

    def sync(self) -> None:
        """What the watch would have brought by now."""
        for path, document in self.api.objects.items():
            if path.startswith(f"{BINDINGS}/"):
                self.world.put_binding(document)

    async def look(self, key: Key = KEY) -> float | None:
        self.sync()
        return await self.reconciler.look(key)

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.api.objects[f"{BINDINGS}/orders"].get("status") or {})

    def ready(self) -> str:
        return next(f"{it['status']} {it['reason']}" for it in self.status["conditions"] if it["type"] == "Ready")

    def message(self, kind: str = "Ready") -> str:
        return next(str(it["message"]) for it in self.status["conditions"] if it["type"] == kind)

    def binding(self) -> Binding:
        found = read_binding(self.api.objects[f"{BINDINGS}/orders"], Policy())
        assert isinstance(found, Binding)
        return found

    def status_writes(self) -> list[Any]:
        return [body for _, path, body in self.api.writes if path.endswith("/status")]


def bind(api: StubApi, generation: int = 1, **spec: Any) -> None:
    """Creates or changes the binding; its status stays."""
    old = api.objects.get(f"{BINDINGS}/orders", {})
    whole = {"queue": QUEUE, "selector": {"matchLabels": {"app": "worker"}}, **spec}
    metadata = {"namespace": "shop", "uid": "u1", "generation": generation, "creationTimestamp": at(500)}
    api.put(f"{BINDINGS}/orders", {"metadata": metadata, "spec": whole, "status": old.get("status")})


class Api(StubApi):
    """Statuses are a subresource: their writes go to the object itself, and have its version."""

    async def request(self, method: str, path: str, **more: Any) -> Any:
        inner = path.removesuffix("/status")
        if path.startswith(EVENTS) and method == "POST" and more["body"]["metadata"]["name"] in self.names():
            self.writes.append((method, path, more["body"]))
            raise ApiError(409, "AlreadyExists", "")
        found = await super().request(method, inner, **more)
        if path != inner and method == "PATCH":
            self.writes[-1] = (method, path, more["body"])
        return found

    def names(self) -> set[str]:
        return {path.rpartition("/")[2] for path in self.objects if path.startswith(EVENTS)}

    def events(self, reason: str) -> list[dict[str, Any]]:
        return [it for path, it in self.objects.items() if path.startswith(EVENTS) and it["reason"] == reason]


def scene(test: Callable[[Api, Leader], Awaitable[None]]) -> None:
    async def whole() -> None:
        api = Api()
        bind(api)
        await test(api, Leader(api))

    play(whole)


def running(leader: Leader, name: str, restarts: int = 0) -> None:
    """A pod with a running sidecar of the binding as it is now."""
    status = fare()
    status["initContainerStatuses"][0]["restartCount"] = restarts
    leader.sync()
    leader.world.put_pod(live_pod(name, injected_by=leader.binding(), status=status))


# -- status ------------------------------------------------------------------------------------------------------------


def test_what_is_so_is_written_once() -> None:
    async def test(api: Api, leader: Leader) -> None:
        running(leader, "a")
        for _ in range(3):
            await leader.look()
        assert len(leader.status_writes()) == 1
        assert leader.ready() == "True MessagesFlow"
        assert leader.status["observedGeneration"] == 1
        assert {it["observedGeneration"] for it in leader.status["conditions"]} == {1}

    scene(test)


def test_a_sidecar_that_runs_for_a_moment_between_two_ends_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [5015.0]
    monkeypatch.setattr("time.time", lambda: clock[0])

    async def test(api: Api, leader: Leader) -> None:
        leader.sync()
        for status in (fare(1, waiting="CrashLoopBackOff"), fare(2, lived=(5000, 5001), since=5010)):
            leader.world.put_pod(live_pod("a", injected_by=leader.binding(), status=status))
            again_s = await leader.look()
            assert leader.ready() == "False SidecarsFailing"
        assert again_s == pytest.approx(56.0)
        clock[0] += 56
        assert await leader.look() is None
        assert leader.ready() == "True MessagesFlow"

    scene(test)


def test_every_write_of_a_status_carries_the_version_that_it_was_decided_on() -> None:
    """So the late write of a former leader fails, and what the next one wrote stays."""

    async def test(api: Api, leader: Leader) -> None:
        await leader.look()
        late = leader.status_writes()[0]
        await Leader(api).look()
        leader.world.put_pod(live_pod("a"))
        await leader.look()
        before = api.objects[f"{BINDINGS}/orders"]
        with pytest.raises(ApiError, match="409"):
            await api.request("PATCH", f"{BINDINGS}/orders/status", body=late, content_type="merge")
        assert api.objects[f"{BINDINGS}/orders"] == before

    scene(test)


def test_a_status_that_somebody_changed_meanwhile_is_decided_anew() -> None:
    async def test(api: Api, leader: Leader) -> None:
        await leader.look()
        bind(api, suspend=True, generation=2)  # not seen yet
        leader.world.put_pod(live_pod("a"))
        with pytest.raises(ApiError, match="409"):
            await leader.reconciler.look(KEY)
        await leader.look()
        assert leader.ready() == "False Suspended"

    scene(test)


def test_nothing_is_written_after_the_deadline() -> None:
    async def test(api: Api, leader: Leader) -> None:
        leader.now = 3600.0
        with pytest.raises(NotLeading):
            await leader.look()
        assert api.writes == []

    scene(test)


def test_a_binding_that_is_gone_is_forgotten() -> None:
    async def test(api: Api, leader: Leader) -> None:
        leader.sync()
        api.delete(f"{BINDINGS}/orders")
        assert await leader.reconciler.look(KEY) is None
        assert leader.world.bindings == {}
        assert await leader.reconciler.look(KEY) is None

    scene(test)


def test_a_status_in_ruins_is_written_anew() -> None:
    async def test(api: Api, leader: Leader) -> None:
        ruins: list[Any] = [None, {}, {"conditions": None}, {"conditions": [], "pods": None}]
        for ruin in ruins:
            api.objects[f"{BINDINGS}/orders"]["status"] = ruin
            api.put(f"{BINDINGS}/orders", api.objects[f"{BINDINGS}/orders"])
            await leader.look()
            assert leader.ready() == "True NoPods"

    scene(test)


# -- suspending --------------------------------------------------------------------------------------------------------


def test_suspending_is_announced_before_anybody_is_told() -> None:
    async def test(api: Api, leader: Leader) -> None:
        running(leader, "a")
        await leader.look()
        bind(api, suspend=True, generation=2)
        api.refuse = {BINDINGS: 503}
        with pytest.raises(ApiError):
            await leader.look()
        assert leader.told == []
        api.refuse = {}
        await leader.look()
        assert leader.told == [("a", "suspend")]
        first, second = leader.status_writes()[-2:]
        words = [
            next(it["message"] for it in body["status"]["conditions"] if it["type"] == "Ready")
            for body in (first, second)
        ]
        assert ["0 of 1" in words[0], "1 of 1" in words[1]] == [True, True]

    scene(test)


def test_a_leader_that_ends_in_the_midst_of_telling_leaves_nobody_suspended() -> None:
    """Told, and gone before it could say so; the binding is resumed before the next one leads."""

    async def test(api: Api, leader: Leader) -> None:
        running(leader, "a")
        await leader.look()
        bind(api, suspend=True, generation=2)
        original = leader.suspender.tell

        async def tell(*arguments: Any) -> Any:
            await original(*arguments)
            raise NotLeading

        leader.suspender.tell = tell  # type: ignore[assignment,method-assign]  # it ends right after
        with pytest.raises(NotLeading):
            await leader.look()
        assert leader.told == [("a", "suspend")]
        bind(api, suspend=False, generation=3)
        following = Leader(api)
        running(following, "a")
        await following.look()
        assert following.told == [("a", "resume")]
        assert following.ready() == "True MessagesFlow"

    scene(test)


def test_what_was_told_is_told_back_and_to_a_container_that_restarted_again() -> None:
    async def test(api: Api, leader: Leader) -> None:
        running(leader, "a")
        running(leader, "b")
        bind(api, suspend=True, generation=2)
        await leader.look()
        assert sorted(leader.told) == [("a", "suspend"), ("b", "suspend")]
        leader.told.clear()
        bind(api, suspend=False, generation=3)
        leader.deaf = {"b"}
        await leader.look()
        assert leader.ready() == "False Resuming"
        leader.deaf = set()
        await leader.look()
        assert sorted(leader.told) == [("a", "resume"), ("b", "resume")]
        assert leader.ready() == "True MessagesFlow"
        await leader.look()
        assert len(leader.told) == 2

    scene(test)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "host.example", "1.2.3.4/x"]
)
def test_an_address_that_is_no_pods_is_not_called(address: str) -> None:
    async def test(api: Api, leader: Leader) -> None:
        leader.sync()
        status = {**fare(), "podIP": address}
        pod = snapshot(live_pod("a", injected_by=leader.binding(), status=status), Shapes())
        assert pod is not None
        suspender = Suspender(lambda: None)
        assert await suspender._call(pod, pod.sidecars[0], "suspend") is False
        assert suspender._session is None

    scene(test)


def test_who_does_not_answer_is_named_and_asked_again() -> None:
    async def test(api: Api, leader: Leader) -> None:
        for name in "abc":
            running(leader, name)
        leader.deaf = {"b"}
        bind(api, suspend=True, generation=2)
        again_s = await leader.look()
        assert again_s is not None
        assert "2 of 3 sidecars have answered" in leader.message()
        assert "SidecarsNotTold: 1 sidecar could not be told to suspend (b)" in leader.message("Injected")
        leader.deaf = set()
        assert await leader.look() is None
        assert "3 of 3 sidecars have answered" in leader.message()
        assert leader.told.count(("a", "suspend")) == 1

    scene(test)


def test_the_deadline_is_looked_at_before_each_sidecar_is_told() -> None:
    """A round takes seconds: a process that was stopped in the midst of it tells nobody after it wakes."""

    async def test(api: Api, leader: Leader) -> None:
        for number in range(100):
            running(leader, f"p{number:03}")
        await leader.look()
        bind(api, suspend=True, generation=2)
        looking = asyncio.create_task(leader.look())
        while not leader.told:
            await asyncio.sleep(0.001)
        leader.now = 3600.0  # stopped, and woken
        with pytest.raises(NotLeading):
            await looking
        assert len(leader.told) <= 32

    scene(test)


# -- Events ------------------------------------------------------------------------------------------------------------


def test_transitions_are_told_once_however_often_it_is_looked() -> None:
    async def test(api: Api, leader: Leader) -> None:
        leader.world.put_pod(live_pod("a"))
        for _ in range(3):
            await leader.look()
        assert len(api.events("PodsWithoutSidecar")) == 1
        (event,) = api.events("PodsWithoutSidecar")
        assert (event["type"], event["involvedObject"]["name"]) == ("Warning", "orders")

    scene(test)


def left_out(
    leader: Leader, name: str, *, owner: str = "StatefulSet", template: str = "v1", binding: str = "gone"
) -> None:
    document = live_pod(name, owner=owner, owner_name="db", annotations={"carrier.dev/binding": binding})
    if owner != "ReplicaSet":
        document["metadata"]["labels"]["controller-revision-hash"] = template
    leader.world.put_pod(document)


@pytest.mark.parametrize("owner", ["StatefulSet", "DaemonSet"])
def test_a_workload_is_told_once_per_template_what_its_pods_were_denied(owner: str) -> None:
    async def test(api: Api, leader: Leader) -> None:
        for template in ("v1", "v1", "v2"):
            for name in ("a", "b"):
                left_out(leader, name, owner=owner, template=template)
            await leader.look(("shop", WORKLOADS))
            await leader.look(("shop", WORKLOADS))
        found = api.events("SidecarLeftOut")
        assert len(found) == 2
        assert {(it["involvedObject"]["kind"], it["involvedObject"]["name"]) for it in found} == {(owner, "db")}

    scene(test)


def test_the_next_leader_tells_nobody_a_second_time() -> None:
    async def test(api: Api, leader: Leader) -> None:
        left_out(leader, "a")
        await leader.look(("shop", WORKLOADS))
        following = Leader(api)
        left_out(following, "a")
        await following.look(("shop", WORKLOADS))
        assert len(api.events("SidecarLeftOut")) == 1

    scene(test)


def test_an_annotation_that_names_thousands_of_bindings_makes_a_few_events() -> None:
    async def test(api: Api, leader: Leader) -> None:
        left_out(leader, "a", binding=",".join(f"b{number}" for number in range(50_000)))
        await leader.look(("shop", WORKLOADS))
        assert 1 <= len(api.events("SidecarLeftOut")) <= 5
        assert len(leader.marked) < 100

    scene(test)


@pytest.mark.parametrize("status", [403, 404])
def test_an_event_in_a_namespace_that_is_going_is_let_go(status: int) -> None:
    async def test(api: Api, leader: Leader) -> None:
        api.refuse = {EVENTS: status}
        left_out(leader, "a")
        leader.world.put_pod(live_pod("b"))
        await leader.look(("shop", WORKLOADS))
        await leader.look()
        assert leader.ready() == "False PodsWithoutSidecar"

    scene(test)
