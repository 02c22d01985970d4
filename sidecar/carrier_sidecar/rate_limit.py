"""How many messages may be received now: a token bucket with the time as an argument. Pure.

A receive holds the tokens for what it asks, and gives back those of what did not come. Held tokens count against the
burst, so that a long poll which waited for 20 s does not come on top of a full bucket: in any span of t seconds at most
burst + rate * t messages arrive.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carrier_sidecar.settings import Settings

NEVER = float("inf")
# Receives are billed: one is worth waiting this long for further tokens, never longer.
PATIENCE_S = 0.5
# Tokens come in fractions: what is missing by the rounding of floats is not missing.
_ROUNDING = 1e-6

_UNITS_S = {"s": 1, "m": 60, "h": 3600}


class RateLimit:
    """`per_s` tokens a second, at most `burst` of them at once. The bucket is full at the start."""

    __slots__ = ("_at", "_held", "_level", "burst", "per_s")

    def __init__(self, per_s: float, burst: int) -> None:
        self.per_s = per_s
        self.burst = burst
        self._level = float(burst)
        self._held = 0
        self._at = NEVER  # of the level; NEVER: nothing was asked yet

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._level += (now - self._at) * self.per_s
        self._at = now
        room = self.burst - self._held
        if self._level > room:
            self._level = float(room)

    def grant(self, wanted: int, now: float) -> int:
        """How many of `wanted` messages a receive may ask for now; 0: not yet, see `next_at`."""
        self._refill(now)
        whole = int(self._level + _ROUNDING)
        return min(wanted, whole) if whole >= self._enough(wanted) else 0

    def next_at(self, wanted: int, now: float) -> float:
        """When `grant` will say more than 0; NEVER while receives under way hold every token."""
        self._refill(now)
        enough = self._enough(wanted)
        if enough > self.burst - self._held:
            return NEVER
        return now + max(0.0, enough - self._level) / self.per_s

    def _enough(self, wanted: int) -> int:
        """The tokens worth waiting for: a full receive where they come quickly, else one."""
        return max(1, min(wanted, self.burst - self._held, int(self.per_s * PATIENCE_S)))

    def hold(self, count: int, now: float) -> None:
        """A receive for `count` messages goes out."""
        self._refill(now)
        self._level -= count
        self._held += count

    def settle(self, count: int, came: int, now: float) -> None:
        """That receive ended with `came` messages."""
        self._refill(now)
        self._held -= count
        self._level += count - came


def parse_rate(text: str) -> float:
    """Tokens per second of a rate such as 100/s, 20/m or 5/h."""
    count, _, unit = text.partition("/")
    return int(count) / _UNITS_S[unit]


def rate_limit(settings: Settings) -> RateLimit | None:
    """What the settings ask for; without a burst it is what comes in one second, at least one."""
    if not settings.rate_limit:
        return None
    per_s = parse_rate(settings.rate_limit)
    return RateLimit(per_s, settings.rate_burst or max(1, int(per_s + 0.5)))
