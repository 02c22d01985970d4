"""What every loop must do: the real one on real sockets, and the virtual-time one on its network in memory."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from carrier_sidecar.loop.api import Receiver, Stream
from carrier_sidecar.loop.errors import CONNECT_TIMEOUT, REFUSED, RESOLVE, StreamError
from carrier_sidecar.loop.polling import SelectorsPoller, new_poller
from carrier_sidecar.loop.selecting import SelectingLoop
from tests.simulation.loop import Ended, SimLoop

LIMIT_S = 5.0


def run(loop: SelectingLoop | SimLoop, seconds: float) -> bool:
    """Until the loop is stopped (True), or for so long."""
    late: list[bool] = []

    def stop() -> None:
        late.append(True)
        loop.stop()

    timer = loop.call_at(loop.now() + seconds, stop)
    loop.run()
    timer.cancel()
    return not late


class RealWorld:
    """The real loop."""

    def __init__(self, poller: Any) -> None:
        self.loop = SelectingLoop(poller)
        self._sockets: list[socket.socket] = []

    def run(self, seconds: float = LIMIT_S) -> bool:
        """Until the loop is stopped (True), or for so long."""
        return run(self.loop, seconds)

    def blackhole(self) -> tuple[str, int]:
        """An address that does not answer: a listener whose queue is full (Linux drops what comes then)."""
        if not sys.platform.startswith("linux"):
            pytest.skip("needs Linux's way with a full accept queue")
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        self._sockets.append(listener)
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            self._sockets.append(filler)
        host, port = listener.getsockname()
        return str(host), int(port)

    def free_port(self) -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    def command(self, code: int, out: bytes, err: bytes, seconds: float) -> list[str]:
        script = (
            f"import sys,time; sys.stdout.buffer.write({out!r}); sys.stderr.buffer.write({err!r}); "
            f"sys.stdout.flush(); sys.stderr.flush(); time.sleep({seconds}); sys.exit({code})"
        )
        return [sys.executable, "-I", "-S", "-c", script]

    def signal(self, signum: int) -> None:
        os.kill(os.getpid(), signum)

    def close(self) -> None:
        for each in self._sockets:
            each.close()
        self.loop.close()


class Simulation:
    """The virtual-time loop."""

    def __init__(self) -> None:
        self.loop = SimLoop()

    def run(self, seconds: float = LIMIT_S) -> bool:
        return run(self.loop, seconds)

    def blackhole(self) -> tuple[str, int]:
        self.loop.network.endpoint("10.1.1.1", 80).blackhole = True
        return "10.1.1.1", 80

    def free_port(self) -> int:
        return 39999

    def command(self, code: int, out: bytes, err: bytes, seconds: float) -> list[str]:
        self.loop.programs["program"] = lambda argv, env: Ended(code, out, err, seconds)
        return ["program"]

    def signal(self, signum: int) -> None:
        self.loop.signal(signum)

    def close(self) -> None:
        self.loop.close()


World = RealWorld | Simulation


@pytest.fixture(params=["poller of this system", "selectors", "simulation"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made: World
    if request.param == "simulation":
        made = Simulation()
    else:
        made = RealWorld(SelectorsPoller() if request.param == "selectors" else new_poller())
    yield made
    made.close()


class Recorder:
    """A receiver that notes what it hears, and stops the loop at the event it is told to wait for."""

    def __init__(self, world: World, until: str = "") -> None:
        self._world = world
        self.until = until
        self.events: list[str] = []
        self.data = b""
        self.error: StreamError | None = None
        self.stream: Stream | None = None
        self.on_opened: Callable[[], None] | None = None
        self.on_received: Callable[[], None] | None = None

    def _note(self, event: str) -> None:
        self.events.append(event)
        if event == self.until:
            self._world.loop.stop()

    def opened(self) -> None:
        if self.on_opened is not None:
            self.on_opened()
        self._note("opened")

    def received(self, data: bytes) -> None:
        assert data
        self.data += data
        if self.on_received is not None:
            self.on_received()
        if self.events[-1:] != ["received"]:
            self._note("received")

    def ended(self) -> None:
        self._note("ended")

    def lost(self, error: StreamError) -> None:
        self.error = error
        self._note("lost")


class Server:
    """Accepts and keeps what it accepted; each receiver is made by `make`."""

    def __init__(self, world: World, host: str = "127.0.0.1") -> None:
        self._world = world
        self.accepted: list[Recorder] = []
        self.until = ""
        self.echo = False
        self.listener = world.loop.listen(host, 0, self._accept)
        self.port = self.listener.port

    def _accept(self, stream: Stream) -> Receiver:
        recorder = Recorder(self._world, self.until)
        recorder.stream = stream
        if self.echo:

            def answer() -> None:
                stream.write(recorder.data)
                recorder.data = b""

            recorder.on_received = answer
        self.accepted.append(recorder)
        return recorder


def sent_any(stream: Stream) -> bool:
    return stream.sent_any


def connected(world: World, server: Server, until: str = "opened") -> Recorder:
    client = Recorder(world, "opened")
    client.stream = world.loop.connect("127.0.0.1", server.port, None, client, LIMIT_S)
    assert world.run()
    if not server.accepted:
        world.run(0.05)
    client.until = until
    return client


# Time


def test_timers_run_by_time_and_then_in_the_order_of_asking(world: World) -> None:
    ran: list[str] = []
    loop = world.loop
    now = loop.now()
    loop.call_at(now + 0.03, lambda: ran.append("late"))
    loop.call_at(now + 0.01, lambda: ran.append("first"))
    loop.call_at(now + 0.01, lambda: ran.append("second"))
    cancelled = loop.call_at(now + 0.02, lambda: ran.append("cancelled"))
    cancelled.cancel()
    loop.call_at(now - 1, lambda: ran.append("past"))
    loop.call_at(now + 0.04, loop.stop)
    assert world.run()
    assert ran == ["past", "first", "second", "late"]
    assert loop.now() >= now + 0.04
    cancelled.cancel()


def test_a_timer_never_fires_early(world: World) -> None:
    loop = world.loop
    early: list[float] = []
    for step in range(1, 20):
        when = loop.now() + step * 0.00173

        def check(when: float = when) -> None:
            if loop.now() < when:
                early.append(when)

        loop.call_at(when, check)
    loop.call_at(loop.now() + 0.05, loop.stop)
    assert world.run()
    assert not early


def test_call_soon_runs_after_the_callback_and_in_order(world: World) -> None:
    ran: list[int] = []
    loop = world.loop

    def first() -> None:
        loop.call_soon(lambda: ran.append(2))
        loop.call_soon(lambda: ran.append(3))
        loop.call_soon(loop.stop)
        ran.append(1)

    loop.call_soon(first)
    assert world.run()
    assert ran == [1, 2, 3]


def test_callbacks_that_ask_for_more_do_not_starve_timers(world: World) -> None:
    loop = world.loop
    if isinstance(world, Simulation):
        pytest.skip("in virtual time there is no time for timers while callbacks run")

    def again() -> None:
        loop.call_soon(again)

    again()
    loop.call_at(loop.now() + 0.02, loop.stop)
    assert world.run()


# Streams


def test_what_is_written_arrives_and_the_answer_comes_back(world: World) -> None:
    server = Server(world)
    server.echo = True
    client = connected(world, server, "received")
    assert client.stream is not None
    client.stream.write(b"hello")
    assert world.run()
    assert client.data == b"hello"


def test_what_is_written_before_the_stream_is_open_is_sent_then(world: World) -> None:
    server = Server(world)
    server.echo = True
    client = Recorder(world, "received")
    stream = world.loop.connect("127.0.0.1", server.port, None, client, LIMIT_S)
    stream.write(b"early ")
    stream.write(b"bird")
    assert stream.unsent == 10
    assert not sent_any(stream)
    client.on_opened = lambda: client.events.append(f"unsent {stream.unsent}")
    assert world.run()
    world.run(0.05)
    assert client.data == b"early bird"
    assert stream.unsent == 0
    assert sent_any(stream)


def test_mark_begins_a_new_count_of_what_was_sent(world: World) -> None:
    server = Server(world)
    client = connected(world, server)
    stream = client.stream
    assert stream is not None
    assert not sent_any(stream)
    stream.write(b"x")
    assert sent_any(stream)
    stream.mark()
    assert not sent_any(stream)


def test_more_than_the_kernel_takes_is_buffered_and_arrives_in_order(world: World) -> None:
    server = Server(world)
    client = connected(world, server)
    stream = client.stream
    assert stream is not None
    data = b"".join(number.to_bytes(4, "big") for number in range(2_000_000))
    stream.write(data)
    stream.write(b"the end")
    assert 0 < stream.unsent < len(data)
    peer = server.accepted[0]
    peer.on_received = lambda: world.loop.stop() if peer.data.endswith(b"the end") else None
    assert world.run()
    assert peer.data == data + b"the end"
    assert stream.unsent == 0


def test_nothing_is_called_back_from_inside_connect_and_write(world: World) -> None:
    client = Recorder(world, "lost")
    stream = world.loop.connect("127.0.0.1", world.free_port(), None, client, LIMIT_S)
    assert client.events == []
    stream.write(b"into the void")
    assert client.events == []
    assert world.run()
    assert client.events == ["lost"]


def test_refused_by_every_address_is_refused(world: World) -> None:
    client = Recorder(world, "lost")
    world.loop.connect("localhost", world.free_port(), None, client, LIMIT_S)
    assert world.run()
    assert client.error is not None
    assert client.error.kind == REFUSED
    assert "localhost" in client.error.detail


def test_localhost_reaches_a_listener_on_ipv4_only(world: World) -> None:
    server = Server(world)
    for _ in range(2):  # the second time the address is known
        client = Recorder(world, "opened")
        world.loop.connect("localhost", server.port, None, client, LIMIT_S)
        assert world.run()
        assert client.events == ["opened"]


def test_a_listener_on_all_interfaces_is_reached_by_ipv4(world: World) -> None:
    server = Server(world, "")
    client = Recorder(world, "opened")
    world.loop.connect("127.0.0.1", server.port, None, client, LIMIT_S)
    assert world.run()


def test_a_name_that_does_not_exist_is_told_apart(world: World) -> None:
    client = Recorder(world, "lost")
    world.loop.connect("no-such-name.invalid", 80, None, client, LIMIT_S)
    assert world.run()
    assert client.error is not None
    assert client.error.kind == RESOLVE


def test_an_address_that_does_not_answer_times_out(world: World) -> None:
    host, port = world.blackhole()
    client = Recorder(world, "lost")
    started = world.loop.now()
    world.loop.connect(host, port, None, client, 0.2)
    assert world.run()
    assert client.error is not None
    assert client.error.kind == CONNECT_TIMEOUT
    assert 0.2 <= world.loop.now() - started < 1


def test_the_end_of_the_peers_side_is_heard_once(world: World) -> None:
    server = Server(world)
    client = connected(world, server, "ended")
    stream = server.accepted[0].stream
    assert stream is not None
    stream.write(b"bye")
    stream.close()
    assert world.run()
    assert client.data == b"bye"
    world.run(0.05)
    assert client.events.count("ended") == 1


def test_end_sends_everything_first(world: World) -> None:
    server = Server(world)
    client = connected(world, server)
    assert client.stream is not None
    peer = server.accepted[0]
    peer.until = "ended"
    client.stream.write(b"x" * 3_000_000)
    client.stream.end()
    assert world.run()
    assert len(peer.data) == 3_000_000
    assert client.events == ["opened"]


def test_end_sends_everything_to_a_peer_that_is_still_talking(world: World) -> None:
    server = Server(world)
    client = connected(world, server, "ended")
    peer = server.accepted[0]
    assert client.stream is not None
    assert peer.stream is not None
    client.stream.write(b"y" * 200_000)
    peer.stream.write(b"no")
    peer.stream.end()
    assert world.run()
    assert client.data == b"no"


def test_a_closed_stream_is_silent(world: World) -> None:
    server = Server(world)
    client = connected(world, server)
    stream = client.stream
    assert stream is not None
    peer = server.accepted[0].stream
    assert peer is not None
    peer.write(b"something")
    stream.close()
    stream.close()
    stream.write(b"ignored")
    world.run(0.1)
    assert client.events == ["opened"]


def test_a_stream_can_be_closed_before_it_is_open(world: World) -> None:
    server = Server(world)
    client = Recorder(world)
    world.loop.connect("127.0.0.1", server.port, None, client, LIMIT_S).close()
    world.loop.connect("no-such-name.invalid", 80, None, client, LIMIT_S).close()
    world.loop.connect("127.0.0.1", world.free_port(), None, client, LIMIT_S).close()
    world.run(0.1)
    assert client.events == []


def test_a_stream_closed_in_its_own_callback_is_silent(world: World) -> None:
    server = Server(world)
    client = connected(world, server)
    stream = client.stream
    assert stream is not None
    client.on_received = stream.close
    peer = server.accepted[0].stream
    assert peer is not None
    peer.write(b"one")
    world.run(0.05)
    peer.write(b"two")
    world.run(0.05)
    assert client.data == b"one"


def test_writing_to_a_peer_that_has_closed_ends_in_lost(world: World) -> None:
    server = Server(world)
    client = connected(world, server, "ended")
    stream = client.stream
    assert stream is not None
    peer = server.accepted[0].stream
    assert peer is not None
    peer.close()
    assert world.run()
    client.until = "lost"
    stream.write(b"are you there?")
    assert client.events == ["opened", "ended"]
    # Where the poller reports hang-ups, lost comes by itself; elsewhere with the next write.
    world.run(0.05)
    stream.write(b"hello?")
    world.run(0.05)
    stream.write(b"hello?")
    world.run(0.05)
    assert client.events == ["opened", "ended", "lost"]


# Listening


def test_a_port_in_use_is_an_error_at_once(world: World) -> None:
    server = Server(world)
    with pytest.raises(OSError) as problem:
        world.loop.listen("127.0.0.1", server.port, lambda stream: Recorder(world))
    assert problem.value.errno == errno.EADDRINUSE


def test_a_closed_listener_accepts_nothing_more_but_its_streams_live_on(world: World) -> None:
    server = Server(world)
    server.echo = True
    client = connected(world, server, "received")
    server.listener.close()
    world.run(0.02)
    late = Recorder(world, "lost")
    world.loop.connect("127.0.0.1", server.port, None, late, LIMIT_S)
    assert world.run()
    assert late.error is not None
    assert late.error.kind == REFUSED
    assert client.stream is not None
    client.stream.write(b"still here")
    assert world.run()
    assert client.data == b"still here"


# Children and signals


def spawn(world: World, argv: list[str], timeout_s: float) -> list[tuple[int, bytes, bytes]]:
    ended: list[tuple[int, bytes, bytes]] = []

    def done(code: int, out: bytes, err: bytes) -> None:
        ended.append((code, out, err))
        world.loop.stop()

    world.loop.spawn(argv, None, timeout_s, done)
    return ended


def test_a_childs_output_and_exit_code_come_back(world: World) -> None:
    argv = world.command(3, b"to out", b"to err", 0.0)
    ended = spawn(world, argv, LIMIT_S)
    assert ended == []
    assert world.run()
    assert ended == [(3, b"to out", b"to err")]


def test_a_child_that_takes_too_long_is_killed(world: World) -> None:
    ended = spawn(world, world.command(0, b"", b"", 60.0), 0.2)
    assert world.run()
    assert ended == [(-signal.SIGKILL, b"", b"")]


def test_a_program_that_is_not_there_gives_127_and_the_reason(world: World) -> None:
    ended = spawn(world, ["no-such-program"], 1.0)
    assert ended == []
    assert world.run()
    code, _, err = ended[0]
    assert code == 127
    assert b"no-such-program" in err


def test_a_killed_child_reports_nothing(world: World) -> None:
    ended: list[int] = []
    argv = world.command(0, b"", b"", 60.0)

    def done(code: int, out: bytes, err: bytes) -> None:
        ended.append(code)

    world.loop.spawn(argv, None, LIMIT_S, done).kill()
    world.run(0.2)
    assert ended == []


def test_a_signal_is_heard_each_time(world: World) -> None:
    heard: list[int] = []

    def hear() -> None:
        heard.append(1)
        world.loop.stop()

    world.loop.on_signal(signal.SIGUSR1, hear)
    for count in (1, 2):
        world.loop.call_soon(lambda: world.signal(signal.SIGUSR1))
        assert world.run()
        assert len(heard) == count
