"""A message in hand does not become visible to others; what is not delivered comes back as it should."""

from __future__ import annotations

import pytest

from carrier_sidecar.gate import OFFLINE
from carrier_sidecar.message import (
    BAD_RECEIPT,
    DENIED,
    MISSING,
    NETWORK,
    NO_QUEUE,
    NOT_IN_FLIGHT,
    UNAVAILABLE,
)
from tests.unit.core.rig import FAILED, Rig, retry_after

HOURS = 3600.0


def test_a_slow_handler_keeps_its_message_for_as_long_as_it_takes() -> None:
    rig = Rig()
    (message,) = rig.deliver("a")
    for _ in range(40):
        rig.advance(15.1)
        assert rig.settle("change_visibility").seconds == [30]
        assert message.visible_at > rig.now
    rig.answer("a")
    rig.advance(0.01)
    assert rig.metrics.lapsed == 0
    assert rig.settle("delete").ids == ["a"]
    assert rig.metrics.late_deletes == 0


def test_waiting_and_delivered_messages_are_extended_too() -> None:
    rig = Rig(slots=2, batch=10)
    rig.deliver("pace")
    rig.answer("pace")
    rig.deliver("a")
    rig.deliver(*[f"b{number}" for number in range(3)])
    rig.advance(0.01)
    rig.take_settle("delete")  # not answered
    assert rig.in_hand == {"pace": "accepted", "a": "posting", "b0": "posting", "b1": "waiting", "b2": "waiting"}
    rig.advance(15.0)
    assert sorted(rig.settle("change_visibility").ids) == ["a", "b0", "b1", "b2", "pace"]


def test_extensions_count_from_when_their_request_was_sent() -> None:
    rig = Rig()
    (message,) = rig.deliver("a")
    rig.advance(15.01)
    settle = rig.settles[0]
    rig.advance(3.0)
    rig.settle("change_visibility")
    assert message.visible_at == settle.sent_at + 30


@pytest.mark.parametrize("kind", [UNAVAILABLE, MISSING])
def test_a_failed_extension_is_tried_again_in_time(kind: str) -> None:
    rig = Rig()
    (message,) = rig.deliver("a", "b")[:1]
    rig.advance(15.01)
    rig.settle("change_visibility", {"a": kind})
    rig.advance(0.2)
    assert rig.settle("change_visibility").ids == ["a"]
    assert message.visible_at > rig.now + 29


def test_while_sqs_is_down_extensions_are_tried_again_and_again_but_not_hammered() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.advance(15.0)
    calls = 0
    for _ in range(1400):
        rig.advance(0.01)
        while rig.settles:
            rig.settle("change_visibility", whole=NETWORK, answered=False)
            calls += 1
    assert 10 <= calls <= 40
    rig.advance(0.7)
    rig.settle("change_visibility")
    assert rig.metrics.lapsed == 0
    assert rig.in_hand == {"a": "posting"}


def test_when_it_runs_out_at_last_the_handler_may_finish_and_it_is_said() -> None:
    rig = Rig()
    rig.deliver("a")
    for _ in range(400):
        rig.advance(0.1)
        while rig.settles:
            rig.settle("change_visibility", whole=UNAVAILABLE)
    assert rig.noted.count("visibility_lapsed") == 1
    assert rig.in_hand == {"a": "posting"}
    rig.answer("a")
    rig.advance(0.01)
    assert rig.take_settle("delete").ids == ["a"]


def test_a_waiting_message_that_runs_out_is_let_go_unposted() -> None:
    rig = Rig(slots=1, batch=1, fifo=False)
    rig.deliver("a")
    rig.answer("a")
    rig.deliver("b")
    rig.deliver("c")
    assert rig.in_hand["c"] == "waiting"
    for _ in range(400):
        rig.advance(0.1)
        while rig.settles:
            rig.settle(rig.settles[0].action, whole=UNAVAILABLE)
    assert "c" not in rig.in_hand
    rig.answer("b")
    assert rig.posted == []


def test_an_extension_that_succeeds_late_says_that_the_message_is_ours_still() -> None:
    rig = Rig()
    (message,) = rig.deliver("a")
    rig.advance(15.01)
    rig.advance(20.0)  # the call hangs
    rig.settle("change_visibility")
    assert not message.lapsed
    rig.advance(0.1)
    assert rig.settle("change_visibility").ids == ["a"]


