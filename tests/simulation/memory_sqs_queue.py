"""One queue of the in-memory SQS: which messages can be received when, and which receipt is good for what."""

from __future__ import annotations

import json
from typing import Any

from tests.simulation.sqs_fault import SqsFault

DEDUPLICATION_S = 300.0
ATTEMPT_S = 300.0
_DEFAULTS = {
    "VisibilityTimeout": "30",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "DelaySeconds": "0",
    "ReceiveMessageWaitTimeSeconds": "0",
    "SqsManagedSseEnabled": "true",
}
_SETTABLE = (*_DEFAULTS, "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId", "Policy")
_FIFO_ONLY = ("FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit")
_COMPUTED = (
    "QueueArn",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
)


class MemoryMessage:
    """A message in a queue. `visible_at`: seconds from which it can be received; `receipt`: the newest, "" before."""

    def __init__(
        self,
        message_id: str,
        body: str,
        *,
        sequence: int,
        sent_at: float,
        visible_at: float,
        attributes: dict[str, dict[str, str]],
        system: dict[str, str],
        group: str | None,
        dedup: str | None,
    ) -> None:
        self.id = message_id
        self.body = body
        self.sequence = sequence
        self.sent_at = sent_at
        self.visible_at = visible_at
        self.attributes = attributes
        self.system = system
        self.group = group
        self.dedup = dedup
        self.receive_count = 0
        self.first_received_at = 0.0
        self.received_at = 0.0
        self.receipt = ""
        self.touched = False  # visibility changed since it was received

    @property
    def sequence_number(self) -> str:
        return f"{self.sequence:020}"

    def system_attributes(self) -> dict[str, str]:
        found = {
            "SenderId": "AIDAMEMORY",
            "SentTimestamp": str(int(self.sent_at * 1000)),
            "ApproximateReceiveCount": str(self.receive_count),
            "ApproximateFirstReceiveTimestamp": str(int(self.first_received_at * 1000)),
            **self.system,
        }
        if self.group is not None:
            found["MessageGroupId"] = self.group
        if self.dedup is not None:
            found["MessageDeduplicationId"] = self.dedup
            found["SequenceNumber"] = self.sequence_number
        return found


