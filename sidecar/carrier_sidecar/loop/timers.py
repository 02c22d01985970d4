"""Timers by time: a heap with lazy cancelling. Pure: the time is an argument."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SWEEP_FROM = 64  # below this, cancelled timers are not worth a sweep


class HeapTimer:
    """One callback; `callback` is None once it was called or cancelled."""

    __slots__ = ("_heap", "callback")

    def __init__(self, heap: TimerHeap, callback: Callable[[], None]) -> None:
        self._heap = heap
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Never call it."""
        if self.callback is not None:
            self.callback = None
            self._heap.note_cancelled()


class TimerHeap:
    """Entries (when, number, timer): the number keeps the order of asking, and spares comparing timers.

    A cancelled timer stays in the heap until its time comes, or until more than half of the heap is cancelled.
    """

    __slots__ = ("_cancelled", "_number", "entries")

    def __init__(self) -> None:
        self.entries: list[tuple[float, int, HeapTimer]] = []
        self._number = 0
        self._cancelled = 0

    def add(self, when: float, callback: Callable[[], None]) -> HeapTimer:
        """A timer for that time."""
        timer = HeapTimer(self, callback)
        self._number += 1
        heappush(self.entries, (when, self._number, timer))
        return timer

    def note_cancelled(self) -> None:
        """A timer in the heap was cancelled."""
        self._cancelled += 1
        entries = self.entries
        if self._cancelled * 2 > len(entries) > _SWEEP_FROM:
            entries[:] = [entry for entry in entries if entry[2].callback is not None]
            heapify(entries)
            self._cancelled = 0

    def next_at(self) -> float | None:
        """When the next timer is due; None when there is none."""
        entries = self.entries
        while entries:
            when, _, timer = entries[0]
            if timer.callback is not None:
                return when
            heappop(entries)
            self._cancelled -= 1
        return None

    def pop_due(self, now: float) -> Callable[[], None] | None:
        """The callback of the earliest timer that is due, taken out; None when none is."""
        entries = self.entries
        while entries and (entries[0][0] <= now or entries[0][2].callback is None):
            timer = heappop(entries)[2]
            callback = timer.callback
            if callback is not None:
                timer.callback = None
                return callback
            self._cancelled -= 1
        return None
