"""The account of messages that each scenario ends with: what was sent is delivered, still there, or dead-lettered."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


class Account:
    """Messages are named by their keys. `accepted`: how often the handler said 2xx to each; `left` in the queue;
    `dead` in the dead-letter queue."""

    def __init__(
        self, sent: Iterable[str], accepted: Mapping[str, int], left: Collection[str] = (), dead: Collection[str] = ()
    ) -> None:
        self.sent = Counter(sent)
        self.accepted = accepted
        self.left = set(left)
        self.dead = set(dead)

    @property
    def lost(self) -> list[str]:
        """Neither delivered nor anywhere: what must never happen."""
        return [key for key in self.sent if not self.accepted.get(key) and key not in self.left | self.dead]

    @property
    def delivered(self) -> int:
        return sum(1 for key in self.sent if self.accepted.get(key))

    @property
    def duplicates(self) -> dict[str, int]:
        """Accepted more often than sent: key → how much more often."""
        return {key: count - self.sent[key] for key, count in self.accepted.items() if count > self.sent[key]}

    @property
    def unfinished(self) -> set[str]:
        """Delivered, and still in the queue: they will come again."""
        return {key for key in self.left | self.dead if self.accepted.get(key)}

    def __str__(self) -> str:
        return (
            f"sent {sum(self.sent.values())}, delivered {self.delivered}, duplicates {sum(self.duplicates.values())}, "
            f"left {len(self.left)}, dead-lettered {len(self.dead)}, lost {len(self.lost)}"
        )

    def balances(self, *, left: int = 0, dead: int = 0, duplicates: int = 0) -> None:
        """AssertionError unless nothing is lost and exactly so many are left, dead-lettered, delivered again."""
        assert not self.lost, f"{self}: lost {self.lost[:20]}"
        assert sum(self.duplicates.values()) == duplicates, (
            f"{self}: delivered again {dict(list(self.duplicates.items())[:20])}"
        )
        assert len(self.left) == left, f"{self}: left {sorted(self.left)[:20]}"
        assert len(self.dead) == dead, f"{self}: dead-lettered {sorted(self.dead)[:20]}"
