"""A process on the simulated loop: it has a wall clock of its own, its timers are counted, and it can be killed.

Several of them share one SimLoop. To the program it is a loop as of carrier_sidecar.loop.api; once it has ended nothing
of it runs any more, and its connections and listeners are closed as the kernel would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from carrier_sidecar.loop.api import Receiver, Stream
    from carrier_sidecar.loop.tls import TLS
    from tests.simulation.loop import SimChild, SimListener, SimLoop, SimTimer


class Process:
    """`wall_offset_s`: how far its clock is ahead of everybody else's; `fired`: timers that have run; `ended`."""

    def __init__(self, loop: SimLoop) -> None:
        self.ended = False
        self.fired = 0
        self.wall_offset_s = 0.0
        self._loop = loop
        self._streams: list[Stream] = []
        self._listeners: list[SimListener] = []
        self._signals: dict[int, Callable[[], None]] = {}
        self._held: list[Callable[[], None]] | None = None

    @property
    def frozen(self) -> bool:
        return self._held is not None

    def freeze(self) -> None:
        """No timer of it runs until `thaw`. Holding back what it hears is the network's business (`stalled`)."""
        self._held = []

    def thaw(self) -> None:
        """Run what was due meanwhile, as a loop does that comes back to itself."""
        held, self._held = self._held or [], None
        for callback in held:
            self._loop.call_soon(self._while_alive(callback))

    def end(self) -> None:
        """It exits, or is killed."""
        self.ended = True
        for stream in self._streams:
            stream.close()
        for listener in self._listeners:
            listener.close()
        self._streams.clear()
        self._listeners.clear()

    def signal(self, signum: int) -> None:
        """Let a signal arrive. KeyError when nobody listens for it."""
        self._loop.call_soon(self._while_alive(self._signals[signum]))

    # api.Loop

    def now(self) -> float:
        return self._loop.now()

    def wall(self) -> float:
        return self._loop.wall() + self.wall_offset_s

    def call_at(self, when: float, callback: Callable[[], None]) -> SimTimer:
        timer: SimTimer

        def fire() -> None:
            if self._held is not None:
                self._held.append(lambda: fire() if timer.callback is not None else None)
                timer.callback = fire  # can be cancelled as long as it is held
            elif not self.ended:
                timer.callback = None
                self.fired += 1
                callback()

        timer = self._loop.call_at(when, fire)
        return timer

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._loop.call_soon(self._while_alive(callback))

    def connect(self, host: str, port: int, tls: TLS | None, receiver: Receiver, timeout_s: float) -> Stream:
        return self._keep(self._loop.connect(host, port, tls, receiver, timeout_s))

    def start_tls(self, stream: Stream, tls: TLS, receiver: Receiver, timeout_s: float) -> Stream:
        return self._keep(self._loop.start_tls(stream, tls, receiver, timeout_s))

    def listen(self, host: str, port: int, accept: Callable[[Stream], Receiver]) -> SimListener:
        listener = self._loop.listen(host, port, lambda stream: accept(self._keep(stream)))
        self._listeners.append(listener)
        return listener

    def spawn(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None,
        timeout_s: float,
        done: Callable[[int, bytes, bytes], None],
    ) -> SimChild:
        return self._loop.spawn(argv, env, timeout_s, done)

    def on_signal(self, signum: int, callback: Callable[[], None]) -> None:
        self._signals[signum] = callback

    def run(self) -> None:
        """The test runs the loop."""
        raise NotImplementedError

    def stop(self) -> None:
        self.end()

    def close(self) -> None:
        """Nothing is held."""

    def _while_alive(self, callback: Callable[[], None]) -> Callable[[], None]:
        return lambda: None if self.ended else callback()

    def _keep(self, stream: Stream) -> Stream:
        self._streams.append(stream)
        if len(self._streams) % 256 == 0:  # those that are over need not be closed again
            self._streams = [each for each in self._streams if not getattr(each, "_dead", False)]
        return stream
