"""Batches of deletes and changes of visibility, and their backoff."""

from __future__ import annotations

from carrier_sidecar.backoff import SLOW, SOON
from carrier_sidecar.in_flight import ACCEPTED, EXTEND, RELEASE
from carrier_sidecar.message import Message
from carrier_sidecar.settling import MAX_DELETE_CALLS, NEVER, Settling

NOW = 100.0
LINGER_S = 0.005


class Calls:
    """A port that records, and a settling in front of it."""

    def __init__(self) -> None:
        self.deletes: list[list[str]] = []
        self.changes: list[list[tuple[str, int]]] = []
        self.late: list[str] = []
        self.settling = Settling(self, LINGER_S, lambda: 0.5, lambda message, _now: self.late.append(message.id))

    def delete(self, batch: list[Message]) -> None:
        self.deletes.append([message.id for message in batch])

    def change_visibility(self, batch: list[Message], seconds: list[int]) -> None:
        self.changes.append([(message.id, s) for message, s in zip(batch, seconds, strict=True)])


def message(number: int, state: str = ACCEPTED, change: str = "", change_s: int = 0) -> Message:
    made = Message(f"m{number}", f"m{number}/1", b"")
    made.state = state
    made.visible_at = NOW + 30
    made.change = change
    made.change_s = change_s
    return made


def test_ten_deletes_go_out_at_once() -> None:
    calls = Calls()
    for number in range(10):
        calls.settling.delete(message(number), NOW)
    assert [len(batch) for batch in calls.deletes] == [10]


def test_fewer_wait_a_few_milliseconds_for_company() -> None:
    calls = Calls()
    calls.settling.delete(message(1), NOW)
    calls.settling.delete(message(2), NOW + 0.003)
    assert not calls.deletes
    assert calls.settling.wake_at == NOW + LINGER_S
    calls.settling.flush(NOW + LINGER_S)
    assert calls.deletes == [["m1", "m2"]]
    assert calls.settling.wake_at == NEVER


def test_no_batch_has_more_than_ten_entries() -> None:
    calls = Calls()
    calls.settling.failed(True, NOW, SOON)
    for number in range(25):
        calls.settling.delete(message(number), NOW)
        calls.settling.change(message(100 + number, "posting", EXTEND, 30), NOW)
    calls.settling.flush(NOW + 1)
    assert [len(batch) for batch in calls.deletes] == [10, 10, 5]
    assert [len(batch) for batch in calls.changes] == [10, 10, 5]


def test_a_call_names_the_newest_receipt() -> None:
    calls = Calls()
    one = message(1, change=EXTEND, change_s=30)
    calls.settling.delete(one, NOW)
    calls.settling.change(one, NOW)
    one.receipt = "m1/2"
    calls.settling.flush(NOW + 1)
    assert one.delete_receipt is one.receipt
    assert one.change_receipt is one.receipt


def test_after_a_whole_call_failed_nothing_of_its_kind_goes_out_before_the_backoff_has_passed() -> None:
    calls = Calls()
    calls.settling.failed(True, NOW, SOON)
    for number in range(30):
        calls.settling.delete(message(number), NOW)
    assert not calls.deletes
    calls.settling.flush(NOW + 0.01)
    assert not calls.deletes
    assert NOW + 0.01 < calls.settling.wake_at <= NOW + 0.1
    calls.settling.flush(calls.settling.wake_at)
    assert len(calls.deletes) == 3


def test_refused_deletes_do_not_hold_up_the_heartbeat() -> None:
    calls = Calls()
    for _ in range(8):
        calls.settling.failed(True, NOW, SLOW)
    calls.settling.change(message(1, "posting", EXTEND, 30), NOW)
    calls.settling.flush(NOW + LINGER_S)
    assert calls.changes == [[("m1", 30)]]


def test_failed_changes_do_not_hold_up_deletes() -> None:
    calls = Calls()
    calls.settling.failed(False, NOW, SLOW)
    calls.settling.delete(message(1), NOW)
    calls.settling.flush(NOW + LINGER_S)
    assert calls.deletes == [["m1"]]


def test_waits_grow_while_calls_fail_and_end_with_one_that_gets_through() -> None:
    calls = Calls()
    waits = []
    now = NOW
    calls.settling.delete(message(1), now)
    for _ in range(6):
        calls.settling.failed(True, now, SOON)
        calls.settling.flush(now)
        waits.append(calls.settling.wake_at - now)
        now = calls.settling.wake_at
    assert waits == sorted(waits)
    assert waits[0] < 0.1
    assert 0.5 < waits[-1] <= 1.0
    calls.settling.failed(True, now, SOON)
    calls.settling.succeeded(True, now)
    assert calls.settling.wake_at <= now
    calls.settling.flush(now)
    assert calls.deletes == [["m1"]]


def test_calls_that_fail_together_count_as_one_failure() -> None:
    calls = Calls()
    calls.settling.delete(message(1), NOW)
    for _ in range(4):
        calls.settling.failed(True, NOW, SLOW)
    calls.settling.flush(NOW)
    assert calls.settling.wake_at <= NOW + SLOW.first_s


def test_an_entry_that_failed_alone_waits_by_itself() -> None:
    calls = Calls()
    one = message(1)
    calls.settling.again(one, NOW)
    assert calls.settling.due(NOW) == []
    when = calls.settling.wake_at
    assert NOW < when <= NOW + 0.1
    calls.settling.delete(message(2), NOW)
    calls.settling.flush(NOW + LINGER_S)
    assert calls.deletes == [["m2"]]
    assert calls.settling.wake_at == when
    assert calls.settling.due(when) == [one]
    assert one.attempts == 1


def test_deletes_on_the_wire_are_bounded_and_go_on_when_one_ends() -> None:
    calls = Calls()
    for number in range(10 * MAX_DELETE_CALLS + 5):
        calls.settling.delete(message(number), NOW)
    calls.settling.flush(NOW + LINGER_S)
    assert len(calls.deletes) == MAX_DELETE_CALLS
    assert calls.settling.wake_at == NEVER  # nothing to do until a call ends
    calls.settling.delete_ended(NOW + 1)
    assert calls.settling.wake_at <= NOW + 1
    calls.settling.flush(NOW + 1)
    assert len(calls.deletes[-1]) == 5


def test_a_message_that_left_hand_is_not_touched_any_more() -> None:
    calls = Calls()
    gone, held = message(1, "", EXTEND, 30), message(2, "posting", EXTEND, 30)
    calls.settling.change(gone, NOW)
    calls.settling.change(held, NOW)
    calls.settling.flush(NOW + 1)
    assert calls.changes == [[("m2", 30)]]


def test_a_change_that_was_replaced_before_it_left_goes_out_as_the_new_one() -> None:
    calls = Calls()
    one = message(1, "posting", EXTEND, 30)
    calls.settling.change(one, NOW)
    one.change, one.change_s = RELEASE, 0
    calls.settling.flush(NOW + 1)
    assert calls.changes == [[("m1", 0)]]


def test_a_delete_after_the_visibility_has_run_out_is_reported_once() -> None:
    calls = Calls()
    one = message(1)
    calls.settling.delete(one, NOW + 29)
    calls.settling.flush(NOW + 30)
    assert calls.late == ["m1"]
    calls.settling.delete(one, NOW + 31)
    calls.settling.flush(NOW + 32)
    assert calls.late == ["m1"]


def test_a_delete_in_time_is_not_reported() -> None:
    calls = Calls()
    calls.settling.delete(message(1), NOW + 29)
    calls.settling.flush(NOW + 29.9)
    assert calls.late == []
