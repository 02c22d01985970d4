"""Dead letters: which messages become one and why, and what waits to be sent. Pure.

A letter is sent before its message is deleted, never the other way round; a send that fails is repeated with backoff,
while the message stays in hand with its heartbeat. How a letter looks on the dead-letter queue is the business of
`sqs/dead_letters`.
"""

from __future__ import annotations

from carrier_sidecar import message as kinds
from carrier_sidecar.backoff import SLOW, SOON, THROTTLE
from carrier_sidecar.disposition import DEAD as DEAD_VERDICT
from carrier_sidecar.disposition import DELIVERED, HIDE, REFUSED
from carrier_sidecar.in_flight import DEAD
from carrier_sidecar.retry import receives_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from carrier_sidecar.disposition import Answer
    from carrier_sidecar.in_flight import InFlight
    from carrier_sidecar.message import Message, QueueError
    from carrier_sidecar.metrics import Metrics
    from carrier_sidecar.settings import Settings

    class DeadLetterQueue(Protocol):
        """Where letters go. The outcome comes back as `Engine.letter_sent`, never from inside `send`."""

        def send(self, letter: Letter) -> None:
            """Send one letter."""

    Note = Callable[[str, dict[str, object]], None]


NEVER = float("inf")
# Sends at once on the wire: enough for hundreds of letters a second, and a bound while the queue hangs.
MOST_SENDS = 16

_LASTING = (kinds.DENIED, kinds.NO_QUEUE, kinds.KMS)


class DeadLetterPolicy:
    """`statuses`: answers that are final, "422" or "4xx". A message that fails on receive `most_receives` or later, or
    `oldest_s` or more after it was sent, is given up; 0 is never."""

    __slots__ = ("_oldest_s", "_statuses", "most_receives")

    def __init__(self, statuses: Iterable[str] = (), most_receives: int = 0, oldest_s: float = 0.0) -> None:
        self._statuses = frozenset(statuses)
        self._oldest_s = oldest_s
        self.most_receives = most_receives

    def is_final(self, answer: Answer) -> bool:
        """The handler works, and says that this message is to go: by its header, or by one of the statuses. A status
        with Retry-After is not final: the handler said when to come back."""
        if answer.verdict is DEAD_VERDICT:
            return True
        if not self._statuses or not answer.status or answer.verdict in (DELIVERED, HIDE):
            return False
        return str(answer.status) in self._statuses or f"{answer.status // 100}xx" in self._statuses

    def reason(self, message: Message, answer: Answer, wall_s: float) -> str:
        """Why the message becomes a dead letter after that answer; "" when it does not.

        A refused connection gives nothing up: the message never reached the handler.
        """
        if answer.verdict is DEAD_VERDICT:
            return answer.dead_letter
        if self.is_final(answer):
            return f"status {answer.status} is final"
        if answer.reason == REFUSED:
            return ""
        receives = receives_of(message.receive_count)
        if self.most_receives and receives >= self.most_receives:
            return f"given up on receive {receives}: {answer.reason}"
        if self._oldest_s and message.sent_time and wall_s - int(message.sent_time) / 1000 >= self._oldest_s:
            return f"given up {int(wall_s - int(message.sent_time) / 1000)} s after it was sent: {answer.reason}"
        return ""


class Letter:
    """A message on its way to the dead-letter queue. `reason`: why; `answer`: the handler's; `wall_s`: Unix seconds of
    that answer. `bare`: without the attribute that says so, since there was no room for it."""

    __slots__ = ("answer", "attempts", "bare", "message", "on_wire", "reason", "retry_at", "wall_s")

    def __init__(self, message: Message, reason: str, answer: Answer, wall_s: float) -> None:
        self.message = message
        self.reason = reason
        self.answer = answer
        self.wall_s = wall_s
        self.bare = False
        self.attempts = 0
        self.retry_at = 0.0
        self.on_wire = False

    def about(self) -> dict[str, object]:
        """What a log line says of it, beside its message."""
        return {
            "reason": self.answer.reason,
            "dead_letter": self.reason,
            "receive_count": receives_of(self.message.receive_count),
        }


