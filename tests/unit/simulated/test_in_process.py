"""The engine between second implementations of both its ports: a queue in memory, a handler that is a function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carrier_sidecar.disposition import judge, no_answer
from carrier_sidecar.engine import Engine
from carrier_sidecar.metrics import Metrics
from tests.simulation.long_polls import LongPolls
from tests.simulation.loop import SimLoop
from tests.simulation.memory_queue import InMemoryQueue
from tests.simulation.memory_sqs import MemorySqs

if TYPE_CHECKING:
    from collections.abc import Callable

    from carrier_sidecar.message import Message


class InProcessHandler:
    """A `Destination` without HTTP: `handle(body)` gives a status, a LookupError is a failure; it takes `takes_s`."""

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


def test_messages_flow_from_a_queue_in_memory_to_a_handler_in_process() -> None:
    loop = SimLoop()
    sqs = MemorySqs()
    url = sqs.call("CreateQueue", {"QueueName": "orders"}, loop.wall())["QueueUrl"]
    polls = LongPolls(loop, sqs)
    seen: list[bytes] = []

    def handle(body: bytes) -> int:
        seen.append(body)
        if body == b"odd" and seen.count(b"odd") == 1:
            raise LookupError(body)
        return 204

    def set_timer(when: float) -> None:
        loop.call_at(when, lambda: engine.tick(loop.now()))

    handler = InProcessHandler(loop, handle)
    queue = InMemoryQueue(loop, polls, url)
    engine = Engine(
        queue=queue,
        destination=handler,
        metrics=Metrics(),
        note=lambda _name, _fields: None,
        set_timer=set_timer,
        draw=lambda: 0.5,
        new_id=lambda: "id",
        receivers=1,
        batch=10,
        slots=5,
        max_bytes=1 << 20,
    )
    handler.engine = engine
    queue.events = engine
    engine.start(loop.now())
    for body in ("a", "odd", "b"):
        polls.send(url, body)
    loop.run_for(60)
    assert sorted(seen) == [b"a", b"b", b"odd", b"odd"]
    assert engine.metrics.delivered == 3
    assert not engine.hand.by_id
