"""Election and Writer over a Lease with optimistic locking, in virtual time: outages, stops, slow answers, edits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carrier_operator.controller.election import Election, Lost
from carrier_operator.controller.lease import Elector
from carrier_operator.controller.writing import NotLeading, Writer
from carrier_operator.kube.client import ApiError
from tests.unit.operator.controller.virtual import play


class LeaseApi:
    """An API server's Lease, seen through the connection of each replica.

    `away`: replicas whose calls get no answer; `delay_s`: how long an answer takes; `lag_s`: how long a write is under
    way before it counts. Everything is in the loop's time.
    """

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.away: set[str] = set()
        self.delay_s = 0.01
        self.lag_s = 0.0
        self.calls: list[tuple[float, str, str]] = []
        self._version = 0

    def edit(self, **spec: Any) -> None:
        """As `kubectl edit` does it."""
        assert self.lease is not None
        self._put({**self.lease["spec"], **spec})

    def _put(self, spec: Mapping[str, Any]) -> None:
        self._version += 1
        self.lease = {"metadata": {"name": "l", "resourceVersion": str(self._version)}, "spec": dict(spec)}

    def answer(self, method: str, body: Any) -> Any:
        if method == "GET":
            if self.lease is None:
                raise ApiError(404, "NotFound", "")
            return self.lease
        there = self.lease["metadata"]["resourceVersion"] if self.lease else None
        if body["metadata"].get("resourceVersion") != there:
            raise ApiError(409, "Conflict", "")
        self._put(body["spec"])
        return self.lease


class Replica:
    """One candidate: its elector, its election, and a clock that its host may have set differently."""

    def __init__(self, api: LeaseApi, name: str, skew_s: float = 0.0) -> None:
        self.name = name
        self.api = api
        self.elector = Elector(name)
        self.skew_s = skew_s
        self.election = Election(self, self.elector, "ns", "l", clock=self.clock)  # type: ignore[arg-type]  # a stub
        self.writer = Writer(self, self.elector, self.clock, self)  # type: ignore[arg-type]  # a stub
        self.writes: list[float] = []
        self.task: asyncio.Task[None] | None = None

    def clock(self) -> float:
        return now() + self.skew_s

    def wrote(self, what: str, result: str) -> None:
        """As who counts."""

    async def request(self, method: str, path: str, *, timeout_s: float, body: Any = None, **_: Any) -> Any:
        """As the client of one API server."""
        self.api.calls.append((now(), self.name, method))
        if "leases" not in path:
            self.writes.append(now())
            return {}
        try:
            async with asyncio.timeout(timeout_s):
                if self.name in self.api.away:
                    await asyncio.sleep(3600)
                if method != "GET":
                    await asyncio.sleep(self.api.lag_s)
                found = self.api.answer(method, body)
                await asyncio.sleep(self.api.delay_s)
                return found
        except TimeoutError as error:
            raise ApiError(0, "TimeoutError", "") from error

    def start(self) -> asyncio.Task[None]:
        self.task = asyncio.create_task(self.election.run())
        return self.task

    def may_write(self) -> bool:
        return self.elector.may_write(self.clock())


def now() -> float:
    return asyncio.get_running_loop().time()


async def led_by(*replicas: Replica) -> Replica:
    while True:
        for it in replicas:
            if it.may_write():
                return it
        await asyncio.sleep(0.1)


def test_a_leader_without_the_api_server_ends_at_its_deadline_and_the_next_leads_after_it() -> None:
    async def scene() -> None:
        api = LeaseApi()
        first, second = Replica(api, "a"), Replica(api, "b")
        task = first.start()
        await led_by(first)
        second.start()
        await asyncio.sleep(30)
        last = max(when for when, who, method in api.calls if who == "a" and method == "PUT")
        api.away.add("a")
        with pytest.raises(Lost):
            await task
        assert 9.9 <= now() - last <= 12.1  # counted from when the last renewal that counted was sent
        assert not first.may_write()
        ended = now()
        assert await led_by(first, second) is second
        assert now() > ended

    play(scene)


def test_a_loss_is_noticed_at_the_deadline_itself() -> None:
    async def scene() -> None:
        api = LeaseApi()
        leader = Replica(api, "a")
        task = leader.start()
        await led_by(leader)
        await asyncio.sleep(0.5)
        began = leader.elector.left_s(leader.clock())
        api.away.add("a")
        with pytest.raises(Lost):
            await task
        assert now() <= 0.51 + began + 0.1

    play(scene)


def test_the_deadline_counts_from_when_the_renewal_was_sent() -> None:
    async def scene() -> None:
        api = LeaseApi()
        api.delay_s = 3.0
        leader = Replica(api, "a")
        task = leader.start()
        await led_by(leader)
        sent = max(when for when, _, method in api.calls if method != "GET")
        assert now() - sent >= 3.0
        assert leader.elector.left_s(leader.clock()) == pytest.approx(sent + 10 - now())
        task.cancel()

    play(scene)


def test_an_outage_for_everybody_and_back() -> None:
    async def scene() -> None:
        api = LeaseApi()
        first, second = Replica(api, "a"), Replica(api, "b")
        task = first.start()
        await led_by(first)
        follower = second.start()
        api.away |= {"a", "b"}
        await asyncio.wait([task])
        await asyncio.sleep(120)
        assert not follower.done()
        assert not second.may_write()
        api.away.clear()
        began = now()
        await led_by(second)
        # A call without an answer (4 s), a pause (2), the holder's 15 as seen from here, a look (2).
        assert now() - began < 23.5
        assert not first.may_write()

    play(scene)


def test_an_outage_shorter_than_the_deadline_changes_nothing() -> None:
    async def scene() -> None:
        api = LeaseApi()
        first, second = Replica(api, "a"), Replica(api, "b")
        task = first.start()
        await led_by(first)
        second.start()
        for _ in range(10):
            api.away.add("a")
            await asyncio.sleep(5)
            api.away.clear()
            await asyncio.sleep(10)
            assert first.may_write()
            assert not second.may_write()
        assert not task.done()

    play(scene)


def test_a_leader_that_is_told_to_go_hands_over_within_two_seconds() -> None:
    async def scene() -> None:
        api = LeaseApi()
        first, second = Replica(api, "a"), Replica(api, "b")
        task = first.start()
        await led_by(first)
        second.start()
        await asyncio.sleep(7)
        began = now()
        task.cancel()
        await first.election.release()
        assert not first.may_write()
        await led_by(second)
        assert now() - began < 2.1

    play(scene)


def test_an_edited_duration_gives_nobody_the_lease_while_its_leader_may_write() -> None:
    """A duration of one second, as a hand may write it: the leader does not know of it before its next renewal."""

    async def scene() -> None:
        api = LeaseApi()
        first, second = Replica(api, "a"), Replica(api, "b")
        first.start()
        await led_by(first)
        second.start()
        await asyncio.sleep(5)
        api.away.add("a")  # nor does it then
        api.edit(leaseDurationSeconds=1)
        while not second.may_write():
            assert now() < 60
            await asyncio.sleep(0.05)
        assert not first.may_write()

    play(scene)


def test_an_edited_holder_ends_the_leader_before_its_next_write_of_the_lease() -> None:
    async def scene() -> None:
        api = LeaseApi()
        leader = Replica(api, "a")
        task = leader.start()
        await led_by(leader)
        await asyncio.sleep(5)
        api.edit(holderIdentity="somebody")
        with pytest.raises(Lost):
            await task
        assert now() < 5 + 2.5
        assert not leader.may_write()

    play(scene)


def test_a_deleted_lease_ends_the_leader() -> None:
    async def scene() -> None:
        api = LeaseApi()
        leader = Replica(api, "a")
        task = leader.start()
        await led_by(leader)
        api.lease = None
        with pytest.raises(Lost):
            await task

    play(scene)


def test_a_lease_deleted_under_a_leader_that_is_cut_off_is_not_made_while_that_may_write() -> None:
    async def scene() -> None:
        api = LeaseApi()
        first, second = Replica(api, "a"), Replica(api, "b")
        first.start()
        await led_by(first)
        second.start()
        await asyncio.sleep(5)
        api.away.add("a")
        api.lease = None
        while not second.may_write():
            assert now() < 60
            await asyncio.sleep(0.05)
        assert not first.may_write()

    play(scene)


def test_an_annotated_lease_ends_nobody() -> None:
    async def scene() -> None:
        api = LeaseApi()
        leader = Replica(api, "a")
        task = leader.start()
        await led_by(leader)
        for _ in range(5):
            api.edit()  # a newer version with the same content: the next renewal is refused
            await asyncio.sleep(3)
        assert leader.may_write()
        assert not task.done()

    play(scene)


def test_the_deadline_is_looked_at_before_each_write() -> None:
    async def scene() -> None:
        api = LeaseApi()
        leader = Replica(api, "a")
        task = leader.start()
        await led_by(leader)
        await leader.writer.write("status", "PATCH", "/x", {})
        assert len(leader.writes) == 1
        task.cancel()
        leader.skew_s += 3600  # the process was stopped for an hour: its clock ran, nothing else did
        with pytest.raises(NotLeading):
            await leader.writer.write("status", "PATCH", "/x", {})
        assert len(leader.writes) == 1

    play(scene)


def test_a_write_gets_no_more_time_than_the_lease_has_left() -> None:
    async def scene() -> None:
        leader = Replica(LeaseApi(), "a")
        task = leader.start()
        await led_by(leader)
        given: list[float] = []

        async def request(*_: Any, timeout_s: float, **__: Any) -> Any:
            given.append(timeout_s)

        leader.request = request  # type: ignore[method-assign]  # only the time given is of interest
        task.cancel()
        await asyncio.sleep(8)
        await leader.writer.write("status", "PATCH", "/x", {})
        assert 0 < given[0] <= 2.1

    play(scene)


TROUBLE = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["away", "back", "stop", "slow", "quick", "lag", "edit", "leave"]),
        st.floats(0.1, 20),
    ),
    max_size=25,
)


@settings(max_examples=120, deadline=None)
@given(trouble=TROUBLE, skews=st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3))
def test_never_two_writers_whatever_happens_to_them(trouble: list[tuple[str, str, float]], skews: list[float]) -> None:
    """Looked at every 50 ms. A stopped process is one whose clock has run on when it wakes."""

    async def scene() -> None:
        api = LeaseApi()
        names = dict(zip("abc", skews, strict=True))
        there = {name: Replica(api, name, skew) for name, skew in names.items()}
        for it in there.values():
            it.start()
        everyone = list(there.values())
        for name, what, for_s in trouble:
            replica = there[name]
            if what == "away":
                api.away.add(replica.name)
            elif what == "back":
                api.away.clear()
            elif what == "stop" and replica.task is not None:
                replica.task.cancel()  # it does nothing any more, and wakes believing what its clock says
            elif what == "leave" and replica.task is not None:
                replica.task.cancel()
                await replica.election.release()
            elif what in ("slow", "quick"):
                api.delay_s = 3.5 if what == "slow" else 0.01
            elif what == "lag":
                api.lag_s = 3.0 - api.lag_s
            elif what == "edit" and api.lease is not None:
                api.edit(leaseDurationSeconds=1)
            if replica.task is None or replica.task.done() or replica.task.cancelling():
                # Its Deployment starts another one in its place; the old one may still be writing.
                there[name] = Replica(api, f"{replica.name}'", names[name])
                there[name].start()
                everyone.append(there[name])
            until = now() + for_s
            while now() < until:
                await asyncio.sleep(0.05)
                assert sum(it.may_write() for it in everyone) <= 1
        for it in everyone:
            if it.task is not None:
                it.task.cancel()

    play(scene)
