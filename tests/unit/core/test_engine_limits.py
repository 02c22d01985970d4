"""What the engine does only when asked to: backoff, dead letters, rate limit, breaker, suspending, trace ids."""

from __future__ import annotations

from typing import Any

import pytest

from carrier_sidecar import message as kinds
from carrier_sidecar.breaker import PASSING, SHUT, TRYING, Breaker
from carrier_sidecar.dead_letter import DeadLettering, DeadLetterPolicy, Letter
from carrier_sidecar.disposition import DEAD, LEAVE, Answer, no_answer
from carrier_sidecar.gate import BREAKER, OFFLINE, SUSPENDED
from carrier_sidecar.rate_limit import RateLimit
from carrier_sidecar.retry import RetryPolicy
from carrier_sidecar.trace import Tracing
from tests.unit.core.rig import ACCEPTED, FAILED, REFUSED, Rig, error, retry_after

FINAL = Answer(LEAVE, 422, "status 422")
BY_HEADER = Answer(DEAD, 200, "status 200", dead_letter="no such customer")


class Letters:
    """The dead-letter queue's port."""

    def __init__(self) -> None:
        self.on_wire: list[Letter] = []

    def send(self, letter: Letter) -> None:
        self.on_wire.append(letter)

    @property
    def ids(self) -> list[str]:
        return [letter.message.id for letter in self.on_wire]


class DeadRig(Rig):
    def __init__(self, *, receives: int = 3, **options: Any) -> None:
        self.letters = Letters()
        dead = DeadLettering(DeadLetterPolicy(("422",), receives), self.letters, lambda: 0.5)
        super().__init__(dead=dead, **options)

    def sent(self, name: str, kind: str = "") -> None:
        letter = next(letter for letter in self.letters.on_wire if letter.message.id == name)
        self.letters.on_wire.remove(letter)
        self.engine.letter_sent(letter, error(kind) if kind else None, self.now)


class TestRetry:
    def test_a_failed_message_is_hidden_for_its_backoff_and_then_let_go(self) -> None:
        rig = Rig(retry=RetryPolicy(10, 2, 900))
        rig.deliver(rig.message("a", receive_count="3"))
        rig.answer("a", FAILED)
        assert rig.in_hand == {"a": "hiding"}
        rig.advance(0.1)
        assert rig.settle("change_visibility").seconds == [20]  # half of 10 * 2 * 2
        assert rig.in_hand == {}
        assert rig.fields("retry_later") == {"message_id": "a", "reason": "status 500", "retry_after_s": 20}
        assert rig.metrics.failed == 1
        assert rig.metrics.retried == 0

    def test_what_the_handler_asks_for_goes_before_the_policy(self) -> None:
        rig = Rig(retry=RetryPolicy(10, 2, 900))
        rig.deliver("a")
        rig.answer("a", retry_after(77))
        rig.advance(0.1)
        assert rig.settle("change_visibility").seconds == [77]
        assert rig.metrics.retried == 1

    def test_a_status_without_a_time_leaves_its_message_alone(self) -> None:
        rig = Rig(retry=RetryPolicy(0, 2, 900, [("503", 10, None, None)]))
        rig.deliver("a")
        rig.answer("a", FAILED)
        rig.advance(0.1)
        assert rig.settles == []
        assert rig.in_hand == {}
        assert "not_delivered" in rig.noted

    def test_a_failed_head_of_a_group_is_hidden_only_after_its_followers_are_given_back(self) -> None:
        rig = Rig(fifo=True, retry=RetryPolicy(10, 2, 900))
        rig.deliver(rig.message("a", group="g"), rig.message("b", group="g"))
        rig.answer("a", FAILED)
        rig.advance(0.1)
        assert rig.settle("change_visibility").seconds_by_id() == {"b": 0}
        rig.advance(0.1)
        assert rig.settle("change_visibility").seconds_by_id() == {"a": 5}

    def test_hiding_ends_before_the_limit_of_12_hours(self) -> None:
        rig = Rig(retry=RetryPolicy(43200, 1, 43200), draw=0.999)
        rig.deliver("a")
        rig.answer("a", FAILED)
        rig.advance(0.1)
        (seconds,) = rig.settle("change_visibility").seconds or []
        assert seconds == 43200 - 60

    def test_where_visibility_may_not_be_changed_nothing_is_hidden(self) -> None:
        rig = Rig(retry=RetryPolicy(10, 2, 900))
        rig.engine.heartbeat.allowed = False
        rig.deliver("a")
        rig.answer("a", FAILED)
        rig.advance(0.1)
        assert rig.settles == []
        assert "retry_later" not in rig.noted


