"""The gate: whether messages may be received, and whether they may be given to the handler. Pure.

The gate is open while nobody holds it shut. Each reason is a row of the table below; readiness, metrics and log lines
name the reasons that hold, so that "why does it not receive?" has one answer in one place.
"""

from __future__ import annotations

# Reasons.
STARTING = "starting"  # the handler has not answered yet
OFFLINE = "offline"  # the handler refused a connection, or failed its health checks
QUEUE = "queue"  # the queue has not been found yet
DELETE_DENIED = "delete_denied"  # deletes are refused: every delivery would be repeated for ever
BREAKER = "breaker"  # the handler fails too often
SUSPENDED = "suspended"  # somebody asked for it
PAUSED = "paused"  # the app's preStop hook asked for it
DRAINING = "draining"  # the end

# reason: (may the handler be given what is in hand?, a sentence for people)
REASONS: dict[str, tuple[bool, str]] = {
    STARTING: (False, "waiting for the handler to answer"),
    OFFLINE: (False, "the handler is offline"),
    QUEUE: (True, "the queue is not open yet"),
    DELETE_DENIED: (True, "SQS refuses DeleteMessage: grant sqs:DeleteMessage on the queue"),
    BREAKER: (False, "the circuit breaker is shut: the handler fails too often"),
    SUSPENDED: (True, "suspended by CARRIER_SUSPENDED, SIGUSR1 or /suspend"),
    PAUSED: (False, "paused by the drain hook of the app's container"),
    DRAINING: (False, "draining: the process is about to end"),
}


class Gate:
    """Who holds the gate shut. `receives` and `posts` are kept up to date for the hot path to read."""

    __slots__ = ("posts", "reasons", "receives")

    def __init__(self, *reasons: str) -> None:
        self.reasons: dict[str, None] = {}
        self.receives = True
        self.posts = True
        for reason in reasons:
            self.shut(reason)

    def shut(self, reason: str) -> bool:
        """Hold the gate shut for `reason`; False if that already did."""
        if reason in self.reasons:
            return False
        self.reasons[reason] = None
        self._update()
        return True

    def open(self, reason: str) -> bool:
        """Take that reason away; False if it did not hold."""
        if reason not in self.reasons:
            return False
        del self.reasons[reason]
        self._update()
        return True

    def only(self, reason: str) -> bool:
        """Does that reason hold the gate shut, and no other?"""
        return len(self.reasons) == 1 and reason in self.reasons

    def _update(self) -> None:
        self.receives = not self.reasons
        self.posts = all(REASONS[reason][0] for reason in self.reasons)
