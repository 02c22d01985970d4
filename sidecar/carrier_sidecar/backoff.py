"""How long to wait before trying again. Pure: the randomness is an argument.

Full jitter (a wait drawn evenly from nothing to the cap of that attempt) spreads a fleet that failed at the same
moment; a floor of a tenth keeps a lucky draw from becoming a tight loop.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Backoff:
    """Exponential, jittered: attempt 1 waits up to `first_s`, each further one `factor` times that, up to `cap_s`."""

    __slots__ = ("cap_s", "factor", "first_s")

    def __init__(self, first_s: float, factor: float, cap_s: float) -> None:
        self.first_s = first_s
        self.factor = factor
        self.cap_s = cap_s

    def ceiling(self, attempt: int) -> float:
        """The longest wait, in seconds, after `attempt` failures in a row (1 = the first)."""
        wait = self.first_s
        for _ in range(min(attempt, 64) - 1):
            wait *= self.factor
            if wait >= self.cap_s:
                break
        return min(wait, self.cap_s)

    def delay(self, attempt: int, draw: Callable[[], float]) -> float:
        """Seconds to wait; `draw` gives a number in [0, 1)."""
        ceiling = self.ceiling(attempt)
        return ceiling * (0.1 + 0.9 * draw())


# What may pass soon (5xx, resets, throttling of one call): the cap stays near one second, since a longer one would
# resume seconds late after an outage has ended.
SOON = Backoff(0.1, 2.0, 1.0)
# What needs somebody to act (permissions, credentials, a queue that is not there).
SLOW = Backoff(1.0, 2.0, 30.0)
# Throttling: SQS asks for less, not for the same again at once.
THROTTLE = Backoff(0.2, 2.0, 5.0)
