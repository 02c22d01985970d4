"""A small HTTP/1.1 server: for probes, hooks and the sample handler. Not a web framework: one function gets every
request.

An answer may be given at once or minutes later. Requests on one connection are handled one after the other; what a
client sends ahead waits, up to the size of a head. Everything is bounded: heads, bodies, connections, and the time to
send them.
"""

from __future__ import annotations

from carrier_sidecar.http1.requests import Refused, Request, RequestReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from carrier_sidecar.loop.api import Loop, Stream, Timer
    from carrier_sidecar.loop.errors import StreamError

    Handle = Callable[[Request, "Responder"], None]

REASONS = {
    200: "OK",
    202: "Accepted",
    204: "No Content",
    301: "Moved Permanently",
    302: "Found",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    413: "Content Too Large",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}
TEXT = "text/plain; charset=utf-8"


class Responder:
    """Answers one request, once, now or later. `gone`: set it to a callback to be told when the client closes before
    it was answered (a client that only closed its sending side looks the same, so the answer is still sent)."""

    __slots__ = ("_connection", "gone")

    def __init__(self, connection: _ServerConnection) -> None:
        self._connection: _ServerConnection | None = connection
        self.gone: Callable[[], None] | None = None

    @property
    def waiting(self) -> bool:
        """Whether an answer would still reach anybody."""
        return self._connection is not None

    def answer(
        self, status: int, body: bytes = b"", content_type: str = TEXT, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Send it; nothing happens when it was answered already, or the client is gone. The caller vouches for the
        headers: names and values go out as they are, in latin-1."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.send(status, body, content_type, headers)

    def drop(self) -> None:
        """Close the connection without an answer."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def hear_gone(self) -> None:
        """For the connection: the client closed."""
        gone, self.gone = self.gone, None
        if gone is not None and self._connection is not None:
            gone()

    def forget(self) -> None:
        """For the connection: there is nobody to answer to any more."""
        self._connection = None


class _ServerConnection:
    __slots__ = (
        "_ahead",
        "_due",
        "_ended",
        "_reader",
        "_request",
        "_responder",
        "_server",
        "_stream",
        "_timer",
        "_timer_at",
    )

    def __init__(self, server: Server, stream: Stream) -> None:
        self._server = server
        self._stream: Stream | None = stream
        self._reader = RequestReader(server.max_head, server.max_body)
        self._request: Request | None = None
        self._responder: Responder | None = None  # while a request is being handled
        self._ahead = b""  # what came before the last answer went
        self._ended = False
        self._timer: Timer | None = None
        self._timer_at = float("inf")
        self._due = float("inf")
        self._wait(server.request_s)

    # The loop's callbacks

    def opened(self) -> None:
        """It is."""

    def received(self, data: bytes) -> None:
        """A piece of a request, most often the whole of one."""
        if self._responder is not None:
            self._ahead += data
            if len(self._ahead) > self._server.max_head:
                self.close()
            return
        reader = self._reader
        if not reader.begun:
            self._wait(self._server.request_s)
        try:
            request = reader.feed(data)
        except Refused as refused:
            self._request = None
            self.send(refused.status, (str(refused) + "\n").encode(), TEXT, ())
            return
        if request is None:
            if reader.expects_continue and self._stream is not None:
                reader.expects_continue = False
                self._stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        self._ahead = reader.rest
        self._reader = RequestReader(self._server.max_head, self._server.max_body)
        self._request = request
        self._responder = responder = Responder(self)
        self._due = float("inf")
        self._server.handle(request, responder)

    def ended(self) -> None:
        """The client closed at least its sending side."""
        self._ended = True
        if self._responder is None:
            self.close()
        else:
            self._responder.hear_gone()

    def lost(self, error: StreamError) -> None:
        """The connection is cut."""
        responder = self._responder
        if responder is not None:
            responder.hear_gone()
        self.close()

    # Answering

    def send(self, status: int, body: bytes, content_type: str, headers: Iterable[tuple[str, str]]) -> None:
        """Write an answer, and go on with the next request if there may be one."""
        stream = self._stream
        request = self._request
        if stream is None:
            return
        last = request is None or not request.keep_alive or self._ended or self._server.closing
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"]
        if status >= 200 and status not in (204, 304):
            if body or content_type != TEXT:
                lines.append(f"Content-Type: {content_type}")
            lines.append(f"Content-Length: {len(body)}")
        else:
            body = b""
        for name, value in headers:
            lines.append(f"{name}: {value}")
        if last:
            lines.append("Connection: close")
        lines.append("\r\n")
        head = "\r\n".join(lines).encode("latin-1", "replace")
        if request is not None and request.method == "HEAD":
            body = b""
        self._responder = None
        self._request = None
        stream.write(head + body)
        if last:
            self._stream = None
            stream.end()
            self.close()
            return
        self._wait(self._server.idle_s)
        if self._ahead:
            # Not from in here: many requests sent ahead would be as many nested calls.
            self._server.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        ahead, self._ahead = self._ahead, b""
        if ahead and self._stream is not None and self._responder is None:
            self.received(ahead)

    # Time

    def _wait(self, seconds: float) -> None:
        self._due = self._server.loop.now() + seconds
        if self._due < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = self._due
            self._timer = self._server.loop.call_at(self._due, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        self._timer_at = float("inf")
        now = self._server.loop.now()
        if self._due > now:
            if self._due < float("inf"):
                self._wait(self._due - now)
            return
        if self._reader.begun and self._responder is None:
            self.send(408, b"the request took too long\n", TEXT, ())
        else:
            self.close()

    def close(self) -> None:
        """Close at once."""
        self._due = float("inf")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        responder, self._responder = self._responder, None
        if responder is not None:
            responder.forget()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        self._server.forget(self)

    @property
    def idle(self) -> bool:
        """Whether no request is being handled."""
        return self._responder is None


class Server:
    """Listens until `close`. OSError if it can't bind.

    `handle(request, responder)` is called for every request. Limits: `max_head` and `max_body` in bytes; `request_s`
    for a request to arrive whole; `idle_s` between requests; `max_connections` at once: for one more the oldest
    that asks for nothing at the moment is closed, or itself where there is none (so that idle ones keep no probe out).
    """

    def __init__(
        self,
        loop: Loop,
        host: str,
        port: int,
        handle: Handle,
        *,
        max_head: int = 16384,
        max_body: int = 1 << 20,
        request_s: float = 10.0,
        idle_s: float = 75.0,
        max_connections: int = 256,
    ) -> None:
        self.loop = loop
        self.handle = handle
        self.max_head = max_head
        self.max_body = max_body
        self.request_s = request_s
        self.idle_s = idle_s
        self.max_connections = max_connections
        self.closing = False
        self._connections: dict[_ServerConnection, None] = {}  # the oldest first
        self._listener = loop.listen(host, port, self._accept)
        self.port = self._listener.port

    def _accept(self, stream: Stream) -> _ServerConnection:
        connection = _ServerConnection(self, stream)
        if len(self._connections) >= self.max_connections:
            for other in self._connections:
                if other.idle:
                    other.close()
                    break
            else:
                connection.close()
                return connection
        self._connections[connection] = None
        return connection

    def forget(self, connection: _ServerConnection) -> None:
        """For a connection that has closed."""
        self._connections.pop(connection, None)

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    def close(self, *, at_once: bool = False) -> None:
        """Accept nothing more and close idle connections; requests that are being handled may still be answered, unless
        `at_once`."""
        self.closing = True
        self._listener.close()
        for connection in list(self._connections):
            if at_once or connection.idle:
                connection.close()
