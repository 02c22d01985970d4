"""The real loop with the system it runs on: children, orphans, descriptors, hang-ups."""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator

import pytest

from carrier_sidecar.loop.children import KEPT, Children
from carrier_sidecar.loop.errors import StreamError
from carrier_sidecar.loop.selecting import SelectingLoop
from tests.simulation.raw_server import RawServer

pytestmark = [
    pytest.mark.linux,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and Linux's way with a full queue"),
]

PYTHON = [sys.executable, "-I", "-S", "-c"]


@pytest.fixture
def loop() -> Iterator[SelectingLoop]:
    made = SelectingLoop()
    yield made
    made.close()


def turn(loop: SelectingLoop, seconds: float) -> None:
    timer = loop.call_at(loop.now() + seconds, loop.stop)
    loop.run()
    timer.cancel()


class Ended:
    """What a child came to."""

    def __init__(self, loop: SelectingLoop, *, stop: bool = True) -> None:
        self._loop = loop
        self._stop = stop
        self.results: list[tuple[int, bytes, bytes]] = []

    def __call__(self, code: int, out: bytes, err: bytes) -> None:
        self.results.append((code, out, err))
        if self._stop:
            self._loop.stop()


def test_a_childs_environment_is_what_was_given(loop: SelectingLoop) -> None:
    ended = Ended(loop)
    loop.spawn([*PYTHON, "import os; print(sorted(os.environ))"], {"ONLY": "1"}, 5.0, ended)
    turn(loop, 5)
    (result,) = ended.results
    assert result[0] == 0
    assert b"'ONLY'" in result[1]
    assert b"HOME" not in result[1]


def test_a_childs_input_is_empty_and_its_output_is_kept_up_to_a_limit(loop: SelectingLoop) -> None:
    ended = Ended(loop)
    loop.spawn([*PYTHON, f"import sys; print(len(sys.stdin.read())); print('x' * {2 * KEPT})"], None, 10.0, ended)
    turn(loop, 10)
    ((code, out, _),) = ended.results
    assert code == 0
    assert out.startswith(b"0\nxxx")
    assert len(out) == KEPT


def test_a_grandchild_that_holds_the_output_open_is_not_waited_for(loop: SelectingLoop) -> None:
    ended = Ended(loop)
    started = time.monotonic()
    loop.spawn(["sh", "-c", "echo quick; sleep 20 & exit 7"], None, 10.0, ended)
    turn(loop, 5)
    assert ended.results == [(7, b"quick\n", b"")]
    assert time.monotonic() - started < 4


