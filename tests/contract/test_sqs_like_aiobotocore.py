"""The same operations through aiobotocore and through our client have the same outcome, on every server."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from carrier_sidecar.message import QueueError
from carrier_sidecar.sqs.errors import plain_code
from tests.contract.sqs_client import KEYS, Client

if TYPE_CHECKING:
    from carrier_sidecar.message import Message
    from tests.contract.sqs_servers import Server

numbers = itertools.count()
ATTRIBUTES = {
    "Body.ContentType": {"DataType": "String", "StringValue": "text/plain"},
    "Blob": {"DataType": "Binary", "BinaryValue": "AAEC/w=="},
}
BODIES = ["one", "zwei ü \U0001f600", '{"three": "\\u0033"}', "line\nline\ttab"]
Outcome = list[Any]


def ours(url: str, name: str) -> Outcome:
    """Send, receive, fail to settle, settle, look again; what came of each step."""
    client = Client(url, name, wait_s=0)
    outcome: Outcome = []
    client.queue.credentials.require(lambda found: client._outcome("credentials", found))
    client.wait("credentials")
    client.call("CreateQueue", QueueName=name, Attributes={"VisibilityTimeout": "40"})
    client.open()
    for body in BODIES:
        sent = client.send(body, MessageAttributes=ATTRIBUTES)
        outcome.append(sent["MD5OfMessageBody"])
    found = client.attributes()
    outcome.append((found.visibility_timeout_s, found.visible))
    messages = client.receive_all(len(BODIES))
    outcome.append(sorted(described(message) for message in messages))
    messages.sort(key=lambda message: message.body)
    outcome.append([error is None for error in client.change_visibility(messages, [50, 51, 52, 0])])
    (again,) = client.receive_all(1)
    outcome.append((again.body, again.receive_count))
    messages[3] = again
    kept = again.receipt
    again.receipt = "nonsense"
    outcome.append([error.code if error else None for error in client.delete(messages)])
    again.receipt = kept
    outcome.append([error is None for error in client.delete([again])])
    try:
        client.receive(count=11)
    except QueueError as error:
        outcome.append(error.code)
    client.call("DeleteQueue", QueueUrl=client.queue.url)
    try:
        client.receive()
    except QueueError as error:
        outcome.append(error.code)
    client.close()
    return outcome


def described(message: Message) -> tuple[Any, ...]:
    assert message.attributes is not None
    blob = message.attributes["Blob"]["BinaryValue"]
    return (message.body, message.content_type, message.receive_count, blob, message.fault)


def settled(answer: dict[str, Any], ids: list[str]) -> list[str | None]:
    failed = {entry["Id"]: plain_code(entry["Code"]) for entry in answer.get("Failed", [])}
    done = {entry["Id"] for entry in answer.get("Successful", [])}
    assert done | set(failed) == set(ids)
    return [failed.get(each) for each in ids]


async def theirs(url: str, name: str) -> Outcome:
    """The same steps through aiobotocore."""
    session = get_session()
    outcome: Outcome = []
    async with session.create_client(
        "sqs",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
    ) as sqs:
        await sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "40"})
        queue = {"QueueUrl": (await sqs.get_queue_url(QueueName=name))["QueueUrl"]}
        attributes = {**ATTRIBUTES, "Blob": {"DataType": "Binary", "BinaryValue": b"\x00\x01\x02\xff"}}
        for body in BODIES:
            sent = await sqs.send_message(**queue, MessageBody=body, MessageAttributes=attributes)
            outcome.append(sent["MD5OfMessageBody"])
        names = ["VisibilityTimeout", "ApproximateNumberOfMessages"]
        found = (await sqs.get_queue_attributes(**queue, AttributeNames=names))["Attributes"]
        outcome.append((int(found["VisibilityTimeout"]), int(found["ApproximateNumberOfMessages"])))

        async def receive(count: int) -> list[dict[str, Any]]:
            answer = await sqs.receive_message(
                **queue,
                MaxNumberOfMessages=count,
                VisibilityTimeout=30,
                WaitTimeSeconds=0,
                MessageAttributeNames=["All"],
                AttributeNames=["All"],
            )
            found: list[dict[str, Any]] = answer.get("Messages", [])
            return found

        messages: list[dict[str, Any]] = []
        for _ in range(len(BODIES) + 3):
            if len(messages) < len(BODIES):
                messages += await receive(len(BODIES) - len(messages))
        outcome.append(
            sorted(
                (
                    message["Body"].encode(),
                    message["MessageAttributes"]["Body.ContentType"]["StringValue"],
                    message["Attributes"]["ApproximateReceiveCount"],
                    "AAEC/w==" if message["MessageAttributes"]["Blob"]["BinaryValue"] == b"\x00\x01\x02\xff" else "",
                    None,
                )
                for message in messages
            )
        )
        messages.sort(key=lambda message: message["Body"].encode())
        ids = ["0", "1", "2", "3"]
        answer = await sqs.change_message_visibility_batch(
            **queue,
            Entries=[
                {"Id": each, "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": seconds}
                for each, message, seconds in zip(ids, messages, [50, 51, 52, 0], strict=True)
            ],
        )
        outcome.append([error is None for error in settled(answer, ids)])
        (again,) = await receive(1)
        outcome.append((again["Body"].encode(), again["Attributes"]["ApproximateReceiveCount"]))
        receipts = [message["ReceiptHandle"] for message in messages[:3]] + ["nonsense"]
        answer = await sqs.delete_message_batch(
            **queue,
            Entries=[{"Id": each, "ReceiptHandle": receipt} for each, receipt in zip(ids, receipts, strict=True)],
        )
        outcome.append(settled(answer, ids))
        answer = await sqs.delete_message_batch(**queue, Entries=[{"Id": "0", "ReceiptHandle": again["ReceiptHandle"]}])
        outcome.append([error is None for error in settled(answer, ["0"])])
        try:
            await receive(11)
        except ClientError as error:
            outcome.append(plain_code(error.response["Error"]["Code"]))
        await sqs.delete_queue(**queue)
        try:
            await receive(1)
        except ClientError as error:
            outcome.append(plain_code(error.response["Error"]["Code"]))
    return outcome


# botocore shows the older name of a code where the server sends one along; we never depend on that header.
SAME = {"QueueDoesNotExist": "NonExistentQueue"}


def test_the_same_steps_have_the_same_outcome(sqs_server: Server) -> None:
    mine = ours(sqs_server.url, f"ours-{next(numbers)}")
    expected = asyncio.run(theirs(sqs_server.url, f"theirs-{next(numbers)}"))
    assert len(mine) == len(BODIES) + 8
    assert [SAME.get(step, step) if isinstance(step, str) else step for step in mine] == [
        SAME.get(step, step) if isinstance(step, str) else step for step in expected
    ]
