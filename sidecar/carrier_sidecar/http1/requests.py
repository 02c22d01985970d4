"""One request, read from pieces cut anywhere. Pure: no stream, no time."""

from __future__ import annotations

from carrier_sidecar.http1.chunked import ChunkedReader
from carrier_sidecar.http1.heads import (
    BadMessage,
    connection_options,
    content_length,
    find_head_end,
    is_chunked,
    parse_fields,
    split_lines,
)

_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Request:
    """`method`, `target` (as it came), `path` (the target without its query), `query`, `headers` (lower-case names),
    `body`, `keep_alive` (the client would send another)."""

    __slots__ = ("body", "headers", "keep_alive", "method", "path", "query", "target")

    def __init__(self, method: str, target: str, headers: dict[str, str], keep_alive: bool) -> None:
        self.method = method
        self.target = target
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.keep_alive = keep_alive
        self.body = b""


class Refused(Exception):
    """The request gets this status instead of being handled, and its connection ends."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class RequestReader:
    """`feed` returns a request once it is whole; then a new reader is needed for `rest`. Refused for what is
    malformed or larger than `max_head` and `max_body` (bytes). `expects_continue`: the client waits for a 100 before
    it sends the body."""

    __slots__ = (
        "_buffer",
        "_chunks",
        "_left",
        "_max_body",
        "_max_head",
        "_parts",
        "_request",
        "_size",
        "expects_continue",
        "rest",
    )

    def __init__(self, max_head: int, max_body: int) -> None:
        self._max_head = max_head
        self._max_body = max_body
        self._buffer = b""
        self._request: Request | None = None
        self._chunks: ChunkedReader | None = None
        self._left = 0
        self._size = 0
        self._parts = bytearray()
        self.expects_continue = False
        self.rest = b""

    @property
    def begun(self) -> bool:
        """Whether anything of a request has come."""
        return bool(self._buffer) or self._request is not None

    def feed(self, data: bytes) -> Request | None:
        """Take a piece. The request when it is complete."""
        try:
            if self._request is None:
                searched = len(self._buffer)
                if searched:
                    data = self._buffer + data
                else:
                    data = data.lstrip(b"\r\n")  # RFC 9112, 2.2: an empty line before the request line is ignored
                end = find_head_end(data, max(searched - 3, 0))
                if end < 0 or end > self._max_head:
                    if len(data) > self._max_head:
                        raise Refused(431, f"the head is longer than {self._max_head} bytes")
                    self._buffer = data
                    return None
                self._buffer = b""
                self._begin(data[:end])
                data = data[end:]
            return self._read_body(data)
        except BadMessage as error:
            raise Refused(400, str(error)) from error

    def _begin(self, head: bytes) -> None:
        lines = split_lines(head)
        words = lines.pop(0).split(" ")
        if len(words) != 3 or not words[0] or words[0].encode("latin-1").translate(None, _TOKEN) or not words[1]:
            raise BadMessage("the request line is malformed")
        method, target, version = words
        if version not in ("HTTP/1.1", "HTTP/1.0"):
            raise Refused(505, "only HTTP/1.1 is spoken here")
        fields = parse_fields(lines)
        length = content_length(fields)
        if is_chunked(fields):
            if length is not None or version == "HTTP/1.0":
                raise BadMessage("the length of the body is ambiguous")
            self._chunks = ChunkedReader()
        if version == "HTTP/1.1" and "host" not in fields:
            raise BadMessage("there is no Host header")
        self._left = length or 0
        if self._left > self._max_body:
            raise Refused(413, f"the body is longer than {self._max_body} bytes")
        options = connection_options(fields)
        keep_alive = "close" not in options and (version == "HTTP/1.1" or "keep-alive" in options)
        self.expects_continue = "100-continue" in fields.get("expect", "").lower() and version == "HTTP/1.1"
        self._request = Request(method, target, fields, keep_alive)

    def _read_body(self, data: bytes) -> Request | None:
        request = self._request
        assert request is not None
        chunks = self._chunks
        if chunks is not None:
            for piece in chunks.feed(data):
                self._size += len(piece)
                if self._size > self._max_body:
                    raise Refused(413, f"the body is longer than {self._max_body} bytes")
                self._parts += piece
            if not chunks.done:
                return None
            self.rest = chunks.rest
        else:
            left = self._left
            if left > len(data):
                self._parts += data
                self._left = left - len(data)
                return None
            if left:
                self._parts += data[:left]
            self.rest = data[left:]
        request.body = bytes(self._parts)
        return request
