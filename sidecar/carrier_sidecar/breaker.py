"""The circuit breaker: shut when the handler fails too often, and after a pause one message decides. Pure.

    PASSING ──too many failures──▶ SHUT ──pause is over──▶ TRYING ──the one message is accepted──▶ PASSING
                                    ▲                          │
                                    └──────────it fails────────┘

What counts as a failure is the engine's business, what being shut means the gate's.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carrier_sidecar.settings import Settings

PASSING = "passing"
SHUT = "shut"
TRYING = "trying"

NEVER = float("inf")
# A ratio of fewer answers than this says nothing.
FEWEST_ANSWERS = 10
# The window moves on by a tenth of its length at a time.
_PARTS = 10


class Breaker:
    """`failures` in a row shut it (0: never), or a share of at least `ratio` among the answers of the last `window_s`
    seconds (0: never). `pause_s` is the time until one message is tried; `wake_at` when (loop seconds) that is due."""

    __slots__ = (
        "_answers",
        "_failed",
        "_failures",
        "_in_a_row",
        "_part",
        "_part_s",
        "_pause_s",
        "_ratio",
        "state",
        "wake_at",
    )

    def __init__(self, failures: int, ratio: float, window_s: float, pause_s: float) -> None:
        self._failures = failures
        self._ratio = ratio
        self._part_s = window_s / _PARTS
        self._pause_s = pause_s
        self._in_a_row = 0
        self._part = 0  # number of the newest part since the epoch of the clock
        self._answers = [0] * _PARTS
        self._failed = [0] * _PARTS
        self.state = PASSING
        self.wake_at = NEVER

    def record(self, failed: bool, now: float) -> bool:
        """Count an answer while PASSING; True: that was one failure too many, it is SHUT now."""
        if not failed:
            self._in_a_row = 0
        else:
            self._in_a_row += 1
        if self._ratio:
            self._move_on(now)
            self._answers[self._part % _PARTS] += 1
            self._failed[self._part % _PARTS] += failed
        in_a_row = self._failures > 0 and self._in_a_row >= self._failures
        if not failed or not (in_a_row or self._too_many()):
            return False
        self._shut(now)
        return True

    def begin(self) -> None:
        """The pause is over: one message may be tried."""
        self.state = TRYING
        self.wake_at = NEVER

    def tried(self, failed: bool, now: float) -> bool:
        """The message that was tried has its answer; True: PASSING again."""
        if failed:
            self._shut(now)
            return False
        self.state = PASSING
        return True

    def _shut(self, now: float) -> None:
        self.state = SHUT
        self.wake_at = now + self._pause_s
        self._in_a_row = 0
        self._answers = [0] * _PARTS
        self._failed = [0] * _PARTS

    def _too_many(self) -> bool:
        if not self._ratio:
            return False
        answers = sum(self._answers)
        return answers >= FEWEST_ANSWERS and sum(self._failed) >= self._ratio * answers

    def _move_on(self, now: float) -> None:
        """Forget the parts that have left the window."""
        part = int(now / self._part_s)
        for gone in range(max(self._part + 1, part - _PARTS + 1), part + 1):
            self._answers[gone % _PARTS] = 0
            self._failed[gone % _PARTS] = 0
        self._part = max(self._part, part)


def breaker(settings: Settings) -> Breaker | None:
    """What the settings ask for; None when nothing ever shuts it."""
    if not settings.breaker_failures and not settings.breaker_ratio:
        return None
    return Breaker(settings.breaker_failures, settings.breaker_ratio, settings.breaker_window, settings.breaker_pause)