class TestDeadLetters:
    @pytest.mark.parametrize(
        ("answer", "count", "reason"),
        [
            (FINAL, "1", "status 422 is final"),
            (BY_HEADER, "1", "no such customer"),
            (FAILED, "3", "given up on receive 3: status 500"),
            (no_answer("timeout"), "4", "given up on receive 4: timeout"),
        ],
    )
    def test_a_message_is_sent_then_deleted_in_that_order(self, answer: Answer, count: str, reason: str) -> None:
        rig = DeadRig()
        rig.deliver(rig.message("a", receive_count=count, body=b"body"))
        rig.answer("a", answer)
        rig.advance(1.0)
        (letter,) = rig.letters.on_wire
        assert (letter.reason, letter.message.body) == (reason, b"body")
        assert rig.settles == []
        assert rig.in_hand == {"a": "dead"}
        rig.sent("a")
        rig.advance(0.1)
        assert rig.settle("delete").ids == ["a"]
        assert rig.in_hand == {}
        assert rig.fields("dead_lettered")["dead_letter"] == reason
        assert (rig.metrics.dead_lettered, rig.metrics.failed, rig.metrics.delivered) == (1, 1, 0)

    def test_other_failures_are_not_dead_letters(self) -> None:
        rig = DeadRig()
        rig.deliver(rig.message("a", receive_count="2"), rig.message("b", receive_count="9"))
        rig.answer("a", FAILED)
        rig.answer("b", REFUSED)
        assert rig.letters.on_wire == []

    def test_a_message_that_arrived_damaged_is_not_passed_on(self) -> None:
        rig = DeadRig()
        rig.deliver(rig.message("a", receive_count="9", fault="wrong MD5"))
        assert rig.letters.on_wire == []
        assert rig.in_hand == {}

    def test_a_send_that_fails_keeps_the_message_extended_and_is_repeated(self) -> None:
        rig = DeadRig()
        rig.deliver("a")
        rig.answer("a", FINAL)
        rig.sent("a", kinds.UNAVAILABLE)
        assert rig.fields("dead_letter_failed")["kind"] == kinds.UNAVAILABLE
        rig.advance(2.0)
        assert rig.letters.ids == ["a"]
        for _ in range(6):
            rig.advance(15.0)
            assert rig.settle("change_visibility").seconds == [30]
        assert rig.in_hand == {"a": "dead"}
        rig.sent("a")
        rig.advance(0.1)
        assert rig.settle("delete").ids == ["a"]

    def test_while_the_dead_letter_queue_fails_the_slots_stay_free(self) -> None:
        rig = DeadRig(slots=1, batch=1)
        rig.deliver("a")
        rig.answer("a", FINAL)
        rig.sent("a", kinds.DENIED)
        rig.deliver("b")
        assert rig.posted == ["b"]

    def test_a_group_goes_on_once_its_head_is_sent(self) -> None:
        rig = DeadRig(fifo=True)
        rig.deliver(rig.message("a", group="g"), rig.message("b", group="g"), rig.message("c", group="h"))
        assert rig.posted == ["a", "c"]
        rig.answer("a", FINAL)
        rig.advance(1.0)
        assert rig.posted == ["c"]
        rig.sent("a", kinds.UNAVAILABLE)
        rig.advance(2.0)
        assert rig.posted == ["c"]
        rig.sent("a")
        assert rig.posted == ["c", "b"]

    def test_a_message_whose_visibility_ran_out_is_let_go_and_its_followers_are_given_back(self) -> None:
        rig = DeadRig(fifo=True)
        rig.engine.heartbeat.allowed = False
        rig.deliver(rig.message("a", group="g"), rig.message("b", group="g"))
        rig.answer("a", FINAL)
        rig.sent("a", kinds.UNAVAILABLE)
        rig.advance(31.0)
        assert rig.in_hand == {}
        assert rig.posted == []

    def test_a_message_that_was_let_go_while_it_was_sent_is_deleted_when_it_comes_back(self) -> None:
        rig = DeadRig()
        rig.engine.heartbeat.allowed = False
        rig.deliver("a")
        rig.answer("a", FINAL)
        rig.advance(31.0)
        assert rig.in_hand == {}
        rig.sent("a")
        rig.deliver(rig.message("a", receipt="a/2"))
        rig.advance(0.1)
        assert rig.posted == []
        assert rig.settle("delete").receipts == ["a/2"]

    def test_a_message_received_again_while_it_waits_is_deleted_by_the_newer_receipt(self) -> None:
        rig = DeadRig()
        rig.deliver("a")
        rig.answer("a", FINAL)
        rig.deliver(rig.message("a", receipt="a/2"))
        rig.sent("a")
        rig.advance(0.1)
        assert rig.letters.on_wire == []
        assert rig.settle("delete").receipts == ["a/2"]

    def test_without_a_dead_letter_queue_it_is_an_ordinary_failure(self) -> None:
        rig = DeadRig(retry=RetryPolicy(10, 2, 900))
        assert rig.engine.dead is not None
        rig.engine.dead.available = False
        rig.deliver("a")
        rig.answer("a", FINAL)
        assert rig.letters.on_wire == []
        assert rig.in_hand == {"a": "hiding"}
        assert "no_dead_letter_queue" in rig.noted

    def test_a_drain_waits_for_the_letters(self) -> None:
        rig = DeadRig()
        rig.deliver("a")
        rig.answer("a", FINAL)
        rig.engine.drain(rig.now, rig.now + 25)
        rig.advance(3.0)
        assert rig.quiet == []
        rig.sent("a")
        rig.advance(0.1)
        rig.settle("delete")
        rig.advance(2.5)
        assert rig.quiet == [True]

    def test_at_the_end_what_could_not_be_sent_is_given_back(self) -> None:
        rig = DeadRig()
        rig.deliver("a", "b")
        rig.answer("a", FINAL)
        rig.answer("b", FINAL)
        rig.sent("a", kinds.DENIED)
        rig.engine.drain(rig.now, rig.now + 5)
        rig.advance(1.0)
        rig.engine.cut(rig.now)
        rig.advance(0.1)
        assert rig.settle("change_visibility").seconds_by_id() == {"a": 0}
        rig.sent("b", kinds.DENIED)
        rig.advance(0.1)
        assert rig.settle("change_visibility").seconds_by_id() == {"b": 0}
        rig.advance(3.0)
        assert rig.quiet == [False]

    def test_no_more_is_received_while_letters_pile_up(self) -> None:
        rig = DeadRig(slots=1, batch=1)
        for number in range(200):
            if not rig.receives:
                break
            rig.deliver(f"m{number}")
            rig.answer(f"m{number}", FINAL)
        else:
            pytest.fail("it went on receiving")
        assert len(rig.in_hand) <= 4 * 2 + 102


