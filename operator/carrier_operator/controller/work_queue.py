"""Keys that need a look: each once, however often it is marked, never two looks at one key at a time.

A key that is marked again while it is looked at, or soon after, is looked at once more after a pause, so that a storm
of changes costs one look per pause. A look that fails is repeated with growing, jittered pauses, for ever.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
from collections.abc import Awaitable, Callable

from carrier_operator.kube.client import ApiError

logger = logging.getLogger(__name__)

Key = tuple[str, str]

FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 60.0


class WorkQueue:
    """`work(key)` does the look and says after how many seconds the next one is due at the latest (None: when marked).

    `pause_s`: least time between two looks at one key.
    """

    def __init__(
        self, work: Callable[[Key], Awaitable[float | None]], *, workers: int = 8, pause_s: float = 1.0
    ) -> None:
        self.looks = 0
        self.failures = 0
        self._work = work
        self._workers = workers
        self._pause_s = pause_s
        self._due: dict[Key, float] = {}  # when a waiting key is due
        self._heap: list[tuple[float, Key]] = []
        self._running: set[Key] = set()
        self._not_before: dict[Key, float] = {}
        self._failed: dict[Key, int] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due) + len(self._running)

    def add(self, key: Key, delay_s: float = 0.0) -> None:
        """Marks a key: it is looked at after `delay_s`, or when the pause since its last look is over."""
        when = max(self._now() + delay_s, self._not_before.get(key, 0.0))
        if key not in self._due or when < self._due[key]:
            self._due[key] = when
            heapq.heappush(self._heap, (when, key))
            self._wake.set()

    def forget(self, key: Key) -> None:
        """The key is of no interest any more."""
        self._due.pop(key, None)
        self._not_before.pop(key, None)
        self._failed.pop(key, None)

    async def run(self) -> None:
        """Until cancelled, or until `work` raises something that is no ApiError: that is passed on."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._worker())

    async def _worker(self) -> None:
        while True:
            key = self._take()
            if key is None:
                await self._sleep()
                continue
            self._running.add(key)
            # For the look itself, marks are collected: whatever comes from now on means one more.
            self._not_before[key] = self._now() + self._pause_s
            try:
                await self._look(key)
            finally:
                self._running.discard(key)
                self._wake.set()

    async def _look(self, key: Key) -> None:
        self.looks += 1
        try:
            again_s = await self._work(key)
        except ApiError as error:
            self.failures += 1
            count = self._failed[key] = self._failed.get(key, 0) + 1
            longest = min(FIRST_RETRY_S * 2 ** (count - 1), LONGEST_RETRY_S)
            delay_s = random.uniform(longest / 2, longest)
            if error.status != 409 and count in (1, 5, 20):
                fields = {"namespace": key[0], "binding": key[1], "error": str(error), "retry_in_s": round(delay_s, 1)}
                logger.warning("a binding could not be looked after", extra={"fields": fields})
            self.add(key, delay_s)
            return
        self._failed.pop(key, None)
        self._prune()
        if again_s is not None:
            self.add(key, again_s)

    def _prune(self) -> None:
        """Pauses that are over: keys of bindings and namespaces that went must not stay for ever."""
        if len(self._not_before) > 2 * len(self._due) + 1000:
            now = self._now()
            self._not_before = {key: when for key, when in self._not_before.items() if when > now}

    def _take(self) -> Key | None:
        """The next due key that nobody is looking at."""
        now = self._now()
        put_back = []
        found = None
        while self._heap and self._heap[0][0] <= now:
            when, key = heapq.heappop(self._heap)
            if self._due.get(key) != when:
                continue
            if key in self._running:
                put_back.append((when, key))
                continue
            del self._due[key]
            found = key
            break
        for entry in put_back:
            heapq.heappush(self._heap, entry)
        return found

    async def _sleep(self) -> None:
        """Until something is due, or marked."""
        self._wake.clear()
        now = self._now()
        heap = self._heap
        if heap and heap[0][1] in self._running:
            heap = sorted(entry for entry in heap if entry[1] not in self._running)
        delay_s = max(0.0, heap[0][0] - now) if heap else None
        if delay_s == 0.0:
            return
        try:
            async with asyncio.timeout(delay_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
