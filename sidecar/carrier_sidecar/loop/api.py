"""The interface between the loop and everything above it: what a loop offers, and what it calls back.

Protocols only, to be imported for type checking. Two implementations pass one contract suite
(tests/contract/test_loop_contract.py): `selecting.SelectingLoop`, and the virtual-time loop in tests/simulation.

Rules for both: a callback is never called from inside the method that asked for it (not `opened` or `lost` from
`connect`, not `lost` from `write`); after `close()` returns, or after `lost`, a stream is silent. An exception that
leaves a callback is a defect: it leaves `run()`, too.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from carrier_sidecar.loop.errors import StreamError
    from carrier_sidecar.loop.tls import TLS
else:
    Protocol = object


class Timer(Protocol):
    """A callback that waits for its time."""

    def cancel(self) -> None:
        """Never call it. Harmless when it was called already."""


class Receiver(Protocol):
    """Whoever owns a stream."""

    def opened(self) -> None:
        """Connected, TLS handshake included. Not called for streams that `listen` accepted: they are open."""

    def received(self, data: bytes) -> None:
        """Some bytes, never none."""

    def ended(self) -> None:
        """The peer closed its side; nothing more will come. Writing may still work."""

    def lost(self, error: StreamError) -> None:
        """The stream is dead. Called once, nothing after it."""


class Stream(Protocol):
    """A connection, or one in the making."""

    def write(self, data: bytes) -> None:
        """Send at once what the kernel takes, buffer the rest (all of it before `opened`). Errors arrive by `lost`,
        later. On a dead or closed stream it does nothing."""

    @property
    def unsent(self) -> int:
        """Bytes still buffered."""

    @property
    def sent_any(self) -> bool:
        """Has the kernel taken a byte since `mark()`? With TLS: has a record been made of one."""

    def mark(self) -> None:
        """Begin a new count for `sent_any`."""

    def end(self) -> None:
        """Send what is buffered, then close; at most a few seconds are given to the peer. No callback after this
        returns."""

    def close(self) -> None:
        """Close at once; what is buffered is dropped. No callback after this returns."""


class Listener(Protocol):
    """A listening socket."""

    @property
    def port(self) -> int:
        """The port that was bound, where 0 was asked for."""

    def close(self) -> None:
        """Accept nothing more; accepted streams live on."""


class Child(Protocol):
    """A child process."""

    def kill(self) -> None:
        """End it (SIGKILL to its process group) and never call `done`. It is reaped all the same."""


class Loop(Protocol):
    """Time and bytes."""

    def now(self) -> float:
        """Seconds on a clock that never steps and runs through suspend (CLOCK_BOOTTIME where there is one)."""

    def wall(self) -> float:
        """Unix seconds; may step."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call once `now() >= when`; callbacks of one time run in the order in which they were asked for."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call in the same turn, after the events that are being handled, in the order of asking."""

    def connect(self, host: str, port: int, tls: TLS | None, receiver: Receiver, timeout_s: float) -> Stream:
        """Resolve, try each address in turn, shake hands. `opened` or `lost` within the time. `lost(REFUSED)` only when
        every address that could be tried refused."""

    def start_tls(self, stream: Stream, tls: TLS, receiver: Receiver, timeout_s: float) -> Stream:
        """Shake hands on an open stream of this loop's (a tunnel through a proxy). The old stream is silent from now
        on; the new one calls `opened` or `lost` within the time."""

    def listen(self, host: str, port: int, accept: Callable[[Stream], Receiver]) -> Listener:
        """Accept connections; an empty host means all interfaces, IPv6 included where there is IPv6. OSError if it
        can't bind."""

    def spawn(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None,
        timeout_s: float,
        done: Callable[[int, bytes, bytes], None],
    ) -> Child:
        """Run a program found on the PATH, standard input empty. `done(exit code, stdout, stderr)` once: 127 when it
        can't be started, minus the signal's number when one killed it (-9 when it took too long). Of each output the
        first MiB is kept. env None: our own environment."""

    def on_signal(self, signum: int, callback: Callable[[], None]) -> None:
        """Call at each arrival of the signal; a burst may be one call."""

    def run(self) -> None:
        """Until `stop()`."""

    def stop(self) -> None:
        """Let `run()` return at the end of the turn."""
