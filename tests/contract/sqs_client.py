"""Drives our SQS client from a test: each method starts a call and runs the loop until its outcome is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carrier_sidecar.http1.client import Origin, Pool
from carrier_sidecar.loop.selecting import SelectingLoop
from carrier_sidecar.message import Message, QueueError
from carrier_sidecar.sqs.clock import ServerClock
from carrier_sidecar.sqs.credentials.chain import Chain
from carrier_sidecar.sqs.credentials.environment import EnvironmentSource
from carrier_sidecar.sqs.credentials.store import CredentialStore
from carrier_sidecar.sqs.queue import SqsQueue
from carrier_sidecar.url import parse_url

if TYPE_CHECKING:
    from carrier_sidecar.loop.api import Loop
    from carrier_sidecar.sqs.attributes import Attributes

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "secret"}
LONGEST_S = 60.0


class Client:
    """One SqsQueue on one loop. Failed calls raise their QueueError; failed entries are returned."""

    def __init__(
        self,
        url: str,
        queue_name: str,
        *,
        loop: Loop | None = None,
        environ: dict[str, str] | None = None,
        wait_s: int = 1,
        attribute_names: tuple[str, ...] = ("All",),
        **options: Any,
    ) -> None:
        self.loop = loop or SelectingLoop()
        endpoint = parse_url(url)
        self.clock = ServerClock(self.loop.wall, self.loop.now)
        self.notes: list[tuple[str, dict[str, object]]] = []
        chain = Chain([EnvironmentSource(KEYS if environ is None else environ)])
        options.setdefault("pool", Pool(self.loop, Origin(endpoint.host, endpoint.port), idle_s=45, max_body=70 << 20))
        self.queue = SqsQueue(
            self.loop,
            endpoint=endpoint,
            clock=self.clock,
            credentials=CredentialStore(self.loop, self.clock, chain),
            region="us-east-1",
            queue_name=queue_name,
            attribute_names=attribute_names,
            events=self,
            note=lambda name, fields: self.notes.append((name, dict(fields))),
            wait_s=wait_s,
            **options,
        )
        self.sent_at = 0.0
        self._outcomes: dict[object, Any] = {}

    # Events

    def received(self, receiver: int, messages: list[Message], sent_at: float, now: float) -> None:
        assert sent_at <= now
        self.sent_at = sent_at
        self._outcome(receiver, messages)

    def receive_failed(self, receiver: int, error: QueueError, now: float) -> None:
        self._outcome(receiver, error)

    def settled(
        self, action: str, messages: list[Message], errors: list[QueueError | None] | None, sent_at: float, now: float
    ) -> None:
        assert sent_at <= now
        self._outcome(action, [None] * len(messages) if errors is None else errors)

    def _outcome(self, key: object, outcome: Any) -> None:
        self._outcomes[key] = outcome
        self.loop.stop()

    def wait(self, key: object) -> Any:
        """Run the loop until that outcome is there."""
        timer = self.loop.call_at(self.loop.now() + LONGEST_S, self.loop.stop)
        deadline = self.loop.now() + LONGEST_S
        while key not in self._outcomes and self.loop.now() < deadline:
            self.loop.run()
        timer.cancel()
        outcome = self._outcomes.pop(key)
        if isinstance(outcome, QueueError):
            raise outcome
        return outcome

    # Calls

    def open(self) -> str:
        self.queue.open(lambda error: self._outcome("open", error))
        self.wait("open")
        return self.queue.url

    def attributes(self) -> Attributes:
        self.queue.read_attributes(lambda answer: self._outcome("attributes", answer))
        found: Attributes = self.wait("attributes")
        return found

    def call(self, action: str, **params: Any) -> dict[str, Any]:
        self.queue.call(action, params, lambda answer: self._outcome("call", answer))
        answer: dict[str, Any] = self.wait("call")
        return answer

    def receive(self, count: int = 10, visibility_s: int = 30, attempt_id: str = "") -> list[Message]:
        self.queue.receive(0, count, visibility_s, attempt_id)
        messages: list[Message] = self.wait(0)
        return messages

    def receive_all(self, count: int, visibility_s: int = 30) -> list[Message]:
        """Exactly that many, in as many calls as the server wants."""
        messages: list[Message] = []
        for _ in range(count + 3):
            if len(messages) < count:
                messages += self.receive(min(10, count - len(messages)), visibility_s)
        assert len(messages) == count
        return messages

    def delete(self, messages: list[Message]) -> list[QueueError | None]:
        self.queue.delete(messages)
        errors: list[QueueError | None] = self.wait("delete")
        return errors

    def change_visibility(self, messages: list[Message], seconds: list[int]) -> list[QueueError | None]:
        self.queue.change_visibility(messages, seconds)
        errors: list[QueueError | None] = self.wait("change_visibility")
        return errors

    def send(self, body: str, **params: Any) -> dict[str, Any]:
        return self.call("SendMessage", QueueUrl=self.queue.url, MessageBody=body, **params)

    def close(self) -> None:
        self.queue.close()
