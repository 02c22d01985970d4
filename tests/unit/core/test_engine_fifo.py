"""FIFO queues: one message of a group at a time, in order, and a failed one blocks what follows it."""

from __future__ import annotations

from typing import Any

import pytest

from carrier_sidecar.gate import OFFLINE
from carrier_sidecar.message import BAD_RECEIPT, NETWORK, NOT_IN_FLIGHT, UNAVAILABLE, Message
from tests.unit.core.rig import FAILED, REFUSED, Rig, error, retry_after


def fifo(**options: Any) -> Rig:
    return Rig(fifo=True, **options)


def members(rig: Rig, *names: str) -> list[Message]:
    """Messages of the group that their first letter names."""
    return [rig.message(name, group=name[0], system={"SequenceNumber": str(100 + int(name[1:]))}) for name in names]


def test_one_message_of_a_group_at_a_time_groups_side_by_side() -> None:
    rig = fifo()
    rig.deliver(*members(rig, "r1", "r2", "b1", "b2"))
    assert rig.posted == ["r1", "b1"]
    rig.answer("b1")
    assert rig.posted == ["r1", "b2"]
    rig.answer("r1")
    assert rig.posted == ["b2", "r2"]


def test_the_next_goes_out_once_the_one_before_is_accepted_not_only_once_it_is_deleted() -> None:
    rig = fifo()
    rig.deliver(*members(rig, "r1", "r2"))
    rig.answer("r1")
    assert rig.posted == ["r2"]


def test_slots_that_one_group_cannot_use_are_offered_to_others() -> None:
    rig = fifo(slots=10)
    rig.deliver(*members(rig, *[f"r{number}" for number in range(1, 11)]))
    assert rig.posted == ["r1"]
    assert rig.receives[0].count == 9
    rig.deliver(*members(rig, "b1", "g1"))
    assert rig.posted == ["r1", "b1", "g1"]


def test_a_failed_head_stays_hidden_until_what_follows_it_has_been_given_back() -> None:
    rig = fifo()
    rig.deliver(*members(rig, "r1", "r2", "r3"))
    rig.answer("r1", FAILED)
    assert rig.posted == []
    assert rig.in_hand == {"r1": "held", "r2": "releasing", "r3": "releasing"}
    rig.advance(0.01)
    settle = rig.settle("change_visibility", {"r3": UNAVAILABLE})
    assert settle.seconds_by_id() == {"r2": 0, "r3": 0}
    assert rig.in_hand == {"r1": "held", "r3": "releasing"}
    rig.advance(15.0)
    heads = [settle for settle in rig.settles if settle.ids == ["r1"]]
    assert [settle.seconds for settle in heads] == [[30]], "the held head is extended"
    rig.settles.remove(heads[0])
    rig.engine.settled("change_visibility", heads[0].batch, None, heads[0].sent_at, rig.now)
    rig.settle("change_visibility")
    assert rig.in_hand == {}
    rig.advance(60.0)
    assert not rig.settles


def test_a_retry_after_of_the_head_is_sent_only_when_the_give_backs_are_confirmed() -> None:
    rig = fifo()
    rig.deliver(*members(rig, "r1", "r2"))
    rig.answer("r1", retry_after(5))
    rig.advance(1.0)
    assert [settle.ids for settle in rig.settles] == [["r2"]]
    rig.settle("change_visibility")
    rig.advance(0.01)
    assert rig.settle("change_visibility").seconds_by_id() == {"r1": 5}
    assert rig.in_hand == {}


def test_without_followers_the_head_comes_back_at_once() -> None:
    rig = fifo()
    rig.deliver(*members(rig, "r1", "b1"))
    rig.answer("r1", FAILED)
    assert rig.in_hand == {"b1": "posting"}


def test_other_groups_go_on_while_one_has_failed() -> None:
    rig = fifo()
    rig.deliver(*members(rig, "r1", "r2", "b1", "b2"))
    rig.answer("r1", FAILED)
    rig.answer("b1")
    assert rig.posted == ["b2"]


def test_nothing_of_a_group_is_posted_while_a_follower_is_on_its_way_back() -> None:
    rig = fifo()
    rig.deliver(*members(rig, "r1", "r2"))
    rig.answer("r1", FAILED)
    rig.deliver(*members(rig, "r3"))
    assert rig.posted == []
    rig.advance(0.01)
    rig.settle("change_visibility")
    assert rig.in_hand == {}
    assert rig.posted == []


def test_a_hide_that_has_not_left_yet_is_taken_back_when_others_of_the_group_come() -> None:
    rig = fifo(receivers=2, batch=5)
    rig.deliver(*members(rig, "r1"), receiver=0)
    rig.answer("r1", retry_after(5))
    again = rig.message("r1", group="r", receipt="newer", system={"SequenceNumber": "101"})
    rig.deliver(again, *members(rig, "r2", "r3"), receiver=1)
    rig.advance(0.01)
    assert rig.settle("change_visibility").seconds_by_id() == {"r2": 0, "r3": 0}
    rig.advance(0.01)
    assert rig.settle("change_visibility").seconds_by_id() == {"r1": 5}
    assert rig.in_hand == {}
    assert rig.posted == []


