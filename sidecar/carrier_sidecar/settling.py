"""Collecting deletes and changes of visibility into batches, and trying again what failed. Pure.

A batch goes out when ten are there or a few milliseconds after its first. After a call that failed as a whole
everything of its kind waits for a jittered backoff, so that an outage of SQS sees few calls; an entry that failed
alone waits by itself. Deletes and changes have a backoff each: refused deletes must not keep the heartbeat from going
out.
"""

from __future__ import annotations

import heapq

from carrier_sidecar.backoff import SOON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from carrier_sidecar.backoff import Backoff
    from carrier_sidecar.message import Message

    class SettlePort(Protocol):
        """Where batches go: see engine.Queue."""

        def delete(self, batch: list[Message]) -> None: ...
        def change_visibility(self, batch: list[Message], seconds: list[int]) -> None: ...


BATCH = 10  # the most entries of an SQS batch call
# Deletes at once on the wire: enough for thousands a second at AWS's latencies, and a bound while SQS hangs.
MAX_DELETE_CALLS = 16
NEVER = float("inf")


class Lane:
    """Calls of one kind: what waits to be sent, and the backoff after calls that failed as a whole."""

    __slots__ = ("blocked_until", "failures", "waiting")

    def __init__(self) -> None:
        self.waiting: list[Message] = []
        self.failures = 0
        self.blocked_until = 0.0


class Settling:
    """What is to be settled. `wake_at` is when (loop seconds) `flush` has something to do.

    `late(message, now)` is told of a message's first delete that is sent after its visibility has run out.
    """

    __slots__ = (
        "_changes",
        "_deletes",
        "_draw",
        "_late",
        "_later",
        "_linger_s",
        "_port",
        "_sequence",
        "_stalled",
        "delete_calls",
        "wake_at",
    )

    def __init__(
        self, port: SettlePort, linger_s: float, draw: Callable[[], float], late: Callable[[Message, float], None]
    ) -> None:
        self._port = port
        self._linger_s = linger_s
        self._draw = draw
        self._late = late
        self._deletes = Lane()
        self._changes = Lane()
        self._later: list[tuple[float, int, Message]] = []
        self._sequence = 0
        self._stalled = False  # deletes wait for one of the calls on the wire to end
        self.delete_calls = 0
        self.wake_at = NEVER

    def delete(self, message: Message, now: float) -> None:
        """Delete that message, in the next batch."""
        waiting = self._deletes.waiting
        waiting.append(message)
        if len(waiting) >= BATCH:
            self._send_deletes(now)
        elif len(waiting) == 1:
            self._wake(now + self._linger_s)

    def change(self, message: Message, now: float) -> None:
        """Send the message's `change` (`change_s` seconds), in the next batch."""
        self._changes.waiting.append(message)
        self._wake(now + self._linger_s)

    def again(self, message: Message, now: float) -> None:
        """One entry failed: settle it again after a backoff of its own."""
        message.attempts += 1
        self._sequence += 1
        when = now + SOON.delay(message.attempts, self._draw)
        heapq.heappush(self._later, (when, self._sequence, message))
        self._wake(when)

    def delete_ended(self, now: float) -> None:
        """A delete call was answered or failed: what waited for that may go out."""
        self.delete_calls -= 1
        if self._stalled:
            self._stalled = False
            self._wake(now)

    def failed(self, delete: bool, now: float, backoff: Backoff) -> None:
        """A whole call failed: nothing of its kind is sent until a backoff has passed. Of calls that were on the wire
        together, the first counts."""
        lane = self._deletes if delete else self._changes
        if now < lane.blocked_until:
            return
        lane.failures += 1
        lane.blocked_until = now + backoff.delay(lane.failures, self._draw)

    def succeeded(self, delete: bool, now: float) -> None:
        """A call got through: the backoff of its kind is over."""
        lane = self._deletes if delete else self._changes
        if lane.failures:
            lane.failures = 0
            lane.blocked_until = 0.0
            if lane.waiting:
                self._wake(now)

    def due(self, now: float) -> list[Message]:
        """Messages whose own backoff has passed: their owner decides anew what to do with each."""
        later = self._later
        ready = []
        while later and later[0][0] <= now:
            ready.append(heapq.heappop(later)[2])
        return ready

    def flush(self, now: float) -> None:
        """Send what is waiting; work out when to look again."""
        self.wake_at = self._later[0][0] if self._later else NEVER
        self._send_changes(now)
        self._send_deletes(now)

    def _send_changes(self, now: float) -> None:
        lane = self._changes
        if not lane.waiting:
            return
        if now < lane.blocked_until:
            self._wake(lane.blocked_until)
            return
        waiting = []
        for message in lane.waiting:
            # One that is no longer in hand must not be hidden from others any further; or a change was taken back.
            if message.state and message.change and message.change_receipt is None:
                message.change_receipt = message.receipt
                waiting.append(message)
        lane.waiting = []
        for start in range(0, len(waiting), BATCH):
            batch = waiting[start : start + BATCH]
            self._port.change_visibility(batch, [message.change_s for message in batch])

    def _send_deletes(self, now: float) -> None:
        lane = self._deletes
        if not lane.waiting:
            return
        if now < lane.blocked_until:
            self._wake(lane.blocked_until)
            return
        while lane.waiting:
            if self.delete_calls >= MAX_DELETE_CALLS:
                self._stalled = True
                return
            batch, lane.waiting = lane.waiting[:BATCH], lane.waiting[BATCH:]
            for message in batch:
                message.delete_receipt = message.receipt
                if message.visible_at <= now and not message.late:
                    message.late = True
                    self._late(message, now)
            self.delete_calls += 1
            self._port.delete(batch)

    def _wake(self, when: float) -> None:
        if when < self.wake_at:
            self.wake_at = when
