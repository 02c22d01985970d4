"""One origin, many keep-alive connections, one request at a time on each. How many at once is the caller's business.

Redirects are not followed, cookies not kept, 1xx skipped. How one request goes is connection.py's part.
"""

from __future__ import annotations

from carrier_sidecar.http1.connection import Connection
from carrier_sidecar.http1.failures import Failure
from carrier_sidecar.http1.heads import BadMessage, parse_response_head
from carrier_sidecar.http1.responses import Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from carrier_sidecar.http1.heads import ResponseHead
    from carrier_sidecar.http1.proxy import Proxy
    from carrier_sidecar.loop.api import Loop, Timer
    from carrier_sidecar.loop.tls import TLS

    class Exchange(Protocol):
        """What the caller hands in to learn how one request ended. Exactly one of the two is called, once, and never
        from inside `request`; after `cancel` neither."""

        def answered(self, response: Response) -> None:
            """An answer, of whatever status."""

        def failed(self, failure: Failure) -> None:
            """No answer."""


_NO_HEAD = b"\0"  # no response begins so
_CACHED_HEAD = 2048  # bytes; heads longer than that differ each time, as a rule
_CACHED_HEADS = 16  # as many as there may be in a second: the date changes them all


class Origin:
    """Where requests go: `host`, `port`, `tls` (None for plain HTTP), `proxy` (None for a direct connection). The
    Host header is the caller's; what a proxy wants changed in a request is done here."""

    __slots__ = ("host", "port", "proxy", "tls")

    def __init__(self, host: str, port: int, tls: TLS | None = None, proxy: Proxy | None = None) -> None:
        self.host = host
        self.port = port
        self.tls = tls
        self.proxy = proxy

    @property
    def authority(self) -> str:
        """Host and port, as in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.authority}"


class KnownHead:
    """A response's head as bytes, and what follows from it: `size` of it, `length` of the body, `idle_s` for the
    connection, `answer` without a body."""

    __slots__ = ("answer", "head", "idle_s", "length", "size")

    def __init__(self, head: bytes, idle_s: float, answer: Response, length: int) -> None:
        self.head = head
        self.size = len(head)
        self.length = length
        self.idle_s = idle_s
        self.answer = answer


class Pool:
    """Connections to one origin.

    `idle_s`: how long an idle connection may be used again, where the server does not say (`Keep-Alive: timeout`,
    less a second); servers close idle ones after 2 to 5 s, and a request that meets the closing is lost. `max_body`
    in bytes. Without `keep_body` bodies are read to their end (so that the connection can be used again) and dropped,
    and whatever ends one early, the status that has arrived is the answer. `write_timeout_s`: for the kernel to take
    a request."""

    def __init__(
        self,
        loop: Loop,
        origin: Origin,
        *,
        connect_timeout_s: float = 10.0,
        idle_s: float = 1.0,
        max_body: int = 1 << 20,
        keep_body: bool = True,
        write_timeout_s: float | None = 30.0,
    ) -> None:
        self._loop = loop
        self._now = loop.now
        self.origin = origin
        self.connect_timeout_s = connect_timeout_s
        self.idle_s = idle_s
        self.max_body = max_body
        self.keep_body = keep_body
        self.write_timeout_s = write_timeout_s
        self._idle: list[Connection] = []  # last used last, and first used again
        self._all: set[Connection] = set()
        self._sweep: Timer | None = None
        self.by_plain_proxy = origin.proxy is not None and origin.tls is None
        self.last = KnownHead(_NO_HEAD, 0.0, Response(0, {}, b""), -1)
        self._heads: dict[bytes, KnownHead] = {}

    def request(
        self,
        data: bytes,
        exchange: Exchange,
        timeout_s: float | None,
        first_byte_timeout_s: float | None = None,
        *,
        head: bool = False,
    ) -> Connection:
        """Send a whole request (head and body), on an idle connection or a new one. `timeout_s` covers all of it,
        `None` is for ever; `first_byte_timeout_s` the time until the answer's head is there. `head`: it is a HEAD
        request, whose answer has no body. The connection is the handle for `cancel`."""
        if self.by_plain_proxy:
            data = self._rewritten(data)
        now = self._now()
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.idle_until > now:
                break
            self.forget(connection)
        else:
            connection = Connection(self, self._loop)
            self._all.add(connection)
        connection.start(data, exchange, now, timeout_s, first_byte_timeout_s, head)
        return connection

    def cancel(self, connection: Connection) -> None:
        """Close that request's connection; its exchange hears nothing more. Only while the exchange is open: later the
        connection may carry somebody else's."""
        self.forget(connection)

    def close(self) -> None:
        """Close all connections; no exchange hears anything more."""
        for connection in list(self._all):
            self.forget(connection)
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    @property
    def open(self) -> int:
        """How many connections there are, idle ones included."""
        return len(self._all)

    def _rewritten(self, data: bytes) -> bytes:
        from carrier_sidecar.http1.tunnel import by_plain_proxy

        assert self.origin.proxy is not None
        return by_plain_proxy(data, self.origin.authority, self.origin.proxy)

    # For Connection

    def keep(self, connection: Connection, idle_s: float) -> None:
        """It has served, and may serve again."""
        connection.idle_until = until = self._now() + idle_s
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_at(until, self._close_idle)

    def forget(self, connection: Connection) -> None:
        """Close it."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        connection.shut()

    def idle_time(self, head: ResponseHead) -> float:
        """How long a connection that brought this head may be used again."""
        if head.idle_s is None:
            return self.idle_s
        return max(head.idle_s - 1.0, head.idle_s / 2)

    def find_head(self, data: bytes) -> KnownHead | None:
        """The head of an answer that may be whole in this piece: seen before, or parsed now and remembered. None for
        what is better read by ResponseReader: incomplete, broken, informational, or without a length of its own."""
        size = data.find(b"\r\n\r\n") + 4
        if not 4 < size <= _CACHED_HEAD:
            return None
        head_bytes = data[:size]
        known = self._heads.get(head_bytes)
        if known is None:
            try:
                head = parse_response_head(head_bytes)
            except BadMessage:
                return None
            if head.status < 200 or not 0 <= head.length <= self.max_body or not head.keep_alive:
                return None
            if len(self._heads) >= _CACHED_HEADS:
                self._heads.clear()
            known = KnownHead(head_bytes, self.idle_time(head), Response(head.status, head.fields, b""), head.length)
            self._heads[head_bytes] = known
        self.last = known
        return known

    def _close_idle(self) -> None:
        self._sweep = None
        now = self._now()
        for connection in [connection for connection in self._idle if connection.idle_until <= now]:
            self.forget(connection)
        if self._idle:
            until = min(connection.idle_until for connection in self._idle)
            self._sweep = self._loop.call_at(until, self._close_idle)
