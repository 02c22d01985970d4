import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrier_sidecar.retry import LEAVE_IT, RetryPolicy, receives_of, retry_policy
from carrier_sidecar.settings import parse

NEEDED = {"CARRIER_SQS_ENDPOINT": "http://h", "CARRIER_SQS_QUEUE_NAME": "q"}
INITIAL = st.floats(0.5, 43200)
FACTOR = st.floats(1, 100)
DRAW = st.floats(0, 1, exclude_max=True)


@given(INITIAL, FACTOR, INITIAL, st.integers(1, 1000), DRAW, st.sampled_from([0, 404, 500, 503]))
def test_a_delay_is_whole_seconds_between_one_and_the_ceiling(
    initial: float, factor: float, more: float, receives: int, draw: float, status: int
) -> None:
    longest = min(initial + more, 43200)
    delay = RetryPolicy(initial, factor, longest).delay_s(status, receives, lambda: draw)
    ceiling = min(longest, initial * factor ** min(receives - 1, 100))
    assert isinstance(delay, int)
    assert 1 <= delay < max(ceiling, 1) + 1


@given(INITIAL, FACTOR, st.integers(1, 50), DRAW)
def test_a_later_receive_never_has_a_shorter_ceiling(initial: float, factor: float, receives: int, draw: float) -> None:
    policy = RetryPolicy(initial, factor, 43200)
    assert policy.delay_s(500, receives, lambda: draw) <= policy.delay_s(500, receives + 1, lambda: draw)


def test_the_ceiling_grows_by_the_factor_until_the_longest() -> None:
    policy = RetryPolicy(10, 3, 100)
    highest = [policy.delay_s(500, receives, lambda: 0.999999) for receives in range(1, 6)]
    assert highest == [10, 30, 90, 100, 100]


def test_jitter_is_full_and_even() -> None:
    draw = random.Random(1).random
    policy = RetryPolicy(60, 2, 900)
    delays = [policy.delay_s(500, 1, draw) for _ in range(20_000)]
    assert min(delays) == 1
    assert max(delays) == 60
    assert sum(delays) / len(delays) == pytest.approx(30.5, abs=0.5)


def test_a_status_goes_before_its_class_and_both_before_the_rest() -> None:
    policy = RetryPolicy(10, 2, 900, [("5xx", 20, None, None), ("503", 40, 1.0, 60), ("404", 0, None, None)])

    def highest(status: int, receives: int = 1) -> int:
        return policy.delay_s(status, receives, lambda: 0.999999)

    assert [highest(400), highest(500), highest(503), highest(0)] == [10, 20, 40, 10]
    assert [highest(500, 3), highest(503, 3)] == [80, 40]
    assert highest(404) == LEAVE_IT


def test_an_initial_time_for_a_status_above_the_general_longest_is_kept() -> None:
    assert RetryPolicy(1, 2, 10, [("503", 60, None, None)]).delay_s(503, 4, lambda: 0.999999) == 60


def test_without_a_general_time_only_the_named_statuses_are_hidden() -> None:
    policy = RetryPolicy(0, 2, 900, [("429", 5, None, None)])
    assert policy.delay_s(500, 1, lambda: 0.5) == LEAVE_IT
    assert policy.delay_s(0, 1, lambda: 0.5) == LEAVE_IT
    assert policy.delay_s(429, 1, lambda: 0.5) == 3


@pytest.mark.parametrize(
    ("variables", "on"),
    [({}, False), ({"CARRIER_RETRY_BY_STATUS": "404=0s"}, False), ({"CARRIER_RETRY_INITIAL": "1s"}, True),
     ({"CARRIER_RETRY_BY_STATUS": "5xx=1s"}, True)],
)  # fmt: skip
def test_it_is_off_unless_something_is_to_be_hidden(variables: dict[str, str], on: bool) -> None:
    assert (retry_policy(parse(NEEDED | variables)) is not None) is on


@pytest.mark.parametrize(("text", "receives"), [("", 1), ("0", 1), ("1", 1), ("12", 12), ("x", 1), ("-3", 1), ("٣", 1)])
def test_a_receive_count_that_was_not_told_is_one(text: str, receives: int) -> None:
    assert receives_of(text) == receives
