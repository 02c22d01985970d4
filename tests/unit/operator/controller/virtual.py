"""A loop whose time jumps to the next timer: hours of waiting cost nothing, and nothing happens by chance."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any


class _NoWaiting(selectors.SelectSelector):
    """A selector that never waits: it moves the loop's time instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._owner = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout:
            self._owner.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time: sleeping costs nothing."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_NoWaiting(self))

    def time(self) -> float:
        return self.now


def play(scene: Callable[[], Awaitable[None]]) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(scene())
    finally:
        loop.close()
