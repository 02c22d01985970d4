"""The engine between second implementations of both its ports: a queue in memory, a handler that is a function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carrier_sidecar.engine import Engine
from carrier_sidecar.metrics import Metrics
from tests.simulation.long_polls import LongPolls
from tests.simulation.loop import SimLoop
from tests.simulation.memory_queue import InMemoryQueue
from tests.simulation.memory_sqs import MemorySqs
from tests.simulation.sqs_faults import Fault
from tests.unit.simulated.in_process import InProcessHandler

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.loop import SimTimer


class InProcess:
    """All of it in one process, without a byte of HTTP. `seen`: the bodies in the order in which they were handled."""

    def __init__(self, name: str, handle: Callable[[bytes], int], *, takes_s: float = 0.01) -> None:
        self.loop = SimLoop()
        self.sqs = MemorySqs()
        self.seen: list[bytes] = []
        attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        params = {"QueueName": name, "Attributes": attributes}
        self.url: str = self.sqs.call("CreateQueue", params, self.loop.wall())["QueueUrl"]
        self.polls = LongPolls(self.loop, self.sqs)
        self._handle = handle
        self._timer: SimTimer | None = None
        handler = InProcessHandler(self.loop, self._see, takes_s)
        queue = InMemoryQueue(self.loop, self.polls, self.url)
        self.engine = Engine(
            queue=queue,
            destination=handler,
            metrics=Metrics(),
            note=lambda _name, _fields: None,
            set_timer=self._set_timer,
            draw=lambda: 0.5,
            new_id=lambda: f"attempt-{self.engine.metrics.receive_calls}",
            receivers=1,
            batch=10,
            slots=5,
            max_bytes=1 << 20,
            fifo=name.endswith(".fifo"),
        )
        handler.engine = self.engine
        queue.events = self.engine
        self.engine.start(self.loop.now())

    def left(self) -> int:
        return len(self.sqs.queues[self.url.rpartition("/")[2]].messages)

    def _see(self, body: bytes) -> int:
        self.seen.append(body)
        return self._handle(body)

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(when, lambda: self.engine.tick(self.loop.now()))


def test_messages_flow_from_a_queue_in_memory_to_a_handler_in_process() -> None:
    odd: list[bytes] = []

    def handle(body: bytes) -> int:
        if body == b"odd" and not odd:
            odd.append(body)
            raise LookupError(body)
        return 204

    all_of_it = InProcess("orders", handle)
    for body in ("a", "odd", "b"):
        all_of_it.polls.send(all_of_it.url, body)
    all_of_it.loop.run_for(60)
    assert sorted(all_of_it.seen) == [b"a", b"b", b"odd", b"odd"]
    assert all_of_it.engine.metrics.delivered == 3
    assert not all_of_it.engine.hand.by_id
    assert all_of_it.left() == 0


def test_a_slow_function_is_extended_like_any_handler() -> None:
    all_of_it = InProcess("orders", lambda _body: 200, takes_s=100.0)
    all_of_it.polls.send(all_of_it.url, "slow")
    all_of_it.loop.run_for(150)
    assert all_of_it.seen == [b"slow"]
    assert all_of_it.engine.metrics.heartbeats >= 4
    assert all_of_it.left() == 0


def test_groups_keep_their_order_between_them_while_calls_fail() -> None:
    statuses = iter([200, 500, 200, 200, 503, *[200] * 20])
    all_of_it = InProcess("orders.fifo", lambda _body: next(statuses))
    for action in ("ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"):
        all_of_it.polls.faults.plan(Fault(action, code="InternalError", status=500))
        all_of_it.polls.faults.plan(Fault(action, close_after=True))
    bodies = [f"{number}" for number in range(8)]
    for body in bodies:
        all_of_it.polls.send(all_of_it.url, body, MessageGroupId="g", MessageDeduplicationId=body)
    all_of_it.loop.run_for(300)
    assert list(dict.fromkeys(all_of_it.seen)) == [body.encode() for body in bodies]
    assert len(all_of_it.seen) == len(bodies) + 2
    assert all_of_it.left() == 0
