"""The dead-letter queue: finds it, and sends letters to it by SendMessage.

Decides nothing about messages: which become letters, and when a failed send is tried again, is `dead_letter`'s
business. Here is how a letter looks: the message as it came, and one attribute that says why it is there.
"""

from __future__ import annotations

from carrier_sidecar.json_text import dumps
from carrier_sidecar.message import NO_QUEUE, QueueError
from carrier_sidecar.retry import receives_of
from carrier_sidecar.sqs.dates import civil_from_days
from carrier_sidecar.sqs.protocol import malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carrier_sidecar.dead_letter import Letter
    from carrier_sidecar.message import Message
    from carrier_sidecar.sqs.queue import SqsQueue

ATTRIBUTE = "Carrier.DeadLetter"
# SQS: attributes of a message, and bytes of its body and attributes together.
MOST_ATTRIBUTES = 10
MOST_BYTES = 1 << 20


class SqsDeadLetterQueue:
    """`target`: name, URL or ARN of the queue, "" as long as there is none. `sent(letter, error)` is told each outcome,
    never from inside `send`."""

    def __init__(self, queue: SqsQueue, target: str) -> None:
        self.target = target
        self.sent: Callable[[Letter, QueueError | None], None] = _unset
        self._queue = queue
        self._url = ""
        self._waiting: list[Letter] = []  # for the URL

    def aim(self, target: str) -> None:
        """From now on this is the queue; "" for none."""
        if target != self.target:
            self.target = target
            self._url = ""

    def send(self, letter: Letter) -> None:
        """Send one letter, after the look-up of the queue if need be."""
        if self._url:
            self._send(letter)
            return
        self._waiting.append(letter)
        if len(self._waiting) == 1:
            self._look_up(self._found)

    def find(self, done: Callable[[QueueError | None], None]) -> None:
        """Look for the queue, so that a wrong name is known before the first letter. `done` is called later."""

        def found(url: str | QueueError) -> None:
            if isinstance(url, str):
                self._url = url
            done(url if isinstance(url, QueueError) else None)

        if not self._url:
            self._look_up(found)

    def _look_up(self, done: Callable[[str | QueueError], None]) -> None:
        """The queue's URL: as configured, beside our own for an ARN of the same account, by GetQueueUrl otherwise."""
        target = self.target
        if target.startswith(("http://", "https://")):
            self._queue.loop.call_soon(lambda: done(target))
            return
        params = {"QueueName": target}
        if target.startswith("arn:"):
            account, name = target.split(":")[4:6]
            url = _beside(self._queue.url, account, name)
            if url:
                self._queue.loop.call_soon(lambda: done(url))
                return
            params = {"QueueName": name, "QueueOwnerAWSAccountId": account}

        def answered(answer: dict[str, object] | QueueError) -> None:
            if isinstance(answer, QueueError):
                done(answer)
                return
            url = answer.get("QueueUrl")
            done(url if isinstance(url, str) and url else malformed("GetQueueUrl gave no QueueUrl"))

        self._queue.call("GetQueueUrl", params, answered)

    def _found(self, url: str | QueueError) -> None:
        waiting, self._waiting = self._waiting, []
        if isinstance(url, str):
            self._url = url
        for letter in waiting:
            if isinstance(url, str):
                self._send(letter)
            else:
                self.sent(letter, url)

    def _send(self, letter: Letter) -> None:
        params = send_params(letter, self._url, self._queue.name)

        def answered(answer: dict[str, object] | QueueError) -> None:
            error = answer if isinstance(answer, QueueError) else None
            if error is None and not (isinstance(answer, dict) and answer.get("MessageId")):
                error = malformed("SendMessage gave no MessageId")
            if error is not None and error.kind == NO_QUEUE:
                self._url = ""  # it may have been made anew, under another URL
            self.sent(letter, error)

        self._queue.call("SendMessage", params, answered)


def send_params(letter: Letter, url: str, queue_name: str) -> dict[str, object]:
    """SendMessage's parameters: body and attributes as they came, the reason in one attribute where there is room. On a
    FIFO queue the message keeps its group and its deduplication id."""
    message = letter.message
    attributes: dict[str, dict[str, str]] = {}
    for name, value in (message.attributes or {}).items():
        attributes[name] = {
            field: value[field] for field in ("DataType", "StringValue", "BinaryValue") if field in value
        }
    if not letter.bare:
        said = {"DataType": "String", "StringValue": describe(letter, queue_name)}
        enlarged = {**attributes, ATTRIBUTE: said}
        if len(enlarged) <= MOST_ATTRIBUTES and _bytes(message, enlarged) <= MOST_BYTES:
            attributes = enlarged
    params: dict[str, object] = {"QueueUrl": url, "MessageBody": message.body.decode("utf-8", "replace")}
    if attributes:
        params["MessageAttributes"] = attributes
    system = message.system or {}
    trace = system.get("AWSTraceHeader")
    if trace and not letter.bare:
        params["MessageSystemAttributes"] = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}}
    if url.endswith(".fifo"):
        params["MessageGroupId"] = message.group or system.get("MessageGroupId") or message.id
        params["MessageDeduplicationId"] = system.get("MessageDeduplicationId") or message.id
    return params


def describe(letter: Letter, queue_name: str) -> str:
    """The attribute's value: JSON in ASCII."""
    message = letter.message
    found = {
        "reason": letter.reason,
        "status": letter.answer.status or None,
        "receiveCount": receives_of(message.receive_count),
        "time": iso_time(letter.wall_s),
        "queue": queue_name,
        "messageId": message.id,
    }
    return dumps(found)


def iso_time(unix_s: float) -> str:
    """2026-01-02T03:04:05.678Z."""
    milliseconds = int(unix_s * 1000 + 0.5)
    days, rest = divmod(milliseconds, 86_400_000)
    year, month, day = civil_from_days(days)
    seconds, millisecond = divmod(rest, 1000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{millisecond:03}"
    return f"{year:04}-{month:02}-{day:02}T{clock}Z"


def _bytes(message: Message, attributes: dict[str, dict[str, str]]) -> int:
    """What SQS counts: the body, and of each attribute its name, type and value."""
    size = len(message.body)
    for name, value in attributes.items():
        size += len(name) + len(value.get("DataType", ""))
        size += len(value.get("StringValue", "").encode("utf-8", "replace"))
        size += len(value.get("BinaryValue", "")) * 3 // 4
    return size


def _beside(url: str, account: str, name: str) -> str:
    """The URL of a queue in the same account as `url`'s, which ends in /<account>/<name>; "" if it is another."""
    start, _, _ = url.rstrip("/").rpartition("/")
    return f"{start}/{name}" if start.endswith(f"/{account}") else ""


def _unset(_letter: Letter, _error: QueueError | None) -> None:
    raise AssertionError("SqsDeadLetterQueue.sent is not set")
