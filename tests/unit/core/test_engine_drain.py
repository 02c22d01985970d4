"""The end: what has not begun goes back, the handler finishes, everything is settled, and it always ends."""

from __future__ import annotations

import pytest

from carrier_sidecar.gate import DRAINING, STARTING, Gate
from carrier_sidecar.message import NETWORK, UNAVAILABLE
from tests.unit.core.rig import FAILED, Rig

BUDGET_S = 25.0


def drain(rig: Rig) -> None:
    rig.engine.drain(rig.now, rig.now + BUDGET_S)


def settle_all(rig: Rig) -> None:
    rig.advance(0.01)
    while rig.settles:
        rig.settle(rig.settles[0].action)


def test_with_nothing_in_hand_and_nothing_on_the_wire_it_ends_at_once() -> None:
    rig = Rig(gate=Gate(STARTING))
    drain(rig)
    assert rig.quiet == [True]


def test_nothing_is_received_any_more() -> None:
    rig = Rig(receivers=2, batch=5)
    drain(rig)
    calls = rig.metrics.receive_calls
    rig.deliver("a")
    rig.advance(30.0)
    assert rig.metrics.receive_calls == calls
    assert DRAINING in rig.engine.gate.reasons


def test_what_has_not_begun_is_given_back_at_once() -> None:
    rig = Rig(slots=1, batch=2)
    rig.deliver("pace")
    rig.answer("pace")
    rig.deliver("a")
    rig.deliver("b", "c")
    settle_all(rig)
    drain(rig)
    rig.advance(0.01)
    assert rig.settle("change_visibility").seconds_by_id() == {"b": 0, "c": 0}
    assert rig.posted == ["a"]


def test_the_handler_may_finish_and_its_messages_are_deleted() -> None:
    rig = Rig()
    rig.deliver("a", "b")
    drain(rig)
    rig.advance(20.0)
    settle_all(rig)  # the heartbeat goes on
    rig.answer("a")
    rig.answer("b", FAILED)
    rig.advance(0.01)
    assert rig.quiet == []
    assert rig.settle("delete").ids == ["a"]
    rig.advance(2.1)
    assert rig.quiet == [True]


def test_the_heartbeat_is_the_last_thing_to_stop() -> None:
    rig = Rig()
    rig.deliver("a")
    drain(rig)
    rig.advance(15.1)
    assert rig.settle("change_visibility").seconds_by_id() == {"a": 30}


def test_an_idle_sidecar_ends_within_two_seconds() -> None:
    rig = Rig(receivers=2, batch=5)
    drain(rig)
    rig.advance(1.9)
    assert rig.abandoned_receives == []
    assert rig.quiet == []
    rig.advance(0.1)
    assert sorted(rig.abandoned_receives) == [0, 1]
    assert rig.quiet == [True]


def test_what_a_receive_on_the_wire_brings_is_given_back_unposted() -> None:
    rig = Rig()
    drain(rig)
    rig.advance(1.0)
    rig.deliver("a", "b")
    assert rig.posted == []
    rig.advance(0.01)
    assert rig.quiet == []
    assert rig.settle("change_visibility").seconds_by_id() == {"a": 0, "b": 0}
    assert rig.quiet == [True]
    assert rig.abandoned_receives == []


def test_what_it_brings_late_in_a_poll_longer_than_the_visibility_is_given_back_too() -> None:
    rig = Rig(start=False)
    rig.engine.set_visibility(10)
    rig.engine.start(rig.now)
    rig.advance(15.0)
    drain(rig)
    rig.deliver("a")
    rig.advance(0.01)
    assert rig.settle("change_visibility").seconds_by_id() == {"a": 0}


def test_a_receive_is_awaited_while_work_goes_on_and_two_seconds_beyond() -> None:
    rig = Rig(slots=10, batch=5)
    rig.deliver("a")
    drain(rig)
    rig.advance(10.0)
    assert rig.receives
    rig.answer("a")
    rig.advance(0.01)
    rig.settle("delete")
    rig.advance(1.9)
    assert rig.receives
    rig.advance(0.2)
    assert not rig.receives
    assert rig.quiet == [True]


def test_while_what_one_receive_brought_is_given_back_another_is_awaited() -> None:
    rig = Rig(receivers=2, batch=5)
    drain(rig)
    rig.advance(1.5)
    rig.deliver("a")
    rig.advance(5.0)  # the give-back hangs; advance() itself refuses a timer that spins
    assert len(rig.receives) == 1
    rig.settle("change_visibility")
    rig.advance(2.1)
    assert rig.quiet == [True]


def test_a_receive_that_fails_meanwhile_ends_it() -> None:
    rig = Rig()
    drain(rig)
    rig.fail_receive(NETWORK, answered=False)
    assert rig.quiet == [True]


def test_at_the_end_of_the_time_posts_are_cut_off_given_back_and_each_logged() -> None:
    rig = Rig()
    rig.deliver("a", "b")
    rig.advance(1.0)
    drain(rig)
    rig.advance(BUDGET_S - 0.1)
    settle_all(rig)
    assert rig.abandoned_posts == []
    rig.advance(0.2)
    assert sorted(rig.abandoned_posts) == ["a", "b"]
    assert rig.noted.count("cut_off") == 2
    assert rig.fields("cut_off")["running_s"] == pytest.approx(26.0, abs=0.1)
    assert rig.settle("change_visibility").seconds_by_id() == {"a": 0, "b": 0}
    rig.advance(2.1)
    assert rig.quiet == [False]
    assert rig.metrics.cut_off == 2


