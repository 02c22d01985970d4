"""The servers' time: our wall clock, corrected when an answer's Date header shows that it is far off.

AWS refuses signatures that are more than minutes away from its own time; a pod on a node with a wrong clock can't mend
that, but each answer says what time it is.
"""

from __future__ import annotations

from carrier_sidecar.http_date import parse_http_date

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# AWS tolerates 5 minutes for most services; below this the pod's own clock is left alone.
TOLERATED_S = 240.0


class ServerClock:
    """Unix seconds as the server counts them. `wall` is the pod's own clock, `steady` one that never steps; `offset_s`
    what is added to the pod's; `known`: a server has told its time."""

    __slots__ = ("_steady", "_steady_offset_s", "_wall", "known", "offset_s")

    def __init__(self, wall: Callable[[], float], steady: Callable[[], float]) -> None:
        self._wall = wall
        self._steady = steady
        self._steady_offset_s: float | None = None  # what the server's time is ahead of `steady`
        self.offset_s = 0.0
        self.known = False

    def now(self) -> float:
        return self._wall() + self.offset_s

    def earliest(self) -> float:
        """The pod's time or the server's, and that by either clock: what is past by it is past by all of them. A pod's
        clock that has been set forward since the server told its time does not count."""
        earliest = self._wall() + min(self.offset_s, 0.0)
        ahead_s = self._steady_offset_s
        return earliest if ahead_s is None else min(earliest, self._steady() + ahead_s)

    def observe(self, date_header: str | None, *, refused: bool = False) -> bool:
        """Takes in the Date header of an answer; True if the correction changed.

        `refused`: the server said that our time is wrong, so that every difference of more than a second counts.
        """
        server_s = parse_http_date(date_header) if date_header else None
        if server_s is None:
            return False
        self.known = True
        self._steady_offset_s = server_s - self._steady()
        if abs(server_s - self.now()) <= (1.0 if refused else TOLERATED_S):
            return False
        difference = server_s - self._wall()
        self.offset_s = 0.0 if abs(difference) <= 1.0 else difference
        return True
