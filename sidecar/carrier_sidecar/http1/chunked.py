"""The chunked transfer coding, read: RFC 9112, 7.1. Pure; fed with pieces cut anywhere."""

from __future__ import annotations

from carrier_sidecar.http1.heads import MAX_HEAD, BadMessage, find_head_end, parse_fields, split_lines

_HEX = b"0123456789abcdefABCDEF"
_MAX_SIZE_LINE = 4096  # extensions included


class ChunkedReader:
    """`done` once the last chunk and the trailers have come; then `rest` is what followed them. Trailers are checked
    and dropped. What is buffered is bounded: a size line, or the trailers."""

    __slots__ = ("_buffer", "_left", "_seen", "_trailers", "done", "rest")

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0  # bytes of the present chunk still to come, its line end included
        self._trailers = False
        self._seen = 0  # bytes of size lines and their extensions, against a body of nothing else
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of the body in it. BadMessage when it is not chunked coding."""
        pieces: list[bytes] = []
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        at = 0
        end = len(data)
        while at < end:
            if self._left > 2:
                piece = data[at : at + self._left - 2]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
            elif self._left:
                expected = b"\r\n"[2 - self._left :]
                found = data[at : at + self._left]
                if not expected.startswith(found):
                    raise BadMessage("a chunk does not end where it said")
                at += len(found)
                self._left -= len(found)
            elif self._trailers:
                self._read_trailers(data[at:])
                break
            else:
                line_end = data.find(b"\n", at)
                if line_end < 0:
                    self._buffer = data[at:]
                    if len(self._buffer) > _MAX_SIZE_LINE:
                        raise BadMessage("a chunk's size line is too long")
                    break
                self._begin_chunk(data[at : line_end + 1])
                at = line_end + 1
        return pieces

    def _begin_chunk(self, line: bytes) -> None:
        if len(line) > _MAX_SIZE_LINE or not line.endswith(b"\r\n"):
            raise BadMessage("a chunk's size line is malformed")
        digits, extension, rest = line[:-2].partition(b";")
        if extension:
            # Extensions mean nothing to us, but a body may not consist of them.
            self._seen += len(rest)
            if self._seen > MAX_HEAD:
                raise BadMessage("the chunks' extensions are too long")
            if b"\r" in rest or b"\0" in rest:
                raise BadMessage("a chunk's size line is malformed")
        digits = digits.rstrip(b" \t")
        if not 0 < len(digits) <= 15 or digits.translate(None, _HEX):
            raise BadMessage("a chunk's size is not a number")
        size = int(digits, 16)
        if size:
            self._left = size + 2
        else:
            self._trailers = True

    def _read_trailers(self, data: bytes) -> None:
        if data.startswith(b"\r\n"):
            self.done = True
            self.rest = data[2:]
            return
        end = -1 if data == b"\r" else find_head_end(data)
        if end < 0:
            if len(data) > MAX_HEAD:
                raise BadMessage("the trailers are too long")
            self._buffer = data
            return
        parse_fields(split_lines(data[:end]))
        self.done = True
        self.rest = data[end:]
