"""The engine: one message's life from its receive to its delete. Sans-I/O.

Events come in as method calls (`received`, `answered`, `settled`, ...) with the time as an argument; what is to be done
goes out through two small ports, `Queue` and `Destination`, declared here because they are consumed here. No sockets,
no clock, no environment: tests drive it in virtual time.

Who knows what: `in_flight` holds the messages, `receiving` decides when to poll, `settling` makes batches, `heartbeat`
says what to extend, `visibility` what becomes of a message that was not delivered, `deleting` of one that was, `gate`
whether to go on at all, `stopping` how it ends. This module moves messages between them. The promises that they keep
together:

- a message is deleted only after the handler accepted it, and stays in hand, extended, until its delete is confirmed;
- a message in hand is not POSTed twice at a time; a newer receipt replaces the older;
- FIFO: one message of a group with the handler at a time, in order; a failed one stays hidden until the later ones of
  its group are given back and that is confirmed; if the head's visibility lapses, nothing later of its group is POSTed;
- the drain always ends.

A port never calls back into the engine before it has returned.
"""

from __future__ import annotations

from carrier_sidecar import message as kinds
from carrier_sidecar.backoff import SLOW, SOON
from carrier_sidecar.breaker import PASSING, TRYING
from carrier_sidecar.deleting import Deleting
from carrier_sidecar.disposition import BAD_MESSAGE, DELIVERED, HIDE, LEAVE, REFUSED, Answer
from carrier_sidecar.gate import BREAKER, DELETE_DENIED, DRAINING, OFFLINE, PAUSED, Gate
from carrier_sidecar.heartbeat import HIDDEN_AT_MOST_S, NEVER, SHORTEST_S, Heartbeat
from carrier_sidecar.in_flight import ACCEPTED, POSTING, WAITING, InFlight
from carrier_sidecar.receiving import Receiving
from carrier_sidecar.retry import receives_of
from carrier_sidecar.settling import Settling
from carrier_sidecar.stopping import Stopping
from carrier_sidecar.visibility import STALE, Visibility

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from carrier_sidecar.breaker import Breaker
    from carrier_sidecar.dead_letter import DeadLettering, Letter
    from carrier_sidecar.message import Message, QueueError
    from carrier_sidecar.metrics import Metrics
    from carrier_sidecar.rate_limit import RateLimit
    from carrier_sidecar.retry import RetryPolicy
    from carrier_sidecar.trace import Tracing

    class Queue(Protocol):
        """Receive and settle. Answers come back as `received`, `receive_failed`, `settled`."""

        def receive(self, receiver: int, count: int, visibility_s: int, attempt_id: str) -> None:
            """One long poll for at most `count` messages (1-10); `attempt_id` on FIFO queues, else ""."""

        def delete(self, batch: list[Message]) -> None:
            """Delete at most 10 messages by their `delete_receipt`."""

        def change_visibility(self, batch: list[Message], seconds: list[int]) -> None:
            """Change the visibility of at most 10 messages by their `change_receipt`."""

        def abandon(self, receiver: int) -> None:
            """Close the connection of that receiver's call; nothing more of it is heard."""

    class Destination(Protocol):
        """Transmit. The outcome comes back as `answered`."""

        def post(self, message: Message) -> None:
            """Give the message to the handler."""

        def abandon(self, message: Message) -> None:
            """Close the connection of that POST; nothing more of it is heard."""

    Note = Callable[[str, dict[str, object]], None]


# How long messages in hand are held when the handler goes away: a blip is not worth a receive count.
HOLD_S = 5.0
# How long a receive on the wire may last, and how long when nothing but it is awaited (stopping.py), in whole seconds
# and with room for the way there.
LONG_POLL_S = 21
LAST_S = 3
# Deletes linger this long for company: nobody waits for them, and at 500 messages a second it makes batches of five.
LINGER_S = 0.01
# A Retry-After ends a minute before SQS's limit of 12 hours from the receive.
HIDE_MARGIN_S = 60

# Failures that somebody must end: calls are made seldom.
_LASTING = (kinds.DENIED, kinds.NO_QUEUE, kinds.KMS)


