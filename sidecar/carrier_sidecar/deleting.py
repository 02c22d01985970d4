"""Messages that the handler has accepted, until their delete is confirmed. Sans-I/O.

Part of the engine. A delivered message stays in hand until SQS says that it is deleted, by its newest receipt; one that
may not have been deleted is remembered, so that it is deleted, not delivered again, when it comes back.
"""

from __future__ import annotations

from carrier_sidecar import message as kinds
from carrier_sidecar.in_flight import ACCEPTED
from carrier_sidecar.visibility import STALE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carrier_sidecar.in_flight import InFlight
    from carrier_sidecar.message import Message, QueueError
    from carrier_sidecar.metrics import Metrics
    from carrier_sidecar.settling import Settling
    from carrier_sidecar.visibility import Visibility

    Note = Callable[[str, dict[str, object]], None]

# An entry that SQS calls invalid this often is let go.
INVALID_AT_MOST = 5

_NO_LONGER_OURS = (kinds.BAD_RECEIPT, kinds.NOT_IN_FLIGHT)


class Deleting:
    """`refused(error, now)` is told that SQS refuses deletes, `looked_at(now)` that it has looked at one.

    Times are loop seconds.
    """

    __slots__ = ("_hand", "_looked_at", "_metrics", "_note", "_refused", "_settling", "_visibility")

    def __init__(
        self,
        hand: InFlight,
        settling: Settling,
        visibility: Visibility,
        metrics: Metrics,
        note: Note,
        *,
        refused: Callable[[QueueError, float], None],
        looked_at: Callable[[float], None],
    ) -> None:
        self._hand = hand
        self._settling = settling
        self._visibility = visibility
        self._metrics = metrics
        self._note = note
        self._refused = refused
        self._looked_at = looked_at

    def accept(self, message: Message, now: float) -> None:
        """The handler has accepted the message (or had before): delete it; the next of its group may go on."""
        self._hand.move(message, ACCEPTED)
        self._settling.delete(message, now)
        if message.group is not None:
            self._hand.offer(message.group, now)

    def late(self, message: Message, now: float) -> None:
        """Its delete is sent after its visibility has run out: the process was stopped, or SQS was away."""
        self._metrics.late_deletes += 1
        self._note("late_delete", {**message.about(), "late_ms": int((now - message.visible_at) * 1000)})

    def deleted(self, messages: list[Message], now: float) -> None:
        """These deletes were confirmed."""
        self._looked_at(now)
        for message in messages:
            if not message.state:
                continue
            if message.delete_receipt is not message.receipt:
                # Received again meanwhile: an old receipt may not have deleted it.
                self._settling.delete(message, now)
                continue
            if message.lapsed or message.late:
                self._hand.remember(message.id)
            if message.group is None:
                self._hand.remove(message)
            else:
                self._visibility.gone(message, now)

    def failed(self, message: Message, error: QueueError, whole: bool, now: float) -> None:
        """A delete failed: alone, or its `whole` call."""
        if error.kind in STALE:
            self._looked_at(now)
        if not message.state:
            return
        if message.delete_receipt is not message.receipt:
            self._settling.delete(message, now)
        elif error.kind in _NO_LONGER_OURS or (error.kind == kinds.INVALID and message.attempts >= INVALID_AT_MOST):
            self._note("delete_too_late", {**message.about(), "code": error.code})
            self._hand.remember(message.id)
            self._visibility.lost(message, now)
        else:
            if error.kind == kinds.DENIED:
                self._refused(error, now)
            if whole:
                self._settling.delete(message, now)
            else:
                self._settling.again(message, now)
