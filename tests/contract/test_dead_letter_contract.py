"""Dead letters against every SQS server at hand: what is sent is what can be received there."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

from carrier_sidecar.dead_letter import Letter
from carrier_sidecar.disposition import judge
from carrier_sidecar.message import NO_QUEUE, QueueError
from carrier_sidecar.sqs.dead_letters import ATTRIBUTE, SqsDeadLetterQueue
from tests.contract.sqs_client import Client

if TYPE_CHECKING:
    from tests.contract.sqs_servers import Server

_NUMBERS = itertools.count()


class Rig:
    """A queue and its dead-letter queue, and a client for each."""

    def __init__(self, server: Server, *, fifo: bool = False) -> None:
        end = f"-{next(_NUMBERS)}" + (".fifo" if fifo else "")
        kind = {"FifoQueue": "true"} if fifo else {}
        maker = Client(server.url, "unused")
        maker.queue.open(lambda _error: maker._outcome("credentials", None))
        maker.wait("credentials")
        self.dead_name = "letters" + end
        url = maker.call("CreateQueue", QueueName=self.dead_name, Attributes=kind)["QueueUrl"]
        self.arn: str = maker.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        policy = json.dumps({"deadLetterTargetArn": self.arn, "maxReceiveCount": "5"})
        maker.call("CreateQueue", QueueName="mail" + end, Attributes={**kind, "RedrivePolicy": policy})
        self.client = Client(server.url, "mail" + end)
        self.client.open()
        self.dead = Client(server.url, self.dead_name)
        self.dead.open()

    def send(self, letters: SqsDeadLetterQueue, letter: Letter) -> None:
        """Waits for the outcome; QueueError when it failed."""
        letters.sent = lambda _letter, error: self.client._outcome("sent", error)
        letters.send(letter)
        self.client.wait("sent")

    def letter(self, **params: Any) -> Letter:
        """Of a message sent with these parameters and received."""
        self.client.call("SendMessage", QueueUrl=self.client.queue.url, **params)
        (message,) = self.client.receive_all(1)
        return Letter(message, "no such customer", judge(422, {}, lambda: 0.0), self.client.loop.wall())


def test_the_dead_letter_of_the_redrive_policy_carries_the_message_and_the_reason(sqs_server: Server) -> None:
    rig = Rig(sqs_server)
    found = rig.client.attributes().dead_letter_arn
    assert found == rig.arn
    attributes = {
        "Body.ContentType": {"DataType": "String", "StringValue": "text/plain"},
        "size": {"DataType": "Number", "StringValue": "12"},
        "key": {"DataType": "Binary", "BinaryValue": "AAEC"},
    }
    letter = rig.letter(MessageBody="bödy €", MessageAttributes=attributes)
    rig.send(SqsDeadLetterQueue(rig.client.queue, rig.arn), letter)
    (received,) = rig.dead.receive_all(1)
    assert received.body.decode() == "bödy €"
    assert received.attributes is not None
    said = json.loads(received.attributes[ATTRIBUTE]["StringValue"])
    assert (said["reason"], said["status"], said["receiveCount"]) == ("no such customer", 422, 1)
    assert said["messageId"] == letter.message.id
    for name, value in attributes.items():
        assert {field: received.attributes[name][field] for field in value} == value


def test_ids_of_a_fifo_message_stay(sqs_server: Server) -> None:
    rig = Rig(sqs_server, fifo=True)
    letter = rig.letter(MessageBody="b", MessageGroupId="g", MessageDeduplicationId="d-1")
    letters = SqsDeadLetterQueue(rig.client.queue, rig.dead_name)
    rig.send(letters, letter)
    rig.send(letters, letter)  # as after an answer that was lost: the queue knows it by its deduplication id
    (received,) = rig.dead.receive_all(1)
    assert received.group == "g"
    assert (received.system or {})["MessageDeduplicationId"] == "d-1"
    assert rig.dead.receive() == []


@pytest.mark.parametrize("target", ["name", "url", "arn"])
def test_the_queue_may_be_named_in_three_ways(sqs_server: Server, target: str) -> None:
    rig = Rig(sqs_server)
    named = {"name": rig.dead_name, "url": rig.dead.queue.url, "arn": rig.arn}[target]
    rig.send(SqsDeadLetterQueue(rig.client.queue, named), rig.letter(MessageBody="b"))
    assert len(rig.dead.receive_all(1)) == 1


def test_a_queue_that_does_not_exist_is_told_and_looked_up_anew(sqs_server: Server) -> None:
    rig = Rig(sqs_server)
    name = f"later-{next(_NUMBERS)}"
    letters = SqsDeadLetterQueue(rig.client.queue, name)
    letter = rig.letter(MessageBody="b")
    with pytest.raises(QueueError) as raised:
        rig.send(letters, letter)
    assert raised.value.kind == NO_QUEUE
    rig.client.call("CreateQueue", QueueName=name)
    rig.send(letters, letter)


def test_a_full_set_of_attributes_goes_as_it_is(sqs_server: Server) -> None:
    rig = Rig(sqs_server)
    attributes = {f"a{number}": {"DataType": "String", "StringValue": "x"} for number in range(10)}
    rig.send(
        SqsDeadLetterQueue(rig.client.queue, rig.dead_name), rig.letter(MessageBody="b", MessageAttributes=attributes)
    )
    (received,) = rig.dead.receive_all(1)
    assert set(received.attributes or {}) == set(attributes)
