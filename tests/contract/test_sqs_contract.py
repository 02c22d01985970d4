"""What our SQS client and every SQS server must agree on, over the wire: one suite, several servers.

The in-memory SQS is one of them: where it passes the same tests as the others, tests that rely on it can be believed.
"""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from carrier_sidecar.message import BAD_RECEIPT, INVALID, NO_QUEUE, NOT_IN_FLIGHT, QueueError
from tests.contract import sqs_servers
from tests.contract.sqs_client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.contract.sqs_servers import Server

numbers = itertools.count()


@pytest.fixture
def needs(sqs_server: Server) -> Callable[[str], None]:
    def check(what: str) -> None:
        if what in sqs_server.lacks:
            pytest.skip(f"{sqs_server.name} lacks {what}")

    return check


@pytest.fixture
def make_queue(sqs_server: Server) -> Iterator[Callable[..., Client]]:
    """Creates a queue of a fresh name and opens a client on it."""
    clients: list[Client] = []

    def make(suffix: str = "", attributes: dict[str, str] | None = None, **options: Any) -> Client:
        name = f"orders-{next(numbers)}{suffix}"
        client = Client(sqs_server.url, name, **options)
        clients.append(client)
        if suffix == ".fifo":
            attributes = {"FifoQueue": "true", **(attributes or {})}
        client.queue.credentials.require(lambda outcome: client._outcome("credentials", outcome))
        client.wait("credentials")
        client.call("CreateQueue", QueueName=name, Attributes=attributes or {})
        client.open()
        return client

    yield make
    for client in clients:
        client.close()


def test_a_queue_is_found_by_its_name(sqs_server: Server, make_queue: Callable[..., Client]) -> None:
    client = make_queue()
    other = Client(sqs_server.url, client.queue.name)
    assert other.open() == client.queue.url
    assert other.queue.url.endswith(f"/{client.queue.name}")
    other.close()


def test_calls_go_to_the_endpoint_and_not_to_the_queues_own_url(
    sqs_server: Server, make_queue: Callable[..., Client]
) -> None:
    client = make_queue()
    client.send("one")
    # Whatever host that URL names: the client only ever spoke to the endpoint.
    client.queue.url = client.queue.url.replace("127.0.0.1", "192.0.2.1")
    assert [message.body for message in client.receive()] == [b"one"]


def test_a_queue_that_is_not_there(sqs_server: Server) -> None:
    client = Client(sqs_server.url, "no-such-queue")
    with pytest.raises(QueueError) as raised:
        client.open()
    assert raised.value.kind == NO_QUEUE
    assert "no-such-queue" in raised.value.detail
    assert raised.value.answered
    client.close()


def test_another_accounts_queue_is_asked_for(make_queue: Callable[..., Client], needs: Callable[[str], None]) -> None:
    needs(sqs_servers.ACCOUNTS)
    client = make_queue()
    client.queue.url = ""
    client.queue._owner = "210987654321"
    with pytest.raises(QueueError) as raised:
        client.open()
    assert raised.value.kind == NO_QUEUE


def test_a_queue_that_went_away(make_queue: Callable[..., Client]) -> None:
    client = make_queue()
    client.send("one")
    messages = client.receive_all(1)
    client.call("DeleteQueue", QueueUrl=client.queue.url)
    with pytest.raises(QueueError) as raised:
        client.receive()
    assert raised.value.kind == NO_QUEUE
    with pytest.raises(QueueError) as raised:
        client.attributes()
    assert raised.value.kind == NO_QUEUE
    (error,) = client.delete(messages)
    assert error is not None
    assert error.kind in (NO_QUEUE, BAD_RECEIPT)


def test_attributes_of_a_standard_queue(make_queue: Callable[..., Client]) -> None:
    dead = make_queue()
    arn = dead.attributes().arn
    assert arn.endswith(f":{dead.queue.name}")
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "4"})
    client = make_queue(attributes={"VisibilityTimeout": "77", "RedrivePolicy": policy})
    client.send("one")
    found = client.attributes()
    assert found.visibility_timeout_s == 77
    assert not found.fifo
    assert (found.dead_letter_arn, found.max_receive_count) == (arn, 4)
    assert found.visible == 1
    assert found.in_flight == 0


