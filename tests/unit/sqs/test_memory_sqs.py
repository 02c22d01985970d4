"""The in-memory SQS where it goes beyond what the contract suite can ask of every server, with time as an argument;
and the engine's port straight on it."""

from __future__ import annotations

from typing import Any

import pytest

from carrier_sidecar.message import NETWORK, THROTTLED, UNAVAILABLE, Message, QueueError
from tests.simulation.long_polls import LongPolls
from tests.simulation.loop import SimLoop
from tests.simulation.memory_queue import InMemoryQueue
from tests.simulation.memory_sqs import MemorySqs
from tests.simulation.sqs_fault import SqsFault
from tests.simulation.sqs_faults import Fault


class Fifo:
    """A FIFO queue and a clock."""

    def __init__(self, name: str = "q.fifo") -> None:
        self.sqs = MemorySqs()
        self.now = 1000.0
        attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        self.url = self.call("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"]

    def call(self, action: str, **params: Any) -> dict[str, Any]:
        return self.sqs.call(action, params, self.now)

    def send(self, *bodies: str, **more: Any) -> None:
        for body in bodies:
            extra = {"MessageGroupId": body[0], "MessageDeduplicationId": body} if self.url.endswith(".fifo") else {}
            self.call("SendMessage", QueueUrl=self.url, MessageBody=body, **extra, **more)

    def receive(self, count: int = 10, visibility_s: int = 30, **more: Any) -> list[dict[str, Any]]:
        answer = self.call(
            "ReceiveMessage",
            QueueUrl=self.url,
            MaxNumberOfMessages=count,
            VisibilityTimeout=visibility_s,
            AttributeNames=["All"],
            **more,
        )
        found: list[dict[str, Any]] = answer.get("Messages", [])
        return found

    def bodies(self, count: int = 10, **more: Any) -> list[str]:
        return [message["Body"] for message in self.receive(count, **more)]

    def change(self, message: dict[str, Any], seconds: int) -> None:
        receipt = message["ReceiptHandle"]
        self.call("ChangeMessageVisibility", QueueUrl=self.url, ReceiptHandle=receipt, VisibilityTimeout=seconds)

    def delete(self, message: dict[str, Any]) -> None:
        self.call("DeleteMessage", QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])


def refused(act: Any) -> SqsFault:
    with pytest.raises(SqsFault) as raised:
        act()
    return raised.value


def test_an_earlier_message_that_lapsed_comes_although_later_ones_are_in_flight() -> None:
    queue = Fifo()
    queue.send("a1", "a2", "a3")
    first, _, _ = queue.receive()
    queue.change(first, 0)
    assert queue.bodies() == ["a1"]


def test_a_batch_takes_as_many_of_one_group_as_it_can() -> None:
    queue = Fifo()
    queue.send("a1", "b1", "a2", "b2")
    assert queue.bodies(2) == ["a1", "a2"]


def test_deduplication_lasts_five_minutes_even_after_a_delete() -> None:
    queue = Fifo()
    queue.send("a1")
    queue.delete(queue.receive()[0])
    queue.now += 299
    queue.send("a1")
    assert queue.bodies() == []
    queue.now += 2
    queue.send("a1")
    assert queue.bodies() == ["a1"]


def test_an_attempt_is_not_repeated_once_something_was_done_to_its_messages() -> None:
    queue = Fifo()
    queue.send("a1", "b1")
    first = queue.receive(ReceiveRequestAttemptId="x")
    assert queue.receive(ReceiveRequestAttemptId="x") == first
    queue.change(first[0], 60)
    assert queue.receive(ReceiveRequestAttemptId="x") == []


def test_a_repeated_attempt_hides_its_messages_anew() -> None:
    queue = Fifo()
    queue.send("a1")
    queue.receive(ReceiveRequestAttemptId="x")
    queue.now += 20
    queue.receive(ReceiveRequestAttemptId="x")
    queue.now += 20
    assert queue.bodies() == []
    queue.now += 11
    assert queue.bodies() == ["a1"]


def test_fifo_receipts_end_with_the_visibility() -> None:
    queue = Fifo()
    queue.send("a1")
    (message,) = queue.receive()
    queue.now += 31
    assert "expired" in refused(lambda: queue.delete(message)).message


def test_standard_receipts_survive_it_until_the_next_receive() -> None:
    queue = Fifo("q")
    queue.send("a1")
    (old,) = queue.receive()
    queue.now += 31
    assert refused(lambda: queue.change(old, 30)).code == "MessageNotInflight"
    (new,) = queue.receive()
    queue.delete(old)  # success, and nothing happens
    queue.now += 31
    assert queue.bodies() == ["a1"]
    queue.delete(new)
    queue.now += 31
    (newest,) = queue.receive()
    queue.now += 31
    queue.delete(newest)
    assert queue.bodies() == []


def test_twelve_hours_count_from_the_receive() -> None:
    queue = Fifo("q")
    queue.send("a1")
    (message,) = queue.receive(visibility_s=3600)
    queue.now += 3000
    queue.change(message, 43200 - 3000)
    assert "43200" in refused(lambda: queue.change(message, 43201 - 3000)).message
    queue.now += 43200 - 3000 - 1
    assert queue.bodies() == []
    queue.now += 2
    assert queue.bodies() == ["a1"]


def test_delays() -> None:
    queue = Fifo("q")
    queue.send("a1", DelaySeconds=10)
    assert queue.bodies() == []
    queue.now += 10
    assert queue.bodies() == ["a1"]


