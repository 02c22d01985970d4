"""A TCP connection as the loop's users see it: writes at once, reads when the poller says so.

One class for connections that are being made (connecting.py hands in the socket) and for accepted ones. TLS is a
subclass (tls_streams.py). The read path is the sidecar's hottest code: one method call per readable event.
"""

from __future__ import annotations

import errno
from _socket import IPPROTO_TCP, SHUT_WR, SO_ERROR, SOL_SOCKET, TCP_NODELAY
from posix import strerror

from carrier_sidecar.loop.errors import RESET, StreamError
from carrier_sidecar.loop.polling import IN, OUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable
    from typing import Protocol

    from carrier_sidecar.loop.api import Receiver, Timer
    from carrier_sidecar.loop.selecting import SelectingLoop

    class Opening(Protocol):
        """What is under way to open a stream."""

        def opened(self) -> None:
            """It is open, or failed by itself: nothing more is wanted."""

        def abandon(self) -> None:
            """Nobody wants it any more."""


# Below the allocator's mmap threshold (128 KiB): a larger buffer costs two system calls and page faults per read.
RECEIVE_SIZE = 65536
LINGER_S = 5.0  # what a peer gets to take the rest of what was written, after end()


class SocketStream:
    """See api.Stream. `_fd` is -1 while there is no open socket: before `opened`, and after the end."""

    __slots__ = (
        "_attempt",
        "_dead",
        "_error",
        "_fd",
        "_interest",
        "_linger",
        "_loop",
        "_out",
        "_received",
        "_receiver",
        "_recv",
        "_send",
        "_sock",
        "sent_any",
        "unsent",
    )

    _send: Callable[[bytes | memoryview], int]  # of the open socket, as _recv
    _recv: Callable[[int], bytes]

    def __init__(self, loop: SelectingLoop) -> None:
        self._loop = loop
        self._receiver: Receiver | None = None
        self._received: Callable[[bytes], None] | None = None
        self._sock: socket | None = None
        self._fd = -1
        self._interest = 0
        self._out: list[memoryview] = []
        self._attempt: Opening | None = None
        self._linger: Timer | None = None
        self._dead = False
        self._error: StreamError | None = None
        self.unsent = 0
        self.sent_any = False

    # For connecting.py and listening.py

    def own(self, receiver: Receiver, attempt: Opening | None = None) -> None:
        """Tell whom to call, and which attempt to end when the stream is closed before it is open."""
        self._receiver = receiver
        self._received = receiver.received
        self._attempt = attempt

    def connected(self, sock: socket) -> None:
        """The TCP connection stands; the socket is watched already."""
        self.attach(sock, IN)
        self.finish_opening()

    def detach(self) -> socket:
        """Give the open socket away (to a TLS stream on top); this stream is closed."""
        sock, self._sock = self._sock, None
        assert sock is not None
        self._loop.forget(self._fd)
        self._fd = -1
        self.close()
        return sock

    def attach(self, sock: socket, interest: int) -> None:
        """Take the open socket over."""
        try:
            sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        except OSError:
            pass  # cut already: the first read says so
        self._sock = sock
        self._fd = sock.fileno()
        self._send = sock.send
        self._recv = sock.recv
        self._interest = interest
        self._loop.watch(self._fd, self._ready, interest)

    def finish_opening(self) -> None:
        """Tell the owner, and send what was written before."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.opened()
        receiver = self._receiver
        if receiver is not None:
            receiver.opened()
        if self._out and self._fd >= 0:
            self._flush()

    # Writing

    def mark(self) -> None:
        """Begin a new count for `sent_any`."""
        self.sent_any = False

    def write(self, data: bytes) -> None:
        """Send at once what the kernel takes; buffer the rest."""
        if self.unsent or self._fd < 0:
            self._hold(data, 0)
            return
        try:
            taken = self._send(data)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            self._break_write(error)
            return
        if taken:
            self.sent_any = True
        if taken != len(data):
            self._hold(data, taken)

    def _hold(self, data: bytes, taken: int) -> None:
        if self._dead or taken == len(data):
            return
        self._out.append(memoryview(data)[taken:])
        self.unsent += len(data) - taken
        if self._fd >= 0:
            self._want(self._interest | OUT)

    def _flush(self) -> None:
        """Send from the buffer until it is empty or the kernel is full."""
        out = self._out
        while out:
            view = out[0]
            try:
                taken = self._send(view)
            except BlockingIOError:
                break
            except OSError as error:
                self._break_write(error)
                return
            self.sent_any = True
            self.unsent -= taken
            if taken < len(view):
                out[0] = view[taken:]
            else:
                del out[0]
        if out:
            self._want(self._interest | OUT)
            return
        self._want(self._interest & ~OUT)
        if self._linger is not None:
            self._shut_write()

    def _want(self, interest: int) -> None:
        if interest != self._interest:
            self._interest = interest
            self._loop.poller.modify(self._fd, interest)

    # Events

    def _ready(self, events: int) -> None:
        """Called by the loop with the poller's flags."""
        if events != IN and not self._may_read(events):
            return
        try:
            data = self._recv(RECEIVE_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._break(error)
            return
        if data:
            received = self._received
            if received is not None:
                received(data)
        else:
            self._end_of_input()

    def _may_read(self, events: int) -> bool:
        """Handle all flags but IN."""
        if events & OUT:
            self._flush()
        if self._fd < 0 or not events & ~OUT:
            return False
        if not self._interest & IN:  # a hang-up or error after the end of what was to be read
            code = self._take_error() or errno.ECONNRESET
            self._break(OSError(code, strerror(code)))
            return False
        return True

    def _end_of_input(self) -> None:
        self._want(self._interest & ~IN)  # level-triggered: it would be reported for ever
        if self._linger is not None and not self._out:
            self.close()
        elif self._receiver is not None:
            self._receiver.ended()

    def _take_error(self) -> int:
        assert self._sock is not None
        try:
            return self._sock.getsockopt(SOL_SOCKET, SO_ERROR)
        except OSError as error:
            return error.errno or errno.ECONNRESET

    # The end

    def _break(self, error: OSError) -> None:
        self.fail(StreamError(RESET, error.strerror or str(error)))

    def _break_write(self, error: OSError) -> None:
        """The peer takes nothing more. It may have answered before it closed (a body that it found too large), so
        what has arrived is read first; but not when it has taken nothing: then nothing can be an answer."""
        if not self.sent_any:
            self._break(error)
            return
        self._out.clear()
        self.unsent = self.unsent or 1  # something was not sent, and never will be
        self._want(self._interest & ~OUT)
        self._error = StreamError(RESET, error.strerror or str(error))
        self._loop.call_soon(self._read_rest)

    def _read_rest(self) -> None:
        while self._fd >= 0:
            try:
                data = self._recv(RECEIVE_SIZE)
            except OSError:
                break
            if not data:
                break
            if self._received is not None:
                self._received(data)
        if self._fd >= 0:
            assert self._error is not None
            self.fail(self._error)

    def fail(self, error: StreamError) -> None:
        """The stream is dead: release the socket now, tell the owner in this turn, but not from inside his own call."""
        receiver = self._receiver
        self._release()
        if receiver is not None:
            self._receiver = receiver  # close() until then takes it away again
            self._error = error
            self._loop.call_soon(self._tell_lost)

    def _tell_lost(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            assert self._error is not None
            receiver.lost(self._error)

    def end(self) -> None:
        """Send what is buffered, then close. The peer's own data is read and dropped meanwhile: closing with data
        unread would make the kernel send a reset, which can destroy the answer on its way."""
        if self._dead or self._fd < 0:
            self.close()
            return
        self._receiver = None
        self._received = None
        if not self._interest & IN and not self._out:
            self.close()
            return
        self._linger = self._loop.call_at(self._loop.now() + LINGER_S, self.close)
        if not self._out:
            self._shut_write()

    def _shut_write(self) -> None:
        if not self._interest & IN:
            self.close()
            return
        assert self._sock is not None
        try:
            self._sock.shutdown(SHUT_WR)
        except OSError:
            self.close()

    def close(self) -> None:
        """Close at once."""
        self._receiver = None
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.abandon()
        self._release()

    def _release(self) -> None:
        self._dead = True
        self._received = None
        self._receiver = None
        self._attempt = None
        self._out.clear()
        self.unsent = 0
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        sock, self._sock = self._sock, None
        if sock is not None:
            fd, self._fd = self._fd, -1
            del self._send, self._recv
            self._loop.discard(fd, sock)
