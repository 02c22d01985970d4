"""JSON by the interpreter's C code alone, for the resident process.

The package json imports re and enum for what its C code does not need: 1.1 MB of private memory and several
milliseconds at every start. Results are those of json.loads and json.dumps with compact separators; the
package is imported where the C code is missing, or has an error to raise.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SPACE = " \t\n\r"
_CONSTANTS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class _Options:
    """What json.JSONDecoder sets, for the C code that reads it there."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = _CONSTANTS.__getitem__


def _as_text(value: object) -> str:
    return str(value)


_scan: Any
_encode: Any
try:
    import _json

    _options: Any = _Options
    _scan = _json.make_scanner(_options)
    quote = _json.encode_basestring_ascii
    _encode = _json.make_encoder(None, _as_text, quote, None, ":", ",", False, True, True)
except (ImportError, AttributeError, TypeError):  # another interpreter, or one that has changed its private module
    import json

    _decoder: Any = json.JSONDecoder()
    _scan = _decoder.scan_once
    quote = json.encoder.encode_basestring_ascii
    _encoder = json.JSONEncoder(separators=(",", ":"), default=str, skipkeys=True, check_circular=False)

    def _encode(value: object, _level: int) -> str:
        return _encoder.encode(value)


def loads(text: str | bytes) -> Any:
    """The value of a JSON text (bytes: UTF-8). ValueError for anything else, RecursionError for too deep a nesting."""
    if not isinstance(text, str):
        text = text.decode("utf-8")
    start = 0
    if text[:1] in _SPACE:
        start = len(text) - len(text.lstrip(_SPACE))
    try:
        value, end = _scan(text, start)
    except StopIteration as stopped:
        raise ValueError(f"no JSON value at character {stopped.value}") from None
    except SystemError:
        # Up to Python 3.12 the C code takes its exception from json.decoder if that is loaded, and raises none if not.
        raise ValueError("the JSON text breaks off, or has something wrong in it") from None
    if end != len(text) and text[end:].strip(_SPACE):
        raise ValueError(f"something follows the JSON value, at character {end}")
    return value


def dumps(value: object) -> str:
    """Compact JSON in ASCII. What JSON doesn't know is written as its str(), keys that it doesn't know are left out.

    RecursionError for a value that holds itself.
    """
    return "".join(_encode(value, 0))
