"""SQS in memory: queues, messages, receipts and visibility as the service documents them, with time as an argument.

`MemorySqs.call(action, params, now)` takes and returns what the JSON protocol carries and raises `SqsFault` for what
the service refuses. No I/O and no waiting: a receive returns at once what is there (`long_polls.py` waits,
`memory_sqs_server.py` serves it over HTTP, `memory_queue.py` is the engine's port on it). It passes the contract suite
that the other servers pass.
"""

from __future__ import annotations

import base64
import json
import re
from hashlib import md5, sha256
from typing import Any

from tests.simulation.memory_sqs_queue import MemoryMessage, MemoryQueue
from tests.simulation.sqs_fault import SqsFault, invalid

Params = dict[str, Any]
Answer = dict[str, Any]

ACCOUNT = "000000000000"
MAX_PAYLOAD = 1024 * 1024
MAX_VISIBILITY_S = 43200
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}\Z|[A-Za-z0-9_-]{1,75}\.fifo\Z")
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}\Z")
_CHARS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class MemorySqs:
    """All queues of one account. `base_url` is what its QueueUrls begin with, reachable or not."""

    def __init__(self, base_url: str = "http://sqs.memory.test:9324", region: str = "us-east-1") -> None:
        self.base_url = base_url
        self.region = region
        self.queues: dict[str, MemoryQueue] = {}
        self._sequence = 0

    def call(self, action: str, params: Params, now: float) -> Answer:
        """Do one action at `now` (seconds). Raises SqsFault."""
        handler = _ACTIONS.get(action)
        if handler is None:
            raise SqsFault("UnknownOperationException", f"The action {action} is not known")
        return handler(self, params, now)

    # Queues

    def create_queue(self, params: Params, now: float) -> Answer:
        name = _text(params, "QueueName")
        attributes = dict(params.get("Attributes") or {})
        if not _NAME.match(name):
            raise invalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
        fifo = str(attributes.get("FifoQueue", "false")).lower() == "true"
        if fifo != name.endswith(".fifo"):
            raise invalid("The name of a FIFO queue can only end with .fifo, and must")
        queue = self.queues.get(name)
        if queue is None:
            arn = f"arn:aws:sqs:{self.region}:{ACCOUNT}:{name}"
            queue = self.queues[name] = MemoryQueue(name, arn, fifo, now)
            queue.set_attributes(attributes)
        elif any(queue.attribute(key, now) != str(value) for key, value in attributes.items()):
            raise SqsFault(
                "QueueNameExists", "A queue already exists with the same name and a different value for attribute"
            )
        return {"QueueUrl": self.url(name)}

    def url(self, name: str) -> str:
        return f"{self.base_url}/{ACCOUNT}/{name}"

    def queue(self, params: Params) -> MemoryQueue:
        queue = self.queues.get(_text(params, "QueueUrl").rpartition("/")[2])
        if queue is None:
            raise _no_queue()
        return queue

    def get_queue_url(self, params: Params, now: float) -> Answer:
        name = _text(params, "QueueName")
        owner = params.get("QueueOwnerAWSAccountId")
        if name not in self.queues or owner not in (None, ACCOUNT):
            raise _no_queue()
        return {"QueueUrl": self.url(name)}

    def get_queue_attributes(self, params: Params, now: float) -> Answer:
        queue = self.queue(params)
        found = {name: value for name in _wanted(params, queue) if (value := queue.attribute(name, now)) is not None}
        return {"Attributes": found} if found else {}

    def set_queue_attributes(self, params: Params, now: float) -> Answer:
        self.queue(params).set_attributes(params.get("Attributes") or {})
        return {}

    def delete_queue(self, params: Params, now: float) -> Answer:
        del self.queues[self.queue(params).name]
        return {}

    def purge_queue(self, params: Params, now: float) -> Answer:
        self.queue(params).messages.clear()
        return {}

    def list_queues(self, params: Params, now: float) -> Answer:
        prefix = params.get("QueueNamePrefix") or ""
        return {"QueueUrls": [self.url(name) for name in self.queues if name.startswith(prefix)]}

    # Messages in

    def send_message(self, params: Params, now: float) -> Answer:
        return self._send(self.queue(params), params, now)

    def send_message_batch(self, params: Params, now: float) -> Answer:
        queue = self.queue(params)
        entries = _entries(params)
        if sum(_payload(entry) for entry in entries) > MAX_PAYLOAD:
            raise SqsFault("BatchRequestTooLong", f"Batch requests cannot be longer than {MAX_PAYLOAD} bytes.")
        return _each(entries, lambda entry: self._send(queue, entry, now))

    def _send(self, queue: MemoryQueue, params: Params, now: float) -> Answer:
        body = _text(params, "MessageBody")
        if not body:
            raise SqsFault("MissingParameter", "The request must contain the parameter MessageBody.")
        if _payload(params) > MAX_PAYLOAD:
            raise invalid(
                f"One or more parameters are invalid. Reason: Message must be shorter than {MAX_PAYLOAD} bytes."
            )
        if _CHARS.search(body):
            raise SqsFault("InvalidMessageContents", "Invalid binary character was found in the message body")
        attributes = params.get("MessageAttributes") or {}
        if len(attributes) > 10:
            raise invalid(f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [10].")
        group = params.get("MessageGroupId")
        delay_s = params.get("DelaySeconds")
        answer: Answer = {"MD5OfMessageBody": md5(body.encode()).hexdigest()}
        if attributes:
            answer["MD5OfMessageAttributes"] = attributes_md5(attributes)
        dedup = None
        if queue.fifo:
            if not group:
                raise SqsFault("MissingParameter", "The request must contain the parameter MessageGroupId.")
            if delay_s:
                raise invalid(f"Value {delay_s} for parameter DelaySeconds is invalid: not for a FIFO queue's message")
            dedup = params.get("MessageDeduplicationId")
            if dedup is None and queue.attribute("ContentBasedDeduplication", now) == "true":
                dedup = sha256(body.encode()).hexdigest()
            if dedup is None:
                raise invalid(
                    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId"
                )
            earlier = queue.deduplicated(dedup, now)
            if earlier is not None:
                return {**answer, "MessageId": earlier.id, "SequenceNumber": earlier.sequence_number}
        self._sequence += 1
        message = MemoryMessage(
            _message_id(self._sequence),
            body,
            sequence=self._sequence,
            sent_at=now,
            visible_at=now + float(queue.delay_s if delay_s is None else delay_s),
            attributes=attributes,
            system={
                name: str(value.get("StringValue", ""))
                for name, value in (params.get("MessageSystemAttributes") or {}).items()
            },
            group=group,
            dedup=dedup,
        )
        queue.add(message)
        answer["MessageId"] = message.id
        if queue.fifo:
            answer["SequenceNumber"] = message.sequence_number
        return answer

    # Messages out

    def receive_message(self, params: Params, now: float) -> Answer:
        """What is there now; the wait is the caller's."""
        queue = self.queue(params)
        count = _integer(params, "MaxNumberOfMessages", 1, 10, default=1)
        _integer(params, "WaitTimeSeconds", 0, 20, default=0)
        visibility_s = _integer(params, "VisibilityTimeout", 0, MAX_VISIBILITY_S, default=queue.visibility_timeout_s)
        attempt_id = params.get("ReceiveRequestAttemptId")
        if attempt_id and not queue.fifo:
            raise invalid("The parameter ReceiveRequestAttemptId is for FIFO queues only")
        received = queue.repeated(attempt_id, visibility_s, now) if attempt_id else None
        if received is None:
            self._redrive(queue, now)
            if queue.in_flight(now) >= queue.max_in_flight:
                if queue.fifo:
                    return {}
                raise SqsFault("OverLimit", "Too many messages are in flight", status=403)
            received = queue.receive(count, visibility_s, now)
            if attempt_id and received:
                queue.remember(attempt_id, received, now)
        return {"Messages": [_received(queue, message, params) for message in received]} if received else {}

    def _redrive(self, queue: MemoryQueue, now: float) -> None:
        policy = queue.redrive_policy
        if policy is None:
            return
        target = self.queues.get(str(policy["deadLetterTargetArn"]).rpartition(":")[2])
        if target is None:
            return
        for message in queue.worn_out(int(policy["maxReceiveCount"]), now):
            del queue.messages[message.id]
            message.system["DeadLetterQueueSourceArn"] = queue.arn
            message.visible_at = now
            message.receipt = ""
            target.add(message)

    def delete_message(self, params: Params, now: float) -> Answer:
        self._delete(self.queue(params), params, now)
        return {}

    def delete_message_batch(self, params: Params, now: float) -> Answer:
        queue = self.queue(params)
        return _each(_entries(params), lambda entry: self._delete(queue, entry, now))

    def _delete(self, queue: MemoryQueue, params: Params, now: float) -> Answer:
        receipt = _text(params, "ReceiptHandle")
        message = queue.find(receipt)
        if message is None:
            return {}  # deleted already: not an error
        if queue.fifo and (message.receipt != receipt or message.visible_at <= now):
            raise invalid(
                f"Value {receipt} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
            )
        if message.receipt == receipt:  # an old receipt of a standard queue: success, and nothing happens
            del queue.messages[message.id]
        return {}

    def change_message_visibility(self, params: Params, now: float) -> Answer:
        self._change(self.queue(params), params, now)
        return {}

    def change_message_visibility_batch(self, params: Params, now: float) -> Answer:
        queue = self.queue(params)
        return _each(_entries(params), lambda entry: self._change(queue, entry, now))

    def _change(self, queue: MemoryQueue, params: Params, now: float) -> Answer:
        receipt = _text(params, "ReceiptHandle")
        seconds = _integer(params, "VisibilityTimeout", 0, MAX_VISIBILITY_S, default=-1)
        message = queue.find(receipt)
        if message is None or message.receipt != receipt:
            raise invalid(
                f"Value {receipt} for parameter ReceiptHandle is invalid. Reason: "
                "Message does not exist or is not available for visibility timeout change."
            )
        if message.visible_at <= now:
            raise SqsFault("MessageNotInflight", "The specified message isn't in flight.")
        if now + seconds - message.received_at > MAX_VISIBILITY_S:
            raise invalid(
                f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: "
                f"Total VisibilityTimeout for the message is beyond the limit [{MAX_VISIBILITY_S} seconds]"
            )
        message.visible_at = now + seconds
        message.touched = True
        return {}


_ACTIONS = {
    "CreateQueue": MemorySqs.create_queue,
    "DeleteQueue": MemorySqs.delete_queue,
    "ListQueues": MemorySqs.list_queues,
    "PurgeQueue": MemorySqs.purge_queue,
    "GetQueueUrl": MemorySqs.get_queue_url,
    "GetQueueAttributes": MemorySqs.get_queue_attributes,
    "SetQueueAttributes": MemorySqs.set_queue_attributes,
    "SendMessage": MemorySqs.send_message,
    "SendMessageBatch": MemorySqs.send_message_batch,
    "ReceiveMessage": MemorySqs.receive_message,
    "DeleteMessage": MemorySqs.delete_message,
    "DeleteMessageBatch": MemorySqs.delete_message_batch,
    "ChangeMessageVisibility": MemorySqs.change_message_visibility,
    "ChangeMessageVisibilityBatch": MemorySqs.change_message_visibility_batch,
}


def _no_queue() -> SqsFault:
    return SqsFault(
        "QueueDoesNotExist",
        "The specified queue does not exist.",
        query_code="AWS.SimpleQueueService.NonExistentQueue",
    )


def _text(params: Params, name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str):
        raise SqsFault("MissingParameter", f"The request must contain the parameter {name}.")
    return value


def _integer(params: Params, name: str, low: int, high: int, *, default: int) -> int:
    value = params.get(name)
    if value is None:
        if default < 0:
            raise SqsFault("MissingParameter", f"The request must contain the parameter {name}.")
        return default
    if not isinstance(value, int) or not low <= value <= high:
        raise invalid(f"Value {value} for parameter {name} is invalid. Reason: Must be between {low} and {high}.")
    return value


def _entries(params: Params) -> list[Params]:
    entries = params.get("Entries")
    if not entries:
        raise SqsFault("EmptyBatchRequest", "There should be at least one entry in the request.")
    if len(entries) > 10:
        raise SqsFault(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are 10. You have sent {len(entries)}.",
        )
    ids = [_text(entry, "Id") for entry in entries]
    if any(not _ENTRY_ID.match(entry_id) for entry_id in ids):
        raise SqsFault(
            "InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores."
        )
    if len(set(ids)) != len(ids):
        raise SqsFault("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")
    return list(entries)


def _each(entries: list[Params], act: Any) -> Answer:
    successful = []
    failed = []
    for entry in entries:
        try:
            successful.append({"Id": entry["Id"], **act(entry)})
        except SqsFault as fault:
            failed.append(
                {"Id": entry["Id"], "Code": fault.code, "Message": fault.message, "SenderFault": fault.status < 500}
            )
    return {"Successful": successful, "Failed": failed} if failed else {"Successful": successful}


def _wanted(params: Params, queue: MemoryQueue) -> list[str]:
    names = params.get("AttributeNames") or []
    unknown = [name for name in names if name != "All" and name not in queue.attribute_names()]
    if unknown:
        raise SqsFault("InvalidAttributeName", f"Unknown Attribute {unknown[0]}.")
    return queue.attribute_names() if "All" in names else names


def _payload(params: Params) -> int:
    size = len(str(params.get("MessageBody", "")).encode("utf-8", "surrogatepass"))
    for name, value in (params.get("MessageAttributes") or {}).items():
        size += len(name) + len(value.get("DataType", "")) + len(value.get("StringValue", "").encode())
        size += len(value.get("BinaryValue", "")) * 3 // 4
    return size


def _message_id(sequence: int) -> str:
    digits = f"{sequence:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _received(queue: MemoryQueue, message: MemoryMessage, params: Params) -> Answer:
    answer: Answer = {
        "MessageId": message.id,
        "ReceiptHandle": message.receipt,
        "MD5OfBody": md5(message.body.encode()).hexdigest(),
        "Body": message.body,
    }
    wanted = set(params.get("MessageSystemAttributeNames") or ()) | set(params.get("AttributeNames") or ())
    system = {name: value for name, value in message.system_attributes().items() if "All" in wanted or name in wanted}
    if system:
        answer["Attributes"] = system
    names = params.get("MessageAttributeNames") or ()
    attributes = {name: value for name, value in message.attributes.items() if _asked_for(name, names)}
    if attributes:
        answer["MessageAttributes"] = attributes
        answer["MD5OfMessageAttributes"] = attributes_md5(attributes)
    return answer


def _asked_for(name: str, names: Any) -> bool:
    for pattern in names:
        if pattern in ("All", ".*", name) or (pattern.endswith(".*") and name.startswith(pattern[:-2])):
            return True
    return False


def attributes_md5(attributes: dict[str, dict[str, str]]) -> str:
    """The MD5 sum over message attributes as the SQS developer guide defines it."""
    digest = md5()
    for name in sorted(attributes):
        value = attributes[name]
        binary = value["DataType"].startswith("Binary")
        content = base64.b64decode(value["BinaryValue"]) if binary else value["StringValue"].encode()
        for part in (name.encode(), value["DataType"].encode()):
            digest.update(len(part).to_bytes(4, "big") + part)
        digest.update((b"\x02" if binary else b"\x01") + len(content).to_bytes(4, "big") + content)
    return digest.hexdigest()


def redrive_policy(arn: str, max_receive_count: int) -> str:
    """The RedrivePolicy attribute of a queue whose dead letters go to `arn`."""
    return json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": str(max_receive_count)})