def test_a_child_that_takes_too_long_is_ended_with_its_own_children(loop: SelectingLoop) -> None:
    ended = Ended(loop)
    loop.spawn(["sh", "-c", "sleep 30 & echo $!; wait"], None, 0.3, ended)
    turn(loop, 5)
    ((code, out, _),) = ended.results
    assert code == -signal.SIGKILL
    for _ in range(100):
        try:
            os.kill(int(out), 0)
        except ProcessLookupError:
            return
        with open(f"/proc/{int(out)}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[0] == "Z":
                return  # dead, and waits for whoever reaps orphans here
        time.sleep(0.02)
    pytest.fail("the grandchild lives on")


def test_a_child_does_not_inherit_what_we_ignore(loop: SelectingLoop) -> None:
    ended = Ended(loop)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        script = "import signal; print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)"
        loop.spawn([*PYTHON, script], None, 5.0, ended)
        turn(loop, 5)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.results[0][1] == b"True\n"


def test_as_pid_1_processes_that_nobody_knows_are_reaped_too(loop: SelectingLoop) -> None:
    children = Children(loop, reap_all=True)
    stranger = os.posix_spawnp("true", ["true"], {"PATH": os.environ["PATH"]})
    ended = Ended(loop)
    children.spawn([*PYTHON, "import time; time.sleep(0.1); raise SystemExit(4)"], None, 5.0, ended)
    turn(loop, 5)
    turn(loop, 0.05)
    assert [code for code, _, _ in ended.results] == [4]
    with pytest.raises(ChildProcessError):
        os.waitpid(stranger, os.WNOHANG)


def test_no_child_stays_a_zombie_and_no_descriptor_open(loop: SelectingLoop) -> None:
    warm = Ended(loop)
    loop.spawn(["true"], None, 5.0, warm)
    turn(loop, 5)
    gc.collect()
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(5):
        loop.spawn(["true"], None, 5.0, Ended(loop, stop=False))
        loop.spawn(["no-such-program"], None, 5.0, Ended(loop, stop=False))
        loop.spawn(["sleep", "30"], None, 5.0, Ended(loop, stop=False)).kill()
    turn(loop, 0.5)
    assert set(os.listdir("/proc/self/fd")) <= before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_signal_wakes_a_sleeping_loop(loop: SelectingLoop) -> None:
    heard: list[float] = []

    def hear() -> None:
        heard.append(loop.now())
        loop.stop()

    loop.on_signal(signal.SIGUSR2, hear)
    started = loop.now()
    signal.setitimer(signal.ITIMER_REAL, 0)
    child = os.posix_spawnp("sh", ["sh", "-c", f"sleep 0.1; kill -USR2 {os.getpid()}"], dict(os.environ))
    turn(loop, 4)
    os.waitpid(child, 0)
    assert heard
    assert heard[0] - started < 2


class Quiet:
    """A receiver that counts."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def opened(self) -> None:
        self.events.append("opened")

    def received(self, data: bytes) -> None:
        self.events.append("received")

    def ended(self) -> None:
        self.events.append("ended")

    def lost(self, error: StreamError) -> None:
        self.events.append(error.kind)


def test_without_descriptors_accepting_pauses_and_the_loop_does_not_spin(loop: SelectingLoop) -> None:
    server = RawServer(loop)
    client = socket.create_connection(("127.0.0.1", server.port))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    spare: list[int] = []
    try:
        while True:
            try:
                spare.append(os.dup(0))
            except OSError:
                break
        before = time.process_time()
        turn(loop, 0.3)
        assert server.connections == []
        assert time.process_time() - before < 0.1
    finally:
        for fd in spare:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    turn(loop, 0.5)
    assert len(server.connections) == 1
    client.close()


def test_a_stream_that_has_ended_costs_nothing_while_its_owner_waits(loop: SelectingLoop) -> None:
    server = RawServer(loop)
    receiver = Quiet()
    stream = loop.connect("127.0.0.1", server.port, None, receiver, 2.0)
    turn(loop, 0.05)
    server.connections[0].stream.close()
    turn(loop, 0.05)
    before = time.process_time()
    turn(loop, 0.3)
    assert time.process_time() - before < 0.1
    assert receiver.events == ["opened", "ended"]
    stream.close()


def test_an_idle_loop_sleeps(loop: SelectingLoop) -> None:
    before = time.process_time()
    turn(loop, 0.5)
    assert time.process_time() - before < 0.02


def test_a_timer_that_was_cancelled_wakes_nobody(loop: SelectingLoop) -> None:
    class Noting:
        """The loop's poller; notes when it was called."""

        def __init__(self) -> None:
            self.at: list[float] = []

        def poll(self, timeout_s: float, at_once: int) -> list[tuple[int, int]]:
            self.at.append(loop.now())
            return real.poll(timeout_s, at_once)

        def close(self) -> None:
            real.close()

    real, noting, began = loop.poller, Noting(), loop.now()
    loop.poller = noting  # type: ignore[assignment]
    loop.call_at(began + 0.2, loop.stop).cancel()
    turn(loop, 0.4)
    assert [at for at in noting.at if 0.1 < at - began < 0.35] == []


def test_events_of_a_closed_descriptor_do_not_reach_its_successor(loop: SelectingLoop) -> None:
    """Two connections become readable in one turn; the first to be served closes the other and opens a new one, which
    must not get the number of the closed one before the turn is over."""
    server = RawServer(loop)
    streams: list[object] = []
    replaced: list[Quiet] = []
    # Where it connects to, nobody answers: the accept queue is full.
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    full_port = full.getsockname()[1]
    fillers = [socket.socket() for _ in range(2)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())

    class Killer(Quiet):
        def received(self, data: bytes) -> None:
            super().received(data)
            for other in others:
                if other is not self and not replaced:
                    other_stream[others.index(other)].close()
                    replacement = Quiet()
                    replaced.append(replacement)
                    streams.append(loop.connect("127.0.0.1", full_port, None, replacement, 2.0))

    others = [Killer(), Killer()]
    other_stream = [loop.connect("127.0.0.1", server.port, None, other, 2.0) for other in others]
    turn(loop, 0.05)
    for connection in server.connections:
        connection.stream.write(b"x")
    turn(loop, 0.1)
    assert sorted(len(other.events) for other in others) == [1, 2]
    assert replaced[0].events == []
    for each in (full, *fillers):
        each.close()
