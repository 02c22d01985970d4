"""How it ends: a drain or a pause, from the moment it is asked for until nothing is left in hand. Sans-I/O.

Part of the engine, which gives back what has not begun and lets the handler finish. A receive on the wire is awaited
while work goes on and a little beyond, since what it brings would otherwise stay hidden. A drain has a deadline: then
POSTs are cut off, and the last settles have a few seconds more. So it always ends.
"""

from __future__ import annotations

from carrier_sidecar.heartbeat import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carrier_sidecar.in_flight import InFlight
    from carrier_sidecar.receiving import Receiving

# How long a receive on the wire is awaited when everything else is done.
LAST_RECEIVE_S = 2.0
# How much longer than the shutdown timeout the last settles may take.
LAST_SETTLES_S = 3.0


class Stopping:
    """`active` while a drain or a pause goes on. `quiet(finished)` is called once for each time that `begin` was, when
    nothing is left in hand (`finished`: and nothing was cut off) or there is no more time; `out_of_time(now)` at the
    deadline; `give_up(receiver, now)` for a receive that is no longer awaited. Times are loop seconds.
    """

    __slots__ = (
        "_deadline",
        "_give_up",
        "_hand",
        "_last_at",
        "_out_of_time",
        "_quiet",
        "_quiet_at",
        "_receiving",
        "_told",
        "active",
        "is_cut",
        "unfinished",
    )

    def __init__(
        self,
        hand: InFlight,
        receiving: Receiving,
        *,
        quiet: Callable[[bool], None],
        out_of_time: Callable[[float], None],
        give_up: Callable[[int, float], None],
    ) -> None:
        self._hand = hand
        self._receiving = receiving
        self._quiet = quiet
        self._out_of_time = out_of_time
        self._give_up = give_up
        self.active = False
        self.is_cut = False
        self.unfinished = False  # something was cut off
        self._told = False
        self._quiet_at = NEVER  # when receives on the wire are given up
        self._deadline = NEVER
        self._last_at = NEVER  # when the last settles are given up

    @property
    def wake_at(self) -> float:
        """When `tick` has something to do."""
        return min(self._quiet_at, self._deadline, self._last_at) if self.active else NEVER

    def begin(self, deadline: float | None = None) -> None:
        """A drain (with its deadline) or a pause (None) begins, or somebody else asks for it too."""
        self.active = True
        self._told = False
        if deadline is not None:
            self._deadline = deadline

    def end(self) -> None:
        """The end of a pause that is no drain."""
        self.active = False
        self._quiet_at = NEVER

    def cut(self, now: float) -> None:
        """No more time for the handler: the last settles have LAST_SETTLES_S."""
        self.is_cut = True
        self._deadline = NEVER
        self._last_at = now + LAST_SETTLES_S

    def look(self, now: float) -> None:
        """Is nothing left? A receive on the wire is awaited for a little longer."""
        if not self.active:
            return
        if self._hand.by_id:
            self._quiet_at = NEVER
        elif not self._receiving.on_wire:
            self._tell(not self.unfinished)
        elif self._quiet_at == NEVER:
            self._quiet_at = now + LAST_RECEIVE_S

    def tick(self, now: float) -> None:
        """Deadlines that have passed."""
        if now >= self._deadline:
            self._out_of_time(now)
        if now >= self._last_at:
            self._tell(False)
        if now >= self._quiet_at:
            for poll in self._receiving.polls:
                if poll.count:
                    self._give_up(poll.number, now)

    def _tell(self, finished: bool) -> None:
        self._quiet_at = NEVER
        self._last_at = NEVER
        if not self._told:
            self._told = True
            self._quiet(finished)