class DeadLettering:
    """The letters of messages in hand. `wake_at` is when (loop seconds) `flush` has something to do; `available` says
    whether there is a queue to send to, `wall_offset_s` what wall clock minus loop clock is.

    A part of the engine, which says with `serve` whose messages these are.
    """

    __slots__ = (
        "_accept",
        "_blocked_until",
        "_draw",
        "_failures",
        "_hand",
        "_letters",
        "_metrics",
        "_note",
        "_on_wire",
        "_policy",
        "_port",
        "available",
        "wake_at",
        "wall_offset_s",
    )

    def __init__(self, policy: DeadLetterPolicy, port: DeadLetterQueue, draw: Callable[[], float]) -> None:
        self.available = True
        self.wake_at = NEVER
        self.wall_offset_s = 0.0
        self._policy = policy
        self._port = port
        self._draw = draw
        self._letters: dict[str, Letter] = {}  # by message id, oldest first
        self._on_wire = 0
        self._failures = 0
        self._blocked_until = 0.0

    def serve(self, hand: InFlight, metrics: Metrics, note: Note, accept: Callable[[Message, float], None]) -> None:
        """From now on for these messages; `accept(message, now)` is for those that have been sent."""
        self._hand = hand
        self._metrics = metrics
        self._note = note
        self._accept = accept

    def is_final(self, answer: Answer) -> bool:
        """See DeadLetterPolicy."""
        return self._policy.is_final(answer)

    def takes(self, message: Message, answer: Answer, now: float) -> bool:
        """Does a message that was not delivered become a dead letter? Then it is on its way."""
        wall_s = now + self.wall_offset_s
        reason = self._policy.reason(message, answer, wall_s)
        if not reason:
            return False
        if not self.available:
            self._note("no_dead_letter_queue", {**message.about(), "reason": answer.reason, "dead_letter": reason})
            return False
        self._hand.bury(message)
        self._letters[message.id] = Letter(message, reason, answer, wall_s)
        self.flush(now)
        return True

    def flush(self, now: float) -> None:
        """Send what is due; work out when to look again. After a failure of the queue one letter goes alone."""
        self.wake_at = NEVER
        if now < self._blocked_until:
            if self._letters:
                self.wake_at = self._blocked_until
            return
        most = 1 if self._failures else MOST_SENDS
        for letter in list(self._letters.values()):
            if letter.on_wire:
                continue
            if letter.message.state != DEAD:  # let go meanwhile
                del self._letters[letter.message.id]
            elif letter.retry_at > now:
                self.wake_at = min(self.wake_at, letter.retry_at)
            elif self._on_wire < most:
                letter.on_wire = True
                self._on_wire += 1
                self._port.send(letter)

    def sent(self, letter: Letter, error: QueueError | None, now: float) -> None:
        """A send ended. One that failed is tried again: when the message itself was refused, without the attribute and
        by itself; otherwise it says something about the queue, and everything waits."""
        letter.on_wire = False
        self._on_wire -= 1
        message = letter.message
        if error is None:
            self._failures = 0
            self._blocked_until = 0.0
            if self._letters.get(message.id) is letter:
                del self._letters[message.id]
            self._metrics.dead_lettered += 1
            self._note("dead_lettered", {**message.about(), **letter.about()})
            if message.state == DEAD:
                self._accept(message, now)
            else:  # its visibility ran out: when it comes back it is deleted, not delivered again
                self._hand.remember(message.id)
        else:
            self._failed(letter, error, now)
        self.flush(now)

    def _failed(self, letter: Letter, error: QueueError, now: float) -> None:
        self._metrics.dead_letter_failures += 1
        fields = {**letter.message.about(), "kind": error.kind, "code": error.code, "error": error.detail}
        self._note("dead_letter_failed", fields)
        letter.attempts += 1
        if error.kind == kinds.INVALID:
            if letter.bare:
                letter.retry_at = now + SLOW.delay(letter.attempts, self._draw)
            letter.bare = True
        else:
            self._failures += 1
            backoff = SLOW if error.kind in _LASTING else THROTTLE if error.kind == kinds.THROTTLED else SOON
            self._blocked_until = now + backoff.delay(self._failures, self._draw)

    def not_on_wire(self) -> list[Message]:
        """Messages whose letters wait to be sent: at the end there is no time for them."""
        return [
            letter.message for letter in self._letters.values() if not letter.on_wire and letter.message.state == DEAD
        ]


def dead_letter_policy(settings: Settings) -> DeadLetterPolicy | None:
    """What the settings ask for; None when nothing becomes a dead letter."""
    if not settings.sends_dead_letters:
        return None
    return DeadLetterPolicy(settings.dead_letter_statuses, settings.give_up_receives, settings.give_up_age)
