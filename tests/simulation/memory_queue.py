"""The engine's `Queue` port straight on the in-memory SQS: no HTTP, no signatures. The second implementation of the
port, for tests of the engine that want a whole queue behind it.

Answers come `latency_s` later on the loop, never from inside a call. Faults of the plan are met as over the wire.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from carrier_sidecar.loop.errors import RESET
from carrier_sidecar.message import NETWORK, QueueError
from carrier_sidecar.sqs.errors import answer_error
from carrier_sidecar.sqs.protocol import decode_batch, decode_receive, encode_receive
from tests.simulation.long_polls import Dropped, LongPolls, Pending
from tests.simulation.sqs_fault import SqsFault

if TYPE_CHECKING:
    from carrier_sidecar.loop.api import Loop, Timer
    from carrier_sidecar.message import Message
    from carrier_sidecar.sqs.queue import Events


class InMemoryQueue:
    """One queue of a MemorySqs as a port. `events` may be set later, before the first call."""

    def __init__(
        self, loop: Loop, polls: LongPolls, queue_url: str, *, latency_s: float = 0.001, events: Events | None = None
    ) -> None:
        self.events: Events = events  # type: ignore[assignment]  # set before the first call
        self._loop = loop
        self._polls = polls
        self._url = queue_url
        self._latency_s = latency_s
        self._receives: dict[int, tuple[list[Timer], list[Pending]]] = {}

    def receive(self, receiver: int, count: int, visibility_s: int, attempt_id: str = "") -> None:
        params = json.loads(encode_receive(self._url, count, visibility_s, 20, attempt_id, ["All"]))
        sent_at = self._loop.now()
        under_way: tuple[list[Timer], list[Pending]] = ([], [])
        self._receives[receiver] = under_way

        def answered(outcome: bytes | QueueError) -> None:
            del self._receives[receiver]
            now = self._loop.now()
            if isinstance(outcome, QueueError):
                self.events.receive_failed(receiver, outcome, now)
                return
            try:
                messages, _ = decode_receive(outcome)
            except QueueError as error:
                self.events.receive_failed(receiver, error, now)
                return
            self.events.received(receiver, messages, sent_at, now)

        self._call("ReceiveMessage", params, answered, under_way)

    def delete(self, batch: list[Message]) -> None:
        entries = [
            {"Id": str(index), "ReceiptHandle": message.delete_receipt or message.receipt}
            for index, message in enumerate(batch)
        ]
        self._settle("DeleteMessageBatch", "delete", batch, entries)

    def change_visibility(self, batch: list[Message], seconds: list[int]) -> None:
        entries = [
            {
                "Id": str(index),
                "ReceiptHandle": message.change_receipt or message.receipt,
                "VisibilityTimeout": seconds[index],
            }
            for index, message in enumerate(batch)
        ]
        self._settle("ChangeMessageVisibilityBatch", "change_visibility", batch, entries)

    def abandon(self, receiver: int) -> None:
        timers, calls = self._receives.pop(receiver, ([], []))
        for waiting in (*timers, *calls):
            waiting.cancel()

    def _settle(self, action: str, settles: str, batch: list[Message], entries: list[dict[str, Any]]) -> None:
        sent_at = self._loop.now()

        def answered(outcome: bytes | QueueError) -> None:
            errors: list[QueueError | None] | None
            try:
                if isinstance(outcome, QueueError):
                    raise outcome
                errors = decode_batch(outcome, len(batch))
            except QueueError as error:
                errors = [error] * len(batch)
            self.events.settled(settles, batch, errors, sent_at, self._loop.now())

        self._call(action, {"QueueUrl": self._url, "Entries": entries}, answered, ([], []))

    def _call(
        self, action: str, params: dict[str, Any], answered: Any, under_way: tuple[list[Timer], list[Pending]]
    ) -> None:
        """Half the latency there, half back."""
        timers, calls = under_way
        half_s = self._latency_s / 2

        def arrive() -> None:
            calls.append(self._polls.call(action, params, leave))

        def leave(outcome: dict[str, Any] | bytes | SqsFault) -> None:
            result: bytes | QueueError
            if isinstance(outcome, Dropped):
                result = QueueError(NETWORK, RESET, "the connection was cut", answered=False)
            elif isinstance(outcome, SqsFault):
                body = json.dumps({"__type": outcome.code, "message": outcome.message}).encode()
                result = answer_error(outcome.status, body)
            else:
                result = outcome if isinstance(outcome, bytes) else json.dumps(outcome).encode()
            timers.append(self._loop.call_at(self._loop.now() + half_s, lambda: answered(result)))

        timers.append(self._loop.call_at(self._loop.now() + half_s, arrive))
