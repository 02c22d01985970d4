"""When to ask SQS for messages, and for how many. Pure.

Slots, not batches: a poll asks for the room there is, and reserves it, so that what arrives always fits. While the
handler is slow (or its pace unknown) there is room for the free slots only: a message must not wait in this pod while
another could do it. While it is fast, one batch is fetched ahead, and a poll waits until there is room for a full
batch, since receive calls are billed.
"""

from __future__ import annotations

from carrier_sidecar import message as kinds
from carrier_sidecar.backoff import SLOW, SOON, THROTTLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carrier_sidecar.in_flight import InFlight
    from carrier_sidecar.message import QueueError

# A message that would wait longer than this for a slot is better left for another pod.
FAST_S = 0.5
# Weight of the newest handler time in the moving average: about the last 16 answers count.
WEIGHT = 1 / 16
# An empty answer to a long poll that comes sooner than this came without waiting, which costs a call each time.
QUICK_S = 0.5
# So many of them in a row are taken for chance.
QUICK_AT_MOST = 3
# What a message is taken to weigh before any was seen: small enough not to hold back small queues.
FIRST_SIZE_GUESS = 16 * 1024

_BACKOFF = {
    kinds.THROTTLED: THROTTLE,
    kinds.DENIED: SLOW,
    kinds.NO_QUEUE: SLOW,
    kinds.KMS: SLOW,
    kinds.INVALID: SLOW,
}


class Poll:
    """One receiver (a concurrent long poll). `count` is what its call on the wire asked for, 0 when there is none."""

    __slots__ = ("attempt_id", "count", "failures", "number", "quick", "reserved_bytes", "retry_at", "visibility_s")

    def __init__(self, number: int) -> None:
        self.number = number
        self.count = 0
        self.reserved_bytes = 0
        self.failures = 0
        self.retry_at = 0.0
        self.attempt_id = ""
        self.visibility_s = 0
        self.quick = 0  # empty answers in a row that came without waiting


class Receiving:
    """The receivers, the room that their calls reserve, and the handler's pace."""

    __slots__ = (
        "average_s",
        "batch",
        "idle",
        "max_bytes",
        "polls",
        "reserved",
        "reserved_bytes",
        "size_guess",
        "slots",
    )

    def __init__(self, receivers: int, batch: int, slots: int, max_bytes: int) -> None:
        self.batch = batch
        self.slots = slots
        self.max_bytes = max_bytes
        self.polls = [Poll(number) for number in range(receivers)]
        self.idle = list(reversed(self.polls))  # a stack: the ones without a call on the wire and without backoff
        self.reserved = 0
        self.reserved_bytes = 0
        self.average_s: float | None = None
        self.size_guess = FIRST_SIZE_GUESS

    @property
    def on_wire(self) -> int:
        """How many receive calls have not been answered yet."""
        return sum(1 for poll in self.polls if poll.count)

    def took(self, seconds: float) -> None:
        """The handler needed that long for one message (a failure counts: it held a slot as well)."""
        average = self.average_s
        self.average_s = seconds if average is None else average + (seconds - average) * WEIGHT

    def wanted(self, hand: InFlight) -> int:
        """How many messages the next poll should ask for now; 0 = none yet."""
        batch = self.batch
        slots = self.slots
        held = hand.waiting + hand.posting + self.reserved
        average = self.average_s
        if average is not None and average * batch < FAST_S * slots:
            count = batch if held <= slots else 0
        elif hand.groups:  # of a FIFO group one message at a time takes a slot; other groups may have the rest
            busy = min(hand.waiting + hand.posting, len(hand.groups)) + self.reserved
            count = min(batch, slots - busy, slots + batch - held)
        else:
            count = min(batch, slots - held)
        if count <= 0:
            return 0
        # Delivered messages whose delete does not get through pile up here: past that, receiving only makes it worse.
        if len(hand.by_id) - hand.waiting - hand.posting > 4 * (self.slots + batch) + 100:
            return 0
        free = self.max_bytes - hand.bytes - self.reserved_bytes
        if free < count * self.size_guess:
            count = free // self.size_guess
            if count <= 0:  # a message larger than the limit must still get through, alone
                return 1 if not hand.bytes and not self.reserved else 0
        return count

    def started(self, poll: Poll, count: int, visibility_s: int) -> None:
        """A call for `count` messages went out; they will be hidden for `visibility_s` seconds."""
        poll.count = count
        poll.visibility_s = visibility_s
        poll.reserved_bytes = count * self.size_guess
        self.reserved += count
        self.reserved_bytes += poll.reserved_bytes

    def ended(self, poll: Poll) -> None:
        """The call was answered, failed, or was given up: its reservation ends."""
        self.reserved -= poll.count
        self.reserved_bytes -= poll.reserved_bytes
        poll.count = 0
        poll.reserved_bytes = 0

    def answered(self, poll: Poll, found: bool, sent_at: float, now: float, draw: Callable[[], float]) -> None:
        """The call was answered: the receiver may go on at once, unless SQS answers without waiting again and again."""
        self.ended(poll)
        poll.failures = 0
        poll.attempt_id = ""
        if found or now - sent_at > QUICK_S:
            poll.quick = 0
        else:
            poll.quick += 1
        poll.retry_at = now
        if poll.quick <= QUICK_AT_MOST:
            self.idle.append(poll)
        else:
            poll.retry_at += SOON.delay(poll.quick - QUICK_AT_MOST, draw)

    def saw(self, size: int) -> None:
        """A message of that many bytes arrived: the guess grows at once and shrinks slowly."""
        guess = self.size_guess
        self.size_guess = size if size > guess else max(size, guess - guess // 256, 1024)

    def failed(self, poll: Poll, error: QueueError, now: float, draw: Callable[[], float]) -> float:
        """The call failed: when (loop seconds) that receiver may try again.

        Only a call without any answer keeps its ReceiveRequestAttemptId: SQS then hands out the same messages instead
        of hiding them for a visibility timeout.
        """
        if error.answered:
            poll.attempt_id = ""
        poll.failures += 1
        poll.retry_at = now + _BACKOFF.get(error.kind, SOON).delay(poll.failures, draw)
        return poll.retry_at
