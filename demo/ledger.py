"""The demonstration's books: what was sent, what reached the handler and how often. Pure; time is an argument."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Any

WINDOW_S = 3.0  # rate and percentiles are of the last seconds


class Ledger:
    """Filled by the producer's and the handler's threads, read by the main one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent_at: dict[str, float] = {}
        self._accepted: Counter[str] = Counter()
        self._receive_counts: Counter[int] = Counter()
        self._recent: deque[tuple[float, float]] = deque()  # (accepted at, seconds since it was sent)
        self.strangers = 0

    def sent(self, order: str, at: float) -> None:
        with self._lock:
            self._sent_at[order] = at

    def unsent(self, order: str) -> None:
        """The queue did not take it."""
        with self._lock:
            self._sent_at.pop(order, None)

    def reached(self, order: str, entry: dict[str, Any], at: float) -> None:
        """The handler has answered one request; `entry` is its line."""
        if not 200 <= entry["status"] < 300:
            return
        with self._lock:
            if order not in self._sent_at:
                self.strangers += 1
                return
            self._accepted[order] += 1
            self._receive_counts[int(entry["headers"].get("x-carrier-receive-count", "0"))] += 1
            self._recent.append((at, at - self._sent_at[order]))

    def has_reached(self, order: str) -> bool:
        with self._lock:
            return order in self._accepted

    @property
    def sent_count(self) -> int:
        return len(self._sent_at)

    @property
    def delivered(self) -> int:
        """Different orders that the handler accepted."""
        return len(self._accepted)

    @property
    def retried(self) -> int:
        """Accepted deliveries of messages that had been received before."""
        with self._lock:
            return sum(times for count, times in self._receive_counts.items() if count > 1)

    @property
    def duplicates(self) -> int:
        """Accepted deliveries beyond the first of each order."""
        with self._lock:
            return sum(self._accepted.values()) - len(self._accepted)

    @property
    def receive_counts(self) -> dict[int, int]:
        with self._lock:
            return dict(sorted(self._receive_counts.items()))

    def recent(self, now: float) -> tuple[float, float | None, float | None]:
        """Deliveries a second, and the median and 99th percentile of the time from send to answer, in ms."""
        with self._lock:
            while self._recent and self._recent[0][0] < now - WINDOW_S:
                self._recent.popleft()
            delays = sorted(delay for _, delay in self._recent)
        if not delays:
            return 0.0, None, None
        return len(delays) / WINDOW_S, delays[len(delays) // 2] * 1000, delays[int(len(delays) * 0.99)] * 1000

    def balances(self, left: int) -> bool:
        """Every order that was sent is delivered or still in the queue, and nothing else came."""
        return self.sent_count == self.delivered + left and not self.strangers
