"""What became of every message of a soak run, and whether each second delivery has an injected fault to blame."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.process.handler import Post

# A delivered message is deleted within this time once SQS answers and the sidecar runs: backoffs end by then.
DELETED_WITHIN_S = 4.0
# Finished messages are kept so long, in case they come again.
KEPT_S = 90.0


class Entry:
    """One message. `accepted`: when, and by which sidecar's POST."""

    __slots__ = ("accepted", "last_at")

    def __init__(self, now: float) -> None:
        self.accepted: list[tuple[float, float, str]] = []  # began, ended, sidecar
        self.last_at = now


class Spans:
    """Times in which something was wrong; open ends allowed."""

    def __init__(self) -> None:
        self.spans: list[list[float]] = []

    def begin(self, now: float) -> list[float]:
        span = [now, float("inf")]
        self.spans.append(span)
        return span

    def touch(self, start: float, end: float) -> bool:
        return any(begun <= end and ended >= start for begun, ended in self.spans)

    def within(self, start: float, end: float) -> list[tuple[float, float]]:
        """The parts of these spans inside a time."""
        return [(max(a, start), min(b, end)) for a, b in self.spans if a <= end and b >= start]


class Ledger:
    """`sqs` and `handler`: when those were at fault; `stopped`: when a sidecar was; `ended`: when one ended."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.sqs = Spans()
        self.handler = Spans()
        self.stopped: dict[str, Spans] = {}
        self.ended: dict[str, float] = {}
        self.killed: set[str] = set()
        self.cut: dict[str, list[float]] = {}  # when a sidecar that was told to end cuts its POSTs off
        self.sent = 0
        self.finished = 0
        self.duplicates = 0
        self.reasons: Counter[str] = Counter()
        self.unexplained: list[str] = []

    def send(self, key: str, now: float) -> None:
        self.entries[key] = Entry(now)
        self.sent += 1

    def accept(self, post: Post, now: float) -> None:
        entry = self.entries.get(post.key)
        if entry is None:
            self.unexplained.append(f"{post!r} came long after it was finished")
            return
        entry.last_at = now
        sidecar = post.target.rpartition("/")[2]
        if entry.accepted:
            self.duplicates += 1
            began, ended, holder = entry.accepted[-1]
            reason = self.explain(began, ended, holder, post.began_at)
            if reason:
                self.reasons[reason] += 1
            else:
                self.unexplained.append(
                    f"{post.key} delivered by {holder} at {ended:.2f} (begun {began:.2f}) and again by {sidecar}, "
                    f"begun {post.began_at:.2f} with receive count {post.receive_count}"
                )
        entry.accepted.append((post.began_at, now, sidecar))

    def explain(self, began: float, accepted_at: float, holder: str, again_at: float) -> str:
        """Why a message that `holder` delivered at `accepted_at` could come again at `again_at`; "" if nothing
        explains it: then there was time to delete it, or to keep it hidden."""
        ended_at = self.ended.get(holder, float("inf"))
        last = min(ended_at, again_at)
        stopped = self.stopped.get(holder, Spans())
        if self.handler.touch(accepted_at - 0.2, accepted_at + 0.2):
            return "the handler's answer was cut off"
        if holder in self.killed and ended_at < again_at and ended_at - accepted_at < DELETED_WITHIN_S:
            return "the sidecar was killed before it could delete"
        if any(abs(accepted_at - cut_at) < 0.2 for cut_at in self.cut.get(holder, ())):
            return "the POST was cut off as its answer came"
        disturbed = sorted(self.sqs.within(accepted_at, last) + stopped.within(accepted_at, last))
        well_from = accepted_at
        for start, end in disturbed:
            if start - well_from >= DELETED_WITHIN_S:
                return ""
            well_from = max(well_from, end)
        if last - well_from >= DELETED_WITHIN_S:
            return ""
        # Never well for long enough to delete it. In a short time without any fault it would still have been hidden.
        if stopped.touch(began, last):
            return "the sidecar was stopped"
        if self.sqs.touch(began, last):
            return "SQS was at fault"
        return ""

    def finish(self, in_queue: Collection[str], now: float) -> None:
        """Let go of what was accepted, is no longer in the queue, and has been quiet for long."""
        done = [
            key
            for key, entry in self.entries.items()
            if entry.accepted and now - entry.last_at > KEPT_S and key not in in_queue
        ]
        for key in done:
            del self.entries[key]
        self.finished += len(done)

    def lost(self, in_queue: Collection[str]) -> list[str]:
        """Neither accepted nor in the queue."""
        return [key for key, entry in self.entries.items() if not entry.accepted and key not in in_queue]

    def delivered(self) -> int:
        return self.finished + sum(1 for entry in self.entries.values() if entry.accepted)


class Order:
    """FIFO: of each group a message comes only after all before it were accepted."""

    def __init__(self) -> None:
        self.due: Counter[str] = Counter()
        self.broken: list[str] = []

    def begin(self, post: Post) -> None:
        group, _, number = post.key.partition(".")
        if int(number) > self.due[group]:
            self.broken.append(f"{post.key} came to {post.target} while {self.due[group]} was due")

    def accept(self, post: Post) -> None:
        group, _, number = post.key.partition(".")
        if int(number) == self.due[group]:
            self.due[group] += 1