def test_attributes_of_a_fifo_queue(make_queue: Callable[..., Client]) -> None:
    found = make_queue(".fifo").attributes()
    assert found.fifo
    assert found.max_receive_count is None


def test_a_message_with_all_that_it_carries(make_queue: Callable[..., Client]) -> None:
    client = make_queue()
    before_ms = int(time.time() * 1000) - 1000
    client.send(
        "grüße, 世界 \U0001f600 \"'\\\n\t",
        MessageAttributes={
            "Body.ContentType": {"DataType": "String", "StringValue": "text/plain; charset=utf-8"},
            "Number": {"DataType": "Number", "StringValue": "12"},
            "Blob": {"DataType": "Binary", "BinaryValue": "AAECAwT/"},
        },
        MessageSystemAttributes={
            "AWSTraceHeader": {
                "DataType": "String",
                "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
            }
        },
    )
    (message,) = client.receive()
    assert message.body.decode() == "grüße, 世界 \U0001f600 \"'\\\n\t"
    assert message.fault is None
    assert message.content_type == "text/plain; charset=utf-8"
    assert message.receive_count == "1"
    assert message.group is None
    assert before_ms <= int(message.sent_time) <= int(message.first_receive_time) <= time.time() * 1000 + 1000
    assert message.attributes is not None
    assert message.attributes["Number"]["StringValue"] == "12"
    assert message.attributes["Blob"]["BinaryValue"] == "AAECAwT/"
    assert message.system is not None
    assert message.system["AWSTraceHeader"].startswith("Root=1-5759e988")


def test_only_the_attributes_that_were_asked_for_come(make_queue: Callable[..., Client]) -> None:
    client = make_queue(attribute_names=("Body.ContentType",))
    attributes = {
        "Body.ContentType": {"DataType": "String", "StringValue": "text/x"},
        "Other": {"DataType": "String", "StringValue": "y"},
    }
    client.send("one", MessageAttributes=attributes)
    (message,) = client.receive()
    assert message.content_type == "text/x"
    assert message.attributes is not None
    assert set(message.attributes) == {"Body.ContentType"}


def test_an_empty_queue_answers_after_the_wait(make_queue: Callable[..., Client]) -> None:
    client = make_queue(wait_s=1)
    started = time.monotonic()
    assert client.receive() == []
    assert 0.8 <= time.monotonic() - started < 5


def test_a_long_poll_ends_when_a_message_comes(make_queue: Callable[..., Client]) -> None:
    client = make_queue(wait_s=10)
    client.queue.receive(0, 10, 30, "")
    loop = client.loop
    loop.call_at(loop.now() + 0.3, lambda: client.queue.call("SendMessage", params, lambda answer: None))
    params = {"QueueUrl": client.queue.url, "MessageBody": "late"}
    started = time.monotonic()
    messages = client.wait(0)
    assert [message.body for message in messages] == [b"late"]
    assert time.monotonic() - started < 5


def test_an_abandoned_receive_is_heard_of_no_more(make_queue: Callable[..., Client]) -> None:
    client = make_queue(wait_s=2)
    client.queue.receive(7, 10, 30, "")
    client.loop.call_at(client.loop.now() + 0.1, lambda: client.queue.abandon(7))
    assert client.receive() == []
    assert 7 not in client._outcomes


def test_hidden_until_the_visibility_timeout_or_a_change(make_queue: Callable[..., Client]) -> None:
    client = make_queue(wait_s=1)
    client.send("one")
    (first,) = client.receive(visibility_s=60)
    assert client.receive() == []
    assert client.change_visibility([first], [0]) == [None]
    (second,) = client.receive(visibility_s=60)
    assert second.id == first.id
    assert second.receipt != first.receipt
    assert second.receive_count == "2"
    assert client.delete([second]) == [None]
    assert client.receive() == []