class TestRate:
    def test_a_poll_asks_for_no_more_than_the_tokens(self) -> None:
        rig = Rig(rate=RateLimit(1.0, 4))
        assert [call.count for call in rig.receives] == [4]

    def test_messages_over_time_keep_to_the_rate_and_nothing_waits_longer_than_needed(self) -> None:
        rig = Rig(rate=RateLimit(10.0, 10))
        arrived: list[float] = []
        number = 0
        while rig.now < 1010.0:
            if rig.receives:
                count = rig.receives[0].count
                names = [f"m{number + index}" for index in range(count)]
                number += count
                rig.deliver(*names)
                arrived += [rig.now] * count
                for name in names:
                    rig.answer(name)
            rig.advance(0.05)
            while rig.settles:
                rig.settle("delete")
        assert 100 <= len(arrived) <= 10 + 10 * 10.05
        assert rig.metrics.receive_calls <= len(arrived) / 4

    def test_a_poll_that_brought_nothing_costs_nothing(self) -> None:
        rig = Rig(rate=RateLimit(0.001, 3))
        for _ in range(5):
            assert rig.receives[0].count == 3
            rig.advance(20)
            rig.deliver()

    def test_a_receive_that_failed_gives_its_tokens_back(self) -> None:
        rig = Rig(rate=RateLimit(0.001, 3))
        rig.fail_receive(kinds.UNAVAILABLE)
        rig.advance(2)
        assert rig.receives[0].count == 3

    def test_the_next_poll_goes_out_by_itself_when_a_token_is_there(self) -> None:
        rig = Rig(rate=RateLimit(0.1, 1))
        rig.deliver("a")
        rig.answer("a")
        assert rig.receives == []
        rig.advance(9.9)
        assert rig.receives == []
        rig.advance(0.2)
        assert [call.count for call in rig.receives] == [1]


