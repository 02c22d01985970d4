"""From a name and a port to a connected socket: resolve, then try one address after the other within the time.

Knows nothing of TLS beyond that its handshake counts into the same time (the stream says when it is open).
"""

from __future__ import annotations

import _socket
import errno
from _socket import AF_INET, AF_INET6, SO_ERROR, SOCK_STREAM, SOL_SOCKET, inet_pton
from posix import strerror

from carrier_sidecar.loop.errors import CONNECT_TIMEOUT, REFUSED, RESOLVE, UNREACHABLE, StreamError
from carrier_sidecar.loop.polling import OUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from carrier_sidecar.loop.api import Receiver, Timer
    from carrier_sidecar.loop.selecting import SelectingLoop
    from carrier_sidecar.loop.streams import SocketStream

    Address = tuple[int, tuple[Any, ...]]  # family, and what connect() takes

# An address that does not answer must not eat the time of the next ones; a fair share of what is left, but no less
# than this.
MIN_SHARE_S = 2.0

# The address can't be tried from here at all (no IPv6 in the pod, say): says nothing about whether somebody listens.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETUNREACH)


def literal_addresses(host: str, port: int) -> list[Address] | None:
    """The addresses of a host that needs no resolver: a numeric one, or localhost; None for other names."""
    if host in ("localhost", "localhost."):
        return [(AF_INET6, ("::1", port, 0, 0)), (AF_INET, ("127.0.0.1", port))]
    try:
        inet_pton(AF_INET, host)
        return [(AF_INET, (host, port))]
    except (OSError, ValueError):
        pass
    if ":" in host:
        try:
            inet_pton(AF_INET6, host)
            return [(AF_INET6, (host, port, 0, 0))]
        except (OSError, ValueError):
            pass
    return None


def verdict(where: str, codes: list[int]) -> tuple[str, str]:
    """What the errors of all addresses add up to: a kind of StreamError, and the sentence for people."""
    tried = [code for code in codes if code not in _NOT_HERE] or codes
    if all(code == errno.ECONNREFUSED for code in tried):
        return REFUSED, f"{where} refused the connection"
    if errno.ETIMEDOUT in tried:
        return CONNECT_TIMEOUT, f"{where} did not answer"
    code = next(code for code in tried if code != errno.ECONNREFUSED)
    return UNREACHABLE, f"{where}: {strerror(code)}"


class Attempt:
    """One connect() of the loop's, until the stream is open or lost."""

    __slots__ = (
        "_addresses",
        "_end",
        "_errors",
        "_fd",
        "_host",
        "_left",
        "_lookup",
        "_loop",
        "_port",
        "_share",
        "_sock",
        "_stream",
        "_timeout_s",
        "_timer",
    )

    def __init__(self, loop: SelectingLoop, stream: SocketStream, host: str, port: int, timeout_s: float) -> None:
        self._loop = loop
        self._stream: SocketStream | None = stream
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._end = loop.now() + timeout_s
        self._timer: Timer = loop.call_at(self._end, self._timed_out)
        self._share: Timer | None = None
        self._lookup: Callable[[], None] | None = None  # ends the look-up
        self._left: list[Address] = []
        self._errors: list[int] = []
        self._sock: _socket.socket | None = None
        self._fd = -1

    def start(self) -> None:
        """Resolve if need be; nothing is called back before this returns."""
        addresses = literal_addresses(self._host, self._port)
        if addresses is None:
            self._lookup = self._loop.resolver().look_up(self._host, self._port, self._resolved)
        else:
            self._begin(addresses)

    def _resolved(self, addresses: list[Address], problem: str) -> None:
        self._lookup = None
        if addresses:
            self._begin(addresses)
        else:
            self._fail(RESOLVE, f"{self._host}: {problem}")

    def _begin(self, addresses: list[Address]) -> None:
        # The address that worked last goes first: spares a refused ::1 at every new connection to a handler on
        # 127.0.0.1.
        good = self._loop.last_good.get((self._host, self._port))
        if good in addresses:
            addresses.remove(good)
            addresses.insert(0, good)
        self._left = addresses
        self._next()

    def _next(self) -> None:
        """Try addresses until one is under way or none is left."""
        while self._left:
            family, address = self._left[0]
            try:
                sock = _socket.socket(family, SOCK_STREAM)
            except OSError as error:
                self._errors.append(error.errno or 0)
                del self._left[0]
                continue
            sock.setblocking(False)
            try:
                code = sock.connect_ex(address)
            except OSError as error:  # an address that the kernel does not take as one
                code = error.errno or errno.EINVAL
            if code in (0, errno.EINPROGRESS):
                self._sock = sock
                self._fd = sock.fileno()
                self._loop.watch(self._fd, self._ready, OUT)
                if len(self._left) > 1:
                    now = self._loop.now()
                    share = max((self._end - now) / len(self._left), MIN_SHARE_S)
                    self._share = self._loop.call_at(now + share, self._give_up_address)
                return
            sock.close()
            self._errors.append(code)
            del self._left[0]
        self._fail(*verdict(f"{self._host}:{self._port}", self._errors))

    def _ready(self, events: int) -> None:
        sock = self._sock
        assert sock is not None
        code = sock.getsockopt(SOL_SOCKET, SO_ERROR)
        if code:
            self._drop(code)
            return
        self._cancel_share()
        self._sock = None
        if len(self._loop.last_good) > 64:
            self._loop.last_good.clear()
        self._loop.last_good[self._host, self._port] = self._left[0]
        stream = self._stream
        assert stream is not None
        stream.connected(sock)

    def opened(self) -> None:
        """The stream is open (with TLS: the handshake is done)."""
        self._timer.cancel()
        self._stream = None

    def _give_up_address(self) -> None:
        self._share = None
        self._drop(errno.ETIMEDOUT)

    def _drop(self, code: int) -> None:
        """This address failed; on to the next."""
        self._cancel_share()
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.discard(self._fd, sock)
        self._errors.append(code)
        del self._left[0]
        self._next()

    def _timed_out(self) -> None:
        if self._lookup is not None:
            detail = f"the name {self._host} was not resolved within {self._timeout_s:g} s"
        elif self._sock is not None:
            detail = f"{self._host}:{self._port} did not answer within {self._timeout_s:g} s"
        else:
            detail = f"no TLS handshake with {self._host}:{self._port} within {self._timeout_s:g} s"
        self._fail(CONNECT_TIMEOUT, detail)

    def _fail(self, kind: str, detail: str) -> None:
        stream = self._stream
        self.abandon()
        if stream is not None:
            stream.fail(StreamError(kind, detail))

    def abandon(self) -> None:
        """Stop trying; the stream hears nothing of it."""
        self._stream = None
        self._timer.cancel()
        self._cancel_share()
        lookup, self._lookup = self._lookup, None
        if lookup is not None:
            lookup()
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.discard(self._fd, sock)

    def _cancel_share(self) -> None:
        if self._share is not None:
            self._share.cancel()
            self._share = None


def connect(
    loop: SelectingLoop, stream: SocketStream, host: str, port: int, receiver: Receiver, timeout_s: float
) -> None:
    """Begin to connect the stream."""
    attempt = Attempt(loop, stream, host, port, timeout_s)
    stream.own(receiver, attempt)
    attempt.start()
