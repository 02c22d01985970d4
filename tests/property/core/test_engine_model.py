"""The engine against a model of SQS, a handler and a network with faults, in virtual time.

MODEL_EXAMPLES and MODEL_STEPS in the environment make it longer: 4000 and 40 take some minutes.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from carrier_sidecar.disposition import no_answer
from carrier_sidecar.gate import DRAINING
from carrier_sidecar.stopping import LAST_SETTLES_S
from tests.property.core.world import HANDLER_MODES, SQS_MODES, World

BUDGET_S = 25.0
GROUPS = ("red", "blue", "green")


class EngineModel(RuleBasedStateMachine):
    """Sends, faults and time in any order; the world checks each effect. At the end everything must be delivered, and a
    drain must end in time.
    """

    world: World

    @initialize(
        fifo=st.booleans(),
        receivers=st.integers(1, 3),
        batch=st.integers(1, 10),
        slots=st.integers(1, 12),
        visibility_s=st.sampled_from((10, 12, 30, 60)),
        max_bytes=st.sampled_from((50, 1000, 32 << 20)),
        seed=st.integers(0, 2**32),
    )
    def begin(
        self, fifo: bool, receivers: int, batch: int, slots: int, visibility_s: int, max_bytes: int, seed: int
    ) -> None:
        self.world = World(
            fifo=fifo,
            receivers=receivers,
            batch=batch,
            slots=slots,
            visibility_s=visibility_s,
            max_bytes=max_bytes,
            seed=seed,
        )

    @rule(
        count=st.integers(0, 30),
        groups=st.lists(st.sampled_from(GROUPS), min_size=1, max_size=3),
        sqs=st.sampled_from(("well", *sorted(SQS_MODES))),
        handler=st.sampled_from(("well", *HANDLER_MODES)),
        latency_s=st.sampled_from((0.001, 0.05, 0.05, 2.0)),
        seconds=st.sampled_from((0.003, 0.05, 1.0, 6.0, 25.0, 70.0)),
    )
    def a_while(self, count: int, groups: list[str], sqs: str, handler: str, latency_s: float, seconds: float) -> None:
        world = self.world
        for number in range(count):
            world.send(groups[number % len(groups)])
        world.sqs = sqs
        world.handler = handler
        world.latency_becomes(latency_s)
        world.run(seconds)

    @rule(seconds=st.sampled_from((0.05, 6.0, 70.0)))
    def the_same_for_longer(self, seconds: float) -> None:
        self.world.run(seconds)

    @rule()
    def a_message_shows_twice(self) -> None:
        self.world.duplicate()

    @rule(seconds=st.sampled_from((1.0, 15.0, 100.0)))
    def the_process_is_stopped(self, seconds: float) -> None:
        self.world.stop(seconds)

    @rule(seconds=st.sampled_from((10, 30, 60)))
    def the_queues_visibility_becomes(self, seconds: int) -> None:
        self.world.engine.set_visibility(seconds)

    @rule(seconds=st.sampled_from((0.01, 1.0, 3.0, 30.0)))
    def a_pause(self, seconds: float) -> None:
        self.world.engine.pause(self.world.now)
        self.world.run(seconds)
        self.world.engine.resume(self.world.now)

    @rule()
    def handler_goes_offline(self) -> None:
        self.world.engine.handler_offline(self.world.now)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        hung = world.handler == "hangs"
        if world.random.random() < 0.5:  # else the drain begins in whatever state this is
            world.handler = "well"
            world.sqs = "well"
            world.latency_becomes(0.01)
            self._everything_is_delivered()
        self._the_drain_ends(hung)

    def _everything_is_delivered(self) -> None:
        world = self.world
        for message in list(world.posts.values()):  # what hangs ends some time
            del world.posts[message.id]
            world.engine.answered(message, no_answer("timeout"), world.now)
        for _ in range(60):
            world.run(10.0)
            if all(stored.deleted for stored in world.stored) and not world.engine.hand.by_id:
                break
        left = [(stored.name, stored.visible_at - world.now) for stored in world.stored if not stored.deleted]
        assert not left, f"forgotten: {left}, in hand {world.engine.hand.by_id}"
        assert not world.engine.hand.by_id

    def _the_drain_ends(self, hung: bool) -> None:
        world = self.world
        if hung:
            world.handler = "hangs"
        for _ in range(5):
            world.send("red")
        world.run(0.3)
        world.quiet.clear()
        world.sqs = world.random.choice(sorted(SQS_MODES))
        world.engine.drain(world.now, world.now + BUDGET_S)
        assert DRAINING in world.engine.gate.reasons
        if world.random.random() < 0.3:
            world.run(1.0)
            world.engine.cut(world.now)  # a second signal
            world.run(LAST_SETTLES_S + 0.1)
        else:
            world.run(BUDGET_S + LAST_SETTLES_S + 0.1)
        assert len(world.quiet) == 1, f"told {len(world.quiet)} times that it ends: {world.engine.hand.by_id}"
        assert not world.posts
        if world.quiet[0]:
            assert not world.engine.hand.by_id
            assert not world.polls


EngineModel.TestCase.settings = settings(
    max_examples=int(os.environ.get("MODEL_EXAMPLES", "150")),
    stateful_step_count=int(os.environ.get("MODEL_STEPS", "20")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestEngineModel = EngineModel.TestCase