class BreakerRig(Rig):
    def __init__(self, failures: int = 3, **options: Any) -> None:
        self.breaker = Breaker(failures, 0, 60, 30)
        super().__init__(breaker=self.breaker, start=False, **options)
        self.engine.set_visibility(120)  # longer than the pause: a poll may stay out for it
        self.engine.start(self.now)

    def trip(self) -> None:
        names = ["x1", "x2", "x3"]
        self.deliver(*names)
        for name in names:
            self.answer(name, FAILED)
        assert self.breaker.state is SHUT


class TestBreaker:
    def test_failures_in_a_row_stop_receiving(self) -> None:
        rig = BreakerRig()
        rig.trip()
        assert list(rig.engine.gate.reasons) == [BREAKER]
        rig.deliver("late")  # the poll that was on the wire
        assert rig.receives == []
        assert rig.posted == []
        assert "breaker_shut" in rig.noted

    def test_what_waits_is_given_back_after_a_blip(self) -> None:
        rig = BreakerRig()
        rig.trip()
        rig.deliver("a", "b")
        rig.advance(4.9)
        assert rig.in_hand == {"a": "waiting", "b": "waiting"}
        rig.advance(0.2)
        assert rig.settle("change_visibility").seconds_by_id() == {"a": 0, "b": 0}

    def test_after_the_pause_one_message_is_received_and_posted(self) -> None:
        rig = BreakerRig(receivers=2)
        rig.trip()
        while rig.receives:
            rig.deliver()
        rig.advance(29.9)
        assert rig.receives == []
        rig.advance(0.2)
        assert [call.count for call in rig.receives] == [1]
        rig.deliver("trial")
        assert rig.posted == ["trial"]
        assert rig.receives == []
        rig.answer("trial")
        assert rig.breaker.state is PASSING
        assert list(rig.engine.gate.reasons) == []
        assert [call.count for call in rig.receives] == [10, 10]

    def test_an_empty_poll_is_followed_by_another(self) -> None:
        rig = BreakerRig()
        rig.trip()
        rig.deliver()
        rig.advance(30.1)
        for _ in range(3):
            rig.advance(20)
            rig.deliver()
        assert [call.count for call in rig.receives] == [1]

    def test_a_poll_for_the_trial_that_fails_is_repeated(self) -> None:
        rig = BreakerRig()
        rig.trip()
        rig.deliver()
        rig.advance(30.1)
        rig.fail_receive(kinds.UNAVAILABLE)
        rig.advance(2)
        assert [call.count for call in rig.receives] == [1]

    def test_a_trial_that_fails_begins_another_pause(self) -> None:
        rig = BreakerRig()
        rig.trip()
        rig.deliver()
        rig.advance(30.1)
        rig.deliver("trial")
        rig.answer("trial", FAILED)
        assert rig.breaker.state is SHUT
        rig.advance(29.9)
        assert rig.receives == []
        rig.advance(0.2)
        assert [call.count for call in rig.receives] == [1]

    def test_of_several_messages_that_come_one_is_tried(self) -> None:
        rig = BreakerRig()
        rig.trip()
        rig.advance(30.1)
        rig.deliver("a", "b", "c")  # the poll of before
        assert rig.posted == ["a"]
        rig.answer("a")
        assert rig.posted == ["b", "c"]

    def test_answers_of_before_do_not_decide_the_trial(self) -> None:
        rig = BreakerRig()
        rig.deliver("x1", "x2", "x3", "slow")
        for name in ("x1", "x2", "x3"):
            rig.answer(name, FAILED)
        rig.advance(30.1)
        rig.deliver("trial")
        rig.answer("slow")
        assert rig.breaker.state is TRYING
        rig.answer("trial")
        assert rig.breaker.state is PASSING

    def test_a_trial_waits_for_every_other_reason(self) -> None:
        rig = BreakerRig()
        rig.trip()
        rig.deliver()
        rig.engine.shut(OFFLINE, rig.now)
        rig.advance(40)
        assert rig.receives == []
        rig.engine.open(OFFLINE, rig.now)
        assert [call.count for call in rig.receives] == [1]

    def test_a_drain_ends_a_shut_breaker(self) -> None:
        rig = BreakerRig()
        rig.trip()
        rig.deliver()
        rig.engine.drain(rig.now, rig.now + 25)
        assert rig.quiet == [True]

    def test_what_the_handler_rejects_for_good_does_not_count(self) -> None:
        letters = Letters()
        rig = BreakerRig(dead=DeadLettering(DeadLetterPolicy(("422",)), letters, lambda: 0.5))
        rig.deliver("a", "b", "c", "d", "e")
        for name, answer in (("a", FAILED), ("b", FAILED), ("c", FINAL), ("d", BY_HEADER), ("e", FAILED)):
            rig.answer(name, answer)
        assert rig.breaker.state is PASSING

    def test_a_damaged_message_is_no_trial(self) -> None:
        rig = BreakerRig()
        rig.trip()
        rig.deliver()
        rig.advance(30.1)
        rig.deliver(rig.message("bad", fault="wrong MD5"))
        assert rig.breaker.state is TRYING
        assert [call.count for call in rig.receives] == [1]

    def test_the_trial_keeps_to_the_rate_limit(self) -> None:
        rig = BreakerRig(rate=RateLimit(0.01, 3))
        rig.trip()
        assert rig.receives == []
        rig.advance(60)
        assert rig.receives == []
        rig.advance(41)
        assert [call.count for call in rig.receives] == [1]


