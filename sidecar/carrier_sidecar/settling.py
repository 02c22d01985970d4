"""Collecting deletes and changes of visibility into batches, and trying again what failed. Pure.

A batch goes out when ten are there or a few milliseconds after its first. After a call that failed as a whole
everything waits for a jittered backoff, so that an outage of SQS sees few calls; an entry that failed alone waits by
itself.
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


class Settling:
    """What is to be settled. `wake_at` is when (loop seconds) `flush` has something to do."""

    __slots__ = (
        "_changes",
        "_deletes",
        "_draw",
        "_late",
        "_later",
        "_linger_s",
        "_port",
        "_sequence",
        "blocked_until",
        "delete_calls",
        "failures",
        "wake_at",
    )

    def __init__(
        self, port: SettlePort, linger_s: float, draw: Callable[[], float], late: Callable[[Message, float], None]
    ) -> None:
        self._port = port
        self._linger_s = linger_s
        self._draw = draw
        self._late = late
        self._deletes: list[Message] = []
        self._changes: list[Message] = []
        self._later: list[tuple[float, int, Message]] = []
        self._sequence = 0
        self.delete_calls = 0
        self.failures = 0
        self.blocked_until = 0.0
        self.wake_at = NEVER

    def delete(self, message: Message, now: float) -> None:
        """Delete that message, in the next batch."""
        deletes = self._deletes
        deletes.append(message)
        if len(deletes) >= BATCH:
            self._send_deletes(now)
        else:
            self._wake(now + self._linger_s)

    def change(self, message: Message, now: float) -> None:
        """Send the message's `change` (`change_s` seconds), in the next batch."""
        self._changes.append(message)
        self._wake(now + self._linger_s)

    def again(self, message: Message, now: float) -> None:
        """One entry failed: settle it again after a backoff of its own."""
        message.attempts += 1
        self._sequence += 1
        when = now + SOON.delay(message.attempts, self._draw)
        heapq.heappush(self._later, (when, self._sequence, message))
        self._wake(when)

    def call_failed(self, now: float, backoff: Backoff = SOON) -> None:
        """A whole call failed: nothing is sent until a backoff has passed."""
        self.failures += 1
        self.blocked_until = now + backoff.delay(self.failures, self._draw)

    def call_succeeded(self) -> None:
        """A call got through: the backoff is over."""
        self.failures = 0
        self.blocked_until = 0.0

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
        if now < self.blocked_until:
            if self._deletes or self._changes:
                self._wake(self.blocked_until)
            return
        while self._changes:
            batch, self._changes = self._changes[:BATCH], self._changes[BATCH:]
            for message in batch:
                message.change_receipt = message.receipt
            self._port.change_visibility(batch, [message.change_s for message in batch])
        self._send_deletes(now)

    def _send_deletes(self, now: float) -> None:
        if now < self.blocked_until:
            self._wake(self.blocked_until)
            return
        while self._deletes and self.delete_calls < MAX_DELETE_CALLS:
            batch, self._deletes = self._deletes[:BATCH], self._deletes[BATCH:]
            for message in batch:
                message.delete_receipt = message.receipt
                if message.visible_at <= now:
                    self._late(message, now)
            self.delete_calls += 1
            self._port.delete(batch)

    def _wake(self, when: float) -> None:
        if when < self.wake_at:
            self.wake_at = when
