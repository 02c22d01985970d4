"""Heads of HTTP/1.1 messages, parsed: RFC 9112, strict where leniency could let two readers see two messages.

Pure. Lenient in one thing, as Go's client is: a bare LF ends a line, too.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MAX_HEAD = 65536  # bytes of a response's head, trailers, or one chunk's size line

CHUNKED: Final = -1  # instead of a length
UNTIL_CLOSE: Final = -2

_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TEXT = bytes([9, 10, 13, *range(32, 127), *range(128, 256)])  # HTAB, line ends, visible characters, obs-text
# A higher minor version promises to be understood by who knows 1.1 (RFC 9110, 2.5).
_VERSIONS = frozenset(f"HTTP/1.{minor}" for minor in range(10))


class BadMessage(ValueError):
    """What came is no HTTP/1.1 message that can be trusted; the text says why in a few words, quoting nothing of it."""


def find_head_end(data: bytes | bytearray, start: int = 0) -> int:
    """The index after the empty line that ends a head; -1 when it has not come yet."""
    end = data.find(b"\n\r\n", start)
    bare = data.find(b"\n\n", start, end + 2 if end >= 0 else len(data))
    if bare >= 0:
        return bare + 2
    return end + 3 if end >= 0 else -1


def split_lines(head: bytes) -> list[str]:
    """The lines of a head without the empty one at its end."""
    if head.translate(None, _TEXT):
        raise BadMessage("the head contains a control character")
    text = head.decode("latin-1")
    lines = text.split("\r\n")
    ends = len(lines) - 1
    if text.count("\n") != ends or text.count("\r") != ends:
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        for line in lines:
            if "\r" in line:
                raise BadMessage("the head contains a bare carriage return")
    del lines[-2:]  # the empty line, and what follows its end
    return lines


def parse_fields(lines: list[str]) -> dict[str, str]:
    """Header lines (without their ends) to a dict with lower-case names; of several with one name the last one wins,
    but for those that decide the framing: `content-length`, `transfer-encoding` and `connection` are joined by
    commas."""
    fields: dict[str, str] = {}
    for line in lines:
        raw, colon, value = line.partition(":")
        name = _names.get(raw) or _checked_name(raw)
        if not colon:
            raise BadMessage("a header line is malformed")
        value = value.strip(" \t")
        if name in fields and name in ("content-length", "transfer-encoding", "connection"):
            value = f"{fields[name]}, {value}"
        fields[name] = value
    return fields


# Names as they came, to lower case: the same few come again and again.
_names: dict[str, str] = {}


def _checked_name(raw: str) -> str:
    # A line that begins with a blank is obsolete folding: refused with all the others that are no tokens.
    if not raw or raw.encode("latin-1").translate(None, _TOKEN):
        raise BadMessage("a header line is malformed")
    name = raw.lower()
    if len(_names) < 256 and len(raw) < 64:
        _names[raw] = name
    return name


def content_length(fields: dict[str, str]) -> int | None:
    """The announced length; None when there is none. Repeated equal values are one (RFC 9110, 8.6)."""
    text = fields.get("content-length")
    if text is None:
        return None
    values = {value.strip(" \t") for value in text.split(",")} if "," in text else (text,)
    if len(values) != 1:
        raise BadMessage("there are conflicting lengths")
    (value,) = values
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise BadMessage("the length is not a number")
    return int(value)


def is_chunked(fields: dict[str, str]) -> bool:
    """Whether the body comes in chunks. Any other transfer coding is refused: we asked for none."""
    coding = fields.get("transfer-encoding")
    if coding is None:
        return False
    if coding.lower() != "chunked":
        raise BadMessage("the transfer coding is not chunked")
    return True


def connection_options(fields: dict[str, str]) -> list[str]:
    """The words of the Connection header, in lower case."""
    text = fields.get("connection")
    if text is None:
        return []
    return [word.strip(" \t").lower() for word in text.split(",")]


class ResponseHead:
    """`status` (100-999), `fields`, `length` (bytes of the body, CHUNKED or UNTIL_CLOSE; what HEAD asks for is the
    caller's to know), `keep_alive`, `idle_s` (how long the server says that it keeps an idle connection; None when it
    does not)."""

    __slots__ = ("fields", "idle_s", "keep_alive", "length", "status")

    def __init__(
        self, status: int, fields: dict[str, str], length: int, keep_alive: bool, idle_s: float | None
    ) -> None:
        self.status = status
        self.fields = fields
        self.length = length
        self.keep_alive = keep_alive
        self.idle_s = idle_s


def parse_response_head(head: bytes) -> ResponseHead:
    """A whole head, its empty line included. BadMessage when it can't be trusted."""
    lines = split_lines(head)
    line = lines.pop(0)
    version = line[:8]
    code = line[9:12]
    if (
        version not in _VERSIONS
        or line[8:9] != " "
        or len(code) != 3
        or not (code.isascii() and code.isdigit())
        or code[0] == "0"
        or line[12:13] not in ("", " ")
    ):
        raise BadMessage("the status line is malformed")
    status = int(code)
    fields = parse_fields(lines)
    length = content_length(fields)
    chunked = is_chunked(fields)
    if chunked and (length is not None or version == "HTTP/1.0"):
        # Either could be how somebody in between reads it (RFC 9112, 6.3): trust neither.
        raise BadMessage("the length of the body is ambiguous")
    if status < 200 or status in (204, 304):
        length = 0
    elif chunked:
        length = CHUNKED
    elif length is None:
        length = UNTIL_CLOSE
    options = connection_options(fields)
    keep_alive = length != UNTIL_CLOSE and "close" not in options
    if version == "HTTP/1.0" and "keep-alive" not in options:
        keep_alive = False
    return ResponseHead(status, fields, length, keep_alive, _idle_time(fields.get("keep-alive")))


def _idle_time(text: str | None) -> float | None:
    """`timeout=5, max=100` to 5.0."""
    if text is None:
        return None
    for word in text.split(","):
        name, _, value = word.strip(" \t").partition("=")
        value = value.strip('" \t')
        if name.strip().lower() == "timeout" and value.isascii() and value.isdigit():
            return float(min(int(value[:6]), 86400))
    return None
