"""Dates and the correction of a wrong clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrier_sidecar.sqs.clock import ServerClock
from carrier_sidecar.sqs.dates import amz_date, parse_iso8601


@given(st.integers(min_value=-62135596800, max_value=253402300799))
def test_amz_date_is_that_of_the_standard_library(unix_s: int) -> None:
    expected = datetime.fromtimestamp(unix_s, UTC)
    assert amz_date(unix_s) == f"{expected.year:04}{expected:%m%dT%H%M%SZ}"


@given(st.datetimes(timezones=st.just(UTC)).filter(lambda moment: moment.year >= 1000))
def test_iso8601_is_read_as_the_standard_library_reads_it(moment: datetime) -> None:
    expected = moment.replace(microsecond=0).timestamp()
    assert parse_iso8601(moment.strftime("%Y-%m-%dT%H:%M:%SZ")) == expected
    assert parse_iso8601(moment.isoformat()) == expected
    assert parse_iso8601(moment.strftime("%Y%m%dT%H%M%SZ")) == expected


def test_iso8601_with_an_offset() -> None:
    assert parse_iso8601("2026-01-02T03:04:05+02:00") == parse_iso8601("2026-01-02T01:04:05Z")
    assert parse_iso8601("2026-01-02T03:04:05-0130") == parse_iso8601("2026-01-02T04:34:05Z")


@given(st.text(max_size=40))
def test_no_text_crashes_iso8601(text: str) -> None:
    parse_iso8601(text)


@pytest.mark.parametrize(
    "text", ["", "T", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T25:00:00Z", "26-1-1T1:1:1Z"]
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_iso8601(text) is None


NOON = 1767268800.0  # 2026-01-01T12:00:00Z
DATE = "Thu, 01 Jan 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("wall", "refused", "changed"),
    [
        (NOON + 239, False, False),
        (NOON + 241, False, True),
        (NOON - 86400, False, True),
        (NOON + 60, True, True),
        (NOON + 0.5, True, False),
    ],
)
def test_a_clock_that_is_far_off_is_corrected(wall: float, refused: bool, changed: bool) -> None:
    clock = ServerClock(lambda: wall, lambda: 0.0)
    assert clock.observe(DATE, refused=refused) is changed
    assert clock.now() == (NOON if changed else wall)


def test_a_clock_that_was_set_right_needs_its_correction_no_longer() -> None:
    wall = [NOON - 3600]
    clock = ServerClock(lambda: wall[0], lambda: 0.0)
    assert clock.observe(DATE)
    assert clock.now() == NOON
    assert not clock.observe(DATE)
    wall[0] = NOON
    assert clock.observe(DATE)
    assert clock.offset_s == 0.0


@pytest.mark.parametrize("header", [None, "", "yesterday"])
def test_an_answer_without_a_date_changes_nothing(header: str | None) -> None:
    assert not ServerClock(lambda: 0.0, lambda: 0.0).observe(header, refused=True)


@pytest.mark.parametrize(("step_s", "earliest"), [(7200.0, NOON + 60), (-7200.0, NOON + 60 - 7200), (0.0, NOON + 60)])
def test_nothing_is_past_because_the_pods_clock_was_set_forward(step_s: float, earliest: float) -> None:
    wall, steady = [NOON], [5.0]
    clock = ServerClock(lambda: wall[0], lambda: steady[0])
    assert clock.earliest() == NOON
    clock.observe(DATE)
    steady[0] += 60
    wall[0] += 60 + step_s
    assert clock.earliest() == earliest