def test_visibility_runs_out(make_queue: Callable[..., Client]) -> None:
    client = make_queue(wait_s=4)
    client.send("one")
    (first,) = client.receive(visibility_s=1)
    (second,) = client.receive(visibility_s=60)
    assert second.id == first.id


def test_extended_visibility_holds(make_queue: Callable[..., Client]) -> None:
    client = make_queue(wait_s=2)
    client.send("one")
    (first,) = client.receive(visibility_s=1)
    assert client.change_visibility([first], [30]) == [None]
    assert client.receive() == []
    assert client.delete([first]) == [None]


def test_batches_of_ten(make_queue: Callable[..., Client]) -> None:
    client = make_queue()
    entries = [{"Id": str(index), "MessageBody": f"body {index}"} for index in range(10)]
    answer = client.call("SendMessageBatch", QueueUrl=client.queue.url, Entries=entries)
    assert len(answer["Successful"]) == 10
    messages = client.receive_all(10)
    assert {message.body for message in messages} == {f"body {index}".encode() for index in range(10)}
    assert client.change_visibility(messages, [20 + index for index in range(10)]) == [None] * 10
    assert client.delete(messages) == [None] * 10
    assert client.attributes().in_flight == 0


def test_one_bad_receipt_among_good_ones(make_queue: Callable[..., Client]) -> None:
    client = make_queue()
    for index in range(3):
        client.send(f"{index}")
    messages = client.receive_all(3)
    good = messages[1].receipt
    messages[1].receipt = 'no "receipt"\u2028 at\tall'
    errors = client.delete(messages)
    assert errors[0] is None
    assert errors[2] is None
    assert errors[1] is not None
    assert errors[1].kind == BAD_RECEIPT
    assert "receipt" not in errors[1].code or "no " not in errors[1].detail.partition(":")[2]
    messages[1].receipt = good
    assert client.delete([messages[1]]) == [None]


def test_changing_what_was_deleted_fails(make_queue: Callable[..., Client]) -> None:
    client = make_queue()
    client.send("one")
    messages = client.receive_all(1)
    assert client.delete(messages) == [None]
    (error,) = client.change_visibility(messages, [30])
    assert error is not None
    assert error.kind in (NOT_IN_FLIGHT, BAD_RECEIPT)


def test_changing_what_is_visible_again_fails(make_queue: Callable[..., Client], needs: Callable[[str], None]) -> None:
    needs(sqs_servers.NOT_IN_FLIGHT)
    client = make_queue()
    client.send("one")
    messages = client.receive_all(1)
    assert client.change_visibility(messages, [0]) == [None]
    (error,) = client.change_visibility(messages, [30])
    assert error is not None
    assert error.kind == NOT_IN_FLIGHT


def test_an_old_receipt_deletes_nothing(make_queue: Callable[..., Client], needs: Callable[[str], None]) -> None:
    needs(sqs_servers.OLD_RECEIPTS)
    client = make_queue(wait_s=0)
    client.send("one")
    old = client.receive_all(1)
    client.change_visibility(old, [0])
    (new,) = client.receive()
    client.delete(old)  # whatever is answered
    assert client.change_visibility([new], [0]) == [None]
    (again,) = client.receive()
    assert again.receive_count == "3"


def test_deleting_twice_does_no_harm(make_queue: Callable[..., Client]) -> None:
    client = make_queue()
    client.send("one")
    messages = client.receive_all(1)
    assert client.delete(messages) == [None]
    (error,) = client.delete(messages)
    assert error is None or error.kind == BAD_RECEIPT


def test_no_more_than_twelve_hours_from_the_receive(
    make_queue: Callable[..., Client], needs: Callable[[str], None]
) -> None:
    needs(sqs_servers.TWELVE_HOURS)
    client = make_queue()
    client.send("one")
    messages = client.receive_all(1)
    time.sleep(1.1)  # the server's clock, which is not ours to move
    (error,) = client.change_visibility(messages, [43200])
    assert error is not None
    assert error.kind == INVALID


def test_what_the_server_calls_invalid(make_queue: Callable[..., Client]) -> None:
    client = make_queue()
    with pytest.raises(QueueError) as raised:
        client.receive(count=11)
    assert raised.value.kind == INVALID
    assert raised.value.answered


