"""The loop in virtual time: the interface of carrier_sidecar.loop.api, without sockets, threads or waiting.

Nothing happens by itself: `run`, `run_until` and `run_for` execute what is due and let the clock jump to what comes
next. The same seed gives the same run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from carrier_sidecar.loop.api import Receiver, Stream
from carrier_sidecar.loop.tls import TLS
from tests.simulation.network import Network
from tests.simulation.streams import SimAttempt, SimStream

STEPS_AT_ONE_TIME = 100_000


class Spinning(AssertionError):
    """Something goes on and on without time passing."""


class NothingLeft(AssertionError):
    """`run` has nothing left to wait for, and `stop` was not called."""


class SimTimer:
    """See api.Timer."""

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Ended(NamedTuple):
    """How a simulated program ends, `after_s` seconds after its start."""

    code: int = 0
    out: bytes = b""
    err: bytes = b""
    after_s: float = 0.0


Program = Callable[[Sequence[str], Mapping[str, str] | None], Ended]


class SimChild:
    """See api.Child."""

    def __init__(self, done: Callable[[int, bytes, bytes], None]) -> None:
        self._done: Callable[[int, bytes, bytes], None] | None = done

    def kill(self) -> None:
        self._done = None

    def finish(self, code: int, out: bytes, err: bytes) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(code, out, err)


class SimListener:
    """See api.Listener."""

    def __init__(self, network: Network, host: str, port: int) -> None:
        self._network = network
        self._host = host
        self.port = port

    def close(self) -> None:
        self._network.unbind(self._host, self.port)


class SimLoop:
    """`programs`: what `spawn` can start, by argv[0]. `step_wall` moves the wall clock, and nothing else."""

    def __init__(
        self, network: Network | None = None, *, start: float = 1000.0, wall: float = 1_750_000_000.0, seed: int = 0
    ) -> None:
        self.network = network or Network(seed=seed)
        self.programs: dict[str, Program] = {}
        self.turns = 0  # callbacks run so far
        self._now = start
        self._wall_offset = wall - start
        self._heap: list[tuple[float, int, SimTimer]] = []
        self._number = 0
        self._soon: list[Callable[[], None]] = []
        self._signals: dict[int, Callable[[], None]] = {}
        self._stopped = False
        self._steps = 0

    # api.Loop

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._now + self._wall_offset

    def call_at(self, when: float, callback: Callable[[], None]) -> SimTimer:
        timer = SimTimer(when, callback)
        self._number += 1
        heapq.heappush(self._heap, (when, self._number, timer))
        return timer

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def connect(self, host: str, port: int, tls: TLS | None, receiver: Receiver, timeout_s: float) -> Stream:
        endpoint = self.network.endpoint(host, port)
        stream = SimStream(self, endpoint)
        attempt = SimAttempt(self, stream, endpoint, host, port, tls is not None, timeout_s)
        stream.own(receiver, attempt)
        attempt.start()
        return stream

    def start_tls(self, stream: Stream, tls: TLS, receiver: Receiver, timeout_s: float) -> Stream:
        assert isinstance(stream, SimStream)
        secured = SimStream(self, stream._endpoint)
        stream.detach(secured)
        secured._open = False
        attempt = SimAttempt(self, secured, stream._endpoint, "", 0, True, timeout_s)
        secured.own(receiver, attempt)
        attempt.secure()
        return secured

    def listen(self, host: str, port: int, accept: Callable[[Stream], Receiver]) -> SimListener:
        return SimListener(self.network, host, self.network.bind(host, port, accept))

    def spawn(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None,
        timeout_s: float,
        done: Callable[[int, bytes, bytes], None],
    ) -> SimChild:
        child = SimChild(done)
        program = self.programs.get(argv[0])
        if program is None:
            self.call_soon(lambda: child.finish(127, b"", f"{argv[0]}: not found".encode()))
            return child
        ended = program(argv, env)
        if ended.after_s > timeout_s:
            self.call_at(self._now + timeout_s, lambda: child.finish(-9, b"", b""))
        else:
            self.call_at(self._now + ended.after_s, lambda: child.finish(ended.code, ended.out, ended.err))
        return child

    def on_signal(self, signum: int, callback: Callable[[], None]) -> None:
        self._signals[signum] = callback

    def run(self) -> None:
        """Until `stop()`. NothingLeft when that can never be."""
        self._stopped = False
        while not self._stopped:
            if not self._turn(float("inf")):
                raise NothingLeft(f"at {self._now}")

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        """Nothing is held."""

    # The test's side

    def run_until(self, when: float) -> None:
        """Let time pass up to that moment, what is due then included; less if `stop()` is called."""
        self._stopped = False
        while not self._stopped and self._turn(when):
            pass
        if not self._stopped:
            self._now = max(self._now, when)

    def run_for(self, seconds: float) -> None:
        """Let that much time pass."""
        self.run_until(self._now + seconds)

    def run_while(self, condition: Callable[[], bool], limit_s: float = 3600.0) -> None:
        """Until the condition no longer holds. AssertionError when it still does after the limit."""
        end = self._now + limit_s
        self._stopped = False
        while condition():
            if self._stopped or not self._turn(end):
                raise AssertionError(f"still so at {self._now}")

    def signal(self, signum: int) -> None:
        """Let a signal arrive. KeyError when nobody listens for it: it would end the process."""
        self.call_soon(self._signals[signum])

    def step_wall(self, seconds: float) -> None:
        """Move the wall clock forwards (or back)."""
        self._wall_offset += seconds

    @property
    def next_at(self) -> float | None:
        """When something happens next; None when nothing will."""
        if self._soon:
            return self._now
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _turn(self, until: float) -> bool:
        """Run what comes next, if it comes by then."""
        when = self.next_at
        if when is None or when > until:
            return False
        if when > self._now:
            self._now = when
            self._steps = 0
        self._steps += 1
        self.turns += 1
        if self._steps > STEPS_AT_ONE_TIME:
            raise Spinning(f"{STEPS_AT_ONE_TIME} callbacks at {self._now}")
        if self._soon:
            soon, self._soon = self._soon, []
            for callback in soon:
                callback()
            return True
        timer = heapq.heappop(self._heap)[2]
        due, timer.callback = timer.callback, None
        if due is not None:
            due()
        return True
