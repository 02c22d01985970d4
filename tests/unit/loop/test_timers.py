"""The heap of timers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from carrier_sidecar.loop.timers import TimerHeap


def nothing() -> None:
    """A callback."""


def test_cancelled_timers_are_swept_when_they_are_the_most() -> None:
    heap = TimerHeap()
    timers = [heap.add(float(number), nothing) for number in range(1000)]
    for timer in timers[:900]:
        timer.cancel()
    assert len(heap.entries) <= 300
    assert heap.next_at() == 900.0


def test_a_million_requests_with_a_timeout_each_leave_few_entries() -> None:
    heap = TimerHeap()
    for number in range(100_000):
        heap.add(60.0 + number, nothing).cancel()
    assert len(heap.entries) <= 65


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=200), st.integers(0, 20))
def test_what_is_due_comes_in_order_and_nothing_else(entries: list[tuple[int, bool]], now: int) -> None:
    heap = TimerHeap()
    ran: list[int] = []
    timers = []
    for number, (when, _) in enumerate(entries):

        def note(number: int = number) -> None:
            ran.append(number)

        timers.append(heap.add(float(when), note))
    for timer, (_, cancelled) in zip(timers, entries, strict=True):
        if cancelled:
            timer.cancel()
    while (callback := heap.pop_due(float(now))) is not None:
        callback()
    expected = sorted(
        (when, number) for number, (when, cancelled) in enumerate(entries) if when <= now and not cancelled
    )
    assert ran == [number for _, number in expected]
    left = [when for when, cancelled in entries if when > now and not cancelled]
    assert heap.next_at() == (min(left) if left else None)
    for timer in timers:
        timer.cancel()
    assert heap.next_at() is None