class MemoryQueue:
    """Messages in the order in which they were sent."""

    def __init__(self, name: str, arn: str, fifo: bool, created_at: float) -> None:
        self.name = name
        self.arn = arn
        self.fifo = fifo
        self.messages: dict[str, MemoryMessage] = {}
        self.max_in_flight = 120_000
        self._created_at = created_at
        self._attributes = dict(_DEFAULTS)
        if fifo:
            self._attributes |= {"FifoQueue": "true", "ContentBasedDeduplication": "false"}
        self._deduplication: dict[str, tuple[float, MemoryMessage]] = {}
        self._attempts: dict[str, tuple[float, list[tuple[MemoryMessage, str]]]] = {}
        self._receipts = 0

    # Attributes

    def attribute_names(self) -> list[str]:
        return [*_SETTABLE, *_FIFO_ONLY, *_COMPUTED]

    def set_attributes(self, attributes: dict[str, Any]) -> None:
        for name, value in attributes.items():
            if name not in _SETTABLE and not (self.fifo and name in _FIFO_ONLY):
                raise SqsFault("InvalidAttributeName", f"Unknown Attribute {name}.")
            if name == "VisibilityTimeout" and not 0 <= int(value) <= 43200:
                raise SqsFault("InvalidAttributeValue", "Invalid value for the parameter VisibilityTimeout.")
            self._attributes[name] = str(value)

    def attribute(self, name: str, now: float) -> str | None:
        if name == "QueueArn":
            return self.arn
        if name == "ApproximateNumberOfMessages":
            return str(sum(message.visible_at <= now for message in self.messages.values()))
        if name == "ApproximateNumberOfMessagesNotVisible":
            return str(self.in_flight(now))
        if name == "ApproximateNumberOfMessagesDelayed":
            return str(sum(message.visible_at > now and not message.receipt for message in self.messages.values()))
        if name in ("CreatedTimestamp", "LastModifiedTimestamp"):
            return str(int(self._created_at))
        return self._attributes.get(name)

    @property
    def visibility_timeout_s(self) -> int:
        return int(self._attributes["VisibilityTimeout"])

    @property
    def delay_s(self) -> int:
        return int(self._attributes["DelaySeconds"])

    @property
    def redrive_policy(self) -> dict[str, Any] | None:
        policy = self._attributes.get("RedrivePolicy")
        return json.loads(policy) if policy else None

    # Messages

    def add(self, message: MemoryMessage) -> None:
        self.messages[message.id] = message
        if message.dedup is not None:
            self._deduplication[message.dedup] = (message.sent_at, message)

    def deduplicated(self, dedup: str, now: float) -> MemoryMessage | None:
        """The message with that id of the last five minutes, whether or not it is still there."""
        found = self._deduplication.get(dedup)
        return found[1] if found and now - found[0] < DEDUPLICATION_S else None

    def in_flight(self, now: float) -> int:
        return sum(message.visible_at > now and bool(message.receipt) for message in self.messages.values())

    def receivable(self, now: float) -> list[MemoryMessage]:
        """In order; of a FIFO group only what no earlier message that is hidden stands in front of."""
        if not self.fifo:
            return [message for message in self.messages.values() if message.visible_at <= now]
        found = []
        blocked = set()
        for message in sorted(self.messages.values(), key=lambda one: one.sequence):
            if message.group in blocked:
                continue
            if message.visible_at > now:
                blocked.add(message.group)
            else:
                found.append(message)
        return found

    def next_change(self, now: float) -> float | None:
        """When, by time alone, the next hidden message can be received."""
        return min((message.visible_at for message in self.messages.values() if message.visible_at > now), default=None)

    def receive(self, count: int, visibility_s: int, now: float) -> list[MemoryMessage]:
        available = self.receivable(now)
        if self.fifo and available:  # as many of one group as possible
            groups = {message.group: index for index, message in reversed(list(enumerate(available)))}
            available.sort(key=lambda message: (groups[message.group], message.sequence))
        received = available[:count]
        for message in received:
            self._receipts += 1
            message.receipt = f"{message.id}#{self._receipts}"
            message.receive_count += 1
            message.received_at = now
            message.first_received_at = message.first_received_at or now
            message.visible_at = now + visibility_s
            message.touched = False
        return received

    def worn_out(self, max_receive_count: int, now: float) -> list[MemoryMessage]:
        return [message for message in self.receivable(now) if message.receive_count >= max_receive_count]

    # ReceiveRequestAttemptId

    def remember(self, attempt_id: str, received: list[MemoryMessage], now: float) -> None:
        self._attempts[attempt_id] = (now, [(message, message.receipt) for message in received])

    def repeated(self, attempt_id: str, visibility_s: int, now: float) -> list[MemoryMessage] | None:
        """The same messages with the same receipts, hidden anew, while nothing was done to them; else None."""
        at, received = self._attempts.get(attempt_id, (0.0, []))
        if not received or now - at >= ATTEMPT_S:
            return None
        for message, receipt in received:
            gone = self.messages.get(message.id) is not message
            if gone or message.touched or message.receipt != receipt or message.visible_at <= now:
                return None
        for message, _ in received:
            message.visible_at = now + visibility_s
            message.received_at = now
        return [message for message, _ in received]

    # Receipts

    def find(self, receipt: str) -> MemoryMessage | None:
        """The message of a receipt, old or new; None if it was deleted. SqsFault for what never was a receipt."""
        message_id, separator, number = receipt.rpartition("#")
        if not separator or not number.isascii() or not number.isdigit() or int(number[:18]) > self._receipts:
            raise SqsFault(
                "ReceiptHandleIsInvalid", f'The input receipt handle "{receipt}" is not a valid receipt handle.'
            )
        return self.messages.get(message_id)
