"""A `Destination` that is a function: the engine's second one, for tests and as a pattern for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carrier_sidecar.disposition import judge, no_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from carrier_sidecar.engine import Engine
    from carrier_sidecar.message import Message
    from tests.simulation.loop import SimLoop


class InProcessHandler:
    """`handle(body)` gives a status, a LookupError is a failure; its answer comes `takes_s` later. `engine` is set once
    the engine, which wants its destination first, has been made."""

    def __init__(self, loop: SimLoop, handle: Callable[[bytes], int], takes_s: float = 0.01) -> None:
        self.engine: Engine | None = None
        self._loop = loop
        self._handle = handle
        self._takes_s = takes_s
        self._under_way: set[str] = set()

    def post(self, message: Message) -> None:
        self._under_way.add(message.id)
        self._loop.call_at(self._loop.now() + self._takes_s, lambda: self._answer(message))

    def abandon(self, message: Message) -> None:
        self._under_way.discard(message.id)

    def _answer(self, message: Message) -> None:
        if message.id not in self._under_way:
            return
        self._under_way.discard(message.id)
        try:
            answer = judge(self._handle(message.body), {}, self._loop.wall)
        except LookupError:
            answer = no_answer("exception")
        assert self.engine is not None
        self.engine.answered(message, answer, self._loop.now())
