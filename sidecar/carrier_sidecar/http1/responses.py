"""One response, read from pieces cut anywhere. Pure: no stream, no time.

The client has a fast path of its own for a response that comes whole in one piece; this is the path for all the others.
"""

from __future__ import annotations

from carrier_sidecar.http1.chunked import ChunkedReader
from carrier_sidecar.http1.heads import (
    CHUNKED,
    MAX_HEAD,
    UNTIL_CLOSE,
    BadMessage,
    ResponseHead,
    find_head_end,
    parse_response_head,
)

_MAX_INFORMATIONAL = 32  # 1xx answers before the final one
_SMALL = 1024


class Response:
    """`status`, `headers` (lower-case names; shared among equal answers: not to be changed), `body` (b"" when it was
    not kept), `truncated`: it ended before its end, by an error or by our limit."""

    __slots__ = ("body", "headers", "status", "truncated")

    def __init__(self, status: int, headers: dict[str, str], body: bytes, truncated: bool = False) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.truncated = truncated


class TooLarge(Exception):
    """The body is longer than the limit."""


class ResponseReader:
    """Feed it until `feed` says True. `head` is the final response's head once that is known; `rest` what came after
    the end. `max_body` in bytes; without `keep_body` the body is counted and dropped; `bodyless` for answers to
    HEAD."""

    __slots__ = (
        "_bodyless",
        "_buffer",
        "_chunks",
        "_keep",
        "_left",
        "_max",
        "_parts",
        "_size",
        "head",
        "informational",
        "rest",
    )

    def __init__(self, max_body: int, keep_body: bool, bodyless: bool = False) -> None:
        self._max = max_body
        self._keep = keep_body
        self._bodyless = bodyless
        self._buffer = b""
        self.informational = 0
        self._left = 0
        self._size = 0
        self._parts: list[bytes | bytearray] = []
        self._chunks: ChunkedReader | None = None
        self.head: ResponseHead | None = None
        self.rest = b""

    def feed(self, data: bytes) -> bool:
        """Take a piece; True when the response is complete. BadMessage, or TooLarge for the body."""
        if self.head is None:
            head, data = self._read_head(data)
            if head is None:
                return False
            if head.length == 0:
                self.rest = data
                return True
            if not data:
                return False
        return self._read_body(data)

    def _read_head(self, data: bytes) -> tuple[ResponseHead | None, bytes]:
        """The final head, once it is there, and what follows it."""
        searched = len(self._buffer)
        if searched:
            data = self._buffer + data
        while True:
            end = find_head_end(data, max(searched - 3, 0))
            if end < 0 or end > MAX_HEAD:
                if len(data) > MAX_HEAD:
                    raise BadMessage(f"the head is longer than {MAX_HEAD} bytes")
                if not b"HTTP/1."[: len(data)] == data[:7]:
                    raise BadMessage("it does not begin as HTTP/1.x does")
                self._buffer = data
                return None, b""
            head = parse_response_head(data[:end])
            data = data[end:]
            if head.status >= 200:
                break
            if head.status == 101:
                raise BadMessage("it switches to a protocol that nobody asked for")
            self.informational += 1
            if self.informational > _MAX_INFORMATIONAL:
                raise BadMessage("there is no end of informational answers")
            searched = 0
        self._buffer = b""
        if self._bodyless:
            keep_alive = head.keep_alive or (head.length == UNTIL_CLOSE and _may_stay_open(head))
            head = ResponseHead(head.status, head.fields, 0, keep_alive, head.idle_s)
        self.head = head
        if head.length >= 0:
            self._left = head.length
            if head.length > self._max:
                raise TooLarge
        elif head.length == CHUNKED:
            self._chunks = ChunkedReader()
        return head, data

    def _read_body(self, data: bytes) -> bool:
        chunks = self._chunks
        if chunks is not None:
            for piece in chunks.feed(data):
                self._take(piece)
            if not chunks.done:
                return False
            self.rest = chunks.rest
            return True
        assert self.head is not None
        if self.head.length == UNTIL_CLOSE:
            self._take(data)
            return False
        left = self._left
        if len(data) > left:
            self.rest = data[left:]
            data = data[:left]
        self._left = left - len(data)
        self._take(data)
        return self._left == 0

    def _take(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._max:
            raise TooLarge
        if self._keep:
            parts = self._parts
            if len(piece) >= _SMALL:
                parts.append(piece)
            elif parts and isinstance(parts[-1], bytearray):
                parts[-1] += piece
            else:
                # A body in chunks of a byte or two must not cost an object for each.
                parts.append(bytearray(piece))

    def ends_here(self) -> bool:
        """Whether the end of the connection is the end of the response."""
        return self.head is not None and self.head.length == UNTIL_CLOSE

    @property
    def begun(self) -> bool:
        """Whether anything of it has come."""
        return self.head is not None or bool(self._buffer) or self.informational > 0

    def response(self, *, truncated: bool = False) -> Response:
        """What has come of it; the head must be known."""
        assert self.head is not None
        return Response(self.head.status, self.head.fields, b"".join(self._parts), truncated)


def _may_stay_open(head: ResponseHead) -> bool:
    """An answer to HEAD without a length has no body that would have to end by closing."""
    return "close" not in head.fields.get("connection", "").lower()
