"""Receiving: slots kept full, calls few, receipts and deadlines right."""

from __future__ import annotations

import pytest

from carrier_sidecar.disposition import no_answer
from carrier_sidecar.message import DENIED, NETWORK, UNAVAILABLE
from tests.unit.core.rig import ACCEPTED, FAILED, Rig


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def make_fast(rig: Rig) -> None:
    """One message answered at once: the handler's pace is known and fast."""
    rig.deliver("pace")
    rig.answer("pace")
    rig.advance(0.01)
    rig.settle("delete")


def test_a_message_is_posted_as_soon_as_it_is_received() -> None:
    rig = Rig()
    rig.deliver("a", "b")
    assert rig.posted == ["a", "b"]


def test_a_slow_message_holds_one_slot_only() -> None:
    rig = Rig(slots=2, batch=2)
    rig.deliver("slow", "b")
    for number in range(5):
        rig.advance(2.0)
        rig.answer(rig.posted[-1])
        rig.deliver(f"next{number}")
        assert rig.posted == ["slow", f"next{number}"]


def test_while_the_handler_is_slow_no_message_waits_in_hand() -> None:
    rig = Rig(slots=3, batch=10)
    assert rig.receives[0].count == 3
    rig.deliver("a", "b", "c")
    assert not rig.receives
    rig.advance(5.0)
    rig.answer("a")
    assert [call.count for call in rig.receives] == [1]


def test_while_it_is_fast_one_batch_is_fetched_ahead() -> None:
    rig = Rig(slots=3, batch=10)
    make_fast(rig)
    assert rig.receives[0].count == 2  # asked for while the pace was not known yet
    rig.deliver(*names("a", 2))
    rig.deliver(*names("b", 10))
    assert rig.posted == ["a0", "a1", "b0"]
    assert not rig.receives
    rig.answer("a0")
    assert rig.posted == ["a1", "b0", "b1"]
    assert rig.engine.hand.waiting + rig.engine.hand.posting <= 13


@pytest.mark.parametrize(("receivers", "slots"), [(1, 1), (1, 10), (2, 20), (4, 10), (10, 10)])
def test_with_a_backlog_and_a_fast_handler_receive_calls_are_few(receivers: int, slots: int) -> None:
    rig = Rig(receivers=receivers, slots=slots, batch=10)
    make_fast(rig)
    received, serial = 0, 0
    calls_before = rig.engine.metrics.receive_calls
    while received < 3000:
        rig.advance(0.002)
        if rig.receives:
            count = rig.receives[0].count
            rig.deliver(*[f"m{serial + number}" for number in range(count)])
            serial += count
            received += count
        for name in rig.posted:
            rig.answer(name)
        while any(call.action == "delete" for call in rig.settles):
            rig.settle("delete")
        assert rig.engine.hand.waiting + rig.engine.hand.posting + rig.engine.receiving.reserved <= slots + 10
    calls = rig.engine.metrics.receive_calls - calls_before
    assert calls <= 1.5 * received / 10 + receivers


def test_slots_never_run_dry_while_there_is_a_backlog() -> None:
    rig = Rig(slots=5, batch=10, receivers=2)
    make_fast(rig)
    serial = 0
    for step in range(200):
        rig.advance(0.001)
        while rig.receives:
            count = rig.receives[0].count
            rig.deliver(*[f"m{serial + number}" for number in range(count)])
            serial += count
        if step > 3:
            assert len(rig.posts) == 5
        rig.answer(rig.posted[0])
        while any(call.action == "delete" for call in rig.settles):
            rig.settle("delete")


def test_every_receive_passes_the_visibility_timeout() -> None:
    rig = Rig()
    assert rig.receives[0].visibility_s == 30
    rig.engine.set_visibility(120)
    rig.deliver()
    assert rig.receives[0].visibility_s == 120


@pytest.mark.parametrize(("queues_own", "used"), [(0, 10), (9, 10), (10, 10), (11, 11), (43200, 43200)])
def test_the_queues_own_is_never_shortened_and_raised_to_ten_seconds(queues_own: int, used: int) -> None:
    rig = Rig(start=False)
    rig.engine.set_visibility(queues_own)
    rig.engine.start(rig.now)
    assert rig.receives[0].visibility_s == used


def test_deadlines_count_from_when_the_request_was_sent() -> None:
    rig = Rig()
    sent_at = rig.now
    rig.advance(12.0)
    (message,) = rig.deliver("a")
    assert message.visible_at == sent_at + 30


def test_a_change_of_the_visibility_does_not_touch_what_a_call_on_the_wire_has_asked_for() -> None:
    rig = Rig()
    sent_at = rig.now
    rig.engine.set_visibility(600)
    (message,) = rig.deliver("a")
    assert message.visible_at == sent_at + 30


def test_a_message_that_came_late_in_a_long_poll_is_posted_once_it_is_known_to_be_ours() -> None:
    """With a visibility of 10 s and a poll of 20 s, SQS may have begun to count too long ago to tell."""
    rig = Rig(start=False)
    rig.engine.set_visibility(10)
    rig.engine.start(rig.now)
    rig.advance(15.0)
    (message,) = rig.deliver("a")
    assert rig.posted == []
    rig.advance(0.01)
    assert rig.settle("change_visibility").seconds == [10]
    assert rig.posted == ["a"]
    assert message.visible_at >= rig.now + 9.9


