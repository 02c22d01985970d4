"""Deletes: only what was accepted, each until it is confirmed, by the newest receipt."""

from __future__ import annotations

from typing import Any

import pytest

from carrier_sidecar.gate import DELETE_DENIED
from carrier_sidecar.message import (
    BAD_RECEIPT,
    CREDENTIALS,
    DENIED,
    INVALID,
    KMS,
    MISSING,
    NETWORK,
    NO_QUEUE,
    NOT_IN_FLIGHT,
    THROTTLED,
    UNAVAILABLE,
)
from tests.unit.core.rig import FAILED, Rig


def accepted(*names: str, **options: Any) -> Rig:
    """A rig whose handler has accepted these messages; their delete is on the wire."""
    rig = Rig(**options)
    rig.deliver(*names)
    for name in names:
        rig.answer(name)
    rig.advance(0.01)
    return rig


def test_nothing_is_deleted_before_the_handler_has_accepted_it() -> None:
    rig = Rig()
    rig.deliver("a", "b")
    rig.advance(10.0)
    assert not rig.settles
    rig.answer("a")
    rig.advance(0.01)
    assert [settle.ids for settle in rig.settles if settle.action == "delete"] == [["a"]]


def test_what_failed_is_not_deleted_and_nothing_is_called_for_it() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.answer("a", FAILED)
    rig.advance(60.0)
    assert not rig.settles
    assert rig.in_hand == {}


def test_a_delivered_message_stays_in_hand_until_its_delete_is_confirmed() -> None:
    rig = accepted("a")
    assert rig.in_hand == {"a": "accepted"}
    rig.settle("delete")
    assert rig.in_hand == {}


def test_deletes_travel_in_tens() -> None:
    rig = accepted(*[f"m{number}" for number in range(10)])
    assert [len(settle.batch) for settle in rig.settles] == [10]


@pytest.mark.parametrize("kind", [UNAVAILABLE, THROTTLED, MISSING])
def test_a_failed_entry_is_retried_alone_after_a_wait(kind: str) -> None:
    rig = accepted("a", "b", "c")
    rig.settle("delete", {"b": kind})
    assert rig.in_hand == {"b": "accepted"}
    rig.advance(0.009)
    assert not rig.settles
    rig.advance(0.2)
    assert rig.settle("delete").ids == ["b"]
    assert rig.in_hand == {}


@pytest.mark.parametrize("kind", [UNAVAILABLE, THROTTLED, NETWORK, CREDENTIALS])
def test_a_call_that_failed_as_a_whole_is_retried_as_a_whole(kind: str) -> None:
    rig = accepted("a", "b")
    rig.settle("delete", whole=kind, answered=kind != NETWORK)
    assert not rig.settles
    rig.advance(0.2)
    assert rig.settle("delete").ids == ["a", "b"]
    assert rig.in_hand == {}


def test_while_sqs_is_down_deletes_are_neither_lost_nor_hammered() -> None:
    rig = accepted("a", "b", "c")
    calls = 0
    for _ in range(3000):
        rig.advance(0.01)
        while any(settle.action == "delete" for settle in rig.settles):
            rig.settle("delete", whole=UNAVAILABLE)
            calls += 1
    assert 20 <= calls <= 70
    assert set(rig.in_hand) == {"a", "b", "c"}
    rig.advance(1.0)
    rig.settle("delete")
    assert rig.in_hand == {}


def test_each_kind_of_failure_is_noted_once_a_call() -> None:
    rig = accepted("a", "b", "c")
    rig.settle("delete", whole=UNAVAILABLE)
    assert rig.noted == ["settle_failed"]
    assert rig.fields("settle_failed")["entries"] == 3
    assert rig.metrics.settle_failures == {("delete", UNAVAILABLE): 3}


def test_the_next_message_takes_the_slot_before_the_delete_is_confirmed() -> None:
    rig = Rig(slots=1, batch=1)
    rig.deliver("a")
    rig.answer("a")
    rig.deliver("b")
    assert rig.posted == ["b"]


def test_received_again_while_its_delete_waits_it_is_deleted_by_the_new_receipt() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.answer("a")
    rig.deliver(rig.message("a", receipt="newer"))
    rig.advance(0.01)
    assert rig.settle("delete").receipts == ["newer"]
    assert rig.posted == []
    assert rig.in_hand == {}


@pytest.mark.parametrize("outcome", [None, UNAVAILABLE, BAD_RECEIPT])
def test_received_again_while_its_delete_is_on_the_wire_it_is_deleted_once_more(outcome: str | None) -> None:
    """By the old receipt SQS may answer Successful without having deleted anything."""
    rig = accepted("a")
    rig.deliver(rig.message("a", receipt="newer"))
    rig.settle("delete", {"a": outcome} if outcome else None)
    assert rig.in_hand == {"a": "accepted"}
    rig.advance(0.2)
    assert rig.settle("delete").receipts == ["newer"]
    assert rig.in_hand == {}
    assert rig.posted == []


def test_received_again_after_its_delete_failed_it_is_deleted_by_the_new_receipt() -> None:
    rig = accepted("a")
    rig.settle("delete", {"a": UNAVAILABLE})
    rig.deliver(rig.message("a", receipt="newer"))
    rig.advance(0.2)
    assert rig.settle("delete").receipts == ["newer"]


