"""Values written the way Go programs read them: durations, booleans, integers.

Existing deployments carry values such as `1m30s`, `T` or `0x10`, so these functions take exactly what Go's
time.ParseDuration, strconv.ParseBool and strconv.ParseInt(s, 0, 64) take, and refuse what those refuse. Nothing here
knows about any particular setting.
"""

from __future__ import annotations

_MAX = (1 << 63) - 1
_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek letter mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_DIGITS = "0123456789"


def parse_bool(text: str) -> bool:
    """As strconv.ParseBool: 1, t, T, TRUE, true, True and their opposites. ValueError for anything else."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("not a boolean")


def parse_int(text: str) -> int:
    """As strconv.ParseInt(text, 0, 64): a sign, a base prefix (0x, 0o, 0b, or a leading 0 for octal), underscores
    between digits. ValueError if it can't be read or does not fit 64 bits."""
    digits, negative = text, False
    if digits[:1] in ("+", "-"):
        negative = digits[0] == "-"
        digits = digits[1:]
    base, body = 10, digits
    if digits[:1] == "0":
        prefixed = {"b": 2, "o": 8, "x": 16}.get(digits[1:2].lower()) if len(digits) >= 3 else None
        base, body = (prefixed, digits[2:]) if prefixed else (8, digits[1:])
    if not digits:
        raise ValueError("not a whole number")
    value = 0
    previous_is_digit = base != 10  # a base prefix counts as a digit: an underscore may follow it
    for char in body.lower():
        if char == "_" and previous_is_digit:
            previous_is_digit = False
            continue
        digit = "0123456789abcdef".find(char)
        if not 0 <= digit < base:
            raise ValueError("not a whole number")
        value = value * base + digit
        previous_is_digit = True
    if not previous_is_digit:
        raise ValueError("not a whole number")
    if value > (_MAX + 1 if negative else _MAX):
        raise ValueError("does not fit 64 bits")
    return -value if negative else value


def parse_duration_ns(text: str) -> int:
    """As time.ParseDuration: `1h2m3.5s`, `250ms`, `-1.5h`, `0`. Nanoseconds, within 64 bits. ValueError otherwise.

    A plain number without a unit is refused (but for 0), as Go does.
    """
    rest, negative = text, False
    if rest[:1] in ("+", "-"):
        negative = rest[0] == "-"
        rest = rest[1:]
    if rest == "0":
        return 0
    if not rest:
        raise ValueError("not a duration")
    total = 0
    while rest:
        whole, rest = _leading_digits(rest)
        fraction = ""
        point = rest[:1] == "."
        if point:
            fraction, rest = _leading_digits(rest[1:])
        if not whole and not fraction:
            raise ValueError("not a duration")
        length = 0
        while length < len(rest) and rest[length] != "." and rest[length] not in _DIGITS:
            length += 1
        if not length:
            raise ValueError("the unit is missing (such as 10s or 250ms)")
        unit_ns = _UNITS_NS.get(rest[:length])
        if unit_ns is None:
            raise ValueError("unknown unit (known: ns, us, ms, s, m, h)")
        rest = rest[length:]
        total += int(whole or "0") * unit_ns + _fraction_ns(fraction, unit_ns)
        if total > _MAX + 1:
            raise ValueError("too long for 64 bits of nanoseconds")
    if negative:
        return -total
    if total > _MAX:
        raise ValueError("too long for 64 bits of nanoseconds")
    return total


def parse_duration(text: str) -> float:
    """`parse_duration_ns` in seconds."""
    return parse_duration_ns(text) / 1e9


def format_duration(seconds: float) -> str:
    """A duration that `parse_duration` reads back, in the fewest words: `1h`, `1m30s`, `2.5s`, `250ms`, `0s`."""
    total_ns = round(seconds * 1e9)
    sign, total_ns = ("-", -total_ns) if total_ns < 0 else ("", total_ns)
    if total_ns == 0:
        return "0s"
    if total_ns < 1_000_000_000:
        unit = "ms" if total_ns >= 1_000_000 else "us" if total_ns >= 1_000 else "ns"
        return sign + _decimal(total_ns, _UNITS_NS[unit]) + unit
    hours, total_ns = divmod(total_ns, _UNITS_NS["h"])
    minutes, total_ns = divmod(total_ns, _UNITS_NS["m"])
    parts = (f"{hours}h" if hours else "", f"{minutes}m" if minutes else "")
    return sign + "".join(parts) + (_decimal(total_ns, _UNITS_NS["s"]) + "s" if total_ns else "")


def _leading_digits(text: str) -> tuple[str, str]:
    length = 0
    while length < len(text) and text[length] in _DIGITS:
        length += 1
    # Beyond 4300 digits int() refuses; Go refuses at 19. Leading zeros are no digits that count.
    if len(text[:length].lstrip("0")) > 4000:
        raise ValueError("too long for 64 bits of nanoseconds")
    return text[:length], text[length:]


def _fraction_ns(fraction: str, unit_ns: int) -> int:
    """Go multiplies in floating point and cuts off, and ignores digits once they overflow 63 bits: so do we."""
    value, scale = 0, 1.0
    for char in fraction:
        longer = value * 10 + int(char)
        if value > _MAX // 10 or longer > _MAX + 1:
            break
        value, scale = longer, scale * 10
    return int(value * (unit_ns / scale))


def _decimal(value: int, unit: int) -> str:
    whole, part = divmod(value, unit)
    if not part:
        return str(whole)
    return f"{whole}.{part:0{len(str(unit)) - 1}d}".rstrip("0")
