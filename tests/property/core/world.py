"""A world for the engine in virtual time: a simple model of SQS, a handler, a network with faults, and the promises.

Not the in-memory queue of the contract suite: this model is as small as the promises allow, so that it can be read at
one sitting, and it looks at every effect to see whether a promise was broken.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import Any

from carrier_sidecar.disposition import DELIVERED, HIDE, LEAVE, Answer
from carrier_sidecar.engine import Engine
from carrier_sidecar.gate import BREAKER, DELETE_DENIED, OFFLINE
from carrier_sidecar.in_flight import ACCEPTED, DEAD, HELD, POSTING, WAITING
from carrier_sidecar.message import (
    BAD_RECEIPT,
    DENIED,
    MISSING,
    NETWORK,
    NOT_IN_FLIGHT,
    THROTTLED,
    UNAVAILABLE,
    Message,
    QueueError,
)
from carrier_sidecar.metrics import Metrics

WAIT_S = 20.0
# What SQS can be like: name -> (a call fails with no effect, its answer is lost, an entry fails, an entry is missing).
SQS_MODES = {
    "well": (0.0, 0.0, 0.0, 0.0),
    "down": (1.0, 0.0, 0.0, 0.0),
    "flaky": (0.3, 0.1, 0.2, 0.1),
    "lossy": (0.0, 0.6, 0.0, 0.0),
    "entries fail": (0.0, 0.0, 0.5, 0.3),
    "deletes refused": (0.0, 0.0, 0.0, 0.0),
    "changes refused": (0.0, 0.0, 0.0, 0.0),
}
HANDLER_MODES = ("well", "slow", "fails", "refuses", "retry later", "hangs", "mixed")


class Stored:
    """A message as SQS keeps it."""

    def __init__(self, name: str, group: str | None, number: int) -> None:
        self.name = name
        self.group = group
        self.number = number
        self.visible_at = 0.0
        self.receipts = 0  # receives so far; the newest receipt carries this number
        self.deleted = False
        self.explained = False  # it may be delivered again: it was visible while it was held

    @property
    def receipt(self) -> str:
        return f"{self.name}#{self.receipts}"


class World:
    """Holds the clock; runs what happens in order of time; checks each effect."""

    def __init__(
        self,
        *,
        fifo: bool,
        receivers: int,
        batch: int,
        slots: int,
        visibility_s: int,
        max_bytes: int,
        seed: int,
        **options: Any,
    ) -> None:
        """`options` are the engine's."""
        self.now = 5000.0
        self.fifo = fifo
        self.random = Random(seed)
        self.sqs = "well"
        self.handler = "well"
        self.latency_s = 0.01
        self.visibility_s = visibility_s
        self.stored: list[Stored] = []
        self.by_name: dict[str, Stored] = {}
        self.accepted: set[str] = set()
        self.posts: dict[str, Message] = {}
        self.polls: dict[int, int] = {}  # receiver: serial of its call on the wire
        self.attempt_of: dict[int, str] = {}
        self.serial = 0
        self.attempts: dict[str, list[tuple[Stored, int]]] = {}
        self.lost_attempts: set[str] = set()
        self.stopped_until = 0.0
        self.trouble_at = 0.0  # when something last went wrong between us and SQS
        self.calls = 0
        self.quiet: list[bool] = []
        self.tick_at = -1.0
        self.ticks_at_once = 0
        self.ticks = 0
        self.events = 0
        self.timer = 0
        self.closed = False
        self._heap: list[tuple[float, int, bool, Callable[[], None]]] = []
        self.slots = slots
        self.batch = batch
        self.metrics = Metrics()
        self.engine = Engine(
            queue=self,
            destination=HandlerPort(self),
            metrics=self.metrics,
            note=lambda _name, _fields: None,
            set_timer=self._set_timer,
            draw=lambda: self.random.random(),
            new_id=self._new_id,
            receivers=receivers,
            batch=batch,
            slots=slots,
            max_bytes=max_bytes,
            fifo=fifo,
            **options,
        )
        self.engine.on_quiet = self.quiet.append
        self.engine.set_visibility(visibility_s)
        self.engine.start(self.now)
        self._watch_handler()

    # -- time

    def at(self, when: float, what: Callable[[], None], *, ours: bool = True) -> None:
        """`ours`: it reaches our process, and so not while that is stopped."""
        self.serial += 1
        heapq.heappush(self._heap, (when, self.serial, ours, what))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        ticks, events, began = self.ticks, self.events, self.now
        while self._heap and self._heap[0][0] <= end:
            when, _serial, ours, what = heapq.heappop(self._heap)
            if ours and when < self.stopped_until:
                self.at(self.stopped_until, what)
                continue
            self.now = max(self.now, when)
            what()
            self.check()
        self.now = end
        happened = self.events - events
        assert self.ticks - ticks <= 20 + 2 * happened + 5 * (end - began), "timer storm"

    def _set_timer(self, when: float) -> None:
        self.timer += 1
        mine = self.timer
        self.at(max(when, self.now), lambda: self._tick(mine))

    def _tick(self, mine: int) -> None:
        if mine != self.timer or self.closed:
            return
        self.ticks += 1
        self.ticks_at_once = self.ticks_at_once + 1 if self.now == self.tick_at else 0
        self.tick_at = self.now
        assert self.ticks_at_once < 10, "the timer spins"
        self.engine.tick(self.now)

    def _new_id(self) -> str:
        self.serial += 1
        return f"attempt-{self.serial}"

    def stop(self, seconds: float) -> None:
        """The process stands still (SIGSTOP, suspend)."""
        self.stopped_until = self.now + seconds
        self._trouble(self.stopped_until)
        self.run(seconds)

    def _trouble(self, until: float) -> None:
        self.trouble_at = max(self.trouble_at, until)

    def _later(self) -> float:
        return self.now + self.latency_s * (0.5 + self.random.random())

    def _fate(self) -> str:
        """What becomes of a call: "", "lost" (its effect happens, its answer does not come), or the kind of failure."""
        fails, lost, _, _ = SQS_MODES[self.sqs]
        draw = self.random.random()
        if draw < fails:
            self._trouble(self.now)
            return self.random.choice((THROTTLED, UNAVAILABLE, NETWORK))
        if draw < fails + lost:
            self._trouble(self.now)
            return "lost"
        return ""

    # -- the queue's port

    def receive(self, receiver: int, count: int, visibility_s: int, attempt_id: str) -> None:
        assert receiver not in self.polls, "a receiver has one call on the wire"
        assert 1 <= count <= self.batch
        assert self.engine.gate.receives or (self.engine.gate.only(BREAKER) and count == 1)
        hand = self.engine.hand
        assert hand.waiting + hand.posting + self.engine.receiving.reserved <= self.slots + self.batch
        if self.fifo:
            assert attempt_id
            assert attempt_id not in self.attempts or attempt_id in self.lost_attempts, "attempt id reused"
        else:
            assert not attempt_id
        self.calls += 1
        self.serial += 1
        call = self.polls[receiver] = self.serial
        self.attempt_of[receiver] = attempt_id
        sent_at = self.now
        fate = self._fate()

        def fail(kind: str, answered: bool) -> None:
            if self.polls.get(receiver) == call:
                del self.polls[receiver]
                self.events += 1
                if not answered:
                    self.lost_attempts.add(attempt_id)
                self.engine.receive_failed(receiver, QueueError(kind, kind, kind, answered=answered), self.now)

        def look() -> None:
            if self.polls.get(receiver) != call:  # given up: SQS may hand out messages to nobody
                return
            found = self._take(count, visibility_s, attempt_id)
            if not found and self.now < sent_at + WAIT_S:
                self.at(min(self.now + 1.0, sent_at + WAIT_S), look, ours=False)
                return
            if fate == "lost":
                self.at(self._later(), lambda: fail(NETWORK, False))
                return
            messages = [self._as_message(stored) for stored in found]
            self.at(self._later(), lambda: answer(messages))

        def answer(messages: list[Message]) -> None:
            if self.polls.get(receiver) == call:
                del self.polls[receiver]
                self.events += 1
                self.engine.received(receiver, messages, sent_at, self.now)

        if fate and fate != "lost":
            self.at(self._later(), lambda: fail(fate, fate != NETWORK))
        else:
            self.at(self._later(), look, ours=False)

    def _take(self, count: int, visibility_s: int, attempt_id: str) -> list[Stored]:
        if attempt_id in self.attempts:
            again = self.attempts[attempt_id]
            if all(s.receipts == receipts and s.visible_at > self.now and not s.deleted for s, receipts in again):
                for stored, _ in again:
                    stored.visible_at = self.now + visibility_s
                return [stored for stored, _ in again]
        found: list[Stored] = []
        blocked: set[str | None] = set()
        for stored in self.stored:
            if stored.deleted or (self.fifo and stored.group in blocked):
                continue
            if stored.visible_at > self.now:
                blocked.add(stored.group)
            elif len(found) < count:
                found.append(stored)
        for stored in found:
            stored.receipts += 1
            stored.visible_at = self.now + visibility_s
        if attempt_id and found:
            self.attempts[attempt_id] = [(stored, stored.receipts) for stored in found]
        return found

    def _as_message(self, stored: Stored) -> Message:
        return Message(
            stored.name,
            stored.receipt,
            b"x" * 100,
            group=stored.group,
            receive_count=str(stored.receipts),
            system={"SequenceNumber": str(stored.number)},
        )

    def delete(self, batch: list[Message]) -> None:
        for message in batch:
            assert message.id in self.accepted, "deleted without an accepted delivery"
        receipts = [message.delete_receipt for message in batch]
        self._settle("delete", batch, receipts, self._delete_one)

    def change_visibility(self, batch: list[Message], seconds: list[int]) -> None:
        wanted = {message.id: s for message, s in zip(batch, seconds, strict=True)}
        for message in batch:
            assert message.state, "a message that is no longer in hand is not touched"
            assert 0 <= wanted[message.id] <= 43200
            if message.state == ACCEPTED:
                assert wanted[message.id] > 0, "a delivered message is not given back"
            if message.group is not None and message.state not in (WAITING, POSTING, ACCEPTED, HELD, DEAD):
                self._check_head_after_followers(message)
        receipts = [message.change_receipt for message in batch]
        self._settle(
            "change_visibility", batch, receipts, lambda name, receipt: self._change_one(name, receipt, wanted[name])
        )

    def _check_head_after_followers(self, message: Message) -> None:
        """A failed head's own visibility is changed only after everything behind it is confirmed as given back."""
        if message.state != "hiding":
            return
        members = self.engine.hand.groups[message.group or ""].members
        behind = members[members.index(message) + 1 :]
        assert all(member.state == ACCEPTED for member in behind), "a failed head came before its followers"

    def _settle(
        self,
        action: str,
        batch: list[Message],
        receipts: list[str | None],
        effect: Callable[[str, str | None], str],
    ) -> None:
        assert 1 <= len(batch) <= 10
        assert len({message.id for message in batch}) == len(batch)
        self.calls += 1
        sent_at = self.now
        fate = self._fate()
        refused = {"deletes refused": "delete", "changes refused": "change_visibility"}.get(self.sqs)
        if refused == action:
            self._trouble(self.now)
            fate = DENIED
        names = [message.id for message in batch]

        def happen() -> None:
            _, _, failing, missing = SQS_MODES[self.sqs]
            errors: list[str] = []
            for name, receipt in zip(names, receipts, strict=True):
                draw = self.random.random()
                if draw < failing + missing:
                    self._trouble(self.now)
                    errors.append(UNAVAILABLE if draw < failing else MISSING)
                else:
                    errors.append(effect(name, receipt))
            if fate == "lost":
                self.at(self._later(), lambda: report([NETWORK] * len(names)))
            else:
                self.at(self._later(), lambda: report(errors))

        def report(kinds: list[str]) -> None:
            self.events += 1
            errors = [QueueError(kind, kind, kind, answered=kind != NETWORK) if kind else None for kind in kinds]
            self.engine.settled(action, batch, errors if any(kinds) else None, sent_at, self.now)

        if fate and fate != "lost":
            self.at(self._later(), lambda: report([fate] * len(names)))
        else:
            self.at(self._later(), happen, ours=False)

    def _delete_one(self, name: str, receipt: str | None) -> str:
        stored = self.by_name[name]
        if stored.deleted:
            return ""
        if receipt != stored.receipt:
            return "" if not self.fifo and self.random.random() < 0.5 else BAD_RECEIPT
        if self.fifo and stored.visible_at <= self.now:
            return BAD_RECEIPT
        stored.deleted = True
        return ""

    def _change_one(self, name: str, receipt: str | None, seconds: int) -> str:
        stored = self.by_name[name]
        if stored.deleted or receipt != stored.receipt:
            return BAD_RECEIPT
        if stored.visible_at <= self.now:
            return NOT_IN_FLIGHT
        stored.visible_at = self.now + seconds
        return ""

    def abandon(self, receiver: int) -> None:
        del self.polls[receiver]
        self.lost_attempts.add(self.attempt_of[receiver])

    # -- what happens from outside

    def send(self, group: str | None) -> None:
        number = len(self.stored) + 1
        stored = Stored(f"m{number}", group if self.fifo else None, number)
        self.stored.append(stored)
        self.by_name[stored.name] = stored

    def latency_becomes(self, seconds: float) -> None:
        """Calls take about that long each way. Over a second an extension may come too late without anybody's fault."""
        if seconds != self.latency_s:
            slow = max(seconds, self.latency_s)
            self.latency_s = seconds
            if slow > 1.0:
                self._trouble(self.now + 10 * slow)

    def duplicate(self) -> None:
        """A standard queue shows a hidden message once more."""
        hidden = [s for s in self.stored if not s.deleted and s.visible_at > self.now]
        if hidden and not self.fifo:
            stored = self.random.choice(hidden)
            stored.visible_at = self.now
            stored.explained = True

    def _watch_handler(self) -> None:
        if OFFLINE in self.engine.gate.reasons and self.handler != "refuses":
            self.events += 1
            self.engine.handler_online(OFFLINE, self.now)
        self.at(self.now + 1.0, self._watch_handler)

    # -- the promises

    def check(self) -> None:
        hand = self.engine.hand
        messages = list(hand.by_id.values())
        assert hand.posting == sum(m.state == POSTING for m in messages) == len(self.posts)
        assert hand.waiting == sum(m.state == WAITING for m in messages)
        assert hand.bytes == sum(len(m.body) for m in messages)
        assert hand.posting <= self.slots
        assert hand.waiting + hand.posting <= self.slots + self.batch
        members = [member for group in hand.groups.values() for member in group.members]
        assert {m.id for m in members} == {m.id for m in messages if m.group is not None}
        for message in messages:
            self._check_hidden(message)
        if hand.waiting and hand.posting < self.slots and self.engine.gate.posts and self.now >= self.stopped_until:
            for message in messages:
                group = hand.groups[message.group] if message.group is not None else None
                if message.state == WAITING and message.visible_at > self.now:
                    assert group is not None, f"{message.id} waits beside a free slot"
                    assert group.next_to_post(self.now) is not message, f"{message.id} waits beside a free slot"

    def _check_hidden(self, message: Message) -> None:
        """A message in hand is extended before others see it, as long as SQS does what it is asked to."""
        stored = self.by_name[message.id]
        if (
            stored.visible_at > self.now
            or stored.deleted
            or message.state not in (WAITING, POSTING, ACCEPTED, HELD, DEAD)
        ):
            return
        excused = (
            stored.explained
            or not self.engine.heartbeat.allowed
            or self.latency_s > 1.0
            or self.trouble_at > self.now - 2 * self.visibility_s - WAIT_S
        )
        stored.explained = True
        assert excused, f"{message.id} in state {message.state} became visible to others"

    def check_order(self, message: Message) -> None:
        if message.group is None:
            return
        mine = self.by_name[message.id]
        for stored in self.stored:
            if stored.group == mine.group and stored.number < mine.number and not stored.deleted:
                assert stored.name in self.accepted, f"{mine.name} overtook {stored.name}"
                if self.engine.heartbeat.allowed:  # without, a receive that took long has to be taken on trust
                    assert stored.visible_at > self.now, f"{mine.name} while {stored.name} is visible to others"