class Engine:
    """See the module's docstring.

    `note(name, fields)` reports what people should know (rows of notes.py); `set_timer(when)` asks for a `tick` at a
    loop time; `draw` gives random numbers in [0, 1); `new_id` unique ids. `on_gate` is called when the gate has
    changed, `on_quiet(finished)` once when a drain (or a pause) that was asked for has nothing left in hand.

    What is None is off, and costs one test where it would be looked at: `retry` says how long a failed message is
    hidden, `dead` which ones are sent to the dead-letter queue, `rate` how fast messages may come, `breaker` when the
    handler fails too often, `tracing` which trace a log line belongs to.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        destination: Destination,
        metrics: Metrics,
        note: Note,
        set_timer: Callable[[float], None],
        draw: Callable[[], float],
        new_id: Callable[[], str],
        receivers: int,
        batch: int,
        slots: int,
        max_bytes: int,
        fifo: bool = False,
        gate: Gate | None = None,
        retry: RetryPolicy | None = None,
        dead: DeadLettering | None = None,
        rate: RateLimit | None = None,
        breaker: Breaker | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self.queue = queue
        self.destination = destination
        self.metrics = metrics
        self.fifo = fifo
        self.gate = gate or Gate()
        self.hand = InFlight()
        self.receiving = Receiving(receivers, batch, slots, max_bytes)
        self.settling = Settling(queue, LINGER_S, draw, self._late)
        self.heartbeat = Heartbeat()
        self.visibility = Visibility(self.hand, self.heartbeat, self.settling, metrics, note, draw)
        self.deleting = Deleting(
            self.hand,
            self.settling,
            self.visibility,
            metrics,
            note,
            refused=self._deletes_refused,
            looked_at=self._deletes_looked_at,
        )
        self.stopping = Stopping(
            self.hand, self.receiving, quiet=self._is_quiet, out_of_time=self.cut, give_up=self._give_up_receive
        )
        self.dead = dead
        if dead is not None:
            dead.serve(self.hand, metrics, note, self.deleting.accept)
        self.wall_offset_s = 0.0  # wall clock minus loop clock: for the queue lag alone
        self.on_gate: Callable[[], None] = _nothing
        self.on_quiet: Callable[[bool], None] = _ignore
        self._retry = retry
        self._rate = rate
        self._breaker = breaker
        self._trial: Message | None = None  # the one message that a shut breaker lets through
        self._tracing = tracing
        self._limited = not (dead is None and rate is None and breaker is None)
        self._slots = slots
        self._note = note
        self._set_timer = set_timer
        self._draw = draw
        self._new_id = new_id
        self._armed = NEVER
        self._retry_at = NEVER  # when a receiver in backoff may poll again
        self._rate_at = NEVER  # when the rate limit allows the next receive
        self._hold_until = NEVER

    # -- receiving -----------------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Begin (or go on) as far as the gate allows."""
        self._fill(now)
        self._poll(now)
        self._arm()

    def _poll(self, now: float) -> None:
        receiving = self.receiving
        while receiving.idle and self.gate.receives:
            count = receiving.wanted(self.hand)
            if count and self._rate is not None:
                count = self._allowed(self._rate, count, now)
            if not count:
                return
            self._receive(count)
        if self._breaker is not None and self._breaker.state is TRYING:
            self._try_one(now)

    def _receive(self, count: int) -> None:
        receiving = self.receiving
        poll = receiving.idle.pop()
        if self.fifo and not poll.attempt_id:
            poll.attempt_id = self._new_id()
        visibility_s = self.heartbeat.visibility_s
        receiving.started(poll, count, visibility_s)
        self.metrics.receive_calls += 1
        self.queue.receive(poll.number, count, visibility_s, poll.attempt_id)

    def _allowed(self, rate: RateLimit, wanted: int, now: float) -> int:
        """How many of the messages wanted a receive may ask for now; its tokens are held until it ends."""
        count = rate.grant(wanted, now)
        if count:
            rate.hold(count, now)
            self._rate_at = NEVER
        else:
            self._rate_at = rate.next_at(wanted, now)
        return count

    def received(self, receiver: int, messages: list[Message], sent_at: float, now: float) -> None:
        """A receive was answered. Visibility counts from when the request was sent: SQS cannot have begun earlier."""
        receiving = self.receiving
        poll = receiving.polls[receiver]
        if self._rate is not None:
            self._rate.settle(poll.count, len(messages), now)
        receiving.answered(poll, bool(messages), sent_at, now, self._draw)
        if poll.retry_at > now:
            self._retry_at = min(self._retry_at, poll.retry_at)
        if messages:
            metrics = self.metrics
            metrics.received += len(messages)
            hand = self.hand
            by_id = hand.by_id
            visible_at = sent_at + poll.visibility_s
            # A long poll may take longer than messages stay hidden: then SQS began to count somewhere in between. Where
            # that is of no use to know, since they go back at once, or cannot be learnt, the latest time will do.
            if visible_at <= now and (self.stopping.active or not self.heartbeat.allowed):
                visible_at = now + poll.visibility_s
            # What a long poll brought late has less than half of its time left: extended in good time, but not at once
            # (a billed call, and most are delivered within milliseconds).
            left_s = visible_at - now
            first_beat_at = now + left_s / 3 if 0 < left_s < poll.visibility_s / 2 else 0.0
            wall_ms = (now + self.wall_offset_s) * 1000
            for message in messages:
                message.visible_at = visible_at
                message.hidden_since = sent_at
                message.retry_at = first_beat_at
                known = by_id.get(message.id)
                if known is not None:
                    self._received_again(known, message, now)
                    if visible_at <= now:
                        self.visibility.confirm(known, now)
                    continue
                if message.sent_time:
                    metrics.queue_lag.observe((wall_ms - int(message.sent_time)) / 1000)
                receiving.saw(len(message.body))
                hand.add(message, now)
                if hand.remembered and message.id in hand.remembered:
                    metrics.duplicates += 1
                    self._note("delivered_before", self._about(message))
                    del hand.remembered[message.id]
                    self.deleting.accept(message, now)
                elif visible_at <= now:
                    self.visibility.confirm(message, now)
                if message.group is not None and message.state == WAITING:
                    self.visibility.joined(message, now)
            self.heartbeat.watch(messages[0])
            if self.stopping.active:
                self._give_back_waiting(now)
            elif self.gate.posts:
                self._fill(now)
            elif self._hold_until == NEVER:
                self._hold_until = now + HOLD_S
        self._poll(now)
        self.stopping.look(now)
        self._arm()

    def _received_again(self, known: Message, message: Message, now: float) -> None:
        """A message in hand came again: only its receipt and its times are new. It is not POSTed a second time."""
        self.metrics.duplicates += 1
        in_doubt = known.lapsed or known.visible_at <= now
        known.receipt = message.receipt
        known.receive_count = message.receive_count
        known.visible_at = message.visible_at
        known.hidden_since = message.hidden_since
        known.lapsed = False
        known.late = False
        known.retry_at = 0.0
        if in_doubt:
            self.hand.confirmed(known, now)
        self._note("received_again", {**self._about(known), "state": known.state})

    def receive_failed(self, receiver: int, error: QueueError, now: float) -> None:
        """A receive failed: that receiver waits for its backoff."""
        poll = self.receiving.polls[receiver]
        if self._rate is not None:
            self._rate.settle(poll.count, 0, now)
        self.receiving.ended(poll)
        errors = self.metrics.receive_errors
        errors[error.kind] = errors.get(error.kind, 0) + 1
        self._note("receive_failed", {"kind": error.kind, "code": error.code, "error": error.detail})
        self._retry_at = min(self._retry_at, self.receiving.failed(poll, error, now, self._draw))
        self.stopping.look(now)
        self._arm()

    # -- the handler ---------------------------------------------------------------------------------------------------

    def _fill(self, now: float) -> None:
        """Give the handler as many messages as there are free slots."""
        hand = self.hand
        while hand.posting < self._slots and self.gate.posts:
            message = hand.take(now)
            if message is None:
                return
            self._give(message, now)

    def _give(self, message: Message, now: float) -> None:
        message.posted_at = now
        if message.fault is None:
            self.destination.post(message)
        else:
            self._failed(message, Answer(LEAVE, 0, BAD_MESSAGE), now)

    def answered(self, message: Message, answer: Answer, now: float) -> None:
        """The handler answered, or did not."""
        if message.state != POSTING:  # cut off: it has been given back
            return
        seconds = now - message.posted_at
        self.receiving.took(seconds)
        metrics = self.metrics
        metrics.handler_time.observe(seconds)
        if answer.verdict is DELIVERED:
            metrics.delivered += 1
            self.deleting.accept(message, now)
        elif self.dead is not None and self._takes(self.dead, message, answer, now):
            self._count_failure(answer)
        else:
            self._failed(message, answer, now)
        if self._breaker is not None:
            self._judge_handler(self._breaker, message, answer, now)
        if self.stopping.active:
            self.stopping.look(now)
        else:
            self._fill(now)
            if self.receiving.idle:
                self._poll(now)
        self._arm()

    def _failed(self, message: Message, answer: Answer, now: float) -> None:
        """Not delivered. Of a FIFO group, the later members in hand go back first."""
        fields = self._about(message)
        fields["reason"] = answer.reason
        if answer.detail:
            fields["error"] = answer.detail
        if message.fault is not None:
            fields["fault"] = message.fault
        asked = answer.verdict is HIDE
        hide_s = self._hiding_time(message, answer, now)
        if hide_s < 0:
            self._note("not_delivered", fields)
        else:
            fields["retry_after_s"] = hide_s
            self._note("retry_asked_for" if asked else "retry_later", fields)
        if asked and hide_s >= 0:
            self.metrics.retried += 1
            self._count_reason(answer)
        else:
            self._count_failure(answer)
        self.visibility.failed(message, hide_s, now)
        if answer.reason == REFUSED:
            self.handler_offline(now)

    def _hiding_time(self, message: Message, answer: Answer, now: float) -> int:
        """Seconds for which a message that failed is hidden: as the handler asked, else as the retry policy says; -1
        leaves it to its visibility timeout."""
        if message.lapsed or not self.heartbeat.allowed:
            return -1
        if answer.verdict is HIDE:
            hide_s = answer.hide_s + 0.999  # SQS takes whole seconds: not sooner than asked
        elif self._retry is not None:
            hide_s = self._retry.delay_s(answer.status, receives_of(message.receive_count), self._draw)
            if hide_s < 0:
                return -1
        else:
            return -1
        left = message.hidden_since + HIDDEN_AT_MOST_S - HIDE_MARGIN_S - now
        return int(max(0.0, min(hide_s, left)))

    def _count_failure(self, answer: Answer) -> None:
        self.metrics.failed += 1
        self._count_reason(answer)

    def _count_reason(self, answer: Answer) -> None:
        outcomes = self.metrics.outcomes
        outcomes[answer.reason] = outcomes.get(answer.reason, 0) + 1
        if answer.reason == BAD_MESSAGE:
            self.metrics.bad_messages += 1

    def _about(self, message: Message) -> dict[str, object]:
        if self._tracing is not None:
            self._tracing.context(message)
        return message.about()

    # -- dead letters --------------------------------------------------------------------------------------------------

    def _takes(self, dead: DeadLettering, message: Message, answer: Answer, now: float) -> bool:
        dead.wall_offset_s = self.wall_offset_s
        return dead.takes(message, answer, now)

    def letter_sent(self, letter: Letter, error: QueueError | None, now: float) -> None:
        """A send to the dead-letter queue ended."""
        if self.dead is not None:
            self.dead.sent(letter, error, now)
        if self.stopping.is_cut:
            self._cut_letters(now)
        self._fill(now)
        if self.receiving.idle:
            self._poll(now)
        self.stopping.look(now)
        self._arm()

    def _cut_letters(self, now: float) -> None:
        """No more time for another try: these messages come back, and become dead letters later."""
        if self.dead is not None:
            for message in self.dead.not_on_wire():
                self.stopping.unfinished = True
                self.visibility.failed(message, 0, now)

    # -- the breaker ---------------------------------------------------------------------------------------------------

    def _judge_handler(self, breaker: Breaker, message: Message, answer: Answer, now: float) -> None:
        """What an answer says about the handler. One that rejects the message for good says that it works."""
        trial = message is self._trial
        if trial:
            self._trial = None
        if answer.reason == BAD_MESSAGE:
            return
        final = self.dead is not None and self.dead.is_final(answer)
        failed = answer.verdict is not DELIVERED and not final
        if trial:
            if breaker.tried(failed, now):
                self._note("breaker_open", {})
                self.open(BREAKER, now)
            else:
                self._note("breaker_shut", {"reason": answer.reason})
        elif breaker.state is PASSING and breaker.record(failed, now):
            self._note("breaker_shut", {"reason": answer.reason})
            self.shut(BREAKER, now)

    def _try_one(self, now: float) -> None:
        """The breaker's pause is over: give the handler one message, received for that if none is in hand."""
        while self._trial is None and self.gate.only(BREAKER) and self.hand.posting < self._slots:
            message = self.hand.take(now)
            if message is None:
                break
            if message.fault is None:
                self._trial = message
                self._note("breaker_trying", self._about(message))
            self._give(message, now)
        else:
            return
        may_receive = self.receiving.idle and not self.receiving.on_wire
        if may_receive and (self._rate is None or self._allowed(self._rate, 1, now)):
            self._receive(1)

    def handler_offline(self, now: float) -> None:
        """The handler cannot be reached: receive nothing until `handler_online`."""
        if self.gate.shut(OFFLINE):
            self._note("handler_offline", {})
            self._hold(now)
            self.on_gate()
        self._arm()

    def handler_online(self, reason: str, now: float) -> None:
        """The handler answers (again): `reason` is the gate's reason that ends, STARTING or OFFLINE."""
        if self.gate.open(reason):
            self._note("handler_online", {})
            self._go_on(now)

    def _hold(self, now: float) -> None:
        if self.hand.waiting and self._hold_until == NEVER:
            self._hold_until = now + HOLD_S

    def shut(self, reason: str, now: float) -> None:
        """Hold the gate shut for a reason of the outside's (gate.REASONS)."""
        if self.gate.shut(reason):
            if not self.gate.posts:
                self._hold(now)
            self.on_gate()
        self._arm()

    def open(self, reason: str, now: float) -> None:
        """Take a reason of the outside's away."""
        if self.gate.open(reason):
            self._go_on(now)

    def _go_on(self, now: float) -> None:
        self.on_gate()
        if self.gate.posts:
            self._hold_until = NEVER
            self.visibility.returned.clear()
        self.start(now)

    def set_visibility(self, seconds: int) -> None:
        """The queue's own visibility timeout is that long (0 to 43200 s): never shortened, raised to 10 s."""
        self.heartbeat.visibility_s = max(SHORTEST_S, seconds)

    # -- settling ------------------------------------------------------------------------------------------------------

    def settled(
        self, action: str, messages: list[Message], errors: list[QueueError | None] | None, sent_at: float, now: float
    ) -> None:
        """A batch call ended: `errors` None = every entry succeeded, else one entry per message."""
        settling = self.settling
        delete = action == "delete"
        if delete:
            settling.delete_ended(now)
        if errors is None:
            settling.succeeded(delete, now)
            if delete:
                self.deleting.deleted(messages, now)
            else:
                for message in messages:
                    self.visibility.changed(message, sent_at, now)
        else:
            self._settle_errors(delete, messages, errors, sent_at, now)
        if settling.wake_at <= now:
            settling.flush(now)
        self._fill(now)
        if self.receiving.idle:
            self._poll(now)
        self.stopping.look(now)
        self._arm()

    def _settle_errors(
        self, delete: bool, messages: list[Message], errors: list[QueueError | None], sent_at: float, now: float
    ) -> None:
        whole = all(error is not None and error.kind not in STALE for error in errors)
        if whole:
            lasting = errors[0] is not None and errors[0].kind in _LASTING
            self.settling.failed(delete, now, SLOW if lasting else SOON)
        else:
            self.settling.succeeded(delete, now)
        self._note_failures("delete" if delete else "change_visibility", errors)
        for message, error in zip(messages, errors, strict=True):
            if delete:
                if error is None:
                    self.deleting.deleted([message], now)
                else:
                    self.deleting.failed(message, error, whole, now)
            elif error is None:
                self.visibility.changed(message, sent_at, now)
            else:
                self.visibility.change_failed(message, error, whole, now)

    def _note_failures(self, action: str, errors: list[QueueError | None]) -> None:
        """Count failed entries, and report them: one note for each kind, not for each message."""
        failures = self.metrics.settle_failures
        by_kind: dict[str, list[QueueError]] = {}
        for error in errors:
            if error is not None:
                failures[(action, error.kind)] = failures.get((action, error.kind), 0) + 1
                by_kind.setdefault(error.kind, []).append(error)
        for kind, alike in by_kind.items():
            first = alike[0]
            fields = {"action": action, "kind": kind, "code": first.code, "error": first.detail, "entries": len(alike)}
            self._note("settle_failed", fields)

    def _late(self, message: Message, now: float) -> None:
        self.deleting.late(message, now)

    def _deletes_refused(self, error: QueueError, _now: float) -> None:
        if self.gate.shut(DELETE_DENIED):
            self._note("delete_denied", {"error": error.detail})
            self.on_gate()

    def _deletes_looked_at(self, now: float) -> None:
        if DELETE_DENIED in self.gate.reasons:
            self.open(DELETE_DENIED, now)

    # -- the end -------------------------------------------------------------------------------------------------------

    def drain(self, now: float, deadline: float) -> None:
        """Stop for good: give back what has not begun, let the handler finish until `deadline`; then `on_quiet`."""
        first = self.gate.shut(DRAINING)
        if first:
            self.on_gate()
        self.stopping.begin(deadline if first else None)
        self._stop(now)

    def pause(self, now: float) -> None:
        """Stop receiving and finish what the handler has; `on_quiet` follows, `resume` goes on."""
        if self.gate.shut(PAUSED):
            self.on_gate()
        self.stopping.begin()
        self._stop(now)

    def resume(self, now: float) -> None:
        """The end of a pause."""
        if self.gate.open(PAUSED):
            if DRAINING not in self.gate.reasons:
                self.stopping.end()
            self._go_on(now)

    def cut(self, now: float) -> None:
        """No more time: connections to the handler are closed, their messages given back, each logged."""
        if self.stopping.is_cut:
            return
        self.stopping.cut(now)
        for message in self.hand.in_state(POSTING):
            self.destination.abandon(message)
            self._note("cut_off", {**message.about(), "running_s": round(now - message.posted_at, 1)})
            self.metrics.cut_off += 1
            self.visibility.returned[message.id] = None
            self.stopping.unfinished = True
            self.visibility.failed(message, 0, now)
        self._cut_letters(now)
        self.stopping.look(now)
        self._arm()

    def _give_back_waiting(self, now: float) -> None:
        """Receives on the wire end within a long poll's time, or soon when nothing else is left to be awaited."""
        again_s = 0
        if self.receiving.on_wire:
            again_s = LAST_S if self.stopping.active and not self.hand.posting else LONG_POLL_S
        self.visibility.give_back_waiting(now, again_s)

    def _stop(self, now: float) -> None:
        self._give_back_waiting(now)
        self.stopping.look(now)
        self._arm()

    def _give_up_receive(self, receiver: int, now: float) -> None:
        self.queue.abandon(receiver)
        poll = self.receiving.polls[receiver]
        if self._rate is not None:
            self._rate.settle(poll.count, 0, now)
        self.receiving.ended(poll)
        self.receiving.idle.append(poll)

    def _is_quiet(self, finished: bool) -> None:
        self.on_quiet(finished)

    # -- time ----------------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """The timer asked for by `set_timer` fired."""
        self._armed = NEVER
        for message in self.settling.due(now):
            if message.state == ACCEPTED:
                self.settling.delete(message, now)
            else:
                self.visibility.resend(message, now)
        if now >= self.heartbeat.wake_at:
            self.visibility.beat(now)
        if now >= self.settling.wake_at:
            self.settling.flush(now)
        if now >= self._retry_at:
            self._retry_receives(now)
        if self._limited:
            self._tick_limits(now)
        if now >= self._hold_until:
            self._hold_until = NEVER
            if not self.gate.posts:
                self._give_back_waiting(now)
        if now >= self.stopping.wake_at:
            self.stopping.tick(now)
        self._fill(now)
        self._poll(now)
        self.stopping.look(now)
        self._arm()

    def _tick_limits(self, now: float) -> None:
        if self.dead is not None and now >= self.dead.wake_at:
            self.dead.flush(now)
        if self._breaker is not None and now >= self._breaker.wake_at:
            self._breaker.begin()
        if now >= self._rate_at:
            self._rate_at = NEVER

    def _limits_wake_at(self) -> float:
        wake_at = self._rate_at
        if self.dead is not None:
            wake_at = min(wake_at, self.dead.wake_at)
        if self._breaker is not None:
            wake_at = min(wake_at, self._breaker.wake_at)
        return wake_at

    def _retry_receives(self, now: float) -> None:
        receiving = self.receiving
        self._retry_at = NEVER
        for poll in receiving.polls:
            if not poll.count and poll not in receiving.idle:
                if poll.retry_at <= now:
                    receiving.idle.append(poll)
                else:
                    self._retry_at = min(self._retry_at, poll.retry_at)

    def _arm(self) -> None:
        """Ask for a tick at the earliest time at which there is something to do."""
        wake_at = self.settling.wake_at
        if self.heartbeat.wake_at < wake_at:
            wake_at = self.heartbeat.wake_at
        if self._retry_at < wake_at:
            wake_at = self._retry_at
        if self._hold_until < wake_at:
            wake_at = self._hold_until
        if self._limited:
            wake_at = min(wake_at, self._limits_wake_at())
        if self.stopping.active:
            wake_at = min(wake_at, self.stopping.wake_at)
        if wake_at < self._armed:
            self._armed = wake_at
            self._set_timer(wake_at)


def _nothing() -> None:
    pass


def _ignore(_finished: bool) -> None:
    pass
