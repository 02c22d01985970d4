"""The handler away: nothing is received, what waits is held for a moment and then given back."""

from __future__ import annotations

import pytest

from carrier_sidecar.engine import HOLD_S
from carrier_sidecar.gate import OFFLINE, PAUSED, QUEUE, STARTING, Gate
from carrier_sidecar.message import UNAVAILABLE
from tests.unit.core.rig import FAILED, REFUSED, Rig


def with_waiting() -> Rig:
    """A slot that is taken, and two messages that wait."""
    rig = Rig(slots=1, batch=2)
    rig.deliver("pace")
    rig.answer("pace")
    rig.deliver("a")
    rig.deliver("b", "c")
    rig.advance(0.01)
    rig.settle("delete")
    assert rig.in_hand == {"a": "posting", "b": "waiting", "c": "waiting"}
    return rig


@pytest.mark.parametrize("reason", [STARTING, QUEUE])
def test_nothing_is_received_before_queue_and_handler_are_there(reason: str) -> None:
    rig = Rig(gate=Gate(STARTING, QUEUE))
    assert not rig.receives
    rig.engine.open(reason, rig.now)
    assert not rig.receives
    rig.engine.open({STARTING: QUEUE, QUEUE: STARTING}[reason], rig.now)
    assert rig.receives


def test_a_refused_post_shuts_the_gate_at_once() -> None:
    rig = with_waiting()
    rig.answer("a", REFUSED)
    assert OFFLINE in rig.engine.gate.reasons
    assert rig.posted == []
    assert not rig.receives
    assert rig.gate_changes == 1
    assert "handler_offline" in rig.noted


def test_any_other_failure_does_not() -> None:
    rig = with_waiting()
    rig.answer("a", FAILED)
    assert rig.engine.gate.receives
    assert rig.posted == ["b"]


def test_what_waits_is_held_for_five_seconds_and_then_given_back() -> None:
    rig = with_waiting()
    rig.answer("a", REFUSED)
    rig.advance(4.9)
    assert rig.in_hand == {"b": "waiting", "c": "waiting"}
    rig.advance(0.2)
    settle = rig.settle("change_visibility")
    assert settle.seconds_by_id() == {"b": 0, "c": 0}
    assert rig.in_hand == {}
    assert rig.metrics.given_back == 2


def test_a_blip_costs_no_receive_count() -> None:
    rig = with_waiting()
    rig.answer("a", REFUSED)
    rig.advance(4.9)
    rig.engine.handler_online(OFFLINE, rig.now)
    assert rig.posted == ["b"]
    rig.advance(10.0)
    assert rig.in_hand["c"] == "waiting"


def test_a_second_time_away_is_held_for_five_seconds_again() -> None:
    rig = with_waiting()
    rig.engine.handler_offline(rig.now)
    rig.advance(4.0)
    rig.engine.handler_online(OFFLINE, rig.now)
    rig.engine.handler_offline(rig.now)
    rig.advance(4.0)
    assert rig.in_hand["b"] == "waiting"


def test_what_a_receive_on_the_wire_brings_is_held_too() -> None:
    rig = Rig(receivers=2, batch=2)
    rig.engine.handler_offline(rig.now)
    rig.advance(7.0)
    rig.deliver("a")
    assert rig.posted == []
    rig.advance(4.9)
    assert rig.in_hand == {"a": "waiting"}
    rig.advance(0.2)
    assert rig.settle("change_visibility").seconds_by_id() == {"a": 0}


def test_nothing_is_received_while_the_handler_is_away_however_long() -> None:
    rig = Rig()
    rig.engine.handler_offline(rig.now)
    rig.deliver()
    calls = rig.metrics.receive_calls
    rig.advance(3600.0)
    assert rig.metrics.receive_calls == calls
    assert len(rig.ticks) < 10
    rig.engine.handler_online(OFFLINE, rig.now)
    assert rig.metrics.receive_calls == calls + 1


def test_held_messages_are_extended() -> None:
    rig = with_waiting()
    rig.advance(13.0)
    rig.answer("a", REFUSED)
    rig.advance(2.0)
    assert sorted(rig.settle("change_visibility").ids) == ["b", "c"]