@pytest.mark.parametrize("kind", [BAD_RECEIPT, NOT_IN_FLIGHT])
def test_a_receipt_that_is_no_longer_good_ends_the_tries_and_the_message_is_remembered(kind: str) -> None:
    rig = accepted("a")
    rig.settle("delete", {"a": kind})
    assert rig.in_hand == {}
    assert "delete_too_late" in rig.noted
    rig.advance(1.0)
    assert not rig.settles
    rig.deliver(rig.message("a", receipt="a/2"))
    assert rig.posted == []
    rig.advance(0.01)
    assert rig.settle("delete").receipts == ["a/2"]
    assert rig.in_hand == {}
    assert "delivered_before" in rig.noted


def test_it_is_remembered_until_the_delete_is_confirmed_and_no_longer() -> None:
    rig = accepted("a")
    for number in (2, 3):
        rig.settle("delete", {"a": BAD_RECEIPT})
        rig.deliver(rig.message("a", receipt=f"a/{number}"))
        rig.advance(0.01)
    rig.settle("delete")
    rig.deliver(rig.message("a", receipt="a/4"))
    assert rig.posted == ["a"]


def test_an_entry_that_is_invalid_again_and_again_is_let_go() -> None:
    rig = accepted("a")
    for _ in range(20):
        if rig.settles:
            rig.settle("delete", {"a": INVALID})
        rig.advance(0.6)
    assert rig.in_hand == {}
    assert rig.metrics.settle_failures[("delete", INVALID)] < 10


def test_a_late_delete_is_sent_counted_and_logged_once() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.now += 100.0  # the process was stopped
    rig.answer("a")
    rig.advance(0.01)
    assert rig.take_settle("delete").ids == ["a"]
    assert rig.metrics.late_deletes == 1
    assert rig.fields("late_delete")["late_ms"] == pytest.approx(70_010, abs=10)


def test_a_late_delete_that_is_confirmed_may_not_have_deleted_so_the_message_is_remembered() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.now += 100.0
    rig.answer("a")
    rig.advance(0.01)
    rig.settle("delete")
    rig.deliver(rig.message("a", receipt="a/2"))
    assert rig.posted == []
    rig.advance(0.01)
    assert rig.settle("delete").receipts == ["a/2"]


def test_refused_deletes_end_receiving_and_keep_what_is_in_hand() -> None:
    rig = accepted("a")
    assert rig.receives
    rig.settle("delete", whole=DENIED)
    assert DELETE_DENIED in rig.engine.gate.reasons
    assert rig.gate_changes == 1
    rig.deliver("b")
    assert not rig.receives
    assert rig.posted == ["b"]
    assert rig.in_hand == {"a": "accepted", "b": "posting"}
    assert "delete_denied" in rig.noted


def test_refused_deletes_are_tried_again_seldom_and_receiving_goes_on_once_they_are_allowed() -> None:
    rig = accepted("a")
    rig.deliver()
    calls = 0
    for _ in range(1200):
        if any(settle.action == "delete" for settle in rig.settles):
            rig.settle("delete", whole=DENIED)
            calls += 1
        while any(settle.action == "change_visibility" for settle in rig.settles):
            rig.settle("change_visibility")
        rig.advance(0.1)
    assert 4 <= calls <= 15
    rig.advance(30.0)
    rig.settle("delete")
    assert rig.in_hand == {}
    assert rig.engine.gate.receives
    assert rig.receives


@pytest.mark.parametrize("kind", [DENIED, NO_QUEUE, KMS])
def test_the_heartbeat_goes_on_while_deletes_are_refused(kind: str) -> None:
    rig = accepted("a")
    extended = 0
    for _ in range(2400):
        if any(settle.action == "delete" for settle in rig.settles):
            rig.settle("delete", whole=kind)
        while any(settle.action == "change_visibility" for settle in rig.settles):
            rig.settle("change_visibility")
            extended += 1
        rig.advance(0.05)
        assert rig.metrics.lapsed == 0
    assert extended >= 7


def test_an_answer_that_is_not_a_refusal_says_that_deletes_are_allowed_again() -> None:
    rig = accepted("a")
    rig.settle("delete", whole=DENIED)
    rig.advance(2.0)
    rig.settle("delete", {"a": BAD_RECEIPT})
    assert rig.engine.gate.receives


def test_deletes_beyond_those_that_may_be_on_the_wire_follow_when_one_ends() -> None:
    rig = Rig(slots=200, batch=10, receivers=20)
    serial = 0
    for _ in range(17):
        count = rig.receives[0].count
        rig.deliver(*[f"m{serial + number}" for number in range(count)])
        serial += count
    for name in rig.posted[:165]:
        rig.answer(name)
    rig.advance(0.01)
    assert len(rig.settles) == 16
    rig.settle("delete")
    assert len(rig.settles) == 16
    assert len(rig.settles[-1].batch) == 5


def test_an_answer_to_a_post_that_was_cut_off_is_ignored() -> None:
    rig = Rig()
    (message,) = rig.deliver("a")
    rig.engine.drain(rig.now, rig.now + 1)
    rig.engine.cut(rig.now)
    rig.engine.answered(message, FAILED, rig.now)
    assert rig.metrics.failed == 0
    assert rig.in_hand == {"a": "hiding"}
