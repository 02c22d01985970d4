"""A loop in a thread of its own: the servers of a test run there, the test itself stays ordinary sequential code."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from carrier_sidecar.loop.selecting import SelectingLoop

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
LONGEST_S = 30.0


class LoopThread:
    """`do(act)` runs `act` on the loop's thread and returns what it returns, or raises what it raises."""

    def __init__(self) -> None:
        self.loop = SelectingLoop()
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="servers", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            self.loop.run()  # each wake-up from outside stops it for a moment
            while not self._inbox.empty():
                self._inbox.get()()

    def do(self, act: Callable[[], T]) -> T:
        if threading.current_thread() is self._thread:
            return act()
        outcome: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

        def run() -> None:
            try:
                outcome.put((act(), None))
            except BaseException as error:  # noqa: BLE001  # raised again where the caller waits
                outcome.put((None, error))

        self._inbox.put(run)
        # Only this thread's flag and a byte in a pipe: both may be touched from any thread.
        self.loop.stop()
        self.loop.wake()
        result, error = outcome.get(timeout=LONGEST_S)
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # what act() returned

    def close(self) -> None:
        self._stopping = True
        self.loop.stop()
        self.loop.wake()
        self._thread.join(10)
        if not self._thread.is_alive():
            self.loop.close()
