"""Drives the engine in virtual time with ports that record: support for the tests of the core.

A test says what SQS and the handler answer, one call at a time; nothing is answered by itself.
"""

from __future__ import annotations

from typing import Any

from carrier_sidecar.disposition import DELIVERED, HIDE, LEAVE, Answer
from carrier_sidecar.engine import Engine
from carrier_sidecar.message import Message, QueueError
from carrier_sidecar.metrics import Metrics

VISIBILITY_S = 30.0  # the default of the heartbeat


class Receive:
    def __init__(self, receiver: int, count: int, visibility_s: int, attempt_id: str, sent_at: float) -> None:
        self.receiver = receiver
        self.count = count
        self.visibility_s = visibility_s
        self.attempt_id = attempt_id
        self.sent_at = sent_at


class Settle:
    """A batch call on the wire: `action` "delete" or "change_visibility"; receipts as they were when it was sent."""

    def __init__(self, action: str, batch: list[Message], seconds: list[int] | None, sent_at: float) -> None:
        self.action = action
        self.batch = list(batch)
        self.seconds = list(seconds) if seconds is not None else None
        self.receipts = [m.delete_receipt if action == "delete" else m.change_receipt for m in batch]
        self.sent_at = sent_at

    @property
    def ids(self) -> list[str]:
        return [message.id for message in self.batch]

    def seconds_by_id(self) -> dict[str, int]:
        assert self.seconds is not None
        return dict(zip(self.ids, self.seconds, strict=True))


def error(kind: str, *, answered: bool = True) -> QueueError:
    return QueueError(kind, kind.title(), f"made up: {kind}", answered=answered)


ACCEPTED = Answer(DELIVERED, 200, "delivered")
FAILED = Answer(LEAVE, 500, "status 500")
REFUSED = Answer(LEAVE, 0, "refused")


def retry_after(seconds: float) -> Answer:
    return Answer(HIDE, 503, "status 503", seconds)


