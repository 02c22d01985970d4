"""Waits between tries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrier_sidecar.backoff import SLOW, SOON, THROTTLE, Backoff

ALL = (SOON, SLOW, THROTTLE, Backoff(0.5, 3.0, 7.0))


@pytest.mark.parametrize("backoff", ALL)
@given(attempt=st.integers(1, 10_000), draw=st.floats(0, 1, exclude_max=True))
def test_a_wait_is_between_a_tenth_of_the_ceiling_and_all_of_it(backoff: Backoff, attempt: int, draw: float) -> None:
    ceiling = backoff.ceiling(attempt)
    assert 0.1 * ceiling <= backoff.delay(attempt, lambda: draw) <= ceiling <= backoff.cap_s


def test_each_attempt_may_wait_longer_until_the_cap() -> None:
    assert [Backoff(1.0, 2.0, 5.0).ceiling(attempt) for attempt in (1, 2, 3, 4, 5, 1000)] == [1, 2, 4, 5, 5, 5]


def test_what_may_pass_soon_is_tried_again_within_a_second() -> None:
    """A longer cap would resume seconds late after an outage has ended."""
    assert SOON.cap_s <= 1.0


def test_waits_are_spread() -> None:
    assert SOON.delay(3, lambda: 0.0) < SOON.delay(3, lambda: 0.5) < SOON.delay(3, lambda: 0.999)
