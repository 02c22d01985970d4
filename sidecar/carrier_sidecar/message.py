"""One SQS message in hand, and what can go wrong with a call about it.

Plain values: whoever receives makes them (`sqs/`), the engine moves them through their life. Nothing here does I/O.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Message:
    """A message as received, with the engine's own notes on it.

    What the receiver fills in: `id`, `receipt` (the newest receipt handle), `body` (UTF-8), `content_type` (attribute
    Body.ContentType, or None), `receive_count`, `first_receive_time` and `sent_time` (milliseconds since the epoch, as
    text, empty when the server did not say), `group` (MessageGroupId on FIFO queues, else None), `group_id`
    (MessageGroupId on every queue: on a fair queue it orders nothing), `attributes` (message attributes as received, or
    None), `system` (system attributes as received), `fault` (why it must not be POSTed, e.g. a wrong MD5; None when
    sound).

    What the engine notes: `state` (see in_flight.py), `visible_at` (loop seconds at which SQS shows it to others),
    `hidden_since` (loop seconds of the receive, from which SQS counts its 12 hours), `posted_at` (loop seconds),
    `lapsed` (its visibility has run out), `late` (its delete was sent after that), `change` (the change of visibility
    that is wanted or under way: "", EXTEND, RELEASE or HIDE), `change_s` (the seconds that change asks for),
    `change_receipt` (the receipt which the change on the wire names, None while there is none: a receive in the
    meantime brings a newer one), `delete_receipt` (likewise for the last delete), `hide_s` (what the handler asked for,
    -1 for nothing), `attempts` (failed settles in a row), `retry_at`, `trace`
    (its traceparent header line, "" while it has none: see trace.py).
    """

    __slots__ = (
        "attempts",
        "attributes",
        "body",
        "change",
        "change_receipt",
        "change_s",
        "content_type",
        "delete_receipt",
        "fault",
        "first_receive_time",
        "group",
        "group_id",
        "hidden_since",
        "hide_s",
        "id",
        "lapsed",
        "late",
        "posted_at",
        "receipt",
        "receive_count",
        "retry_at",
        "sent_time",
        "state",
        "system",
        "trace",
        "visible_at",
    )

    def __init__(
        self,
        message_id: str,
        receipt: str,
        body: bytes,
        *,
        content_type: str | None = None,
        receive_count: str = "",
        first_receive_time: str = "",
        sent_time: str = "",
        group: str | None = None,
        group_id: str | None = None,
        attributes: Mapping[str, Mapping[str, str]] | None = None,
        system: Mapping[str, str] | None = None,
        fault: str | None = None,
    ) -> None:
        self.id = message_id
        self.receipt = receipt
        self.body = body
        self.content_type = content_type
        self.receive_count = receive_count
        self.first_receive_time = first_receive_time
        self.sent_time = sent_time
        self.group = group
        self.group_id = group_id or group
        self.attributes = attributes
        self.system = system
        self.fault = fault
        self.state = ""
        self.visible_at = 0.0
        self.hidden_since = 0.0
        self.posted_at = 0.0
        self.lapsed = False
        self.late = False
        self.change = ""
        self.change_s = 0
        self.hide_s = -1
        self.change_receipt: str | None = None
        self.delete_receipt: str | None = None
        self.trace = ""
        self.attempts = 0
        self.retry_at = 0.0

    def about(self) -> dict[str, object]:
        """What a log line about it says of it."""
        if self.trace:
            return {"message_id": self.id, "trace_id": self.trace[16:48]}
        return {"message_id": self.id}

    def __repr__(self) -> str:  # never the body or the receipt: reprs end up in logs
        return f"<Message {self.id} {self.state or 'new'}>"


# Kinds of QueueError: what the engine does about a failure depends on these and on nothing else.
THROTTLED = "throttled"
UNAVAILABLE = "unavailable"  # 5xx: passes by itself
NETWORK = "network"  # no answer: resolve, connect, TLS, reset, timeout
MALFORMED = "malformed"  # an answer that can't be read
DENIED = "denied"  # AccessDenied and the like
CREDENTIALS = "credentials"  # missing, expired, invalid credentials or signature
CLOCK_SKEW = "clock_skew"
NO_QUEUE = "no_queue"  # NonExistentQueue: also what SQS says when access is missing
KMS = "kms"
BAD_RECEIPT = "bad_receipt"  # the receipt handle is invalid or has expired
NOT_IN_FLIGHT = "not_in_flight"  # the message is visible again or gone
MISSING = "missing"  # the batch answer named this entry in neither list
INVALID = "invalid"  # any other 4xx


class QueueError(Exception):
    """A call to the queue, or one entry of a batch call, that failed.

    `kind` is one of the constants above; `code` is the server's own name for it (or ""); `detail` a sentence for
    people, without secrets; `answered` says whether the server answered at all.
    """

    def __init__(self, kind: str, code: str, detail: str, *, answered: bool) -> None:
        super().__init__(detail)
        self.kind = kind
        self.code = code
        self.detail = detail
        self.answered = answered