class TestSuspending:
    def test_nothing_is_received_and_what_is_in_hand_is_finished(self) -> None:
        rig = Rig(slots=1, batch=2)
        rig.engine.receiving.average_s = 0.01
        rig.deliver("a")
        rig.deliver("b", "c")
        rig.engine.shut(SUSPENDED, rig.now)
        for name in ("a", "b", "c"):
            assert rig.posted == [name]
            rig.answer(name)
        rig.advance(0.1)
        assert rig.settle("delete").ids == ["a", "b", "c"]
        assert rig.in_hand == {}
        assert rig.receives == []
        rig.advance(100)
        assert rig.receives == []
        rig.engine.open(SUSPENDED, rig.now)
        assert len(rig.receives) == 1

    def test_a_message_that_waits_is_posted_while_suspended(self) -> None:
        rig = Rig()
        rig.engine.shut(SUSPENDED, rig.now)
        rig.deliver("a")  # the poll that was on the wire
        assert rig.posted == ["a"]


class TestTraceIds:
    PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    def test_every_log_line_of_a_message_names_its_trace(self) -> None:
        tracing = Tracing(lambda count: b"\x01" * count, make=False)
        rig = DeadRig(tracing=tracing)
        attributes = {"traceparent": {"DataType": "String", "StringValue": self.PARENT}}
        rig.deliver(
            *[rig.message(name, attributes=attributes) for name in ("a", "b", "c", "d")],
            rig.message("bad", fault="x", attributes=attributes),
        )
        for posted in rig.posts:
            tracing.headers(posted)  # as the webhook does
        rig.deliver(rig.message("a", receipt="a/2", attributes=attributes))
        rig.answer("a", FAILED)
        rig.answer("b", retry_after(3))
        rig.answer("c", FINAL)
        rig.sent("c", kinds.UNAVAILABLE)
        rig.advance(1)
        rig.sent("c")
        rig.engine.drain(rig.now, rig.now + 1)
        rig.advance(1.1)
        about = [(name, fields) for name, fields in rig.notes if "message_id" in fields]
        assert {name for name, _ in about} >= {
            "received_again", "not_delivered", "retry_asked_for", "dead_letter_failed", "dead_lettered", "cut_off",
        }  # fmt: skip
        assert {fields.get("trace_id") for _, fields in about} == {"0af7651916cd43dd8448eb211c80319c"}

    def test_a_message_without_a_trace_has_no_trace_id(self) -> None:
        rig = Rig(tracing=Tracing(lambda count: b"\x01" * count, make=False))
        rig.deliver("a")
        rig.answer("a", FAILED)
        assert "trace_id" not in rig.fields("not_delivered")


def test_off_is_off() -> None:
    rig = Rig()
    rig.deliver("a", "b")
    rig.answer("a", FAILED)
    rig.answer("b", FINAL)
    rig.advance(0.1)
    assert rig.settles == []
    assert rig.in_hand == {}
    assert ACCEPTED.verdict == "delivered"
