"""Which messages in hand need their visibility extended, and which are no longer ours. Pure.

A message is extended when half of the visibility timeout is gone, so that several tries fit before it runs out. What
is due soon goes along, so that extensions travel in batches. There is no structure ordered by deadline: those in hand
are few (the slots and one batch), and looking at all of them once per half visibility timeout costs less than keeping
an order per message.
"""

from __future__ import annotations

from carrier_sidecar.in_flight import ACCEPTED, DEAD, EXTEND, HELD, POSTING, WAITING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carrier_sidecar.in_flight import InFlight
    from carrier_sidecar.message import Message

NEVER = float("inf")
# SQS: no message stays hidden for longer than 12 hours, counted from its receive.
HIDDEN_AT_MOST_S = 43200
# A visibility timeout under this leaves no time for a second try; the queue's own is raised to it on every receive.
SHORTEST_S = 10
# Where the queue's own may not be read.
DEFAULT_S = 30
# SQS counts in whole seconds: this close to the 12 hours there is nothing left to ask for.
LEAST_GAIN_S = 2

# States whose messages stay in hand for an open time.
KEPT = (WAITING, POSTING, ACCEPTED, HELD, DEAD)


class Heartbeat:
    """`visibility_s` is what each receive and extension asks for; `allowed` is False once SQS refuses extensions."""

    __slots__ = ("allowed", "visibility_s", "wake_at")

    def __init__(self, visibility_s: int = DEFAULT_S) -> None:
        self.visibility_s = visibility_s
        self.allowed = True
        self.wake_at = NEVER

    def watch(self, message: Message) -> None:
        """A message was received, or extended until its `visible_at`."""
        due = message.visible_at - self.visibility_s / 2
        if due < self.wake_at:
            self.wake_at = due

    def beat(self, hand: InFlight, now: float) -> tuple[list[Message], list[Message]]:
        """Messages to extend (their `change` is set), and messages whose visibility has run out. Sets `wake_at` for
        the rest.
        """
        half = self.visibility_s / 2
        horizon = now + self.visibility_s / 10
        extend: list[Message] = []
        lapsed: list[Message] = []
        wake_at = NEVER
        for message in hand.by_id.values():
            if message.lapsed:
                continue
            visible_at = message.visible_at
            if visible_at <= now:
                if message.change != EXTEND:  # with an extension under way its answer tells
                    lapsed.append(message)
                continue
            wake_at = min(wake_at, visible_at)
            if message.state not in KEPT or message.change or not self.allowed:
                continue
            due = max(visible_at - half, message.retry_at)
            if due > horizon:
                wake_at = min(wake_at, due)
                continue
            left = int(message.hidden_since + HIDDEN_AT_MOST_S - now) - 1
            if left - (visible_at - now) < LEAST_GAIN_S:
                continue
            message.change = EXTEND
            message.change_s = min(self.visibility_s, left)
            extend.append(message)
        self.wake_at = wake_at
        return extend, lapsed


def at_limit(message: Message) -> bool:
    """Could this message not have been hidden for longer? SQS's 12 hours, counted from its receive."""
    return message.hidden_since + HIDDEN_AT_MOST_S - message.visible_at < 2 * LEAST_GAIN_S
