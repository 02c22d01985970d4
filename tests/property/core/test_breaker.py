import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrier_sidecar.breaker import FEWEST_ANSWERS, NEVER, PASSING, SHUT, TRYING, Breaker, breaker
from carrier_sidecar.settings import parse

NEEDED = {"CARRIER_SQS_ENDPOINT": "http://h", "CARRIER_SQS_QUEUE_NAME": "q"}


@given(st.integers(1, 20), st.lists(st.booleans(), max_size=200))
def test_failures_in_a_row_shut_it_at_the_last_one(failures: int, answers: list[bool]) -> None:
    found = Breaker(failures, 0, 60, 30)
    row = 0
    for failed in answers:
        row = row + 1 if failed else 0
        shut = found.record(failed, 0.0)
        assert shut is (row == failures)
        if shut:
            assert found.state is SHUT
            break
    else:
        assert found.state is PASSING


@given(
    st.floats(0.05, 1),
    st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=300),
)
def test_a_share_of_failures_shuts_it_and_nothing_less(ratio: float, answers: list[tuple[float, bool]]) -> None:
    """Against a window that forgets one answer at a time; ours forgets a tenth at once, so they may differ by that."""
    found = Breaker(0, ratio, 60, 30)
    now = 1000.0
    seen: list[tuple[float, bool]] = []
    for passed, failed in answers:
        now += passed
        seen.append((now, failed))
        shut = found.record(failed, now)
        spans = [[bad for when, bad in seen if when > now - length] for length in (53.9, 60.1)]
        enough = [len(span) >= FEWEST_ANSWERS and sum(span) >= ratio * len(span) for span in spans]
        if shut:
            assert failed
            # Some window between the two lengths was full of failures; the longer has all the answers that count.
            assert len(spans[1]) >= FEWEST_ANSWERS
            assert sum(spans[1]) >= ratio * len(spans[0])
            return
        if failed and len(spans[0]) == len(spans[1]):
            assert not enough[0]


def test_fewer_than_ten_answers_are_no_ratio() -> None:
    found = Breaker(0, 0.5, 60, 30)
    assert not any(found.record(True, 0.0) for _ in range(FEWEST_ANSWERS - 1))
    assert found.record(True, 0.0)


def test_failures_leave_the_window() -> None:
    found = Breaker(0, 0.5, 60, 30)
    for _ in range(9):
        found.record(True, 100.0)
    assert not found.record(True, 161.0)
    assert not found.record(True, 100_000.0)


def test_after_the_pause_one_message_decides() -> None:
    found = Breaker(2, 0, 60, 30)
    found.record(True, 0.0)
    found.record(True, 1.0)
    assert found.wake_at == 31.0
    found.begin()
    assert (found.state, found.wake_at) == (TRYING, NEVER)
    assert not found.tried(True, 35.0)
    assert (found.state, found.wake_at) == (SHUT, 65.0)
    found.begin()
    assert found.tried(False, 70.0)
    assert (found.state, found.wake_at) == (PASSING, NEVER)


def test_it_begins_anew_once_it_passes_again() -> None:
    found = Breaker(3, 0.5, 60, 30)
    for _ in range(3):
        found.record(True, 0.0)
    found.begin()
    found.tried(False, 30.0)
    assert not found.record(True, 30.0)
    assert not found.record(True, 30.0)


@pytest.mark.parametrize(
    ("variables", "on"),
    [({}, False), ({"CARRIER_BREAKER_PAUSE": "1s"}, False), ({"CARRIER_BREAKER_FAILURES": "1"}, True),
     ({"CARRIER_BREAKER_RATIO": "0.5"}, True)],
)  # fmt: skip
def test_it_is_off_by_default(variables: dict[str, str], on: bool) -> None:
    assert (breaker(parse(NEEDED | variables)) is not None) is on