@pytest.mark.parametrize("kind", [BAD_RECEIPT, NOT_IN_FLIGHT])
def test_an_extension_that_says_it_is_not_ours_ends_them(kind: str) -> None:
    rig = Rig()
    (message,) = rig.deliver("a")
    rig.advance(15.01)
    rig.settle("change_visibility", {"a": kind})
    assert message.lapsed
    rig.advance(100.0)
    assert not rig.settles


def test_refused_extensions_are_said_once_and_messages_are_delivered_without() -> None:
    rig = Rig()
    rig.deliver("a", "b")
    rig.advance(15.01)
    rig.settle("change_visibility", whole=DENIED)
    rig.advance(10.0)
    assert not rig.settles
    assert rig.noted.count("extend_denied") == 1
    rig.answer("a")
    rig.advance(0.01)
    rig.settle("delete")
    rig.deliver("c")
    assert rig.posted == ["b", "c"]


def test_a_queue_that_vanishes_makes_no_tight_loop_of_give_backs() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.answer("a", retry_after(60))
    calls = 0
    for _ in range(1000):
        rig.advance(0.01)
        while rig.settles:
            rig.settle("change_visibility", whole=NO_QUEUE)
            calls += 1
    assert calls < 12


def test_at_twelve_hours_it_is_said_and_no_longer_extended() -> None:
    rig = Rig(start=False)
    rig.engine.set_visibility(3600)
    rig.engine.start(rig.now)
    sent_at = rig.now
    rig.deliver("a")
    asked = 0
    while rig.now < sent_at + 13 * HOURS:
        rig.advance(60.0)
        while rig.settles:
            settle = rig.settle("change_visibility")
            assert settle.sent_at + settle.seconds_by_id()["a"] < sent_at + 12 * HOURS
            asked += 1
    assert asked < 40
    assert rig.noted == ["limit_reached"]
    assert rig.metrics.let_go == 1
    assert rig.in_hand == {"a": "posting"}


# -- received again ----------------------------------------------------------------------------------------------------


def test_received_again_while_with_the_handler_it_is_not_posted_twice_and_the_newer_receipt_counts() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.advance(5.0)
    rig.deliver(rig.message("a", receipt="newer"))
    assert rig.posted == ["a"]
    rig.answer("a")
    rig.advance(0.01)
    assert rig.settle("delete").receipts == ["newer"]
    assert rig.metrics.duplicates == 1


def test_received_again_while_waiting_it_waits_once() -> None:
    rig = Rig(receivers=2, batch=2)
    rig.engine.handler_offline(rig.now)
    rig.deliver("a", receiver=0)
    rig.deliver(rig.message("a", receipt="newer"), receiver=1)
    assert rig.in_hand == {"a": "waiting"}
    rig.engine.handler_online(OFFLINE, rig.now)
    assert rig.posted == ["a"]
    rig.answer("a")
    assert rig.posted == []
    rig.advance(0.01)
    assert rig.settle("delete").receipts == ["newer"]


def test_its_next_extension_names_the_newer_receipt_and_counts_from_the_newer_receive() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.advance(10.0)
    sent_at = rig.receives[0].sent_at
    rig.deliver(rig.message("a", receipt="newer"))
    (message,) = rig.posts
    assert message.visible_at == sent_at + 30
    rig.advance(20.0)
    assert rig.settle("change_visibility").receipts == ["newer"]


@pytest.mark.parametrize("outcome", [None, UNAVAILABLE, BAD_RECEIPT, NOT_IN_FLIGHT])
def test_an_extension_by_an_older_receipt_proves_nothing(outcome: str | None) -> None:
    rig = Rig()
    (message,) = rig.deliver("a")
    rig.advance(15.01)
    rig.deliver(rig.message("a", receipt="newer"))
    rig.settle("change_visibility", {"a": outcome} if outcome else None)
    assert not message.lapsed
    rig.advance(0.2)
    assert rig.settle("change_visibility").receipts == ["newer"]
    assert rig.in_hand == {"a": "posting"}


def test_received_again_after_it_ran_out_it_is_extended_again() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.advance(15.01)
    rig.settle("change_visibility", {"a": NOT_IN_FLIGHT})
    rig.deliver(rig.message("a", receipt="newer"))
    rig.advance(15.1)
    assert rig.settle("change_visibility").receipts == ["newer"]


