"""How each type of value in the settings table is read, bounded, described and shown.

Pure; which variables there are is `settings_table`'s business, where their text comes from is `settings`'.
"""

from __future__ import annotations

from carrier_sidecar import go_values
from carrier_sidecar.settings_table import (
    ADDRESS,
    ADDRESSES,
    BOOL,
    CHOICE,
    DELAYS,
    DURATION,
    HEADERS,
    INT,
    NAMES,
    NUMBER,
    SIZE,
    STATUSES,
    TEXT,
    URL,
    Row,
)
from carrier_sidecar.url import mask_userinfo, parse_url, split_host_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE_SUFFIXES = {"KiB": 1 << 10, "Ki": 1 << 10, "MiB": 1 << 20, "Mi": 1 << 20, "GiB": 1 << 30, "Gi": 1 << 30}


def parse_value(row: Row, text: str) -> object:
    """The value that `text` stands for: bool, int (INT, SIZE), float (NUMBER; seconds for DURATION), str (TEXT, URL,
    CHOICE), (host, port) or None (ADDRESS), tuple of (host, port) (ADDRESSES), of str (NAMES, STATUSES), of (name,
    value) (HEADERS), of (status, initial seconds, factor or None, longest seconds or None) (DELAYS). Empty text is
    empty for TEXT, URL, ADDRESS and everything made of several, and refused for the rest. ValueError, with a reason
    in a few words or none, when it is not allowed.
    """
    return fit(row, read_value(row, text))


def read_value(row: Row, text: str) -> object:
    """`parse_value` without the range check."""
    return _PARSERS[row.kind](row, text)


def fit(row: Row, value: object) -> object:
    """The range check: the value, or the lower bound where the row clamps. ValueError when it is out of range."""
    if isinstance(value, (int, float)):
        if row.low is not None and value < row.low:
            if row.clamp:
                return type(value)(row.low)
            raise ValueError("")
        if row.high is not None and value > row.high:
            raise ValueError("")
    return value


def describe_allowed(row: Row) -> str:
    """What a value of this row may be, in words for an error message and the reference page."""
    if row.allowed:
        return row.allowed
    if row.kind == CHOICE:
        return ", ".join(row.choices[:-1]) + " or " + row.choices[-1]
    if row.kind in (INT, SIZE, DURATION, NUMBER):
        return _KIND_WORDS[row.kind] + _describe_range(row)
    return _KIND_WORDS[row.kind]


def show_value(row: Row, value: object) -> str:
    """A parsed value as text that `parse_value` reads back, secrets masked."""
    if row.secret:
        return "***" if value else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if row.kind == NUMBER:
        return f"{value:g}"
    if isinstance(value, float):
        return go_values.format_duration(value)
    if row.kind == URL:
        return mask_url(str(value))
    if isinstance(value, tuple):
        if row.kind in (NAMES, STATUSES):
            return ",".join(value)
        if row.kind == DELAYS:
            return ",".join(_show_delay(*delay) for delay in value)
        addresses = value if row.kind == ADDRESSES else (value,)
        return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in addresses)
    return "" if value is None else str(value)


def mask_url(text: str) -> str:
    """A URL, valid or not, without its user and password."""
    try:
        return str(parse_url(text)) if "@" in text else text
    except ValueError:
        return mask_userinfo(text)


_KIND_WORDS = {
    TEXT: "text",
    URL: "a URL that begins with http:// or https://",
    BOOL: "true or false",
    INT: "a whole number",
    SIZE: "a number of bytes, as it is or with Ki, Mi or Gi",
    DURATION: "a duration such as 90s, 1m30s or 250ms",
    ADDRESS: "host:port, :port or [v6]:port",
    ADDRESSES: "host:port or [v6]:port, separated by commas",
    NAMES: "names of message attributes separated by commas, or *",
    NUMBER: "a number",
    STATUSES: "statuses (422) and classes (4xx) from 100 to 5xx, separated by commas",
    DELAYS: "status=initial, status=initial/factor or status=initial/factor/max, separated by commas, such as "
    "503=5s,5xx=30s/2/10m; times up to 12h",
    HEADERS: "lines of `Name: value` in printable ASCII",
}


def _describe_range(row: Row) -> str:
    def bound(limit: float) -> str:
        return go_values.format_duration(limit) if row.kind == DURATION else f"{limit:.0f}"

    if row.low is None:
        return ""
    if row.high is not None:
        comma = "" if row.kind in (INT, NUMBER) else ","
        return f"{comma} from {bound(row.low)} to {bound(row.high)}"
    return f", at least {bound(row.low)}"


def _parse_text(row: Row, text: str) -> str:
    if text and row.rule is not None and not row.rule(text):
        raise ValueError("")
    return text


def _parse_url(row: Row, text: str) -> str:
    if text:
        parse_url(text)
    return text


def _parse_size(row: Row, text: str) -> int:
    for suffix, factor in _SIZE_SUFFIXES.items():
        if text.endswith(suffix):
            return go_values.parse_int(text[: -len(suffix)]) * factor
    return go_values.parse_int(text)


def _parse_choice(row: Row, text: str) -> str:
    if text.lower() not in row.choices:
        raise ValueError("")
    return text.lower()