def test_a_body_of_one_mebibyte(make_queue: Callable[..., Client], needs: Callable[[str], None]) -> None:
    needs(sqs_servers.ONE_MIB)
    client = make_queue()
    body = "xé" * ((1 << 20) // 3)
    client.send(body)
    (message,) = client.receive()
    assert message.body == body.encode()
    assert message.fault is None


def test_dead_letters_after_the_last_receive(make_queue: Callable[..., Client]) -> None:
    dead = make_queue(wait_s=1)
    policy = json.dumps({"deadLetterTargetArn": dead.attributes().arn, "maxReceiveCount": "2"})
    client = make_queue(attributes={"RedrivePolicy": policy}, wait_s=0)
    sent = client.send("bad one")
    for attempt in (1, 2):
        (message,) = client.receive()
        assert message.receive_count == str(attempt)
        client.change_visibility([message], [0])
    assert client.receive() == []
    (buried,) = dead.receive()
    assert buried.body == b"bad one"
    assert buried.id == sent["MessageId"]


def send_fifo(client: Client, *bodies: str) -> None:
    """Bodies such as "a1": of group a."""
    for body in bodies:
        client.send(body, MessageGroupId=body[0], MessageDeduplicationId=body)


def texts(messages: list[Any]) -> list[str]:
    return [message.body.decode() for message in messages]


def test_a_group_comes_in_order_and_says_its_name(make_queue: Callable[..., Client]) -> None:
    client = make_queue(".fifo", wait_s=0)
    send_fifo(client, "a1", "b1", "a2", "b2")
    messages = client.receive_all(4)
    assert {message.group for message in messages} == {"a", "b"}
    for group in "ab":
        assert [text for text in texts(messages) if text[0] == group] == [f"{group}1", f"{group}2"]


def test_a_group_waits_while_a_message_of_it_is_in_flight(make_queue: Callable[..., Client]) -> None:
    client = make_queue(".fifo", wait_s=0)
    send_fifo(client, "a1", "a2", "b1")
    (first,) = client.receive(count=1)
    assert texts([first]) == ["a1"]
    others = client.receive()
    assert texts(others) == ["b1"]
    assert client.delete([first]) == [None]
    assert texts(client.receive()) == ["a2"]


def test_what_is_given_back_comes_first_again(make_queue: Callable[..., Client]) -> None:
    client = make_queue(".fifo", wait_s=0)
    send_fifo(client, "a1", "a2")
    messages = client.receive_all(2)
    assert client.change_visibility(list(reversed(messages)), [0, 0]) == [None, None]
    assert texts(client.receive_all(2)) == ["a1", "a2"]


def test_a_receive_repeated_with_its_attempt_id_brings_the_same(
    make_queue: Callable[..., Client], needs: Callable[[str], None]
) -> None:
    needs(sqs_servers.ATTEMPT_IDS)
    client = make_queue(".fifo", wait_s=0)
    send_fifo(client, "a1", "a2")
    first = client.receive(attempt_id="attempt-1")
    assert client.receive(attempt_id="attempt-2") == []
    again = client.receive(attempt_id="attempt-1")
    assert texts(again) == texts(first)
    assert client.delete(again) == [None] * len(again)


def test_a_fifo_receipt_expires_with_its_visibility(
    make_queue: Callable[..., Client], needs: Callable[[str], None]
) -> None:
    needs(sqs_servers.FIFO_RECEIPTS)
    client = make_queue(".fifo", wait_s=0)
    send_fifo(client, "a1")
    (message,) = client.receive(visibility_s=60)
    client.change_visibility([message], [0])
    (error,) = client.delete([message])
    assert error is not None
    assert error.kind == BAD_RECEIPT


def test_sending_twice_with_one_deduplication_id(make_queue: Callable[..., Client]) -> None:
    client = make_queue(".fifo", wait_s=0)
    send_fifo(client, "a1", "a1")
    assert texts(client.receive()) == ["a1"]
