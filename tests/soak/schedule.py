"""Which faults are injected when: drawn from a seed, and nothing else. Pure.

A failing run is repeated by its seed: the same faults at the same times with the same parameters. (What the sidecars do
between them depends on the machine, as ever.)
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Draw = Callable[[Random], dict[str, float]]

SQS = "sqs"
HANDLER = "handler"
PROCESS = "process"
DELETE = "DeleteMessageBatch"
CHANGE = "ChangeMessageVisibilityBatch"
RECEIVE = "ReceiveMessage"


class Kind:
    """One kind of fault: what it hits, how long it may last (seconds), and what else is drawn for it."""

    def __init__(self, name: str, hits: str, shortest_s: float, longest_s: float, draw: Draw | None = None) -> None:
        self.name = name
        self.hits = hits
        self.shortest_s = shortest_s
        self.longest_s = longest_s
        self.draw: Draw = draw or (lambda random: {})


def share(low: float, high: float) -> Draw:
    return lambda random: {"share": round(random.uniform(low, high), 3)}


KINDS = (
    Kind("sqs_down", SQS, 0.2, 14),
    Kind("sqs_errors", SQS, 1, 14, share(0.1, 1)),
    Kind("sqs_throttles", SQS, 1, 8, share(0.1, 1)),
    Kind("sqs_closes", SQS, 1, 8, share(0.05, 1)),
    Kind("sqs_answers_lost", SQS, 1, 6, share(0.02, 0.3)),
    Kind("sqs_answers_cut", SQS, 1, 6, share(0.02, 0.3)),
    Kind("sqs_garbage", SQS, 1, 6, share(0.02, 0.5)),
    Kind("sqs_hangs", SQS, 1, 12, share(0.05, 1)),
    Kind("sqs_slow", SQS, 2, 12, lambda random: {"delay_s": round(random.uniform(0.02, 0.8), 3)}),
    Kind("delete_entries_fail", SQS, 1, 12, share(0.1, 1)),
    Kind("delete_entries_missing", SQS, 1, 12, share(0.1, 1)),
    Kind("change_entries_fail", SQS, 1, 12, share(0.1, 1)),
    Kind("change_entries_missing", SQS, 1, 12, share(0.1, 1)),
    Kind("wrong_md5", SQS, 1, 5, share(0.01, 0.1)),
    Kind("clock_steps", SQS, 2, 10, lambda random: {"hours": random.choice((-5, -1, 1, 5))}),
    Kind("credentials_revoked", SQS, 0.5, 4),
    Kind("handler_down", HANDLER, 0.1, 10),
    Kind("handler_restarts", HANDLER, 2, 8),
    Kind("handler_fails", HANDLER, 1, 8, share(0.02, 0.5)),
    Kind("handler_slow", HANDLER, 2, 10, lambda random: {"share": 0.03, "delay_s": round(random.uniform(1, 16), 1)}),
    Kind("handler_hangs", HANDLER, 1, 5, share(0.001, 0.01)),
    Kind("handler_drops", HANDLER, 1, 6, share(0.01, 0.3)),
    Kind("sigterm", PROCESS, 0.1, 4),
    Kind("sigkill", PROCESS, 0.1, 4),
    Kind("sigstop", PROCESS, 0.2, 15),
    Kind("two_signals", PROCESS, 0.1, 4),
)


class Event:
    """One fault from `at_s` to `until_s` (seconds from the start), with what was drawn for it."""

    def __init__(self, kind: Kind, at_s: float, until_s: float, drawn: dict[str, float]) -> None:
        self.kind = kind
        self.at_s = at_s
        self.until_s = until_s
        self.drawn = drawn

    def __str__(self) -> str:
        drawn = "".join(f" {name}={value:g}" for name, value in self.drawn.items())
        return f"{self.at_s:7.1f}-{self.until_s:7.1f} s {self.kind.name}{drawn}"


def schedule(seed: int, length_s: float, kinds: tuple[Kind, ...] = KINDS) -> list[Event]:
    """Events in order, one at a time mostly, two now and then; the first seconds stay quiet."""
    random = Random(seed)
    events = []
    over_s: dict[str, float] = {}  # no two of one kind at a time
    at_s = 3.0
    while at_s < length_s:
        free = [kind for kind in kinds if over_s.get(kind.name, 0.0) <= at_s]
        if not free:
            at_s = min(over_s.values())
            continue
        kind = random.choice(free)
        lasts_s = random.uniform(kind.shortest_s, kind.longest_s)
        if random.random() < 0.5:  # short ones are the likelier accidents
            lasts_s = min(lasts_s, kind.shortest_s + random.random() * 2)
        until_s = round(min(at_s + lasts_s, length_s), 2)
        events.append(Event(kind, round(at_s, 2), until_s, kind.draw(random)))
        over_s[kind.name] = until_s + 0.5
        overlaps = random.random() < 0.3
        at_s += random.uniform(0, lasts_s) if overlaps else lasts_s + random.uniform(0.2, 2.5)
    return events