def _parse_address(row: Row, text: str) -> tuple[str, int] | None:
    return split_host_port(text) if text else None


def _parse_addresses(row: Row, text: str) -> tuple[tuple[str, int], ...]:
    addresses = tuple(split_host_port(part.strip(" ")) for part in text.split(",") if part.strip(" "))
    if not all(host and port for host, port in addresses):
        raise ValueError("each needs a host and a port")
    return addresses


def _parse_names(row: Row, text: str) -> tuple[str, ...]:
    """Attribute names as SQS has them: letters, digits, _ - . and at most 256 characters."""
    names = tuple(name for name in (part.strip(" ") for part in text.split(",")) if name)
    for name in names:
        plain = name.replace("-", "").replace("_", "").replace(".", "")
        if name != "*" and (len(name) > 256 or not (plain.isascii() and (plain.isalnum() or not plain))):
            raise ValueError(f"{name!r} is no attribute's name")
    return ("*",) if "*" in names else names


def _parse_number(_row: Row, text: str) -> float:
    """Digits with or without a point: no signs, exponents, inf or nan."""
    whole, point, part = text.partition(".")
    if not (whole.isascii() and whole.isdigit() and (part.isascii() and part.isdigit() if point else True)):
        raise ValueError("")
    return float(text)


def _parse_statuses(_row: Row, text: str) -> tuple[str, ...]:
    statuses = tuple(status for status in (part.strip(" ") for part in text.split(",")) if status)
    for status in statuses:
        _check_status(status)
    return statuses


def _check_status(status: str) -> None:
    rest = status[1:]
    if status[:1] not in tuple("12345") or len(rest) != 2 or not (rest == "xx" or (rest.isascii() and rest.isdigit())):
        raise ValueError(f"{status!r} is no status")


def _parse_delays(_row: Row, text: str) -> tuple[tuple[str, float, float | None, float | None], ...]:
    delays = []
    for part in (part.strip(" ") for part in text.split(",")):
        if not part:
            continue
        status, sign, words = part.partition("=")
        status = status.strip(" ")
        _check_status(status)
        values = [word.strip(" ") for word in words.split("/")]
        if not sign or len(values) > 3:
            raise ValueError(f"{part!r} is no delay")
        initial_s = go_values.parse_duration(values[0])
        factor = _parse_number(_row, values[1]) if len(values) > 1 else None
        longest_s = go_values.parse_duration(values[2]) if len(values) > 2 else None
        if not 0 <= initial_s <= _LONGEST_S or not (factor is None or 1 <= factor <= 100):
            raise ValueError(f"{part!r} is out of range")
        if longest_s is not None and not initial_s <= longest_s <= _LONGEST_S:
            raise ValueError(f"{part!r} is out of range")
        delays.append((status, initial_s, factor, longest_s))
    return tuple(delays)


def _show_delay(status: str, initial_s: float, factor: float | None, longest_s: float | None) -> str:
    shown = f"{status}={go_values.format_duration(initial_s)}"
    if factor is not None:
        shown += f"/{factor:g}"
    if longest_s is not None:
        shown += f"/{go_values.format_duration(longest_s)}"
    return shown


def _parse_headers(_row: Row, text: str) -> tuple[tuple[str, str], ...]:
    """Field lines as in RFC 9110, section 5, in printable ASCII; nothing in an error names a value."""
    headers = []
    seen = set()
    for line in text.split("\n"):
        line = line.strip(" \t\r")
        if not line:
            continue
        name, colon, value = line.partition(":")
        value = value.strip(" \t")
        lower = name.lower()
        plain = "".join(char for char in name if char not in _TOKEN_MARKS)
        if not colon or not name or not (plain + "x").isalnum() or not name.isascii():
            raise ValueError("a line is not of the form `Name: value`")
        if not value.isascii() or (value and not value.isprintable()):
            raise ValueError(f"the value of {name} has characters that are not printable ASCII")
        if lower in _RESERVED_HEADERS or lower.startswith("x-carrier-"):
            raise ValueError(f"{name} is written by the sidecar itself")
        if lower in seen:
            raise ValueError(f"{name} is there twice")
        seen.add(lower)
        headers.append((name, value))
    return tuple(headers)


_LONGEST_S = 43200  # SQS hides no message for longer than 12 hours
_TOKEN_MARKS = "!#$%&'*+-.^_`|~"
_RESERVED_HEADERS = (
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "expect",
    "upgrade",
    "te",
    "trailer",
    "keep-alive",
    "traceparent",
    "tracestate",
    "x-amzn-trace-id",
)

_PARSERS: dict[str, Callable[[Row, str], object]] = {
    TEXT: _parse_text,
    URL: _parse_url,
    BOOL: lambda row, text: go_values.parse_bool(text),
    INT: lambda row, text: go_values.parse_int(text),
    SIZE: _parse_size,
    DURATION: lambda row, text: go_values.parse_duration(text),
    CHOICE: _parse_choice,
    ADDRESS: _parse_address,
    ADDRESSES: _parse_addresses,
    NAMES: _parse_names,
    NUMBER: _parse_number,
    STATUSES: _parse_statuses,
    DELAYS: _parse_delays,
    HEADERS: _parse_headers,
}
