from hypothesis import given
from hypothesis import strategies as st

from carrier_sidecar.rate_limit import NEVER, RateLimit, parse_rate, rate_limit
from carrier_sidecar.settings import parse

NEEDED = {"CARRIER_SQS_ENDPOINT": "http://h", "CARRIER_SQS_QUEUE_NAME": "q"}


# What happens: (seconds that pass, messages that a receiver with room wants, share of them that came, receiver).
STEPS = st.lists(
    st.tuples(st.floats(0, 30), st.integers(1, 10), st.floats(0, 1), st.integers(0, 3)), min_size=1, max_size=60
)


@given(st.sampled_from([0.01, 0.5, 1, 3.7, 100, 5000]), st.integers(1, 200), STEPS)
def test_in_no_span_of_time_more_arrive_than_burst_and_rate_allow(
    per_s: float, burst: int, steps: list[tuple[float, int, float, int]]
) -> None:
    bucket = RateLimit(per_s, burst)
    now = 1000.0
    on_wire: dict[int, int] = {}
    arrived: list[tuple[float, int]] = []
    for passed, wanted, share, receiver in steps:
        now += passed
        if receiver in on_wire:
            asked = on_wire.pop(receiver)
            came = round(asked * share)
            bucket.settle(asked, came, now)
            arrived.append((now, came))
        else:
            granted = bucket.grant(wanted, now)
            assert 0 <= granted <= wanted
            if granted:
                bucket.hold(granted, now)
                on_wire[receiver] = granted
    for first in range(len(arrived)):
        total = 0
        for when, came in arrived[first:]:
            total += came
            assert total <= burst + per_s * (when - arrived[first][0]) + 0.01


@given(st.sampled_from([0.001, 0.5, 1, 3.7, 100, 5000]), st.integers(1, 200), st.integers(1, 10), st.floats(0, 1e6))
def test_what_was_not_granted_is_granted_when_it_was_promised_and_not_much_later(
    per_s: float, burst: int, wanted: int, start: float
) -> None:
    bucket = RateLimit(per_s, burst)
    now = start
    while (granted := bucket.grant(wanted, now)) > 0:
        bucket.hold(granted, now)
        bucket.settle(granted, granted, now)
    when = bucket.next_at(wanted, now)
    assert now < when <= now + max(1 / per_s, 0.5) + 0.001
    assert bucket.grant(wanted, when) >= 1


def test_tokens_of_what_did_not_come_are_given_back() -> None:
    bucket = RateLimit(1, 10)
    bucket.hold(bucket.grant(10, 0.0), 0.0)
    assert bucket.grant(10, 0.0) == 0
    assert bucket.next_at(10, 0.0) == NEVER  # all are held by a receive
    bucket.settle(10, 4, 0.0)
    assert bucket.grant(10, 0.0) == 6


def test_a_poll_that_waited_does_not_come_on_top_of_a_full_bucket() -> None:
    bucket = RateLimit(100, 10)
    bucket.hold(bucket.grant(10, 0.0), 0.0)
    assert bucket.grant(10, 20.0) == 0  # the burst is out on the wire
    bucket.settle(10, 10, 20.0)
    assert bucket.grant(10, 20.0) == 0
    assert bucket.grant(10, 20.1) == 10


def test_a_slow_rate_asks_for_one_as_soon_as_it_may_and_a_fast_one_for_a_full_receive() -> None:
    slow = RateLimit(1 / 60, 1)
    slow.hold(1, 0.0)
    slow.settle(1, 1, 0.0)
    assert slow.grant(10, 59.9) == 0
    assert slow.next_at(10, 59.9) == 60.0
    assert slow.grant(10, 60.0) == 1
    fast = RateLimit(100, 100)
    for _ in range(10):
        fast.hold(fast.grant(10, 0.0), 0.0)
        fast.settle(10, 10, 0.0)
    assert fast.grant(10, 0.05) == 0
    assert fast.grant(10, 0.1) == 10
    assert fast.grant(2, 0.1) == 2


def test_a_limit_is_read_from_the_settings() -> None:
    assert rate_limit(parse(NEEDED)) is None
    limit = rate_limit(parse(NEEDED | {"CARRIER_RATE_LIMIT": "100/s"}))
    assert limit is not None
    assert (limit.per_s, limit.burst) == (100, 100)
    limit = rate_limit(parse(NEEDED | {"CARRIER_RATE_LIMIT": "5/h", "CARRIER_RATE_BURST": "7"}))
    assert limit is not None
    assert (limit.per_s, limit.burst) == (5 / 3600, 7)
    limit = rate_limit(parse(NEEDED | {"CARRIER_RATE_LIMIT": "6/m"}))
    assert limit is not None
    assert (limit.per_s, limit.burst) == (0.1, 1)
    assert parse_rate("90/m") == 1.5
