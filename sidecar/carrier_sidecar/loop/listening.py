"""Listening sockets."""

from __future__ import annotations

import _socket
import errno
from _socket import (
    AF_INET,
    AF_INET6,
    AI_PASSIVE,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    SO_REUSEADDR,
    SOCK_STREAM,
    SOL_SOCKET,
    gaierror,
    getaddrinfo,
)

from carrier_sidecar.loop.connecting import literal_addresses
from carrier_sidecar.loop.polling import IN
from carrier_sidecar.loop.streams import SocketStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carrier_sidecar.loop.api import Receiver, Stream, Timer
    from carrier_sidecar.loop.connecting import Address
    from carrier_sidecar.loop.selecting import SelectingLoop

BACKLOG = 128
ACCEPT_AT_ONCE = 32  # then others have their turn
FULL_PAUSE_S = 0.5  # out of file descriptors: the socket stays readable, so it is not watched for a while


class SocketListener:
    """See api.Listener."""

    __slots__ = ("_accept", "_fd", "_loop", "_pause", "_sock", "port")

    def __init__(self, loop: SelectingLoop, sock: _socket.socket, accept: Callable[[Stream], Receiver]) -> None:
        self._loop = loop
        self._sock: _socket.socket | None = sock
        self._accept = accept
        self._pause: Timer | None = None
        self._fd = sock.fileno()
        self.port: int = sock.getsockname()[1]
        loop.watch(self._fd, self._ready, IN)

    def _ready(self, events: int) -> None:
        for _ in range(ACCEPT_AT_ONCE):
            if self._sock is None:
                return
            try:
                fd, _ = self._sock._accept()  # type: ignore[attr-defined] # missing in typeshed
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._loop.poller.modify(self._fd, 0)
                    self._pause = self._loop.call_at(self._loop.now() + FULL_PAUSE_S, self._resume)
                    return
                continue  # that connection was cut while it waited
            sock = _socket.socket(fileno=fd)
            sock.setblocking(False)
            stream = SocketStream(self._loop)
            stream.attach(sock, IN)
            stream.own(self._accept(stream))

    def _resume(self) -> None:
        self._pause = None
        if self._sock is not None:
            self._loop.poller.modify(self._fd, IN)

    def close(self) -> None:
        """Accept nothing more."""
        if self._pause is not None:
            self._pause.cancel()
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.discard(self._fd, sock)


def listen(loop: SelectingLoop, host: str, port: int, accept: Callable[[Stream], Receiver]) -> SocketListener:
    """Bind and listen. OSError when that fails at every address of the host."""
    problem: OSError | None = None
    for family, address in _addresses(host, port):
        try:
            return SocketListener(loop, _bound(family, address, both=not host), accept)
        except OSError as error:
            problem = error
            if error.errno == errno.EADDRINUSE:
                break
    raise problem or OSError(errno.EADDRNOTAVAIL, f"{host!r} has no address")


def _addresses(host: str, port: int) -> list[Address]:
    if not host:
        return [(AF_INET6, ("::", port, 0, 0)), (AF_INET, ("0.0.0.0", port))]
    addresses = literal_addresses(host, port)
    if addresses is None:
        try:
            found = getaddrinfo(host.encode("ascii"), port, 0, SOCK_STREAM, 0, AI_PASSIVE)
        except (gaierror, UnicodeError) as error:
            raise OSError(errno.EADDRNOTAVAIL, f"{host}: {error}") from error
        return [(family, address) for family, _, _, _, address in found]
    if len(addresses) > 1:
        addresses.reverse()  # localhost: one listener, and IPv4 is what everybody tries
    return addresses


def _bound(family: int, address: tuple[object, ...], *, both: bool) -> _socket.socket:
    sock = _socket.socket(family, SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        if family == AF_INET6:
            sock.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0 if both else 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