class Rig:
    """An engine, the calls it has on the wire, and its clock."""

    def __init__(
        self,
        *,
        receivers: int = 1,
        batch: int = 10,
        slots: int = 10,
        max_bytes: int = 32 << 20,
        fifo: bool = False,
        start: bool = True,
        draw: float = 0.5,
        **options: Any,
    ) -> None:
        self.now = 1000.0
        self.receives: list[Receive] = []
        self.posts: list[Message] = []
        self.settles: list[Settle] = []
        self.calls: list[tuple[str, object]] = []  # every call to a port, in order
        self.abandoned_receives: list[int] = []
        self.abandoned_posts: list[str] = []
        self.notes: list[tuple[str, dict[str, object]]] = []
        self.quiet: list[bool] = []
        self.gate_changes = 0
        self.timers: list[float] = []
        self.ticks: list[float] = []
        self.ids = 0
        self.metrics = Metrics()
        self.engine = Engine(
            queue=self,
            destination=_Handler(self),
            metrics=self.metrics,
            note=lambda name, fields: self.notes.append((name, fields)),
            set_timer=self.timers.append,
            draw=lambda: draw,
            new_id=self._new_id,
            receivers=receivers,
            batch=batch,
            slots=slots,
            max_bytes=max_bytes,
            fifo=fifo,
            **options,
        )
        self.engine.on_quiet = self.quiet.append
        self.engine.on_gate = self._gate_changed
        if start:
            self.engine.start(self.now)

    def _new_id(self) -> str:
        self.ids += 1
        return f"attempt-{self.ids}"

    def _gate_changed(self) -> None:
        self.gate_changes += 1

    # -- the queue's port

    def receive(self, receiver: int, count: int, visibility_s: int, attempt_id: str) -> None:
        assert receiver not in [call.receiver for call in self.receives], "that receiver has a call on the wire"
        assert 1 <= count <= 10
        self.receives.append(Receive(receiver, count, visibility_s, attempt_id, self.now))
        self.calls.append(("receive", receiver))

    def delete(self, batch: list[Message]) -> None:
        assert 1 <= len(batch) <= 10
        self.settles.append(Settle("delete", batch, None, self.now))
        self.calls.append(("delete", [message.id for message in batch]))

    def change_visibility(self, batch: list[Message], seconds: list[int]) -> None:
        assert 1 <= len(batch) <= 10
        assert len(seconds) == len(batch)
        self.settles.append(Settle("change_visibility", batch, seconds, self.now))
        self.calls.append(("change_visibility", [message.id for message in batch]))

    def abandon(self, receiver: int) -> None:
        self.receives = [call for call in self.receives if call.receiver != receiver]
        self.abandoned_receives.append(receiver)

    # -- what the outside does

    def message(
        self, name: str, *, group: str | None = None, body: bytes = b"{}", receipt: str = "", **more: Any
    ) -> Message:
        return Message(name, receipt or f"{name}/1", body, group=group, **more)

    def deliver(self, *messages: Message | str, receiver: int | None = None) -> list[Message]:
        """Answer the oldest receive on the wire (or that receiver's) with these messages."""
        calls = [call for call in self.receives if receiver is None or call.receiver == receiver]
        assert calls, "no receive is on the wire"
        call = calls[0]
        self.receives.remove(call)
        made = [self.message(item) if isinstance(item, str) else item for item in messages]
        assert len(made) <= call.count
        self.engine.received(call.receiver, made, call.sent_at, self.now)
        return made

    def fail_receive(self, kind: str, *, answered: bool = True) -> None:
        call = self.receives.pop(0)
        self.engine.receive_failed(call.receiver, error(kind, answered=answered), self.now)

    def answer(self, name: str, answer: Answer = ACCEPTED) -> None:
        """The handler answers the POST of that message."""
        message = next(message for message in self.posts if message.id == name)
        self.posts.remove(message)
        self.engine.answered(message, answer, self.now)

    def take_settle(self, action: str) -> Settle:
        settle = next(settle for settle in self.settles if settle.action == action)
        self.settles.remove(settle)
        return settle

    def settle(
        self, action: str, errors: dict[str, str] | None = None, *, whole: str | None = None, answered: bool = True
    ) -> Settle:
        """Answer the oldest such call: all succeed, `errors` by message id, or the `whole` call fails with a kind."""
        settle = self.take_settle(action)
        if whole is not None:
            failure = error(whole, answered=answered)
            found: list[QueueError | None] | None = [failure] * len(settle.batch)
        elif errors:
            found = [error(errors[name]) if name in errors else None for name in settle.ids]
        else:
            found = None
        self.engine.settled(action, settle.batch, found, settle.sent_at, self.now)
        return settle

    def advance(self, seconds: float) -> None:
        """Let time pass; the ticks that fall due are given, at most 1,000."""
        end = self.now + seconds
        for _ in range(1000):
            due = min(self.timers, default=None)
            if due is None or due > end:
                break
            self.timers.clear()
            self.now = max(self.now, due)
            self.ticks.append(self.now)
            self.engine.tick(self.now)
        else:
            raise AssertionError("the engine's timer storms")
        self.now = end

    # -- what tests look at

    @property
    def posted(self) -> list[str]:
        return [message.id for message in self.posts]

    @property
    def in_hand(self) -> dict[str, str]:
        return {message.id: message.state for message in self.engine.hand.by_id.values()}

    @property
    def noted(self) -> list[str]:
        return [name for name, _ in self.notes]

    def fields(self, name: str) -> dict[str, object]:
        return next(fields for found, fields in self.notes if found == name)


class _Handler:
    """The destination's port: `abandon` means another thing there than on the queue's."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def post(self, message: Message) -> None:
        assert message not in self._rig.posts, "POSTed twice at the same time"
        self._rig.posts.append(message)
        self._rig.calls.append(("post", message.id))

    def abandon(self, message: Message) -> None:
        self._rig.posts.remove(message)
        self._rig.abandoned_posts.append(message.id)
