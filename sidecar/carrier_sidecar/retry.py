"""When a message that failed comes back: backoff by receive count. Pure.

The receive count is the attempt: SQS counts it, so it survives restarts and is the same in every pod. A policy without
an initial time says nothing, and the message's present visibility decides, as when there is no policy.
"""

from __future__ import annotations

from math import ceil

from carrier_sidecar.backoff import Backoff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carrier_sidecar.settings import Settings

LEAVE_IT = -1


class RetryPolicy:
    """Exponential with full jitter: up to `initial_s` after the first receive, `factor` times that after each further
    one, at most `longest_s`. `by_status` gives other values for a status ("503") or class ("5xx"): (status, initial,
    factor, longest), the last two None for the general ones. An initial time of 0 leaves the message as it is.
    """

    __slots__ = ("_by_status", "_otherwise")

    def __init__(
        self,
        initial_s: float,
        factor: float,
        longest_s: float,
        by_status: Sequence[tuple[str, float, float | None, float | None]] = (),
    ) -> None:
        self._otherwise = Backoff(initial_s, factor, longest_s)
        self._by_status: dict[str, Backoff] = {}
        for status, initial, own_factor, own_longest in by_status:
            longest = max(initial, longest_s) if own_longest is None else own_longest
            backoff = Backoff(initial, factor if own_factor is None else own_factor, longest)
            self._by_status.setdefault(status, backoff)

    def delay_s(self, status: int, receives: int, draw: Callable[[], float]) -> int:
        """Whole seconds, from 1, that the message is to stay hidden from now; LEAVE_IT where the policy says nothing.

        `status` is 0 for a POST without an answer; `draw` gives a number in [0, 1).
        """
        backoff = self._otherwise
        if self._by_status and status:
            backoff = self._by_status.get(str(status)) or self._by_status.get(f"{status // 100}xx") or backoff
        if not backoff.first_s:
            return LEAVE_IT
        return max(1, ceil(backoff.ceiling(receives) * draw()))


def retry_policy(settings: Settings) -> RetryPolicy | None:
    """What the settings ask for; None when nothing is ever hidden."""
    if not settings.retry_initial and not any(initial_s for _, initial_s, _, _ in settings.retry_by_status):
        return None
    return RetryPolicy(settings.retry_initial, settings.retry_factor, settings.retry_max, settings.retry_by_status)


def receives_of(receive_count: str) -> int:
    """The receive count that a message carries, as a number: 1 where the server did not say."""
    return max(1, int(receive_count)) if receive_count.isascii() and receive_count.isdigit() else 1