class HandlerPort:
    """The handler."""

    def __init__(self, world: World) -> None:
        self._world = world

    def post(self, message: Message) -> None:
        world = self._world
        stored = world.by_name[message.id]
        assert world.engine.gate.posts or world.engine.gate.only(BREAKER)
        assert message.id not in world.posts, "POSTed twice at the same time"
        assert message.body, "its body is gone"
        if message.id in world.accepted:
            assert stored.explained, "POSTed again after it was accepted"
        world.check_order(message)
        world.posts[message.id] = message
        mode = world.handler
        if mode == "mixed":
            mode = world.random.choice(HANDLER_MODES[:5])
        if mode == "hangs":
            return
        took_s = {"slow": 3.0 * world.visibility_s, "refuses": 0.001}.get(mode, 0.02) * (0.5 + world.random.random())
        answers = {
            "fails": Answer(LEAVE, 500, "status 500"),
            "rejects": Answer(LEAVE, 422, "status 422"),
            "refuses": Answer(LEAVE, 0, "refused"),
            "retry later": Answer(HIDE, 503, "status 503", world.random.choice((0.0, 2.0, 60.0))),
        }
        answer = answers.get(mode, Answer(DELIVERED, 200, "delivered"))

        def end() -> None:
            if world.posts.get(message.id) is message:
                del world.posts[message.id]
                if answer.verdict == DELIVERED:
                    world.accepted.add(message.id)
                world.events += 1
                world.engine.answered(message, answer, world.now)

        world.at(world.now + took_s, end)

    def abandon(self, message: Message) -> None:
        del self._world.posts[message.id]


__all__ = ["DELETE_DENIED", "HANDLER_MODES", "SQS_MODES", "World"]
