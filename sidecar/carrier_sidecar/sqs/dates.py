"""Dates as AWS's credential and signing interfaces write them: pure functions between text and Unix seconds.

Written out because `datetime` costs every pod memory that these lines don't. HTTP dates: `carrier_sidecar.http_date`.
"""

from __future__ import annotations

from carrier_sidecar.http_date import days_from_civil


def civil_from_days(days: int) -> tuple[int, int, int]:
    """The inverse of `days_from_civil`: (year, month, day) of a number of days since 1970-01-01."""
    days += 719468
    era = days // 146097
    day_of_era = days - era * 146097
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    month = shifted_month + (3 if shifted_month < 10 else -9)
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted_month + 2) // 5 + 1


def amz_date(unix_s: float) -> str:
    """Unix seconds as SigV4's x-amz-date: 20260102T030405Z."""
    days, second = divmod(int(unix_s), 86400)
    year, month, day = civil_from_days(days)
    return f"{year:04}{month:02}{day:02}T{second // 3600:02}{second // 60 % 60:02}{second % 60:02}Z"


def parse_iso8601(text: str) -> float | None:
    """Unix seconds of a credential's expiry ("2026-01-02T03:04:05Z"; fractions, offsets, compact form), or None."""
    date, separator, clock = text.strip().replace(" ", "T", 1).partition("T")
    if not separator:
        return None
    offset_s = 0
    if clock[-1:] in ("Z", "z"):
        clock = clock[:-1]
    else:
        sign = "+" if "+" in clock else "-"
        clock, found, zone = clock.partition(sign)
        if found:
            zone = zone.replace(":", "")
            if len(zone) != 4 or not (zone.isascii() and zone.isdigit()):
                return None
            offset_s = int(zone[:2]) * 3600 + int(zone[2:]) * 60
            if sign == "-":
                offset_s = -offset_s
    days = date.split("-") if "-" in date else [date[:4], date[4:6], date[6:]]
    clock = clock.partition(".")[0]
    times = clock.split(":") if ":" in clock else [clock[:2], clock[2:4], clock[4:]]
    fields = days + times
    if len(days) != 3 or len(times) != 3 or len(days[0]) != 4:
        return None
    if not all(field.isascii() and field.isdigit() and len(field) <= 4 for field in fields):
        return None
    year, month, day, hour, minute, second = (int(field) for field in fields)
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour <= 23 and minute <= 59 and second <= 60):
        return None
    return float(days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset_s)