def test_a_second_signal_cuts_at_once() -> None:
    rig = Rig()
    rig.deliver("a")
    drain(rig)
    rig.advance(1.0)
    rig.engine.cut(rig.now)
    assert rig.abandoned_posts == ["a"]
    settle_all(rig)
    rig.advance(2.1)
    assert rig.quiet == [False]
    assert rig.in_hand == {}


def test_cut_off_members_of_a_group_come_back_after_what_follows_them() -> None:
    rig = Rig(fifo=True)
    rig.deliver(rig.message("r1", group="r"), rig.message("r2", group="r"))
    drain(rig)
    rig.engine.cut(rig.now)
    rig.advance(0.01)
    assert rig.settle("change_visibility").seconds_by_id() == {"r2": 0}
    rig.advance(0.01)
    assert rig.settle("change_visibility").seconds_by_id() == {"r1": 0}


def test_settling_may_take_three_seconds_more_and_no_longer() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.answer("a")
    drain(rig)
    for _ in range(279):
        rig.advance(0.1)
        while rig.settles:
            rig.settle(rig.settles[0].action, whole=UNAVAILABLE)
    assert rig.quiet == []
    rig.advance(0.2)
    assert rig.quiet == [False]


def test_a_settle_that_gets_through_in_those_three_seconds_counts() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.answer("a")
    drain(rig)
    rig.fail_receive(UNAVAILABLE)
    rig.advance(0.01)
    rig.settle("delete", whole=UNAVAILABLE)
    rig.advance(BUDGET_S + 2.0)
    while rig.settles:
        rig.settle(rig.settles[0].action)
    assert rig.quiet == [True]
    rig.advance(60.0)
    assert rig.quiet == [True]


def test_it_ends_when_everything_hangs() -> None:
    rig = Rig(receivers=3, batch=3)
    rig.deliver("a", "b", "c")
    rig.answer("a")
    drain(rig)
    rig.advance(BUDGET_S + 3.1)
    assert rig.quiet == [False]


def test_the_end_is_told_once() -> None:
    rig = Rig()
    rig.deliver("a")
    drain(rig)
    rig.engine.cut(rig.now)
    settle_all(rig)
    rig.advance(60.0)
    rig.engine.cut(rig.now)
    assert rig.quiet == [False]


def test_asked_again_after_it_has_ended_it_tells_again() -> None:
    """The hook drains first, and the signal that comes later waits for the same end."""
    rig = Rig(gate=Gate(STARTING))
    drain(rig)
    drain(rig)
    assert rig.quiet == [True, True]


def test_the_budget_begins_with_whoever_asks_first() -> None:
    rig = Rig()
    rig.deliver("a")
    drain(rig)
    rig.advance(20.0)
    settle_all(rig)
    rig.engine.drain(rig.now, rig.now + BUDGET_S)
    rig.advance(5.1)
    assert rig.abandoned_posts == ["a"]


# Given back, and received again by a receive of our own that was on the wire


def changes(rig: Rig) -> dict[str, int]:
    rig.advance(0.01)
    return rig.settle("change_visibility").seconds_by_id()


def test_what_comes_again_while_draining_is_kept_from_the_other_receives_on_the_wire() -> None:
    rig = Rig(receivers=5, batch=1, slots=5)
    drain(rig)
    rig.deliver("a")
    assert changes(rig) == {"a": 0}
    rig.deliver(rig.message("a", receipt="a/2"))
    (hidden_s,) = changes(rig).values()
    given_back_at = rig.now
    while rig.quiet == []:
        rig.advance(0.1)
    assert rig.now <= given_back_at + hidden_s, "it is visible while receives of ours are on the wire"
    assert hidden_s <= 3


def test_what_was_cut_off_and_comes_again_is_kept_from_the_other_receives_on_the_wire() -> None:
    rig = Rig(receivers=5, batch=1, slots=5)
    rig.deliver("a")
    drain(rig)
    rig.engine.cut(rig.now)
    assert changes(rig) == {"a": 0}
    rig.deliver(rig.message("a", receipt="a/2"))
    assert 2 < changes(rig)["a"] <= 3


def test_while_the_handler_works_receives_on_the_wire_last_a_long_polls_time() -> None:
    rig = Rig(receivers=5, batch=1, slots=5)
    rig.deliver("working")
    drain(rig)
    rig.deliver("a")
    assert changes(rig) == {"a": 0}
    rig.deliver(rig.message("a", receipt="a/2"))
    assert changes(rig)["a"] > 20


def test_without_another_receive_on_the_wire_it_is_visible_at_once_again() -> None:
    rig = Rig(receivers=2, batch=1, slots=2)
    drain(rig)
    rig.deliver("a")
    assert changes(rig) == {"a": 0}
    rig.deliver(rig.message("a", receipt="a/2"))
    assert changes(rig) == {"a": 0}
