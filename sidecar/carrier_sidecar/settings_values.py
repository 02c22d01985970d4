"""How each type of value in the settings table is read, bounded, described and shown.

Pure; which variables there are is `settings_table`'s business, where their text comes from is `settings`'.
"""

from __future__ import annotations

from carrier_sidecar import go_values
from carrier_sidecar.settings_table import ADDRESS, BOOL, CHOICE, DURATION, INT, NAMES, SIZE, TEXT, URL, Row
from carrier_sidecar.url import mask_userinfo, parse_url, split_host_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE_SUFFIXES = {"KiB": 1 << 10, "Ki": 1 << 10, "MiB": 1 << 20, "Mi": 1 << 20, "GiB": 1 << 30, "Gi": 1 << 30}


def parse_value(row: Row, text: str) -> object:
    """The value that `text` stands for: bool, int (INT, SIZE), float seconds (DURATION), str (TEXT, URL, CHOICE),
    (host, port) or None (ADDRESS), tuple of str (NAMES). Empty text is empty for TEXT, URL, ADDRESS and NAMES, and
    refused for the rest. ValueError, with a reason in a few words or none, when it is not allowed.
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
    if row.kind in (INT, SIZE, DURATION):
        return _KIND_WORDS[row.kind] + _describe_range(row)
    return _KIND_WORDS[row.kind]


def show_value(row: Row, value: object) -> str:
    """A parsed value as text that `parse_value` reads back, secrets masked."""
    if row.secret:
        return "***" if value else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_values.format_duration(value)
    if row.kind == URL:
        return mask_url(str(value))
    if isinstance(value, tuple):
        if row.kind == NAMES:
            return ",".join(value)
        host, port = value
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
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
    NAMES: "names of message attributes separated by commas, or *",
}


def _describe_range(row: Row) -> str:
    def bound(limit: float) -> str:
        return go_values.format_duration(limit) if row.kind == DURATION else f"{limit:.0f}"

    if row.low is None:
        return ""
    if row.high is not None:
        comma = "" if row.kind == INT else ","
        return f"{comma} from {bound(row.low)} to {bound(row.high)}"
    return f", at least {bound(row.low)}"


def _parse_text(row: Row, text: str) -> str:
    if text and row.pattern:
        import re

        if not re.fullmatch(row.pattern, text):
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


def _parse_names(row: Row, text: str) -> tuple[str, ...]:
    """Attribute names as SQS has them: letters, digits, _ - . and at most 256 characters."""
    names = tuple(name for name in (part.strip(" ") for part in text.split(",")) if name)
    for name in names:
        plain = name.replace("-", "").replace("_", "").replace(".", "")
        if name != "*" and (len(name) > 256 or not (plain.isascii() and (plain.isalnum() or not plain))):
            raise ValueError(f"{name!r} is no attribute's name")
    return ("*",) if "*" in names else names


_PARSERS: dict[str, Callable[[Row, str], object]] = {
    TEXT: _parse_text,
    URL: _parse_url,
    BOOL: lambda row, text: go_values.parse_bool(text),
    INT: lambda row, text: go_values.parse_int(text),
    SIZE: _parse_size,
    DURATION: lambda row, text: go_values.parse_duration(text),
    CHOICE: _parse_choice,
    ADDRESS: _parse_address,
    NAMES: _parse_names,
}
