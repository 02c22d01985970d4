"""The queue of work, on a loop whose time jumps to the next timer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from carrier_operator.controller.work_queue import Key, WorkQueue
from carrier_operator.kube.client import ApiError
from tests.unit.operator.controller.virtual import play

A, B = ("shop", "a"), ("shop", "b")


class Bench:
    """A queue whose looks are noted with their times; `work` may be given."""

    def __init__(self, work: Callable[[Key], Awaitable[float | None]] | None = None, **more: Any) -> None:
        self.looks: list[tuple[float, Key]] = []
        self._work = work
        self.queue = WorkQueue(self._look, **more)

    async def _look(self, key: Key) -> float | None:
        self.looks.append((round(asyncio.get_running_loop().time(), 2), key))
        return await self._work(key) if self._work else None

    async def run_for(self, seconds: float) -> None:
        task = asyncio.create_task(self.queue.run())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_a_key_that_is_marked_often_is_looked_at_once() -> None:
    async def scene() -> None:
        bench = Bench()
        for _ in range(100):
            bench.queue.add(A)
        await bench.run_for(10)
        assert bench.looks == [(0, A)]

    play(scene)


def test_a_storm_of_marks_costs_one_look_per_pause() -> None:
    async def scene() -> None:
        bench = Bench(pause_s=1.0)

        async def storm() -> None:
            for _ in range(100):
                bench.queue.add(A)
                await asyncio.sleep(0.05)

        marking = asyncio.create_task(storm())
        await bench.run_for(10)
        await marking
        assert [when for when, _ in bench.looks] == [0, 1, 2, 3, 4, 5]

    play(scene)


def test_two_looks_at_one_key_never_overlap_and_the_mark_in_between_is_not_lost() -> None:
    async def scene() -> None:
        running = 0

        async def work(key: Key) -> None:
            nonlocal running
            running += 1
            assert running == 1
            if len(bench.looks) == 1:
                bench.queue.add(key)
            await asyncio.sleep(3)
            running -= 1

        bench = Bench(work)
        bench.queue.add(A)
        await bench.run_for(20)
        assert [when for when, _ in bench.looks] == [0, 3]

    play(scene)


def test_a_slow_key_does_not_hold_up_others() -> None:
    async def scene() -> None:
        async def work(key: Key) -> None:
            await asyncio.sleep(100 if key == A else 0)

        bench = Bench(work, workers=2)
        bench.queue.add(A)
        bench.queue.add(B)
        await bench.run_for(1)
        assert bench.looks == [(0, A), (0, B)]

    play(scene)


def test_a_look_may_ask_for_the_next() -> None:
    async def scene() -> None:
        async def work(_: Key) -> float:
            return 5.0

        bench = Bench(work)
        bench.queue.add(A)
        await bench.run_for(12)
        assert [when for when, _ in bench.looks] == [0, 5, 10]

    play(scene)


def test_a_failed_look_is_repeated_with_growing_pauses() -> None:
    async def scene() -> None:
        async def work(_: Key) -> None:
            raise ApiError(503, "ServiceUnavailable", "")

        bench = Bench(work, pause_s=0)
        bench.queue.add(A)
        await bench.run_for(300)
        times = [when for when, _ in bench.looks]
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert 0.25 <= gaps[0] <= 0.51
        assert max(gaps) <= 60.1
        assert 8 < len(times) < 25

    play(scene)


def test_a_forgotten_key_is_not_looked_at() -> None:
    async def scene() -> None:
        bench = Bench()
        bench.queue.add(A, delay_s=1)
        bench.queue.forget(A)
        await bench.run_for(5)
        assert bench.looks == []

    play(scene)


def test_keys_that_come_and_go_leave_nothing() -> None:
    async def scene() -> None:
        bench = Bench()

        async def churn() -> None:
            for number in range(20_000):
                bench.queue.add(("shop", f"n{number}"))
                await asyncio.sleep(0.01)

        marking = asyncio.create_task(churn())
        await bench.run_for(250)
        await marking
        assert len(bench.queue._not_before) < 1500

    play(scene)


def test_what_is_no_api_error_ends_the_queue() -> None:
    async def scene() -> None:
        async def work(_: Key) -> None:
            raise RuntimeError("defect")

        bench = Bench(work)
        bench.queue.add(A)
        with pytest.raises(ExceptionGroup):
            await bench.queue.run()

    play(scene)
