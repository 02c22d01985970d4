from typing import Any

import pytest

from carrier_sidecar import message as kinds
from carrier_sidecar.dead_letter import MOST_SENDS, NEVER, DeadLettering, DeadLetterPolicy, Letter, dead_letter_policy
from carrier_sidecar.disposition import (
    DEAD,
    DELIVERED,
    MAX_REASON,
    Answer,
    judge,
    judge_with_dead_letters,
    no_answer,
)
from carrier_sidecar.in_flight import ACCEPTED, POSTING, InFlight
from carrier_sidecar.in_flight import DEAD as DEAD_STATE
from carrier_sidecar.message import Message, QueueError
from carrier_sidecar.metrics import Metrics
from carrier_sidecar.settings import parse

SENT_MS = 1_700_000_000_000


def message(name: str = "m", **more: Any) -> Message:
    return Message(name, "r", b"{}", **{"sent_time": str(SENT_MS), "receive_count": "1", **more})


def answer(status: int, **headers: str) -> Answer:
    return judge_with_dead_letters(
        status, {name.replace("_", "-"): text for name, text in headers.items()}, lambda: 0.0
    )


def error(kind: str) -> QueueError:
    return QueueError(kind, kind, kind, answered=True)


class TestPolicy:
    def test_the_header_names_the_reason_whatever_the_status(self) -> None:
        policy = DeadLetterPolicy()
        for status in (200, 202, 400, 500, 503):
            found = answer(status, x_carrier_dead_letter="no such customer", retry_after="5")
            assert found.verdict is DEAD
            assert found.reason == f"status {status}"  # of metrics: nothing that a handler may make up
            assert policy.reason(message(), found, 0.0) == "no such customer"

    def test_the_header_is_heeded_only_where_dead_letters_are_on(self) -> None:
        assert judge(200, {"x-carrier-dead-letter": "x"}, lambda: 0.0).verdict is DELIVERED

    def test_an_empty_or_endless_reason_is_made_fit(self) -> None:
        assert answer(200, x_carrier_dead_letter="  ").dead_letter == "the handler gave no reason"
        assert len(answer(200, x_carrier_dead_letter="x" * 5000).dead_letter) == MAX_REASON

    @pytest.mark.parametrize(
        ("statuses", "status", "final"),
        [((), 400, False), (("400",), 400, True), (("400",), 401, False), (("4xx",), 499, True), (("4xx",), 500, False),
         (("4xx", "501"), 501, True), (("2xx",), 200, False)],
    )  # fmt: skip
    def test_statuses_that_are_final(self, statuses: tuple[str, ...], status: int, final: bool) -> None:
        policy = DeadLetterPolicy(statuses)
        assert policy.is_final(answer(status)) is final
        assert bool(policy.reason(message(), answer(status), 0.0)) is final

    def test_no_answer_is_no_status(self) -> None:
        assert not DeadLetterPolicy(("1xx", "4xx", "5xx")).is_final(no_answer("timeout"))

    def test_a_status_with_retry_after_is_not_final_but_may_be_one_try_too_many(self) -> None:
        found = answer(429, retry_after="5")
        assert DeadLetterPolicy(("4xx",)).reason(message(), found, 0.0) == ""
        assert DeadLetterPolicy(("4xx",)).is_final(answer(429))
        assert DeadLetterPolicy(("4xx",), 1).reason(message(), found, 0.0) == "given up on receive 1: status 429"

    @pytest.mark.parametrize(("count", "given_up"), [("", False), ("1", False), ("2", False), ("3", True), ("9", True)])
    def test_giving_up_by_receives(self, count: str, given_up: bool) -> None:
        found = DeadLetterPolicy((), 3).reason(message(receive_count=count), answer(500), 0.0)
        assert found == (f"given up on receive {count}: status 500" if given_up else "")

    @pytest.mark.parametrize(("age_s", "given_up"), [(-5, False), (59.9, False), (60, True), (1e6, True)])
    def test_giving_up_by_age(self, age_s: float, given_up: bool) -> None:
        wall_s = SENT_MS / 1000 + age_s
        found = DeadLetterPolicy((), 0, 60).reason(message(), no_answer("timeout"), wall_s)
        assert found == (f"given up {int(age_s)} s after it was sent: timeout" if given_up else "")
        assert DeadLetterPolicy((), 0, 60).reason(message(sent_time=""), no_answer("timeout"), wall_s) == ""

    def test_a_refused_connection_gives_nothing_up(self) -> None:
        assert DeadLetterPolicy((), 1, 1).reason(message(receive_count="9"), no_answer("refused"), 2e9) == ""

    def test_it_is_read_from_the_settings(self) -> None:
        needed = {"CARRIER_SQS_ENDPOINT": "http://h", "CARRIER_SQS_QUEUE_NAME": "q"}
        assert dead_letter_policy(parse(needed)) is None
        policy = dead_letter_policy(
            parse(needed | {"CARRIER_DEAD_LETTER_STATUSES": "4xx", "CARRIER_GIVE_UP_RECEIVES": "5"})
        )
        assert policy is not None
        assert policy.is_final(answer(404))
        assert policy.most_receives == 5


class Port:
    def __init__(self) -> None:
        self.sent: list[Letter] = []

    def send(self, letter: Letter) -> None:
        self.sent.append(letter)

    @property
    def names(self) -> list[str]:
        return [letter.message.id for letter in self.sent]


@pytest.fixture
def port() -> Port:
    return Port()