def test_posts_that_end_while_the_gate_is_shut_are_settled() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.engine.handler_offline(rig.now)
    rig.answer("a")
    rig.advance(0.01)
    assert rig.settle("delete").ids == ["a"]


def test_receive_backoff_ends_with_the_gate_shut_and_opens_with_it() -> None:
    rig = Rig()
    rig.fail_receive(UNAVAILABLE)
    rig.engine.handler_offline(rig.now)
    rig.advance(5.0)
    assert not rig.receives
    rig.engine.handler_online(OFFLINE, rig.now)
    assert rig.receives


# -- pause -------------------------------------------------------------------------------------------------------------


def test_a_pause_gives_back_what_waits_and_lets_the_handler_finish() -> None:
    rig = with_waiting()
    rig.engine.pause(rig.now)
    rig.advance(0.01)
    assert sorted(rig.settle("change_visibility").ids) == ["b", "c"]
    assert rig.posted == ["a"]
    assert rig.quiet == []
    rig.answer("a")
    rig.advance(0.01)
    rig.settle("delete")
    assert rig.quiet == [True]


def test_an_idle_pause_is_quiet_within_two_seconds() -> None:
    rig = Rig()
    rig.engine.pause(rig.now)
    rig.advance(1.9)
    assert rig.quiet == []
    rig.advance(0.2)
    assert rig.quiet == [True]
    assert rig.abandoned_receives == [0]


def test_after_a_pause_receiving_goes_on() -> None:
    rig = Rig()
    rig.engine.pause(rig.now)
    rig.advance(3.0)
    rig.engine.resume(rig.now)
    assert PAUSED not in rig.engine.gate.reasons
    assert rig.receives
    rig.deliver("a")
    assert rig.posted == ["a"]
    rig.advance(10.0)
    assert rig.posted == ["a"]
    assert rig.quiet == [True]


def test_a_receive_that_outlives_a_short_pause_is_not_given_up() -> None:
    rig = Rig()
    rig.engine.pause(rig.now)
    rig.advance(1.0)
    rig.engine.resume(rig.now)
    rig.advance(10.0)
    assert rig.abandoned_receives == []
    rig.deliver("a")
    assert rig.posted == ["a"]


def test_a_pause_during_a_drain_changes_nothing() -> None:
    rig = Rig()
    rig.deliver("a")
    rig.engine.pause(rig.now)
    rig.engine.drain(rig.now, rig.now + 25)
    rig.engine.resume(rig.now)
    assert not rig.engine.gate.receives
    rig.answer("a")
    rig.advance(0.01)
    rig.settle("delete")
    rig.advance(2.1)
    assert rig.quiet == [True]


def test_a_resume_while_the_last_receive_of_a_drain_is_awaited_does_not_delay_the_end() -> None:
    rig = Rig()
    rig.engine.pause(rig.now)
    rig.engine.drain(rig.now, rig.now + 25)
    rig.advance(1.0)
    rig.engine.resume(rig.now)
    rig.advance(1.1)
    assert rig.quiet == [True]


def test_what_comes_again_while_the_handler_is_away_is_kept_from_the_other_receives_on_the_wire() -> None:
    rig = Rig(receivers=5, batch=1, slots=5)
    rig.engine.handler_offline(rig.now)
    rig.deliver("a")
    rig.advance(HOLD_S + 0.1)
    assert rig.settle("change_visibility").seconds_by_id() == {"a": 0}
    rig.deliver(rig.message("a", receipt="a/2"))
    rig.advance(HOLD_S + 0.1)
    assert rig.settle("change_visibility").seconds_by_id()["a"] > 20
    rig.engine.handler_online(OFFLINE, rig.now)
    rig.engine.handler_offline(rig.now)  # another time
    rig.deliver(rig.message("a", receipt="a/3"))
    rig.advance(HOLD_S + 0.1)
    rig.settle("change_visibility")  # the heartbeat
    rig.advance(0.1)
    assert rig.settle("change_visibility").seconds_by_id() == {"a": 0}
