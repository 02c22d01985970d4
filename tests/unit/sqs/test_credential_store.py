"""When credentials are fetched, refreshed, kept and given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from carrier_sidecar.message import CREDENTIALS, QueueError
from carrier_sidecar.sqs.clock import ServerClock
from carrier_sidecar.sqs.credentials.chain import Chain
from carrier_sidecar.sqs.credentials.store import CredentialStore
from carrier_sidecar.sqs.credentials.values import Credentials, Refusal
from tests.simulation.loop import SimLoop

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3600.0


class Fake:
    """A source under the test's control: gives credentials for `life_s`, or refuses while `why` is set."""

    def __init__(self, loop: SimLoop, name: str = "fake", *, asked_for: bool = True) -> None:
        self.name = name
        self.life_s: float | None = HOUR
        self.why = ""
        self.asked_at: list[float] = []
        self.answers_after_s = 0.5
        self.cancelled = False
        self._asked_for = asked_for
        self._loop = loop

    def fetch(self, done: Callable[[Credentials | Refusal], None]) -> None:
        self.asked_at.append(self._loop.now())

        def answer() -> None:
            if self.why:
                done(Refusal(self.why, asked_for=self._asked_for))
                return
            expires_at = None if self.life_s is None else self._loop.wall() + self.life_s
            done(Credentials(f"AK{len(self.asked_at)}", "s", "t", expires_at, self.name))

        self._loop.call_at(self._loop.now() + self.answers_after_s, answer)

    def cancel(self) -> None:
        self.cancelled = True


class World:
    def __init__(self, draw: float = 0.5) -> None:
        self.loop = SimLoop()
        self.clock = ServerClock(self.loop.wall, self.loop.now)
        self.clock.known = True
        self.source = Fake(self.loop)
        self.notes: list[str] = []
        self.store = CredentialStore(
            self.loop,
            self.clock,
            Chain([self.source]),
            draw=lambda: draw,
            note=lambda name, fields: self.notes.append(name),
        )

    def require(self) -> list[Credentials | QueueError]:
        outcome: list[Credentials | QueueError] = []
        self.store.require(outcome.append)
        assert outcome == []  # never from inside
        self.loop.run_for(1.0)
        return outcome

    def has_any(self) -> bool:
        return self.store.current is not None

    @property
    def key(self) -> str | None:
        return self.store.current.access_key if self.store.current else None


@pytest.fixture
def world() -> World:
    return World()


def test_fetched_when_they_are_asked_for_and_not_again(world: World) -> None:
    assert not world.has_any()
    assert world.store.remaining_s == 0.0
    (found,) = world.require()
    assert isinstance(found, Credentials)
    assert world.require() == [found]
    assert world.store.current is found
    assert len(world.source.asked_at) == 1


def test_all_who_wait_share_one_fetch(world: World) -> None:
    outcome: list[Credentials | QueueError] = []
    for _ in range(3):
        world.store.require(outcome.append)
    world.loop.run_for(1.0)
    assert len(outcome) == 3
    assert len(world.source.asked_at) == 1


@pytest.mark.parametrize("draw", [0.0, 0.999])
def test_refreshed_a_quarter_of_an_hour_before_they_expire_spread_out(draw: float) -> None:
    world = World(draw)
    world.require()
    world.loop.run_for(HOUR)
    first, second = world.source.asked_at[:2]
    left_s = HOUR - (second - first - 0.5)
    assert 900.0 <= left_s <= 900.0 * 1.2
    assert world.key == "AK2"


def test_short_lives_are_refreshed_at_half(world: World) -> None:
    world.source.life_s = 600.0
    world.require()
    world.loop.run_for(400.0)
    assert len(world.source.asked_at) == 2
    assert world.source.asked_at[1] - world.source.asked_at[0] < 330.0


def test_a_source_that_repeats_itself_is_not_asked_all_the_time(world: World) -> None:
    world.require()
    world.source.life_s = 5.0
    world.loop.run_for(HOUR)
    gaps = [later - earlier for earlier, later in zip(world.source.asked_at, world.source.asked_at[1:], strict=False)]
    assert min(gaps) >= 10.0


def test_lasting_keys_are_never_refreshed(world: World) -> None:
    world.source.life_s = None
    world.require()
    world.loop.run_for(100 * HOUR)
    assert len(world.source.asked_at) == 1
    assert world.store.remaining_s is None


def test_the_old_ones_serve_while_a_refresh_fails(world: World) -> None:
    world.require()
    world.source.why = "no answer"
    world.loop.run_for(HOUR - 10)
    assert world.key == "AK1"
    assert 4 < len(world.source.asked_at) < 60  # retried with backoff
    assert world.notes[-1] == "credentials_failed"
    world.source.why = ""
    world.loop.run_for(80)
    assert world.key not in (None, "AK1")


