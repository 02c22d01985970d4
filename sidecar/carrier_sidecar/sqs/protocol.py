"""AWS JSON 1.0 as SQS speaks it: bodies of requests from values, values from bodies of answers. Pure, no I/O.

Receipts and everything else that came from a server are hostile input: escaped on the way out, checked on the way in.
An answer that can't be read is a QueueError of kind MALFORMED, never another exception.
"""

from __future__ import annotations

from carrier_sidecar.json_text import dumps, loads, quote
from carrier_sidecar.message import MALFORMED, MISSING, Message, QueueError
from carrier_sidecar.sqs.digests import md5, short_md5
from carrier_sidecar.sqs.errors import entry_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CONTENT_TYPE = "application/x-amz-json-1.0"
TARGET_PREFIX = "AmazonSQS."
CONTENT_TYPE_ATTRIBUTE = "Body.ContentType"
MAX_BATCH = 10

# What we use of the system attributes. Both names of the list are sent: older servers know the second only.
SYSTEM_ATTRIBUTES = (
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SentTimestamp",
    "MessageGroupId",
    "MessageDeduplicationId",
    "SequenceNumber",
    "AWSTraceHeader",
)
_SHORT_BODY = 4096

quoted = quote  # a text as a JSON string; written in C


def encode_receive(
    queue_url: str,
    count: int,
    visibility_s: int,
    wait_s: int,
    attempt_id: str = "",
    attribute_names: Sequence[str] = (CONTENT_TYPE_ATTRIBUTE,),
) -> bytes:
    """The body of ReceiveMessage. `attempt_id` for FIFO queues only: others refuse it."""
    body: dict[str, object] = {
        "QueueUrl": queue_url,
        "MaxNumberOfMessages": count,
        "VisibilityTimeout": visibility_s,
        "WaitTimeSeconds": wait_s,
        "MessageAttributeNames": list(attribute_names),
        "MessageSystemAttributeNames": SYSTEM_ATTRIBUTES,
        "AttributeNames": SYSTEM_ATTRIBUTES,
    }
    if attempt_id:
        body["ReceiveRequestAttemptId"] = attempt_id
    return dumps(body).encode()


def encode_delete_batch(quoted_url: str, receipts: Iterable[str]) -> bytes:
    """The body of DeleteMessageBatch; entry ids are the positions. `quoted_url` is the queue's URL as a JSON string."""
    entries = ",".join(
        [f'{{"Id":"{index}","ReceiptHandle":{quoted(receipt)}}}' for index, receipt in enumerate(receipts)]
    )
    return f'{{"QueueUrl":{quoted_url},"Entries":[{entries}]}}'.encode()


def encode_visibility_batch(quoted_url: str, receipts: Iterable[str], seconds: Sequence[int]) -> bytes:
    """The body of ChangeMessageVisibilityBatch; entry ids are the positions."""
    entries = ",".join(
        [
            f'{{"Id":"{index}","ReceiptHandle":{quoted(receipt)},"VisibilityTimeout":{seconds[index]}}}'
            for index, receipt in enumerate(receipts)
        ]
    )
    return f'{{"QueueUrl":{quoted_url},"Entries":[{entries}]}}'.encode()


def malformed(what: str) -> QueueError:
    return QueueError(MALFORMED, "", f"the server's answer can't be read: {what}", answered=True)