def test_one_that_is_not_ours_any_more_is_let_go_unposted() -> None:
    rig = Rig(start=False)
    rig.engine.set_visibility(10)
    rig.engine.start(rig.now)
    rig.advance(15.0)
    rig.deliver("a")
    rig.advance(0.01)
    rig.settle("change_visibility", {"a": "not_in_flight"})
    assert rig.posted == []
    assert rig.in_hand == {}


def test_where_extensions_are_refused_it_is_taken_on_trust() -> None:
    rig = Rig(start=False)
    rig.engine.set_visibility(10)
    rig.engine.start(rig.now)
    rig.advance(15.0)
    rig.deliver("a")
    rig.advance(0.01)
    rig.settle("change_visibility", whole=DENIED)
    assert rig.posted == ["a"]
    rig.advance(15.0)
    rig.deliver("b")
    assert rig.posted == ["a", "b"]


def test_a_failed_receive_is_repeated_after_a_backoff_not_at_once() -> None:
    rig = Rig()
    rig.fail_receive(UNAVAILABLE)
    assert not rig.receives
    rig.advance(0.005)
    assert not rig.receives
    rig.advance(0.1)
    assert len(rig.receives) == 1


def test_while_sqs_is_down_calls_are_few_and_they_resume_within_a_second() -> None:
    rig = Rig(receivers=2, batch=5)
    calls = 0
    for _ in range(600):
        rig.advance(0.1)
        while rig.receives:
            rig.fail_receive(NETWORK, answered=False)
            calls += 1
    assert 60 <= calls <= 2 * 130
    rig.advance(1.0)
    assert len(rig.receives) == 2


def test_a_server_that_does_not_wait_is_not_asked_without_pause() -> None:
    rig = Rig()
    calls = 0
    for _ in range(6000):
        rig.advance(0.01)
        while rig.receives:
            rig.deliver()
            calls += 1
            assert calls <= 200
    assert calls >= 60
    rig.advance(1.0)
    rig.deliver("a")
    rig.answer("a")
    assert rig.receives


def test_a_few_empty_answers_hold_nothing_up() -> None:
    rig = Rig()
    for _ in range(3):
        rig.deliver()
        assert rig.receives
    rig.advance(20.0)
    rig.deliver()
    for _ in range(3):
        rig.deliver()
        assert rig.receives


def test_one_receivers_backoff_does_not_hold_up_the_others() -> None:
    rig = Rig(receivers=2, slots=10, batch=5)
    rig.fail_receive(UNAVAILABLE)
    rig.deliver("a", receiver=1)
    assert [call.receiver for call in rig.receives] == [1]


def test_a_success_ends_the_backoff() -> None:
    rig = Rig()
    for _ in range(8):
        rig.fail_receive(UNAVAILABLE)
        rig.advance(1.1)
    rig.deliver()
    rig.fail_receive(UNAVAILABLE)
    rig.advance(0.11)
    assert len(rig.receives) == 1


def test_a_failed_receive_is_counted_and_noted() -> None:
    rig = Rig()
    rig.fail_receive(UNAVAILABLE)
    assert rig.metrics.receive_errors == {UNAVAILABLE: 1}
    assert rig.fields("receive_failed")["kind"] == UNAVAILABLE


def test_bytes_in_hand_hold_up_receiving() -> None:
    rig = Rig(slots=20, batch=10, max_bytes=400_000)
    rig.deliver(rig.message("big", body=b"x" * 390_000))
    assert not rig.receives
    rig.answer("big")
    assert rig.receives


def test_a_message_with_a_fault_is_not_posted_and_comes_back_by_itself() -> None:
    rig = Rig()
    rig.deliver(rig.message("bad", fault="wrong MD5"), "good")
    assert rig.posted == ["good"]
    assert rig.in_hand == {"good": "posting"}
    assert rig.fields("not_delivered")["fault"] == "wrong MD5"
    assert rig.metrics.bad_messages == 1
    rig.advance(0.1)
    assert not rig.settles


def test_how_a_post_ended_without_an_answer_is_said_in_words() -> None:
    rig = Rig()
    rig.deliver("a", "b")
    rig.answer("a", no_answer("tls", "certificate verify failed"))
    assert rig.fields("not_delivered") == {"message_id": "a", "reason": "tls", "error": "certificate verify failed"}
    rig.notes.clear()
    rig.answer("b", FAILED)
    assert "error" not in rig.fields("not_delivered")


def test_the_time_in_the_queue_is_observed() -> None:
    rig = Rig()
    rig.engine.wall_offset_s = 1_700_000_000 - rig.now
    rig.deliver(rig.message("a", sent_time="1699999997500"))
    assert rig.metrics.queue_lag.sum == pytest.approx(2.5)


def test_one_answer_is_counted_once() -> None:
    rig = Rig()
    rig.deliver("a", "b")
    rig.answer("a", ACCEPTED)
    rig.answer("b", FAILED)
    assert (rig.metrics.received, rig.metrics.delivered, rig.metrics.failed) == (2, 1, 1)
    assert rig.metrics.outcomes == {"status 500": 1}