class Sending:
    """Dead letters of messages in hand, of which each is final."""

    def __init__(self) -> None:
        self.port = Port()
        self.hand = InFlight()
        self.metrics = Metrics()
        self.accepted: list[str] = []
        self.notes: list[tuple[str, dict[str, object]]] = []
        self.dead = DeadLettering(DeadLetterPolicy(("4xx",)), self.port, lambda: 1.0)
        self.dead.serve(self.hand, self.metrics, lambda name, fields: self.notes.append((name, fields)), self._accept)

    def _accept(self, message: Message, now: float) -> None:
        self.accepted.append(message.id)
        self.hand.move(message, ACCEPTED)

    def fail(self, name: str, now: float = 0.0, status: int = 400) -> bool:
        """A message is received and POSTed, and the handler answers with that status."""
        self.hand.add(message(name, receive_count="2"), now)
        self.hand.by_id[name].visible_at = now + 30
        taken = self.hand.take(now)
        assert taken is not None
        return self.dead.takes(taken, answer(status), now)

    def end(self, index: int, kind: str = "", now: float = 0.0) -> None:
        self.dead.sent(self.port.sent[index], error(kind) if kind else None, now)


@pytest.fixture
def sending() -> Sending:
    return Sending()


class TestSending:
    def test_a_letter_goes_at_once_and_once_and_only_then_its_message_is_accepted(self, sending: Sending) -> None:
        assert sending.fail("a")
        assert sending.fail("b")
        assert sending.port.names == ["a", "b"]
        assert sending.hand.by_id["a"].state == DEAD_STATE
        assert sending.hand.by_id["a"].body == b"{}"
        assert (sending.hand.posting, sending.accepted) == (0, [])
        sending.end(0)
        assert sending.port.names == ["a", "b"]
        assert sending.accepted == ["a"]
        assert sending.metrics.dead_lettered == 1
        assert sending.notes == [
            (
                "dead_lettered",
                {"message_id": "a", "reason": "status 400", "dead_letter": "status 400 is final", "receive_count": 2},
            )
        ]

    def test_what_is_not_final_is_not_taken(self, sending: Sending) -> None:
        assert not sending.fail("a", status=500)
        assert sending.port.sent == []
        assert sending.hand.by_id["a"].state == POSTING

    def test_without_a_queue_nothing_is_taken_and_that_is_said(self, sending: Sending) -> None:
        sending.dead.available = False
        assert not sending.fail("a")
        assert [name for name, _ in sending.notes] == ["no_dead_letter_queue"]

    def test_sends_at_once_are_bounded(self, sending: Sending) -> None:
        for number in range(MOST_SENDS + 2):
            sending.fail(str(number))
        assert len(sending.port.sent) == MOST_SENDS
        sending.end(0)
        assert len(sending.port.sent) == MOST_SENDS + 1

    def test_after_a_failure_of_the_queue_all_wait_and_then_one_goes_alone(self, sending: Sending) -> None:
        for name in "abc":
            sending.fail(name)
        for index in range(3):
            sending.end(index, kinds.UNAVAILABLE)
        assert sending.accepted == []
        assert sending.metrics.dead_letter_failures == 3
        wake_at = sending.dead.wake_at
        assert 0.0 < wake_at <= 1.0
        sending.fail("d")
        sending.dead.flush(wake_at - 0.001)
        assert len(sending.port.sent) == 3
        sending.dead.flush(wake_at)
        assert sending.port.names[3:] == ["a"]
        sending.end(3, now=wake_at)
        assert sending.port.names[3:] == ["a", "b", "c", "d"]

    def test_a_refusal_that_somebody_must_mend_is_tried_again_seldom(self, sending: Sending) -> None:
        sending.fail("a")
        now = 0.0
        for _ in range(10):
            sending.end(-1, kinds.DENIED, now)
            now = sending.dead.wake_at
            sending.dead.flush(now)
        assert len(sending.port.sent) == 11
        assert now > 120

    def test_a_letter_that_is_refused_itself_goes_without_the_attribute_and_holds_up_no_other(
        self, sending: Sending
    ) -> None:
        sending.fail("a")
        assert not sending.port.sent[0].bare
        sending.end(0, kinds.INVALID)
        assert sending.port.names == ["a", "a"]
        assert sending.port.sent[1].bare
        sending.end(1, kinds.INVALID)
        assert sending.dead.wake_at > 0.5
        sending.fail("b")
        assert sending.port.names == ["a", "a", "b"]
        sending.dead.flush(sending.dead.wake_at)
        assert sending.port.names == ["a", "a", "b", "a"]

    def test_a_message_that_was_let_go_is_not_sent_any_more(self, sending: Sending) -> None:
        sending.fail("a")
        sending.end(0, kinds.UNAVAILABLE)
        sending.hand.remove(sending.hand.by_id["a"])
        sending.dead.flush(100.0)
        assert sending.port.names == ["a"]
        assert sending.dead.wake_at == NEVER

    def test_a_message_that_was_let_go_while_its_letter_was_sent_is_remembered(self, sending: Sending) -> None:
        sending.fail("a")
        sending.hand.remove(sending.hand.by_id["a"])
        sending.end(0)
        assert sending.accepted == []
        assert "a" in sending.hand.remembered

    def test_the_same_message_again_is_another_letter(self, sending: Sending) -> None:
        sending.fail("a")
        sending.hand.remove(sending.hand.by_id["a"])
        sending.fail("a", 40.0)
        assert sending.port.names == ["a", "a"]
        sending.end(0, now=41.0)
        assert sending.accepted == []
        sending.end(1, now=42.0)
        assert sending.accepted == ["a"]

    def test_what_waits_for_its_send_can_be_cut_off(self, sending: Sending) -> None:
        for name in "ab":
            sending.fail(name)
        sending.end(0, kinds.UNAVAILABLE)
        assert [one.id for one in sending.dead.not_on_wire()] == ["a"]
