"""Receives that wait: an in-memory SQS on a loop, faults included. One place for all who serve it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.simulation.memory_sqs import MemorySqs
from tests.simulation.sqs_fault import SqsFault
from tests.simulation.sqs_faults import Fault, Faults, with_failed, without

if TYPE_CHECKING:
    from carrier_sidecar.loop.api import Loop, Timer

Answer = dict[str, Any]


class Pending:
    """A call under way. `cancel` when its caller has gone: a message that comes later is not taken for it."""

    def __init__(self, action: str, params: dict[str, Any], done: Callable[[Any], None]) -> None:
        self.action = action
        self.params = params
        self.done = done
        self.over = False
        self.until = 0.0
        self.fault: Fault | None = None
        self.timers: list[Timer] = []

    def cancel(self) -> None:
        self.over = True
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()


class Dropped(SqsFault):
    """Not an answer: the connection ends. `done`: the call was carried out."""

    def __init__(self) -> None:
        super().__init__("", "the connection ends")


class LongPolls:
    """Runs calls of a MemorySqs on a loop's time (`loop.wall()` is SQS's clock)."""

    def __init__(self, loop: Loop, sqs: MemorySqs, faults: Faults | None = None) -> None:
        self.loop = loop
        self.sqs = sqs
        self.faults = faults or Faults()
        self._waiting: list[Pending] = []

    def call(self, action: str, params: dict[str, Any], done: Callable[[Any], None]) -> Pending:
        """`done` gets the answer, a planned body (bytes), a SqsFault, or Dropped; at once or later."""
        pending = Pending(action, params, done)
        fault = pending.fault = self.faults.take(action)
        if fault is not None and fault.delay_s:
            self._later(pending, fault.delay_s, lambda: self._begin(pending))
        else:
            self._begin(pending)
        return pending

    def send(self, queue_url: str, body: str, **params: Any) -> Answer:
        """Put a message into a queue, as a producer would; waiting receives see it."""
        answer = self.sqs.call("SendMessage", {"QueueUrl": queue_url, "MessageBody": body, **params}, self.loop.wall())
        self._look_again()
        return answer

    def _later(self, pending: Pending, delay_s: float, act: Callable[[], None]) -> None:
        pending.timers.append(self.loop.call_at(self.loop.now() + delay_s, act))

    def _begin(self, pending: Pending) -> None:
        if pending.over:
            return
        fault = pending.fault
        if fault is not None and fault.close_before:
            self._end(pending, Dropped())
        elif fault is not None and fault.code and not fault.fail:
            self._end(pending, SqsFault(fault.code, fault.message, status=fault.status))
        else:
            wait_s = pending.params.get("WaitTimeSeconds") if pending.action == "ReceiveMessage" else 0
            pending.until = self.loop.now() + (wait_s if isinstance(wait_s, int) else 0)
            self._try(pending)
            if pending.action != "ReceiveMessage":
                self._look_again()

    def _try(self, pending: Pending) -> None:
        sqs = self.sqs
        params = without(pending.params, pending.fault)
        try:
            if "Entries" in params and not params["Entries"] and pending.params["Entries"]:
                answer: Answer = {"Successful": []}  # none of the entries is to be done
            else:
                answer = sqs.call(pending.action, params, self.loop.wall())
        except SqsFault as refusal:
            self._end(pending, refusal)
            return
        left_s = pending.until - self.loop.now()
        if pending.action == "ReceiveMessage" and not answer and left_s > 0:
            self._wait(pending, left_s)
            return
        self._end(pending, with_failed(pending.params, answer, pending.fault))

    def _wait(self, pending: Pending, left_s: float) -> None:
        if pending not in self._waiting:
            self._waiting.append(pending)
        for timer in pending.timers:
            timer.cancel()
        pending.timers.clear()
        wall = self.loop.wall()
        change_at = self.sqs.queue(pending.params).next_change(wall)
        if change_at is not None:
            left_s = min(left_s, max(change_at - wall, 0.0) + 1e-6)
        self._later(pending, left_s, lambda: self._try(pending))

    def _look_again(self) -> None:
        for pending in list(self._waiting):
            if not pending.over:
                self._try(pending)
        self._waiting = [pending for pending in self._waiting if not pending.over]

    def _end(self, pending: Pending, outcome: Answer | bytes | SqsFault) -> None:
        if pending.over:
            return
        pending.cancel()
        fault = pending.fault
        if fault is not None and isinstance(outcome, dict):
            if fault.edit is not None:
                outcome = fault.edit(outcome)
            if fault.raw is not None:
                outcome = fault.raw
            if fault.close_after:
                outcome = Dropped()
        pending.done(outcome)