def decode_object(body: bytes) -> dict[str, object]:
    """Any successful answer. An empty body, as some servers send for an empty result, is an empty object."""
    if not body:
        return {}
    try:
        answer = loads(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise malformed("it is not UTF-8") from None
    except ValueError:
        raise malformed("it is not JSON") from None
    except RecursionError:
        raise malformed("its JSON is nested too deeply") from None
    if not isinstance(answer, dict):
        raise malformed(f"its JSON is a {type(answer).__name__}, not an object")
    return answer


def decode_receive(body: bytes, *, fifo: bool = True) -> tuple[list[Message], int]:
    """The messages of a ReceiveMessage answer, and how many had to be left out since they lack an id or a receipt.

    Where the queue is not `fifo`, a group (of a fair queue) says whose a message is, and nothing about order.

    Raises QueueError (MALFORMED) if the answer as a whole can't be read.
    """
    entries = decode_object(body).get("Messages")
    if entries is None:
        return [], 0
    if not isinstance(entries, list):
        raise malformed(f"Messages is a {type(entries).__name__}, not a list")
    messages = []
    skipped = 0
    for entry in entries:
        message = _message(entry, fifo)
        if message is None:
            skipped += 1
        else:
            messages.append(message)
    return messages, skipped


def _message(entry: object, fifo: bool) -> Message | None:
    if not isinstance(entry, dict):
        return None
    get = entry.get
    message_id = get("MessageId")
    receipt = get("ReceiptHandle")
    if not isinstance(message_id, str) or not isinstance(receipt, str) or not message_id or not receipt:
        return None
    fault = None
    text = get("Body")
    if isinstance(text, str):
        try:
            body = text.encode()
        except UnicodeEncodeError:  # a lone half of a surrogate pair
            body = text.encode("utf-8", "replace")
            fault = "the body is not valid Unicode"
    else:
        body = b""
        fault = "the message has no body"
    expected = get("MD5OfBody")
    if expected is not None and fault is None:
        digest = short_md5(body) if len(body) <= _SHORT_BODY else md5(body, usedforsecurity=False)
        if digest.hexdigest() != expected:
            fault = "the MD5 sum of the body is wrong: it was damaged on its way"

    attributes = get("MessageAttributes")
    content_type = None
    if attributes is not None:
        attributes = _message_attributes(attributes)
        if attributes is not None:
            declared = attributes.get(CONTENT_TYPE_ATTRIBUTE)
            if declared is not None:
                content_type = declared.get("StringValue")
    system = get("Attributes")
    if not isinstance(system, dict):
        return Message(
            message_id, receipt, body, content_type=content_type, attributes=attributes, system={}, fault=fault
        )
    find = system.get
    group = find("MessageGroupId")
    if not isinstance(group, str) or not group:
        group = None
    return Message(
        message_id,
        receipt,
        body,
        content_type=content_type,
        receive_count=_digits(find("ApproximateReceiveCount")),
        first_receive_time=_digits(find("ApproximateFirstReceiveTimestamp")),
        sent_time=_digits(find("SentTimestamp")),
        group=group if fifo else None,
        group_id=group,
        attributes=attributes,
        system=system,
        fault=fault,
    )


def _digits(value: object) -> str:
    """A decimal number as text, or "": these go into headers, and nothing else may."""
    if isinstance(value, str):
        return value if value.isascii() and value.isdigit() else ""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:  # a server that forgot the quotes
        return str(value)
    return ""


def _message_attributes(found: object) -> Mapping[str, Mapping[str, str]] | None:
    """The attributes that have the right form: name → {DataType, StringValue or BinaryValue (base64)}."""
    if not isinstance(found, dict):
        return None
    sound = {}
    for name, attribute in found.items():
        if isinstance(attribute, dict):
            fields = {key: value for key, value in attribute.items() if isinstance(value, str)}
            if "StringValue" in fields or "BinaryValue" in fields:
                sound[name] = fields
    return sound or None


def decode_batch(body: bytes, count: int) -> list[QueueError | None] | None:
    """The outcome of a batch call with `count` entries: None if all succeeded, else one item per entry.

    An entry in neither list is MISSING; one in both has failed (settling twice does no harm, believing in a settle that
    failed does); ids that we did not send are ignored.
    Raises QueueError (MALFORMED) if the answer as a whole can't be read.
    """
    answer = decode_object(body)
    successful = answer.get("Successful")
    failed = answer.get("Failed")
    if successful is None:
        successful = []
    if failed is None:
        failed = []
    if not isinstance(successful, list) or not isinstance(failed, list):
        raise malformed("Successful or Failed is not a list")
    seen = set()
    for entry in successful:
        index = _index(entry)
        if index < count:
            seen.add(index)
    if len(seen) == count and not failed:
        return None
    missing = QueueError(MISSING, "", "the server's answer names this entry in neither list", answered=True)
    outcome: list[QueueError | None] = [None if index in seen else missing for index in range(count)]
    for entry in failed:
        index = _index(entry)
        if index < count:
            outcome[index] = entry_error(entry.get("Code"), entry.get("Message"), entry.get("SenderFault"))
    return outcome


_INDEX = {str(index): index for index in range(MAX_BATCH)}


def _index(entry: object) -> int:
    """Which of our entries a batch answer's entry speaks of; MAX_BATCH for none of them."""
    name = entry.get("Id") if isinstance(entry, dict) else None
    return _INDEX.get(name, MAX_BATCH) if isinstance(name, str) else MAX_BATCH
