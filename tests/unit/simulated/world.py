"""A whole sidecar, the in-memory SQS and a scripted handler on one simulated network, in virtual time."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from carrier_sidecar.http1.server import Server
from carrier_sidecar.log import Log
from carrier_sidecar.run import Sidecar
from carrier_sidecar.settings import parse
from tests.simulation.loop import SimLoop
from tests.simulation.memory_sqs_server import MemorySqsServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from carrier_sidecar.http1.requests import Request
    from carrier_sidecar.http1.server import Responder

SQS, HANDLER = ("sqs.test", 9324), ("127.0.0.1", 9000)


class Lines:
    """The log's output: a list of what was written."""

    def __init__(self) -> None:
        self.later: Callable[[float, Callable[[], None]], object] | None = None
        self.report_lost: Callable[[int], bytes] | None = None
        self.dropped = 0
        self.written: list[dict[str, Any]] = []

    def write(self, line: bytes) -> None:
        self.written.append(json.loads(line))

    def finish(self) -> None:
        pass


class World:
    """`posts`: (time, body, receive count) of each POST that arrived; `answer(body)` gives status, seconds until the
    answer, and headers."""

    def __init__(self, *, queue: str = "orders", attributes: dict[str, str] | None = None) -> None:
        self.loop = SimLoop()
        self.server = MemorySqsServer(self.loop, host=SQS[0], port=SQS[1])
        self.queue_name = queue
        kind = {"FifoQueue": "true"} if queue.endswith(".fifo") else {}
        params = {"QueueName": queue, "Attributes": {**kind, **(attributes or {})}}
        self.url: str = self.server.sqs.call("CreateQueue", params, self.loop.wall())["QueueUrl"]
        self.posts: list[tuple[float, str, int]] = []
        self.answer: Callable[[str], tuple[int, float, list[tuple[str, str]]]] = lambda _body: (200, 0.0, [])
        self.handler: Server | None = None
        self.exits: list[int] = []

    def start_handler(self) -> None:
        self.handler = Server(self.loop, *HANDLER, self._handle)

    def stop_handler(self) -> None:
        assert self.handler is not None
        self.handler.close()
        self.loop.network.endpoint(*HANDLER).reset_all()

    def _handle(self, request: Request, responder: Responder) -> None:
        if request.method == "GET":
            responder.answer(200, b"well")
            return
        body = request.body.decode()
        self.posts.append((self.loop.now(), body, int(request.headers["x-carrier-receive-count"])))
        status, delay_s, headers = self.answer(body)
        self.loop.call_at(self.loop.now() + delay_s, lambda: responder.answer(status, b"", headers=headers))

    def start(self, **environ: str) -> Sidecar:
        self.lines = Lines()
        variables = {
            "CARRIER_SQS_ENDPOINT": f"http://{SQS[0]}:{SQS[1]}",
            "CARRIER_SQS_QUEUE_NAME": self.queue_name,
            "CARRIER_SQS_BATCH_SIZE": "10",
            "CARRIER_SQS_RECEIVER_WORKERS": "10",
            "CARRIER_WEBHOOK_ENDPOINT": f"http://{HANDLER[0]}:{HANDLER[1]}/events",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            **{f"CARRIER_{name}": value for name, value in environ.items()},
        }
        loop = self.loop
        log = Log(loop.wall, lines=self.lines, later=lambda delay_s, call: loop.call_at(loop.now() + delay_s, call))
        chance = random.Random(7)
        self.sidecar = Sidecar(
            loop,
            parse(variables),
            variables,
            log,
            self.exits.append,
            draw=chance.random,
            new_id=lambda: f"{chance.getrandbits(64):x}",
        )
        self.sidecar.start()
        return self.sidecar

    def send(self, *bodies: str, **params: Any) -> None:
        for body in bodies:
            self.server.polls.send(self.url, body, **params)

    def calls(self, action: str) -> int:
        return self.server.actions().count(action)

    def notes(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.lines.written if message in line["msg"]]

    def left(self) -> int:
        """Messages in the queue, visible or not."""
        names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
        params = {"QueueUrl": self.url, "AttributeNames": names}
        found = self.server.sqs.call("GetQueueAttributes", params, self.loop.wall())["Attributes"]
        return sum(int(found[name]) for name in names)
