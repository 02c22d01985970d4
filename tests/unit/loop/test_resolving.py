"""Look-ups in their thread: given up on, shared, and never in the loop's way. The resolver's own function is
replaced."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from carrier_sidecar.loop import resolving
from carrier_sidecar.loop.api import Stream
from carrier_sidecar.loop.errors import StreamError
from carrier_sidecar.loop.selecting import SelectingLoop
from tests.simulation.raw_server import RawServer


class Names:
    """A resolver: names that begin with `slow` block until they are let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.threads: set[int] = set()
        self.started = threading.Event()
        self.release = threading.Event()

    def getaddrinfo(self, host: bytes, port: int, *rest: Any) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        name = host.decode()
        self.asked.append(name)
        self.started.set()
        self.threads.add(threading.get_ident())
        if name.startswith("slow"):
            self.release.wait(10)
        if name == "unknown":
            raise socket.gaierror(-2, "Name or service not known")
        return [(2, 1, 6, "", ("127.0.0.1", port))]


class Outcome:
    def __init__(self, loop: SelectingLoop) -> None:
        self._loop = loop
        self.what = ""

    def opened(self) -> None:
        self.what = "opened"
        self._loop.stop()

    def received(self, data: bytes) -> None:
        pass

    def ended(self) -> None:
        pass

    def lost(self, error: StreamError) -> None:
        self.what = error.kind
        self._loop.stop()


class World:
    def __init__(self) -> None:
        self.loop = SelectingLoop()
        self.port = RawServer(self.loop).port

    def connect(self, host: str, timeout_s: float = 5.0) -> tuple[Outcome, Stream]:
        outcome = Outcome(self.loop)
        return outcome, self.loop.connect(host, self.port, None, outcome, timeout_s)

    def run_until(self, *outcomes: Outcome) -> None:
        guard = self.loop.call_at(self.loop.now() + 5, self.loop.stop)
        while not all(outcome.what for outcome in outcomes) and guard.callback is not None:
            self.loop.run()
        guard.cancel()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    made = Names()
    monkeypatch.setattr(resolving, "getaddrinfo", made.getaddrinfo)
    yield made
    made.release.set()


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.loop.close()


def test_a_name_is_resolved_in_another_thread(names: Names, world: World) -> None:
    outcome, _ = world.connect("app.svc")
    world.run_until(outcome)
    assert outcome.what == "opened"
    assert names.asked == ["app.svc"]
    assert threading.get_ident() not in names.threads


def test_a_name_that_is_unknown(names: Names, world: World) -> None:
    outcome, _ = world.connect("unknown")
    world.run_until(outcome)
    assert outcome.what == "resolve"


def test_a_name_that_is_no_name(names: Names, world: World) -> None:
    outcome, _ = world.connect("b\u00fccher.example")
    world.run_until(outcome)
    assert outcome.what == "resolve"


def test_a_stuck_look_up_times_out_and_the_next_one_gets_a_thread_of_its_own(names: Names, world: World) -> None:
    stuck, _ = world.connect("slow", 0.1)
    waiting, _ = world.connect("app.svc", 5.0)
    world.run_until(stuck, waiting)
    assert (stuck.what, waiting.what) == ("connect_timeout", "opened")
    assert len(names.threads) == 2


def test_the_loop_goes_on_while_a_look_up_is_stuck(names: Names, world: World) -> None:
    world.connect("slow")
    assert names.started.wait(5)
    outcome, _ = world.connect("127.0.0.1")
    world.run_until(outcome)
    assert outcome.what == "opened"


def test_one_look_up_serves_all_who_wait_for_it(names: Names, world: World) -> None:
    outcomes = [world.connect("slow.app")[0] for _ in range(5)]
    world.connect("slow.app")[1].close()
    threading.Timer(0.05, names.release.set).start()
    world.run_until(*outcomes)
    assert [outcome.what for outcome in outcomes] == ["opened"] * 5
    assert names.asked == ["slow.app"]


def test_threads_left_behind_are_bounded_and_come_back(names: Names, world: World) -> None:
    for number in range(resolving.MAX_STUCK + 4):
        stuck, _ = world.connect(f"slow{number}", 0.02)
        world.run_until(stuck)
        assert stuck.what == "connect_timeout"
    assert len(names.asked) == resolving.MAX_STUCK
    names.release.set()
    outcome, _ = world.connect("app.svc")
    world.run_until(outcome)
    assert outcome.what == "opened"
