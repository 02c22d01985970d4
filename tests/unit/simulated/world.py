"""Whole sidecars, the in-memory SQS and scripted handlers on one simulated network, in virtual time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.simulation.loop import SimLoop
from tests.simulation.memory_sqs_server import MemorySqsServer
from tests.simulation.sqs_faults import ALWAYS, Fault
from tests.unit.simulated.handler import ScriptedHandler
from tests.unit.simulated.running import Running

if TYPE_CHECKING:
    from carrier_sidecar.run import Sidecar
    from tests.simulation.memory_sqs_queue import MemoryQueue
    from tests.simulation.network import Endpoint

SQS = ("sqs.test", 9324)


class World:
    """`handler` and `running` are the first of each; a world that needs more makes them by `add_handler` and `add`.
    `sent`: the bodies that were sent."""

    def __init__(self, *, queue: str = "orders", attributes: dict[str, str] | None = None) -> None:
        self.loop = SimLoop()
        self.server = MemorySqsServer(self.loop, host=SQS[0], port=SQS[1])
        self.queue_name = queue
        kind = {"FifoQueue": "true"} if queue.endswith(".fifo") else {}
        params = {"QueueName": queue, "Attributes": {**kind, **(attributes or {})}}
        self.url: str = self.server.sqs.call("CreateQueue", params, self.loop.wall())["QueueUrl"]
        self.handlers: list[ScriptedHandler] = []
        self.handler = self.add_handler()
        self.all_running: list[Running] = []
        self.sent: list[str] = []

    # Those who take part

    def add_handler(self) -> ScriptedHandler:
        handler = ScriptedHandler(self.loop, port=9000 + len(self.handlers))
        self.handlers.append(handler)
        return handler

    def start(self, **environ: str) -> Running:
        """Start a sidecar before the first handler, with these variables (without CARRIER_)."""
        return self.add(self.handler, **environ)

    def add(self, handler: ScriptedHandler, **environ: str) -> Running:
        """Start a sidecar before that handler. Names that begin with AWS_ are taken as they are."""
        variables = {
            "CARRIER_SQS_ENDPOINT": f"http://{SQS[0]}:{SQS[1]}",
            "CARRIER_SQS_QUEUE_NAME": self.queue_name,
            "CARRIER_SQS_BATCH_SIZE": "10",
            "CARRIER_SQS_RECEIVER_WORKERS": "10",
            "CARRIER_WEBHOOK_ENDPOINT": f"{handler.url}/events",
            **{name if name.startswith("AWS_") else f"CARRIER_{name}": value for name, value in environ.items()},
        }
        if not any(name.startswith("AWS_") for name in environ):
            variables |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
        number = len(self.all_running)
        running = Running(self.loop, variables, probe_port=9464 + number, seed=7 + number)
        self.all_running.append(running)
        return running

    @property
    def running(self) -> Running:
        return self.all_running[0]

    @property
    def sidecar(self) -> Sidecar:
        return self.running.sidecar

    # The queue

    def send(self, *bodies: str, **params: Any) -> None:
        for body in bodies:
            self.sent.append(body)
            self.server.polls.send(self.url, body, **params)

    @property
    def queue(self) -> MemoryQueue:
        return self.server.sqs.queues[self.queue_name]

    def left(self) -> list[str]:
        """The bodies of the messages in the queue, hidden or not."""
        return [message.body for message in self.queue.messages.values()]

    def receives(self) -> dict[str, int]:
        """Receive counts of what is left, by body."""
        return {message.body: message.receive_count for message in self.queue.messages.values()}

    def visible(self) -> list[str]:
        """The bodies of those that anybody could receive now."""
        return [message.body for message in self.queue.receivable(self.loop.wall())]

    def set_queue(self, **attributes: str) -> None:
        self.server.sqs.call("SetQueueAttributes", {"QueueUrl": self.url, "Attributes": attributes}, self.loop.wall())

    def calls(self, action: str = "") -> int:
        """How many calls of that action have arrived, or of any."""
        actions = self.server.actions()
        return actions.count(action) if action else len(actions)

    # What goes wrong

    def freeze(self, running: Running) -> None:
        """Stop that process, as by SIGSTOP or on a node that sleeps: what it would hear waits for it."""
        running.process.freeze()
        for endpoint in self._endpoints():
            endpoint.stalled = True

    def thaw(self, running: Running) -> None:
        """Let it go on; what has arrived meanwhile comes first."""
        for endpoint in self._endpoints():
            endpoint.stalled = False
        running.process.thaw()

    def _endpoints(self) -> list[Endpoint]:
        return [self.sqs, *(self.loop.network.endpoint(handler.host, handler.port) for handler in self.handlers)]

    @property
    def sqs(self) -> Endpoint:
        return self.loop.network.endpoint(*SQS)

    def deny(self, action: str) -> Fault:
        """Refuse that permission; granted again by `times = 0`."""
        return self.fail(action, code="AccessDenied", status=403, message="not authorized")

    def fail(self, action: str, **how: Any) -> Fault:
        """Let every call of that action meet a fault, until its `times` is set to 0."""
        return self.server.faults.plan(Fault(action, times=ALWAYS, **how))

    # The account

    def accepted(self) -> Counter[str]:
        """How often each body was answered 2xx."""
        accepted: Counter[str] = Counter()
        for handler in self.handlers:
            accepted.update(handler.accepted)
        return accepted

    def check_account(self, *, left: int = 0, duplicates: int = 0) -> None:
        """Every message sent was accepted or is still there; that many are left, and that many were accepted again."""
        accepted = self.accepted()
        remaining = self.left()
        lost = {*self.sent} - {*accepted} - {*remaining}
        assert lost == set()
        assert len(remaining) == left
        assert accepted.total() - len(accepted) <= duplicates