def test_received_again_while_it_is_given_back_it_is_given_back_by_the_newer_receipt() -> None:
    rig = Rig(receivers=2, batch=2)
    rig.engine.handler_offline(rig.now)
    rig.deliver("a", receiver=0)
    rig.advance(5.1)
    assert rig.in_hand == {"a": "releasing"}
    rig.deliver(rig.message("a", receipt="newer"), receiver=1)
    rig.settle("change_visibility")
    rig.advance(0.01)
    assert rig.settle("change_visibility").receipts == ["newer"]
    assert rig.in_hand == {}


def test_received_again_while_it_is_hidden_it_is_hidden_by_the_newer_receipt() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.answer("a", retry_after(60))
    rig.advance(0.01)
    rig.deliver(rig.message("a", receipt="newer"))
    rig.settle("change_visibility")
    rig.advance(0.01)
    settle = rig.settle("change_visibility")
    assert (settle.receipts, settle.seconds) == (["newer"], [60])
    assert rig.in_hand == {}
    assert rig.posted == []


# -- coming back -------------------------------------------------------------------------------------------------------


def test_retry_after_hides_for_that_long_from_now() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.advance(2.0)
    rig.answer("a", retry_after(300))
    rig.advance(0.01)
    assert rig.in_hand == {"a": "hiding"}
    assert rig.settle("change_visibility").seconds == [300]
    assert rig.in_hand == {}
    assert rig.metrics.retried == 1
    assert rig.fields("retry_asked_for")["retry_after_s"] == 300


@pytest.mark.parametrize(("asked", "seconds"), [(0.0, 0), (0.2, 1), (9.3, 10), (10.0, 10)])
def test_a_message_does_not_come_back_sooner_than_asked(asked: float, seconds: int) -> None:
    rig = Rig()
    rig.deliver("a")
    rig.answer("a", retry_after(asked))
    rig.advance(0.01)
    assert rig.settle("change_visibility").seconds == [seconds]


def test_retry_after_ends_a_minute_before_twelve_hours_from_the_receive() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.advance(10.0)
    rig.answer("a", retry_after(1e9))
    rig.advance(0.01)
    assert rig.settle("change_visibility").seconds == [43200 - 60 - 10]


def test_hiding_waits_for_an_extension_on_the_wire() -> None:
    """Two calls about one message could overtake each other."""
    rig = Rig()
    rig.deliver("a")
    rig.advance(15.01)
    rig.answer("a", retry_after(60))
    rig.advance(0.01)
    assert len(rig.settles) == 1
    rig.settle("change_visibility")
    rig.advance(0.01)
    assert rig.settle("change_visibility").seconds == [60]


def test_hiding_replaces_an_extension_that_has_not_left_yet() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.advance(15.001)
    rig.answer("a", retry_after(60))
    rig.advance(0.02)
    assert rig.settle("change_visibility").seconds == [60]
    assert not rig.settles


def test_a_message_left_to_itself_is_no_longer_extended() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.advance(15.001)
    rig.answer("a", FAILED)  # its extension was about to leave
    rig.advance(60.0)
    assert not rig.settles


def test_a_failed_hide_is_tried_again_until_the_visibility_has_run_out() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.answer("a", retry_after(60))
    calls = 0
    for _ in range(4000):
        rig.advance(0.01)
        while rig.settles:
            rig.settle("change_visibility", {"a": UNAVAILABLE})
            calls += 1
    assert 20 <= calls <= 80
    assert rig.in_hand == {}


@pytest.mark.parametrize("kind", [BAD_RECEIPT, NOT_IN_FLIGHT])
def test_a_hide_of_what_is_not_ours_any_more_ends_it(kind: str) -> None:
    rig = Rig()
    rig.deliver("a")
    rig.answer("a", retry_after(60))
    rig.advance(0.01)
    rig.settle("change_visibility", {"a": kind})
    assert rig.in_hand == {}
    rig.advance(1.0)
    assert not rig.settles


def test_no_timer_is_armed_in_the_past_while_calls_hang() -> None:
    rig = Rig()
    rig.deliver("a", "b", "c")
    rig.answer("b")
    rig.answer("c", retry_after(60))
    rig.advance(120.0)  # nothing is answered: advance() itself refuses a storm
    assert len(rig.ticks) < 30


def test_what_a_long_poll_brought_late_is_extended_in_good_time_but_not_at_once() -> None:
    rig = Rig()
    rig.advance(19.0)
    rig.deliver("a")
    rig.advance(3.0)
    assert not [settle for settle in rig.settles if settle.action == "change_visibility"]
    rig.advance(2.0)
    assert [settle for settle in rig.settles if settle.action == "change_visibility"]
