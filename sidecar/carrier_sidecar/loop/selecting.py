"""The real loop: one thread, a poller, timers, and callbacks.

`run` is one tight function. Per readable event it costs a dictionary look-up and a call; nothing in it allocates per
message.
"""

from __future__ import annotations

import posix
import time

from carrier_sidecar.loop import connecting, listening
from carrier_sidecar.loop.polling import IN, new_poller
from carrier_sidecar.loop.streams import SocketStream
from carrier_sidecar.loop.timers import HeapTimer, TimerHeap

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from _socket import socket
    from collections.abc import Callable, Mapping, Sequence

    from carrier_sidecar.loop.api import Child, Listener, Receiver, Stream
    from carrier_sidecar.loop.children import Children
    from carrier_sidecar.loop.polling import Poller
    from carrier_sidecar.loop.resolving import Resolver
    from carrier_sidecar.loop.tls import TLS
else:
    import _signal as signal  # the same without the enumerations, which cost an import of enum

# The poller sleeps on a clock that stands still during suspend, our timers' clock does not: look again every so often.
LONGEST_SLEEP_S = 30.0  # longer than a long poll, so that it costs an idle process nothing
EVENTS_AT_ONCE = 128

clock_gettime = time.clock_gettime
CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SelectingLoop:
    """See api.Loop. One per process: it takes over the signals it is asked for."""

    def __init__(self, poller: Poller | None = None) -> None:
        self.poller = poller or new_poller()
        self.last_good: dict[tuple[str, int], connecting.Address] = {}  # the address that worked last
        self._callbacks: dict[int, Callable[[int], object]] = {}
        self._timers = TimerHeap()
        self._soon: list[Callable[[], None]] = []
        self._discarded: list[socket] = []
        self._resolver: Resolver | None = None
        self._children: Children | None = None
        self._signals: dict[int, Callable[[], None]] = {}
        self._arrived: list[int] = []
        self._stopped = False
        self._wake_read, self._wake_write = posix.pipe()
        posix.set_blocking(self._wake_read, False)
        posix.set_blocking(self._wake_write, False)
        self.watch(self._wake_read, self._woken, IN)
        if posix.getpid() == 1:
            self._the_children()

    # Time

    def now(self) -> float:
        """Seconds; runs through suspend (on Linux), never steps."""
        return clock_gettime(CLOCK)

    def wall(self) -> float:
        """Unix seconds; may step."""
        return time.time()

    def call_at(self, when: float, callback: Callable[[], None]) -> HeapTimer:
        """Call once `now() >= when`."""
        return self._timers.add(when, callback)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call in this turn, after the events."""
        self._soon.append(callback)

    # Bytes

    def connect(self, host: str, port: int, tls: TLS | None, receiver: Receiver, timeout_s: float) -> Stream:
        """Resolve, try each address, shake hands."""
        if tls is None:
            stream = SocketStream(self)
        else:
            from carrier_sidecar.loop.tls_streams import TLSStream

            stream = TLSStream(self, tls)
        connecting.connect(self, stream, host, port, receiver, timeout_s)
        return stream

    def start_tls(self, stream: Stream, tls: TLS, receiver: Receiver, timeout_s: float) -> Stream:
        """Shake hands on an open stream."""
        from carrier_sidecar.loop.tls_streams import TLSStream, upgrade

        secured = TLSStream(self, tls)
        upgrade(self, stream, secured, receiver, timeout_s)
        return secured

    def listen(self, host: str, port: int, accept: Callable[[Stream], Receiver]) -> Listener:
        """Accept connections. OSError if it can't bind."""
        return listening.listen(self, host, port, accept)

    def resolver(self) -> Resolver:
        """The one that does the look-ups."""
        if self._resolver is None:
            from carrier_sidecar.loop.resolving import Resolver

            self._resolver = Resolver(self)
        return self._resolver

    # Children and signals

    def spawn(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None,
        timeout_s: float,
        done: Callable[[int, bytes, bytes], None],
    ) -> Child:
        """Run a program, its output captured."""
        return self._the_children().spawn(argv, env, timeout_s, done)

    def _the_children(self) -> Children:
        if self._children is None:
            from carrier_sidecar.loop.children import Children

            self._children = Children(self, reap_all=posix.getpid() == 1)
        return self._children

    def on_signal(self, signum: int, callback: Callable[[], None]) -> None:
        """Call at each arrival of the signal. Only in the main thread (ValueError elsewhere)."""
        if not self._signals:
            signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._signals[signum] = callback
        signal.signal(signum, self._signalled)

    def _signalled(self, signum: int, frame: object) -> None:
        self._arrived.append(signum)

    def wake(self) -> None:
        """Let the poller return; the one method that other threads may call."""
        try:
            posix.write(self._wake_write, b"\0")
        except OSError:
            pass  # full: it is going to wake anyway; closed: nobody is there to be woken

    def _woken(self, events: int) -> None:
        try:
            posix.read(self._wake_read, 4096)
        except BlockingIOError:
            pass
        if self._resolver is not None:
            self._resolver.collect()
        while self._arrived:
            callback = self._signals.get(self._arrived.pop(0))
            if callback is not None:
                callback()

    # For streams, listeners and children

    def watch(self, fd: int, callback: Callable[[int], object], interest: int) -> None:
        """Call with the poller's flags when there are any. A second call for the same descriptor replaces the first."""
        if fd in self._callbacks:
            self.poller.modify(fd, interest)
        else:
            self.poller.register(fd, interest)
        self._callbacks[fd] = callback

    def forget(self, fd: int) -> None:
        """Call no more; the descriptor may then be closed."""
        if self._callbacks.pop(fd, None) is not None:
            self.poller.unregister(fd)

    def discard(self, fd: int, sock: socket) -> None:
        """Forget the socket and close it at the end of this turn: until then its number must not be used anew, because
        events for the old one may be waiting in this turn's batch."""
        self.forget(fd)
        self._discarded.append(sock)

    # The loop

    def stop(self) -> None:
        """Let `run` return at the end of this turn."""
        self._stopped = True

    def run(self) -> None:
        """Until `stop()`. May be called again afterwards."""
        self._stopped = False
        poll = self.poller.poll
        callbacks = self._callbacks
        timers = self._timers
        entries = timers.entries
        discarded = self._discarded
        now = self.now
        while True:
            soon = self._soon
            if soon:
                self._soon = []
                for callback in soon:
                    callback()
            timeout = LONGEST_SLEEP_S
            if entries:
                time_s = now()
                if entries[0][0] <= time_s:
                    due = timers.pop_due(time_s)
                    while due is not None:
                        due()
                        due = timers.pop_due(time_s)
                    time_s = now()
                if entries and entries[0][2].callback is None:
                    timers.next_at()  # lets go of those that were cancelled: nobody is to be woken for them
                if entries and entries[0][0] - time_s < LONGEST_SLEEP_S:
                    timeout = max(entries[0][0] - time_s, 0.0)
            if discarded:
                for sock in discarded:
                    sock.close()
                discarded.clear()
            if self._stopped:
                return
            if self._soon:
                timeout = 0.0
            for fd, events in poll(timeout, EVENTS_AT_ONCE):
                ready = callbacks.get(fd)
                if ready is not None:
                    ready(events)

    def close(self) -> None:
        """Release what the loop itself holds, after `run` has returned for good: the poller and the signals. For
        tests; a process that ends needs none of it."""
        for sock in self._discarded:
            sock.close()
        self._discarded.clear()
        if self._signals:
            signal.set_wakeup_fd(-1)
            for signum in self._signals:
                signal.signal(signum, signal.SIG_DFL)
            self._signals.clear()
        posix.close(self._wake_read)
        wake_write, self._wake_write = self._wake_write, -1
        posix.close(wake_write)
        self.poller.close()
