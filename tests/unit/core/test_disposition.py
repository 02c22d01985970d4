"""What the handler's answer means: the table of disposition.py, row by row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrier_sidecar.disposition import DELIVERED, HIDE, LEAVE, judge, no_answer, parse_retry_after

NOW = 784111777.0 - 30  # half a minute before the date below
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def wall() -> float:
    return NOW


@given(st.integers(200, 299))
def test_every_2xx_is_delivered(status: int) -> None:
    assert judge(status, {"retry-after": "5"}, wall).verdict == DELIVERED


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("header", "seconds"), [("0", 0), ("120", 120), (" 7 ", 7), (DATE, 30)])
def test_429_and_503_with_retry_after_hide_for_that_long(status: int, header: str, seconds: float) -> None:
    answer = judge(status, {"retry-after": header}, wall)
    assert (answer.verdict, answer.hide_s, answer.status) == (HIDE, seconds, status)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("headers", [{}, {"retry-after": ""}, {"retry-after": "soon"}, {"retry-after": "-5"}])
def test_429_and_503_without_a_readable_retry_after_leave_the_message(status: int, headers: dict[str, str]) -> None:
    assert judge(status, headers, wall).verdict == LEAVE


@given(st.integers(100, 599).filter(lambda status: not 200 <= status < 300 and status not in (429, 503)))
def test_every_other_status_leaves_the_message_whatever_it_says(status: int) -> None:
    answer = judge(status, {"retry-after": "5"}, wall)
    assert (answer.verdict, answer.status) == (LEAVE, status)


@pytest.mark.parametrize("kind", ["refused", "timeout", "reset"])
def test_no_answer_leaves_the_message_and_says_why(kind: str) -> None:
    answer = no_answer(kind)
    assert (answer.verdict, answer.status, answer.reason, answer.detail) == (LEAVE, 0, kind, "")


def test_no_answer_may_say_more_to_people() -> None:
    assert no_answer("tls", "certificate verify failed").detail == "certificate verify failed"


def test_a_date_in_the_past_means_now() -> None:
    assert parse_retry_after(DATE, NOW + 1000) == 0


@given(st.text())
def test_no_retry_after_whatever_makes_it_fail(text: str) -> None:
    seconds = parse_retry_after(text, NOW)
    assert seconds is None or seconds >= 0


def test_the_clock_is_read_only_for_answers_that_need_it() -> None:
    def never() -> float:
        raise AssertionError

    judge(200, {"retry-after": DATE}, never)
    judge(500, {"retry-after": DATE}, never)