def test_too_many_in_flight() -> None:
    queue = Fifo("q")
    queue.sqs.queues["q"].max_in_flight = 2
    queue.send("a", "b", "c")
    queue.receive(2)
    assert refused(queue.receive).code == "OverLimit"


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], "EmptyBatchRequest"),
        ([{"Id": "a", "ReceiptHandle": "x#1"}] * 2, "BatchEntryIdsNotDistinct"),
        ([{"Id": f"{n}", "ReceiptHandle": "x"} for n in range(11)], "TooManyEntriesInBatchRequest"),
        ([{"Id": "a b", "ReceiptHandle": "x"}], "InvalidBatchEntryId"),
    ],
)
def test_batches_that_are_refused(entries: list[dict[str, str]], code: str) -> None:
    queue = Fifo("q")
    assert refused(lambda: queue.call("DeleteMessageBatch", QueueUrl=queue.url, Entries=entries)).code == code


def test_dead_letters_keep_their_identity() -> None:
    queue = Fifo("q")
    dead = queue.call("CreateQueue", QueueName="dead")["QueueUrl"]
    policy = '{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":"1"}'
    queue.call("SetQueueAttributes", QueueUrl=queue.url, Attributes={"RedrivePolicy": policy})
    queue.send("a1")
    (message,) = queue.receive()
    queue.now += 31
    assert queue.bodies() == []
    queue.url = dead
    (buried,) = queue.receive()
    assert buried["MessageId"] == message["MessageId"]
    assert buried["Attributes"]["ApproximateReceiveCount"] == "2"
    assert buried["Attributes"]["DeadLetterQueueSourceArn"].endswith(":q")


# The port


class Port:
    """An InMemoryQueue, and what it reported."""

    def __init__(self) -> None:
        self.loop = SimLoop()
        self.sqs = MemorySqs()
        self.polls = LongPolls(self.loop, self.sqs)
        self.url = self.sqs.call("CreateQueue", {"QueueName": "q"}, 0)["QueueUrl"]
        self.port = InMemoryQueue(self.loop, self.polls, self.url, latency_s=0.01, events=self)
        self.events: list[tuple[Any, ...]] = []

    def received(self, receiver: int, messages: list[Message], sent_at: float, now: float) -> None:
        self.events.append(("received", receiver, [message.body for message in messages], now - sent_at))
        self.messages = messages

    def receive_failed(self, receiver: int, error: QueueError, now: float) -> None:
        self.events.append(("receive_failed", receiver, error.kind))

    def settled(
        self, action: str, messages: list[Message], errors: list[QueueError | None] | None, sent_at: float, now: float
    ) -> None:
        self.events.append((action, errors and [error.kind if error else None for error in errors]))

    def send_at(self, delay_s: float, body: str) -> None:
        def send() -> None:
            self.polls.send(self.url, body)

        self.loop.call_at(self.loop.now() + delay_s, send)

    def last(self, wait_s: float = 1.0) -> tuple[Any, ...]:
        assert self.events == []  # never from inside a call
        self.loop.run_for(wait_s)
        (event,) = self.events
        self.events.clear()
        return event


def test_the_port_receives_and_settles() -> None:
    world = Port()
    world.polls.send(world.url, "one")
    world.port.receive(2, 10, 30, "")
    assert world.last() == ("received", 2, [b"one"], pytest.approx(0.01))
    world.port.change_visibility(world.messages, [60])
    assert world.last() == ("change_visibility", None)
    world.port.delete(world.messages)
    assert world.last() == ("delete", None)
    world.port.receive(2, 10, 30, "")
    name, _, bodies, took_s = world.last(30)
    assert (name, bodies, took_s) == ("received", [], pytest.approx(20.01))


def test_the_port_waits_for_what_comes_and_for_what_becomes_visible() -> None:
    world = Port()
    world.port.receive(0, 10, 5, "")
    world.send_at(3, "late")
    assert world.last(4) == ("received", 0, [b"late"], pytest.approx(3.005, abs=0.01))
    world.port.receive(0, 10, 5, "")
    name, _, bodies, took_s = world.last(10)
    assert (name, bodies) == ("received", [b"late"])
    assert 3 < took_s < 5.1


def test_an_abandoned_receive_of_the_port_takes_nothing() -> None:
    world = Port()
    world.port.receive(0, 10, 30, "")
    world.loop.run_for(1)
    world.port.abandon(0)
    world.polls.send(world.url, "one")
    world.loop.run_for(30)
    assert world.events == []
    world.port.receive(0, 10, 30, "")
    assert world.last()[2] == [b"one"]


def test_the_port_meets_the_planned_faults() -> None:
    world = Port()
    faults = world.polls.faults
    faults.plan(Fault("ReceiveMessage", code="RequestThrottled"))
    world.port.receive(0, 10, 30, "")
    assert world.last() == ("receive_failed", 0, THROTTLED)
    faults.plan(Fault("ReceiveMessage", close_before=True))
    world.port.receive(0, 10, 30, "")
    assert world.last() == ("receive_failed", 0, NETWORK)
    world.polls.send(world.url, "a")
    world.polls.send(world.url, "b")
    world.port.receive(0, 10, 30, "")
    world.last()
    faults.plan(Fault("DeleteMessageBatch", fail=[1], code="InternalError", status=500))
    world.port.delete(world.messages)
    assert world.last() == ("delete", [None, UNAVAILABLE])
    faults.plan(Fault("DeleteMessageBatch", close_after=True))
    world.port.delete(world.messages[1:])
    assert world.last() == ("delete", [NETWORK])
    assert world.sqs.queues["q"].messages == {}
