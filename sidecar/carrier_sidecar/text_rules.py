"""Which texts a setting takes, as functions of the text. Pure.

Not regular expressions: the `re` module would cost every pod a megabyte of memory for a dozen short texts at the start.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Rule = Callable[[str], bool]

DIGITS = "0123456789"
ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" + DIGITS
_QUEUE_NAME = ALPHANUMERIC + "_.-"


def made_of(characters: str, least: int, most: int) -> Rule:
    """`least` to `most` characters, all out of `characters`."""
    return lambda text: least <= len(text) <= most and all(char in characters for char in text)


def free_of(characters: str, most: int) -> Rule:
    """1 to `most` characters without controls, surrogates and those in `characters`; a space among these means any
    white space."""
    no_space = " " in characters
    return lambda text: (
        0 < len(text) <= most
        and not any(
            char < " "
            or char == "\x7f"
            or "\ud800" <= char <= "\udfff"
            or char in characters
            or (no_space and char.isspace())
            for char in text
        )
    )


def ascii_without(characters: str, most: int) -> Rule:
    """1 to `most` printable ASCII characters, none of them in `characters`."""
    return lambda text: 0 < len(text) <= most and all(" " <= char <= "~" and char not in characters for char in text)


def queue_reference(text: str) -> bool:
    """A queue's URL, ARN or name."""
    scheme, separator, rest = text.partition("://")
    if separator:
        host, slash, path = rest.partition("/")
        plain = free_of(" ", 2048)(text)
        return scheme in ("http", "https") and plain and bool(host and slash) and bool(path) and path[-1] != "/"
    if text.startswith("arn:"):
        parts = text.split(":")
        lower = "abcdefghijklmnopqrstuvwxyz" + DIGITS + "-"
        return (
            len(parts) == 6
            and made_of(lower, 1, 64)(parts[1])
            and parts[2] == "sqs"
            and made_of(lower, 0, 64)(parts[3])
            and made_of(DIGITS, 12, 12)(parts[4])
            and free_of(" /", 80)(parts[5])
        )
    return made_of(_QUEUE_NAME, 1, 80)(text)


def rate(text: str) -> bool:
    """Messages per second, minute or hour: 100/s."""
    number, _, unit = text.partition("/")
    return unit in ("s", "m", "h") and len(unit) == 1 and made_of(DIGITS, 1, 7)(number) and number[0] != "0"