@pytest.mark.parametrize("kind", [BAD_RECEIPT, NOT_IN_FLIGHT])
def test_a_give_back_of_what_is_not_ours_any_more_frees_the_head(kind: str) -> None:
    rig = fifo()
    rig.deliver(*members(rig, "r1", "r2"))
    rig.answer("r1", FAILED)
    rig.advance(0.01)
    rig.settle("change_visibility", {"r2": kind})
    assert rig.in_hand == {}


def test_a_head_whose_visibility_has_run_out_takes_its_followers_along() -> None:
    rig = fifo()
    rig.deliver(*members(rig, "r1", "r2"))
    rig.advance(15.01)
    rig.settle("change_visibility", {"r1": NOT_IN_FLIGHT})
    assert rig.in_hand["r2"] == "releasing"
    rig.answer("r1")
    assert rig.posted == []
    rig.advance(0.01)
    assert rig.settle("change_visibility").seconds_by_id() == {"r2": 0}


def test_nothing_follows_an_accepted_head_whose_visibility_ran_out_while_the_process_was_stopped() -> None:
    rig = fifo()
    rig.deliver(*members(rig, "r1", "r2"))
    rig.engine.hand.by_id["r2"].visible_at = rig.now + 1000
    rig.now += 31
    rig.answer("r1")  # before the timer that would have seen it
    assert rig.posted == []


def test_nothing_follows_an_accepted_head_that_can_no_longer_be_deleted() -> None:
    rig = fifo(slots=1)
    rig.deliver(*members(rig, "b1"))
    rig.answer("b1")
    rig.advance(0.01)
    rig.settle("delete")
    rig.deliver(*members(rig, "r1"))
    rig.deliver(*members(rig, "g1", "r2"))
    rig.answer("r1")
    assert rig.posted == ["g1"]
    rig.advance(0.01)
    rig.settle("delete", {"r1": BAD_RECEIPT})
    assert rig.in_hand == {"g1": "posting", "r2": "releasing"}
    rig.answer("g1")
    assert rig.posted == []


def test_what_waits_for_a_delivered_head_goes_on_when_a_late_extension_says_that_the_head_is_ours() -> None:
    rig = fifo(slots=1, receivers=2)
    rig.deliver(*members(rig, "r1"), receiver=0)
    rig.advance(15.01)
    rig.answer("r1")
    rig.advance(0.01)
    rig.take_settle("delete")  # hangs, as the extension does
    rig.advance(20.0)
    rig.deliver(*members(rig, "r2"))
    assert rig.posted == []
    rig.settle("change_visibility", {})
    assert rig.posted == ["r2"]


def test_a_waiting_member_that_ran_out_takes_what_follows_it_along_and_not_what_is_before_it() -> None:
    rig = fifo()
    rig.deliver(*members(rig, "r1", "r2", "r3"))
    rig.advance(15.01)
    rig.settle("change_visibility", {"r2": NOT_IN_FLIGHT})
    assert rig.in_hand == {"r1": "posting", "r3": "releasing"}
    rig.answer("r1", FAILED)
    rig.advance(0.01)
    rig.settle("change_visibility")
    assert rig.in_hand == {}


def test_a_hidden_head_that_is_received_again_with_others_lets_them_go_first() -> None:
    rig = fifo(receivers=2, batch=5)
    rig.deliver(*members(rig, "r1"), receiver=0)
    rig.answer("r1", retry_after(5))
    rig.advance(0.01)
    lost = rig.take_settle("change_visibility")  # it had its effect, and its answer got lost
    again = rig.message("r1", group="r", receipt="newer", system={"SequenceNumber": "101"})
    rig.deliver(again, *members(rig, "r2"), receiver=1)
    rig.engine.settled("change_visibility", lost.batch, [error(NETWORK, answered=False)], lost.sent_at, rig.now)
    rig.advance(0.2)
    assert rig.settle("change_visibility").seconds_by_id() == {"r2": 0}
    rig.advance(0.2)
    settle = rig.settle("change_visibility")
    assert (settle.seconds_by_id(), settle.receipts) == ({"r1": 5}, ["newer"])
    assert rig.posted == []


def test_messages_given_back_while_the_handler_is_away_go_back_whole_groups() -> None:
    rig = fifo(receivers=2, batch=5)
    rig.deliver(*members(rig, "r1", "r2"), receiver=0)
    rig.answer("r1", REFUSED)
    assert OFFLINE in rig.engine.gate.reasons
    assert rig.in_hand == {"r1": "held", "r2": "releasing"}


# -- attempt ids -------------------------------------------------------------------------------------------------------


def test_each_receive_has_an_attempt_id_of_its_own() -> None:
    rig = fifo()
    first = rig.receives[0].attempt_id
    rig.deliver()
    second = rig.receives[0].attempt_id
    assert first
    assert second
    assert first != second


def test_an_attempt_id_is_used_again_only_when_its_call_got_no_answer() -> None:
    rig = fifo()
    first = rig.receives[0].attempt_id
    rig.fail_receive(NETWORK, answered=False)
    rig.advance(1.0)
    assert rig.receives[0].attempt_id == first
    rig.fail_receive(UNAVAILABLE)
    rig.advance(1.0)
    assert rig.receives[0].attempt_id != first


def test_receivers_do_not_share_attempt_ids() -> None:
    rig = fifo(receivers=3, batch=3)
    assert len({call.attempt_id for call in rig.receives}) == 3


def test_standard_queues_get_no_attempt_id() -> None:
    assert Rig().receives[0].attempt_id == ""
