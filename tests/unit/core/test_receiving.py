"""When to poll, and for how many: slots, not batches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from carrier_sidecar.in_flight import ACCEPTED, InFlight
from carrier_sidecar.message import DENIED, INVALID, KMS, NETWORK, NO_QUEUE, THROTTLED, UNAVAILABLE, Message, QueueError
from carrier_sidecar.receiving import FIRST_SIZE_GUESS, Receiving

NOW = 100.0


def hand_of(waiting: int = 0, posting: int = 0, accepted: int = 0, size: int = 1, groups: int = 0) -> InFlight:
    hand = InFlight()
    for number in range(posting + accepted + waiting):
        group = f"g{number % groups}" if groups else None
        message = Message(f"m{number}", "r", b"x" * size, group=group)
        message.visible_at = NOW + 30
        hand.add(message, NOW)
    for message in list(hand.by_id.values())[:accepted]:
        hand.move(message, ACCEPTED)
    for message in list(hand.by_id.values())[accepted : accepted + posting]:
        message.state = "posting"
        hand.waiting -= 1
        hand.posting += 1
    return hand


def receiving(slots: int, batch: int = 10, receivers: int = 1, pace_s: float | None = None) -> Receiving:
    made = Receiving(receivers, batch, slots, 32 << 20)
    if pace_s is not None:
        made.took(pace_s)
    return made


def error(kind: str, *, answered: bool = True) -> QueueError:
    return QueueError(kind, "", "", answered=answered)


def test_with_an_unknown_pace_a_poll_asks_for_the_free_slots_only() -> None:
    assert receiving(slots=4).wanted(hand_of(posting=1)) == 3


def test_with_a_slow_handler_a_poll_asks_for_the_free_slots_only() -> None:
    slow = receiving(slots=4, pace_s=2.0)
    assert slow.wanted(hand_of(posting=3)) == 1
    assert slow.wanted(hand_of(posting=4)) == 0


def test_with_a_fast_handler_one_batch_is_fetched_ahead() -> None:
    fast = receiving(slots=4, pace_s=0.01)
    assert fast.wanted(hand_of(posting=4)) == 10
    assert fast.wanted(hand_of(posting=4, waiting=1)) == 0


def test_a_fast_handler_is_asked_for_full_batches_alone() -> None:
    """Receive calls are billed."""
    fast = receiving(slots=4, pace_s=0.01)
    assert {fast.wanted(hand_of(posting=posting)) for posting in range(5)} == {10}


def test_fast_is_a_waiting_message_that_would_wait_less_than_half_a_second() -> None:
    """The last of a batch of 10 waits for two rounds of 5 slots."""
    assert receiving(slots=5, pace_s=0.24).wanted(hand_of(posting=5)) == 10
    assert receiving(slots=5, pace_s=0.26).wanted(hand_of(posting=5)) == 0


def test_the_pace_is_a_moving_average() -> None:
    fast = receiving(slots=5, pace_s=0.1)
    fast.took(2.0)
    assert fast.average_s is not None
    assert 0.1 < fast.average_s < 0.3
    for _ in range(100):
        fast.took(2.0)
    assert fast.average_s > 1.9
    for _ in range(100):
        fast.took(0.1)
    assert fast.average_s < 0.2


def test_a_poll_reserves_the_room_that_it_asks_for() -> None:
    many = receiving(slots=4, receivers=2)
    poll = many.idle.pop()
    many.started(poll, 3, 30)
    assert many.wanted(hand_of()) == 1
    assert many.on_wire == 1
    many.ended(poll)
    assert many.wanted(hand_of()) == 4
    assert (many.reserved, many.reserved_bytes, many.on_wire) == (0, 0, 0)


@given(
    slots=st.integers(1, 40),
    batch=st.integers(1, 10),
    pace_s=st.sampled_from((None, 0.001, 0.1, 1.0, 60.0)),
    waiting=st.integers(0, 20),
    posting=st.integers(0, 40),
    reserved=st.integers(0, 20),
    groups=st.integers(0, 5),
)
def test_what_is_asked_for_always_fits(
    slots: int, batch: int, pace_s: float | None, waiting: int, posting: int, reserved: int, groups: int
) -> None:
    policy = receiving(slots, batch, 2, pace_s)
    policy.reserved = reserved
    count = policy.wanted(hand_of(waiting, min(posting, slots), groups=groups))
    assert 0 <= count <= batch
    if count:
        assert waiting + min(posting, slots) + reserved + count <= slots + batch


def test_waiting_members_of_a_fifo_group_leave_their_slots_to_other_groups() -> None:
    slow = receiving(slots=10, pace_s=5.0)
    assert slow.wanted(hand_of(posting=1, waiting=9, groups=1)) == 9
    assert slow.wanted(hand_of(posting=1, waiting=19, groups=1)) == 0


def test_delivered_messages_that_cannot_be_deleted_end_receiving_some_time() -> None:
    fast = receiving(slots=1, batch=1, pace_s=0.001)
    assert fast.wanted(hand_of(accepted=20)) == 1
    assert fast.wanted(hand_of(accepted=200)) == 0


def test_bytes_in_hand_and_reserved_bound_what_is_asked_for() -> None:
    policy = Receiving(2, 10, 20, 10 * FIRST_SIZE_GUESS)
    assert policy.wanted(hand_of()) == 10
    assert policy.wanted(hand_of(waiting=1, size=8 * FIRST_SIZE_GUESS)) == 2
    assert policy.wanted(hand_of(waiting=1, size=10 * FIRST_SIZE_GUESS)) == 0
    policy.started(policy.idle.pop(), 7, 30)
    assert policy.wanted(hand_of()) == 3


def test_a_message_larger_than_the_limit_gets_through_alone() -> None:
    policy = Receiving(2, 10, 20, 1000)
    assert policy.wanted(hand_of()) == 1
    assert policy.wanted(hand_of(waiting=1)) == 0
    policy.started(policy.idle.pop(), 1, 30)
    assert policy.wanted(hand_of()) == 0


def test_the_guess_of_sizes_grows_at_once_and_shrinks_slowly() -> None:
    policy = receiving(slots=1)
    policy.saw(1 << 20)
    assert policy.size_guess == 1 << 20
    policy.saw(10)
    assert policy.size_guess > 1_000_000
    for _ in range(3000):
        policy.saw(10)
    assert policy.size_guess < 5000


def test_only_a_call_without_an_answer_keeps_its_attempt_id() -> None:
    policy = receiving(slots=1)
    poll = policy.polls[0]
    poll.attempt_id = "a"
    policy.failed(poll, error(NETWORK, answered=False), NOW, lambda: 0.5)
    assert poll.attempt_id == "a"
    policy.failed(poll, error(UNAVAILABLE), NOW, lambda: 0.5)
    assert poll.attempt_id == ""


def test_a_receiver_that_keeps_failing_waits_longer_up_to_a_second() -> None:
    policy = receiving(slots=1)
    poll = policy.polls[0]
    waits = [policy.failed(poll, error(UNAVAILABLE), NOW, lambda: 0.999) - NOW for _ in range(8)]
    assert waits == sorted(waits)
    assert 0.05 < waits[0] < 0.11
    assert 0.9 < waits[-1] <= 1.0


def test_throttling_and_what_somebody_must_end_are_waited_for_longer() -> None:
    def longest(kind: str) -> float:
        policy = receiving(slots=1)
        return max(policy.failed(policy.polls[0], error(kind), NOW, lambda: 0.999) - NOW for _ in range(12))

    assert 4 < longest(THROTTLED) <= 5
    for kind in (DENIED, NO_QUEUE, KMS, INVALID):
        assert 25 < longest(kind) <= 30
