"""Everything that a test of the whole process needs: an SQS in memory on the wire, a handler, sidecars, the account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carrier_sidecar.http1.server import Server
from tests.process.account import Account
from tests.process.handler import Handler
from tests.process.loop_thread import LoopThread
from tests.process.ports import HeldPort
from tests.process.sidecar import SidecarProcess, wait_until
from tests.simulation.memory_sqs import redrive_policy
from tests.simulation.memory_sqs_server import MemorySqsServer
from tests.simulation.sqs_fault import SqsFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from carrier_sidecar.http1.requests import Request
    from carrier_sidecar.http1.server import Responder
    from tests.simulation.memory_sqs_queue import MemoryMessage, MemoryQueue
    from tests.simulation.sqs_faults import Fault

SHORTEST_VISIBILITY_S = 10  # what the sidecar raises shorter ones to


class SqsOnTheWire(MemorySqsServer):
    """The in-memory SQS which can also be unreachable, and which takes no keys from `expired_keys`."""

    def __init__(self, thread: LoopThread) -> None:
        self.held = HeldPort()
        super().__init__(thread.loop, port=self.held.number)
        self._thread = thread
        self.expired_keys: set[str] = set()
        self.keys_seen: list[str] = []
        self.cut_answers: dict[str, int] = {}  # action → how many answers break off in the middle

    def down(self) -> None:
        """Connections are cut, new ones refused; nobody waits for messages any more."""
        self._thread.do(self._cut)

    def _cut(self) -> None:
        self.server.close(at_once=True)
        for pending in self.polls._waiting:
            pending.cancel()

    def up(self) -> None:
        self._thread.do(self._listen)

    def _listen(self) -> None:
        self.server = Server(self.loop, "127.0.0.1", self.port, self._handle, max_body=8 << 20, max_connections=4096)

    def plan(self, fault: Fault) -> Fault:
        return self._thread.do(lambda: self.faults.plan(fault))

    def _answer(
        self, responder: Responder, status: int, body: bytes, headers: list[tuple[str, str]] | None = None
    ) -> None:
        connection = responder._connection
        if connection is not None and connection._stream is not None and connection._request is not None:
            action = connection._request.headers.get("x-amz-target", "").removeprefix("AmazonSQS.")
            if self.cut_answers.get(action, 0) > 0:
                self.cut_answers[action] -= 1
                head = f"HTTP/1.1 {status} OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                connection._stream.write(head + body[: len(body) // 2])
                responder.drop()
                return
        super()._answer(responder, status, body, headers)

    def _look_at_signature(self, request: Request) -> SqsFault | None:
        key = request.headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]
        if not self.keys_seen or self.keys_seen[-1] != key:
            self.keys_seen.append(key)
        if key in self.expired_keys:
            message = "The security token included in the request is expired"
            return SqsFault("ExpiredTokenException", message, status=403)
        return super()._look_at_signature(request)


class World:
    """One queue (and its dead-letter queue when `max_receives` is given), one handler, any number of sidecars."""

    def __init__(
        self, *, queue: str = "orders", visibility_s: int = SHORTEST_VISIBILITY_S, max_receives: int = 0
    ) -> None:
        self.thread = LoopThread()
        self.sqs = SqsOnTheWire(self.thread)
        self.handler = Handler(self.thread)
        self.sidecars: list[SidecarProcess] = []
        self.sent: list[str] = []
        self.queue_name = queue
        attributes: dict[str, str] = {"VisibilityTimeout": str(visibility_s)}
        if queue.endswith(".fifo"):
            attributes["FifoQueue"] = "true"
        if max_receives:
            dead = "dead.fifo" if queue.endswith(".fifo") else "dead"
            self.call(
                "CreateQueue", QueueName=dead, Attributes={"FifoQueue": "true"} if queue.endswith(".fifo") else {}
            )
            attributes["RedrivePolicy"] = redrive_policy(self._queue(dead).arn, max_receives)
            self.dead_name = dead
        else:
            self.dead_name = ""
        self.queue_url: str = self.call("CreateQueue", QueueName=queue, Attributes=attributes)["QueueUrl"]

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for sidecar in self.sidecars:
            sidecar.close()
        self.handler.close()
        self.thread.do(self.sqs.close)
        self.sqs.held.close()
        self.thread.close()

    # SQS

    def call(self, action: str, **params: Any) -> dict[str, Any]:
        """An action without the wire."""
        return self.thread.do(lambda: self.sqs.sqs.call(action, params, self.thread.loop.wall()))

    def _queue(self, name: str) -> MemoryQueue:
        return self.sqs.sqs.queues[name]

    @property
    def messages(self) -> list[MemoryMessage]:
        """What is in the queue, hidden or not."""
        return self.thread.do(lambda: list(self._queue(self.queue_name).messages.values()))

    def message(self, key: str) -> MemoryMessage:
        return next(message for message in self.messages if key_of(message) == key)

    @property
    def in_flight(self) -> int:
        return self.thread.do(lambda: self._queue(self.queue_name).in_flight(self.thread.loop.wall()))

    def send(self, count: int = 1, *, prefix: str = "m", pad: int = 0, **params: Any) -> list[str]:
        """Put messages into the queue; their keys. `pad`: bytes after the key."""
        first = len(self.sent)
        keys = [f"{prefix}{number}" for number in range(first, first + count)]
        self.send_bodies([f"{key} {'x' * pad}" if pad else key for key in keys], **params)
        return keys

    def send_bodies(self, bodies: Iterable[str], **params: Any) -> None:
        wanted = list(bodies)

        def put() -> None:
            for body in wanted:
                self.sqs.polls.send(self.queue_url, body, **params)

        self.sent += [body.split(" ", 1)[0] for body in wanted]
        self.thread.do(put)

    # Sidecars

    def environ(self, **more: str) -> dict[str, str]:
        return {
            "CARRIER_SQS_ENDPOINT": self.sqs.url,
            "CARRIER_SQS_QUEUE_NAME": self.queue_name,
            "CARRIER_SQS_REGION": "us-east-1",
            "CARRIER_SQS_BATCH_SIZE": "10",
            "CARRIER_SQS_RECEIVER_WORKERS": "10",
            "CARRIER_WEBHOOK_ENDPOINT": self.handler.url,
            **more,
        }

    def start(
        self,
        *,
        wait: bool = True,
        stdout: Any = None,
        program: Sequence[str] = ("-m", "carrier_sidecar"),
        environ: Mapping[str, str] | None = None,
        **more: str,
    ) -> SidecarProcess:
        """A sidecar, receiving once this returns (`wait`). "unset" as a value removes a variable."""
        polls = self.count("ReceiveMessage")
        sidecar = SidecarProcess(self.environ(**more, **(environ or {})), stdout=stdout, program=program)
        self.sidecars.append(sidecar)
        if wait:
            wait_until(lambda: self.count("ReceiveMessage") > polls or not sidecar.alive, 20, sidecar.log)
            assert sidecar.alive, sidecar.log()
        return sidecar

    def count(self, action: str) -> int:
        """Calls of that action so far."""
        return sum(1 for name, _, _ in list(self.sqs.seen) if name == action)

    # The end

    def wait_until_empty(self, timeout_s: float = 30.0) -> None:
        wait_until(lambda: not self.messages, timeout_s, lambda: self.state())

    def state(self) -> str:
        logs = "\n".join(sidecar.log() for sidecar in self.sidecars)
        return f"{self.account()}\n{logs}"

    def account(self) -> Account:
        left = [key_of(message) for message in self.messages]
        dead: list[str] = []
        if self.dead_name:
            dead = self.thread.do(lambda: [key_of(one) for one in self._queue(self.dead_name).messages.values()])
        return Account(self.sent, self.handler.accepted, left, dead)


def key_of(message: MemoryMessage) -> str:
    return message.body.split(" ", 1)[0]
