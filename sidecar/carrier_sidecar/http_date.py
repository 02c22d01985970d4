"""HTTP dates (RFC 9110, 5.6.7) as Unix seconds, without `datetime` or `email`: both cost memory in every pod."""

from __future__ import annotations

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}
_DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of a date of the proleptic Gregorian calendar."""
    year -= month <= 2
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468


def parse_http_date(text: str) -> int | None:
    """Unix seconds of an HTTP date in any of its three forms (IMF-fixdate, RFC 850, asctime); None where it is none."""
    words = text.replace(",", " ").replace("-", " ").split()
    try:
        # Sun, 06 Nov 1994 08:49:37 GMT / Sunday, 06-Nov-94 08:49:37 GMT
        if len(words) == 6 and words[5] in ("GMT", "UTC"):
            day, month, year, clock = words[1], words[2], words[3], words[4]
        # Sun Nov  6 08:49:37 1994
        elif len(words) == 5:
            month, day, clock, year = words[1], words[2], words[3], words[4]
        else:
            return None
        hour, minute, second = clock.split(":")
        numbers = (year, day, hour, minute, second)
        if not all(number.isascii() and number.isdigit() for number in numbers):
            return None
        month_number = _MONTHS[month]
        full_year = int(year)
        if len(year) == 2:  # RFC 850: a year that seems more than 50 years ahead is in the past
            full_year += 2000 if full_year < 70 else 1900
        if len(year) not in (2, 4) or not 1 <= int(day) <= _DAYS_IN_MONTH[month_number - 1]:
            return None
        if int(hour) > 23 or int(minute) > 59 or int(second) > 60:
            return None
    except (KeyError, ValueError):
        return None
    days = days_from_civil(full_year, month_number, int(day))
    return days * 86400 + int(hour) * 3600 + int(minute) * 60 + int(second)
