"""The engine with backoff, dead letters, rate limit and breaker, against the same model and the same promises.

Beside those: a message is deleted only after it was accepted or its letter was sent; no more is received than the rate
allows; a shut breaker lets one message through at a time.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from carrier_sidecar.breaker import TRYING, Breaker
from carrier_sidecar.dead_letter import DeadLettering, DeadLetterPolicy, Letter
from carrier_sidecar.disposition import no_answer
from carrier_sidecar.gate import BREAKER, SUSPENDED
from carrier_sidecar.message import DENIED, INVALID, NETWORK, UNAVAILABLE, Message, QueueError
from carrier_sidecar.rate_limit import RateLimit
from carrier_sidecar.retry import RetryPolicy
from tests.property.core.world import HANDLER_MODES, SQS_MODES, World

GROUPS = ("red", "blue", "green")
LETTER_MODES = ("well", "down", "lossy", "denied", "refused once")


class LimitedWorld(World):
    """The world with a dead-letter queue; counts what arrives."""

    def __init__(self, *, receives: int, per_s: float, burst: int, failures: int, **more: Any) -> None:
        self.letters: list[str] = []
        self.letter_mode = "well"
        self.arrived: list[tuple[float, int]] = []
        self.per_s = per_s
        self.burst = burst
        self.breaker = Breaker(failures, 0.5, 60, 10) if failures else None
        super().__init__(
            retry=RetryPolicy(2, 2, 60),
            dead=DeadLettering(DeadLetterPolicy(("422",), receives), self, lambda: self.random.random()),
            rate=RateLimit(per_s, burst) if per_s else None,
            breaker=self.breaker,
            **more,
        )

    # -- the dead-letter queue's port

    def send(self, letter: Any) -> None:
        """The port's `send`; also the world's own, which puts a message into a group."""
        if not isinstance(letter, Letter):
            super().send(letter)
            return
        message = letter.message
        assert message.state == "dead"
        assert message.body
        mode = self.letter_mode
        if mode == "refused once":
            mode = "well" if letter.bare else "refused"
        kind = {"down": UNAVAILABLE, "denied": DENIED, "refused": INVALID}.get(mode, "")
        if mode == "lossy" and self.random.random() < 0.5:
            kind = NETWORK

        def happen() -> None:
            if kind in ("", NETWORK):
                self.letters.append(message.id)
            self.at(self._later(), report)

        def report() -> None:
            self.events += 1
            if not kind:
                self.accepted.add(message.id)
            error = QueueError(kind, kind, kind, answered=kind != NETWORK) if kind else None
            self.engine.letter_sent(letter, error, self.now)

        self.at(self._later(), happen, ours=False)

    # -- the promises

    def _check_head_after_followers(self, message: Message) -> None:
        """Left to the model without limits: with backoff, a head whose change took though its answer was lost can come
        again together with its followers. That nothing overtakes it is looked at in `check_order`."""

    def check(self) -> None:
        super().check()
        new = self.metrics.received - self.received
        if new:
            self.received += new
            self.arrived.append((self.now, new))
        if self.breaker is not None and self.engine.gate.only(BREAKER) and self.breaker.state == TRYING:
            begun = [m for m in self.posts.values() if m.posted_at > self.breaker_shut_at]
            assert len(begun) <= 1, "one message at a time is tried"
        if self.breaker is not None and self.breaker.state != TRYING:
            self.breaker_shut_at = self.now

    breaker_shut_at = 0.0
    received = 0

    def check_rate(self) -> None:
        """In no span of time more than burst and rate allow."""
        if not self.per_s:
            return
        for first in range(len(self.arrived)):
            began, total = self.arrived[first][0], 0
            for when, count in self.arrived[first:]:
                total += count
                assert total <= self.burst + self.per_s * (when - began) + 0.01


class LimitsModel(RuleBasedStateMachine):
    world: LimitedWorld

    @initialize(
        fifo=st.booleans(),
        receivers=st.integers(1, 3),
        batch=st.integers(1, 10),
        slots=st.integers(1, 12),
        visibility_s=st.sampled_from((10, 30, 60)),
        receives=st.sampled_from((0, 1, 2, 4)),
        limit=st.sampled_from(((0.0, 0), (5.0, 1), (50.0, 20))),
        failures=st.sampled_from((0, 1, 3)),
        seed=st.integers(0, 2**32),
    )
    def begin(self, limit: tuple[float, int], **more: Any) -> None:
        self.world = LimitedWorld(per_s=limit[0], burst=limit[1], max_bytes=32 << 20, **more)

    @rule(
        count=st.integers(0, 20),
        groups=st.lists(st.sampled_from(GROUPS), min_size=1, max_size=3),
        sqs=st.sampled_from(("well", "well", *sorted(SQS_MODES))),
        handler=st.sampled_from(("well", "rejects", *HANDLER_MODES)),
        letters=st.sampled_from(("well", "well", *LETTER_MODES)),
        seconds=st.sampled_from((0.003, 0.05, 1.0, 6.0, 25.0, 70.0)),
    )
    def a_while(self, count: int, groups: list[str], sqs: str, handler: str, letters: str, seconds: float) -> None:
        world = self.world
        for number in range(count):
            world.send(groups[number % len(groups)])
        world.sqs = sqs
        world.handler = handler
        world.letter_mode = letters
        world.run(seconds)

    @rule(seconds=st.sampled_from((1.0, 40.0)))
    def suspended(self, seconds: float) -> None:
        self.world.engine.shut(SUSPENDED, self.world.now)
        self.world.run(seconds)
        self.world.engine.open(SUSPENDED, self.world.now)

    @rule(seconds=st.sampled_from((1.0, 15.0, 100.0)))
    def the_process_is_stopped(self, seconds: float) -> None:
        self.world.stop(seconds)

    @rule(seconds=st.sampled_from((0.01, 3.0, 30.0)))
    def a_pause(self, seconds: float) -> None:
        self.world.engine.pause(self.world.now)
        self.world.run(seconds)
        self.world.engine.resume(self.world.now)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        world.check_rate()
        world.handler = world.sqs = world.letter_mode = "well"
        if world.random.random() < 0.6:
            self._everything_ends_somewhere()
        self._the_drain_ends()

    def _everything_ends_somewhere(self) -> None:
        world = self.world
        for message in list(world.posts.values()):
            del world.posts[message.id]
            world.engine.answered(message, no_answer("timeout"), world.now)
        for _ in range(90):
            world.run(10.0)
            if all(stored.deleted for stored in world.stored) and not world.engine.hand.by_id:
                break
        left = [(stored.name, stored.visible_at - world.now) for stored in world.stored if not stored.deleted]
        assert not left, f"forgotten: {left}, in hand {world.engine.hand.by_id}, {world.engine.gate.reasons}"
        assert not world.engine.hand.by_id
        assert {stored.name for stored in world.stored} <= world.accepted

    def _the_drain_ends(self) -> None:
        world = self.world
        for _ in range(5):
            world.send("red")
        world.handler = "rejects"
        world.letter_mode = world.random.choice(LETTER_MODES)
        world.run(0.3)
        world.quiet.clear()
        world.engine.drain(world.now, world.now + 25.0)
        world.run(28.1)
        assert world.quiet, f"the drain does not end: {world.engine.hand.by_id}"
        if world.quiet[0]:
            assert not world.engine.hand.by_id


LimitsModel.TestCase.settings = settings(
    max_examples=int(os.environ.get("MODEL_EXAMPLES", "100")),
    stateful_step_count=int(os.environ.get("MODEL_STEPS", "15")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestLimitsModel = LimitsModel.TestCase
