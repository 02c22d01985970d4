"""Which messages are to be extended, and which have run out."""

from __future__ import annotations

import pytest

from carrier_sidecar.heartbeat import HIDDEN_AT_MOST_S, NEVER, Heartbeat, at_limit
from carrier_sidecar.in_flight import ACCEPTED, EXTEND, HELD, HIDING, POSTING, RELEASING, WAITING, InFlight
from carrier_sidecar.message import Message

NOW = 100.0


def hand_of(*messages: Message) -> InFlight:
    hand = InFlight()
    for message in messages:
        state = message.state
        hand.add(message, NOW)
        message.state = state
    return hand


def message(name: str, hidden_for_s: float, state: str = POSTING, received: float = NOW) -> Message:
    made = Message(name, f"{name}/1", b"")
    made.state = state
    made.visible_at = NOW + hidden_for_s
    made.hidden_since = received
    return made


def ids(messages: list[Message]) -> list[str]:
    return [each.id for each in messages]


def test_half_of_the_visibility_is_left_for_further_tries() -> None:
    heartbeat = Heartbeat(30)
    one = message("a", 30)
    heartbeat.watch(one)
    assert heartbeat.wake_at == NOW + 15
    extend, lapsed = heartbeat.beat(hand_of(one), NOW + 15)
    assert (ids(extend), lapsed) == (["a"], [])
    assert (one.change, one.change_s) == (EXTEND, 30)


def test_what_is_due_soon_goes_along() -> None:
    extend, _ = Heartbeat(30).beat(hand_of(message("a", 15), message("b", 17.9), message("c", 18.1)), NOW)
    assert ids(extend) == ["a", "b"]


def test_nothing_is_extended_before_it_is_due() -> None:
    heartbeat = Heartbeat(30)
    assert heartbeat.beat(hand_of(message("a", 30)), NOW) == ([], [])
    assert heartbeat.wake_at == NOW + 15


@pytest.mark.parametrize("state", [WAITING, POSTING, ACCEPTED, HELD])
def test_what_stays_in_hand_is_extended_in_every_state(state: str) -> None:
    extend, _ = Heartbeat(30).beat(hand_of(message("a", 5, state)), NOW)
    assert ids(extend) == ["a"]


@pytest.mark.parametrize("state", [RELEASING, HIDING])
def test_what_is_on_its_way_back_is_not(state: str) -> None:
    heartbeat = Heartbeat(30)
    assert heartbeat.beat(hand_of(message("a", 5, state)), NOW) == ([], [])
    assert heartbeat.wake_at == NOW + 5


def test_an_extension_under_way_is_not_sent_twice() -> None:
    one = message("a", 5)
    one.change = EXTEND
    assert Heartbeat(30).beat(hand_of(one), NOW) == ([], [])


def test_a_failed_extension_waits_for_its_backoff() -> None:
    heartbeat = Heartbeat(30)
    one = message("a", 10)
    one.retry_at = NOW + 4
    assert heartbeat.beat(hand_of(one), NOW) == ([], [])
    assert heartbeat.wake_at == NOW + 4
    assert ids(heartbeat.beat(hand_of(one), NOW + 4)[0]) == ["a"]


def test_what_has_run_out_is_told() -> None:
    _, lapsed = Heartbeat(30).beat(hand_of(message("a", 0), message("b", 0.1)), NOW)
    assert ids(lapsed) == ["a"]


def test_with_an_extension_under_way_its_answer_tells() -> None:
    one = message("a", 0)
    one.change = EXTEND
    assert Heartbeat(30).beat(hand_of(one), NOW) == ([], [])


def test_once_it_has_run_out_it_is_not_looked_at_again() -> None:
    heartbeat = Heartbeat(30)
    one = message("a", 0)
    one.lapsed = True
    assert heartbeat.beat(hand_of(one), NOW) == ([], [])
    assert heartbeat.wake_at == NEVER


def test_refused_extensions_are_not_asked_for_but_the_end_is_seen() -> None:
    heartbeat = Heartbeat(30)
    heartbeat.allowed = False
    assert heartbeat.beat(hand_of(message("a", 5)), NOW) == ([], [])
    assert heartbeat.wake_at == NOW + 5


def test_the_last_extension_ends_before_twelve_hours_from_the_receive() -> None:
    received = NOW - HIDDEN_AT_MOST_S + 20
    one = message("a", 10, received=received)
    Heartbeat(30).beat(hand_of(one), NOW)
    assert one.change_s == 19


def test_at_twelve_hours_it_is_no_longer_extended() -> None:
    received = NOW - HIDDEN_AT_MOST_S + 12
    one = message("a", 10, received=received)
    heartbeat = Heartbeat(30)
    assert heartbeat.beat(hand_of(one), NOW) == ([], [])
    assert heartbeat.wake_at == NOW + 10
    assert at_limit(one)
    assert not at_limit(message("b", 30))


def test_a_visibility_timeout_of_twelve_hours_is_used_to_its_end() -> None:
    heartbeat = Heartbeat(HIDDEN_AT_MOST_S)
    one = message("a", HIDDEN_AT_MOST_S)
    heartbeat.watch(one)
    hand = hand_of(one)
    now = heartbeat.wake_at
    while now < NOW + HIDDEN_AT_MOST_S:
        assert heartbeat.beat(hand, now) == ([], [])
        assert heartbeat.wake_at > now
        now = heartbeat.wake_at
    assert ids(heartbeat.beat(hand, now)[1]) == ["a"]


@pytest.mark.parametrize("visibility_s", [10, 30, 600, 20000])
def test_near_the_limit_the_beats_stay_few(visibility_s: int) -> None:
    """Each extension gains something: none is asked for again and again for the last second."""
    heartbeat = Heartbeat(visibility_s)
    one = message("a", visibility_s)
    hand = hand_of(one)
    heartbeat.watch(one)
    beats = 0
    while not one.lapsed:
        now = heartbeat.wake_at
        extend, lapsed = heartbeat.beat(hand, now)
        beats += 1
        for each in extend:
            each.visible_at = now + each.change_s
            each.change = ""
            heartbeat.watch(each)
        for each in lapsed:
            each.lapsed = True
    assert one.visible_at > NOW + HIDDEN_AT_MOST_S - 5
    assert beats < 4 * HIDDEN_AT_MOST_S / visibility_s + 10
