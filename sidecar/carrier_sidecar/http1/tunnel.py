"""A TLS connection through an HTTP proxy: CONNECT, then the handshake with the origin on the same connection.

To its connection it looks like a stream that is being opened; once the tunnel stands, the TLS stream takes its place.
"""

from __future__ import annotations

from carrier_sidecar.http1.failures import PROXY
from carrier_sidecar.http1.heads import BadMessage
from carrier_sidecar.http1.responses import ResponseReader, TooLarge
from carrier_sidecar.loop.errors import CONNECT_TIMEOUT, StreamError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from carrier_sidecar.http1.proxy import Proxy
    from carrier_sidecar.loop.api import Loop, Receiver, Stream, Timer
    from carrier_sidecar.loop.tls import TLS

    class Owner(Receiver, Protocol):
        """Who wants the tunnel."""

        def adopt(self, stream: Stream) -> None:
            """From now on this stream stands for the tunnel; its handshake is under way."""


class Tunnel:
    """See api.Stream; nothing can be written before it is open, so `sent_any` is always False."""

    __slots__ = ("_by", "_host", "_loop", "_owner", "_port", "_proxy", "_reader", "_stream", "_timer", "_tls")

    sent_any = False
    unsent = 0

    def __init__(
        self, loop: Loop, proxy: Proxy, host: str, port: int, tls: TLS, owner: Owner, timeout_s: float
    ) -> None:
        self._loop = loop
        self._proxy = proxy
        self._host = f"[{host}]" if ":" in host else host
        self._port = port
        self._tls = tls
        self._owner: Owner | None = owner
        self._by = loop.now() + timeout_s
        self._timer: Timer | None = None
        self._reader = ResponseReader(0, keep_body=False, bodyless=True)
        self._stream: Stream | None = loop.connect(proxy.host, proxy.port, None, self, timeout_s)

    def opened(self) -> None:
        """The proxy is there."""
        self._timer = self._loop.call_at(self._by, self._timed_out)
        target = f"{self._host}:{self._port}"
        head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
        if self._proxy.authorization is not None:
            head += f"Proxy-Authorization: {self._proxy.authorization}\r\n"
        if self._stream is not None:
            self._stream.write(f"{head}\r\n".encode("latin-1"))

    def received(self, data: bytes) -> None:
        """The proxy's answer."""
        reader = self._reader
        try:
            complete = reader.feed(data)
        except (BadMessage, TooLarge) as error:
            self._fail(f"its answer can't be understood: {error}")
            return
        if not complete:
            return
        head = reader.head
        assert head is not None
        if head.status == 407:
            self._fail("it wants (other) credentials (407)")
        elif not 200 <= head.status < 300:
            self._fail(f"it refused the tunnel ({head.status})")
        elif reader.rest:
            self._fail("it sent data before the tunnel was used")
        else:
            stream, self._stream = self._stream, None
            owner, self._owner = self._owner, None
            self.close()
            if stream is not None and owner is not None:
                left = max(self._by - self._loop.now(), 0.0)
                owner.adopt(self._loop.start_tls(stream, self._tls, owner, left))

    def ended(self) -> None:
        """The proxy closed."""
        self._fail("it closed the connection")

    def lost(self, error: StreamError) -> None:
        """No connection to the proxy, or no longer."""
        owner = self._owner
        self.close()
        if owner is not None:
            owner.lost(StreamError(error.kind, f"proxy {error.detail}"))

    def _timed_out(self) -> None:
        owner = self._owner
        self.close()
        if owner is not None:
            owner.lost(StreamError(CONNECT_TIMEOUT, f"proxy {self._proxy} gave no tunnel in time"))

    def _fail(self, detail: str) -> None:
        owner = self._owner
        self.close()
        if owner is not None:
            owner.lost(StreamError(PROXY, f"proxy {self._proxy}: {detail}"))

    def mark(self) -> None:
        """Nothing has been sent."""

    def write(self, data: bytes) -> None:
        """Never called: it is not open."""
        raise AssertionError("a tunnel in the making takes no data")

    def end(self) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Give the tunnel up."""
        self._owner = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


def by_plain_proxy(data: bytes, authority: str, proxy: Proxy) -> bytes:
    """A request for an http origin as its proxy wants it: the target in absolute form, the credentials in the head."""
    method, _, rest = data.partition(b" ")
    line, _, rest = rest.partition(b"\r\n")
    head = b"%b http://%b%b\r\n" % (method, authority.encode("latin-1"), line)
    if proxy.authorization is not None:
        head += f"Proxy-Authorization: {proxy.authorization}\r\n".encode("latin-1")
    return head + rest