def test_expired_ones_are_not_used_and_new_ones_soon_are(world: World) -> None:
    world.require()
    world.source.why = "no answer"
    world.loop.run_for(2 * HOUR)
    assert not world.has_any()
    assert world.store.remaining_s == 0.0
    error = world.store.refused()
    assert error.kind == CREDENTIALS
    assert "fake: no answer" in error.detail
    world.source.why = ""
    world.loop.run_for(12)
    assert world.has_any()
    assert world.store.error is None


def test_none_at_the_start_is_told_and_the_fetch_goes_on(world: World) -> None:
    world.source.why = "not yet"
    (error,) = world.require()
    assert isinstance(error, QueueError)
    assert error.kind == CREDENTIALS
    assert not error.answered
    assert error.detail == "no AWS credentials (fake: not yet)"
    world.source.why = ""
    world.loop.run_for(12)
    assert world.has_any()


def test_what_has_expired_already_counts_as_none(world: World) -> None:
    world.source.life_s = -1.0
    (error,) = world.require()
    assert isinstance(error, QueueError)
    assert "has expired already" in error.detail


@pytest.mark.parametrize(("ours_s", "servers_s"), [(HOUR + 10, 0.0), (0.0, HOUR + 10)])
def test_one_clock_alone_does_not_end_them(world: World, ours_s: float, servers_s: float) -> None:
    """One of the two is wrong, and only a request can show which."""
    world.require()
    world.source.why = "no answer"
    world.loop.step_wall(ours_s)
    world.clock.offset_s = servers_s - ours_s
    assert world.has_any()
    world.loop.step_wall(HOUR + 10)
    assert not world.has_any()


def test_before_a_server_has_told_its_time_it_is_left_to_it_what_has_expired(world: World) -> None:
    world.clock.known = False
    world.source.life_s = -2 * HOUR  # by a clock that is ahead
    (found,) = world.require()
    assert isinstance(found, Credentials)
    assert world.has_any()
    world.clock.observe("Thu, 01 Jan 2026 00:00:00 GMT")
    world.loop.run_for(12)
    assert len(world.source.asked_at) >= 2, "asked again soon"


def test_what_the_server_rejects_is_fetched_anew_once(world: World) -> None:
    world.require()
    rejected = world.store.current
    for _ in range(5):
        world.store.rejected(rejected)
    world.loop.run_for(5)
    assert len(world.source.asked_at) == 2
    world.store.rejected(rejected)  # an answer that was under way: new ones are there already
    world.loop.run_for(5)
    assert len(world.source.asked_at) == 2


def test_rejections_that_go_on_do_not_put_the_fetch_off(world: World) -> None:
    world.require()
    rejected = world.store.current
    for _ in range(50):
        world.store.rejected(rejected)
        world.loop.run_for(0.1)
    assert len(world.source.asked_at) == 2
    assert world.key == "AK2"


def test_lasting_keys_that_the_server_rejects_are_not_read_again(world: World) -> None:
    store = CredentialStore(world.loop, world.clock, Chain([world.source]))
    found = Credentials("AK", "s", "", None, "environment")
    store._credentials = found
    store.rejected(found)
    world.loop.run_for(60)
    assert world.source.asked_at == []


def test_closed_it_asks_nothing_more(world: World) -> None:
    world.require()
    world.store.close()
    world.loop.run_for(2 * HOUR)
    assert len(world.source.asked_at) == 1
    world.store.require(lambda found: None)
    world.loop.run_for(0.1)
    world.store.close()
    assert world.source.cancelled


def test_the_next_source_is_asked_when_one_was_not_meant() -> None:
    loop = SimLoop()
    first = Fake(loop, "first", asked_for=False)
    second = Fake(loop, "second")
    first.why = "is not set"
    outcome: list[Credentials | QueueError] = []
    Chain([first, second]).fetch(outcome.append)
    loop.run_for(5)
    (found,) = outcome
    assert isinstance(found, Credentials)
    assert found.source == "second"


def test_nobody_else_is_asked_when_a_source_was_meant_and_failed() -> None:
    loop = SimLoop()
    first = Fake(loop, "first", asked_for=False)
    second = Fake(loop, "second", asked_for=True)
    third = Fake(loop, "third")
    first.why, second.why = "is not set", "refused"
    outcome: list[Credentials | QueueError] = []
    Chain([first, second, third]).fetch(outcome.append)
    loop.run_for(5)
    (error,) = outcome
    assert isinstance(error, QueueError)
    assert error.detail == "no AWS credentials (first: is not set; second: refused)"
    assert third.asked_at == []
