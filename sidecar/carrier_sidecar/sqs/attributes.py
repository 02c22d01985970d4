"""What GetQueueAttributes says about the queue, read into a value. Pure."""

from __future__ import annotations

from carrier_sidecar.json_text import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

WANTED = (
    "VisibilityTimeout",
    "FifoQueue",
    "RedrivePolicy",
    "KmsMasterKeyId",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "QueueArn",
)
# Unknown on standard queues: asking for it there is an error on some servers.
FIFO_ONLY = frozenset(("FifoQueue",))
DEFAULT_VISIBILITY_S = 30


class Attributes:
    """`visibility_timeout_s` (0 to 43200), `fifo`, `dead_letter_arn` and `max_receive_count` (None without a redrive
    policy), `kms_key` ("" without), `arn` ("" when unknown), and SQS's own approximate counts: `visible`, `in_flight`,
    `delayed` (None when unknown)."""

    __slots__ = (
        "arn",
        "dead_letter_arn",
        "delayed",
        "fifo",
        "in_flight",
        "kms_key",
        "max_receive_count",
        "visibility_timeout_s",
        "visible",
    )

    def __init__(self, found: Mapping[str, object]) -> None:
        visibility_s = _number(found.get("VisibilityTimeout"))
        self.visibility_timeout_s = DEFAULT_VISIBILITY_S if visibility_s is None else min(visibility_s, 43200)
        self.arn = _text(found.get("QueueArn"))
        self.fifo = _text(found.get("FifoQueue")).lower() == "true" or self.arn.endswith(".fifo")
        self.kms_key = _text(found.get("KmsMasterKeyId"))
        self.visible = _number(found.get("ApproximateNumberOfMessages"))
        self.in_flight = _number(found.get("ApproximateNumberOfMessagesNotVisible"))
        self.delayed = _number(found.get("ApproximateNumberOfMessagesDelayed"))
        policy = _policy(found.get("RedrivePolicy"))
        target = policy.get("deadLetterTargetArn")
        self.dead_letter_arn = target if isinstance(target, str) and target else None
        self.max_receive_count = _number(policy.get("maxReceiveCount"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    return None


def _policy(value: object) -> dict[str, object]:
    """The redrive policy: JSON within JSON."""
    if not isinstance(value, str):
        return {}
    try:
        policy = loads(value)
    except (ValueError, RecursionError):
        return {}
    return policy if isinstance(policy, dict) else {}
