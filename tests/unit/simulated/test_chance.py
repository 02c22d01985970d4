"""Everything that can go wrong, in an order drawn from a seed: at the end every message is accounted for."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.simulation.sqs_faults import Fault
from tests.unit.simulated.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.simulated.handler import Reply, ScriptedHandler
    from tests.unit.simulated.running import Running

STEPS = 40
CODES = (
    "InternalError", "RequestThrottled", "ServiceUnavailable", "AccessDenied", "ReceiptHandleIsInvalid", "ExpiredToken",
)  # fmt: skip
ACTIONS = ("", "ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "GetQueueAttributes")


class Trouble:
    """Makes trouble of one kind after the other in a world of one or two sidecars. Each kind is a method that draws
    what it needs, and returns what ends it, if that is not at once."""

    def __init__(self, seed: int, *, fifo: bool) -> None:
        self.chance = random.Random(seed)
        self.fifo = fifo
        self.world = World(queue="orders.fifo" if fifo else "orders")
        self.told: list[str] = []
        self._calm = False
        self._ends: list[Callable[[], None]] = []
        self._sent = 0
        self._before: dict[str, str] = {}  # FIFO: what goes before a message in its group
        self._newest: dict[str, str] = {}
        self._pods: list[tuple[ScriptedHandler, Running]] = []
        self.environ = {
            "START_ERRORS": "retry",
            "SQS_RECEIVERS": str(self.chance.randint(1, 3)),
            "SQS_BATCH_SIZE": str(self.chance.randint(1, 10)),
            "SQS_RECEIVER_WORKERS": str(self.chance.choice((1, 2, 10))),
            "WEBHOOK_REQUEST_TIMEOUT": "45s",
            "SHUTDOWN_TIMEOUT": "20s",
        }
        self.world.set_queue(VisibilityTimeout=str(self.chance.choice((0, 12, 30, 120))))
        for number in range(self.chance.randint(1, 2)):
            handler = self.world.add_handler() if number else self.world.handler
            handler.answer = self._answer
            handler.start()
            self._pods.append((handler, self.world.add(handler, **self.environ)))

    def run(self) -> None:
        """All of it, and the calm after it."""
        kinds = (
            self.busy, self.busy, self.busy, self.fault, self.fault, self.away, self.cut, self.stall, self.handler_away,
            self.refusing, self.freeze, self.replace, self.kill, self.clock,
        )  # fmt: skip
        for _ in range(STEPS):
            kind = self.chance.choice(kinds)
            self.told.append(f"{self.world.loop.now():.1f} {kind.__name__}")
            end = kind()
            if end is not None:
                self._ends.append(end)
            self.world.loop.run_for(self.chance.choice((0.05, 1.0, 5.0, 30.0)) * self.chance.random())
            while self._ends and self.chance.random() < 0.5:
                self._ends.pop(self.chance.randrange(len(self._ends)))()
        for end in self._ends:
            end()
        self.world.server.faults.clear()
        self._calm = True
        self.world.loop.run_for(600)
        self.world.loop.run_for(600)

    # What is always going on

    def busy(self) -> None:
        for _ in range(self.chance.randint(1, 30)):
            self._sent += 1
            body = f"m{self._sent}"
            if self.fifo:
                group = f"g{self.chance.randint(0, 5)}"
                self._before[body] = self._newest.get(group, "")
                self._newest[group] = body
                self.world.send(body, MessageGroupId=group, MessageDeduplicationId=body)
            else:
                self.world.send(body)

    def _answer(self, body: str) -> Reply:
        before = self._before.get(body)
        if before:
            done = any(before in handler.done for handler in self.world.handlers)
            assert done, f"{body} was begun before {before} was done"
        if self._calm:
            return 200, 0.1, []
        lot = self.chance.random()
        takes_s = self.chance.choice((0.0, 0.01, 0.3, 3.0, 40.0 if lot < 0.05 else 0.1))
        if lot < 0.1:
            return 500, takes_s, []
        if lot < 0.2:
            return 503, takes_s, [("Retry-After", str(self.chance.randint(0, 90)))]
        return 200, takes_s, []

    # Trouble

    def fault(self) -> None:
        how: dict[str, object] = self.chance.choice(
            [
                {"code": self.chance.choice(CODES), "status": 400},
                {"close_before": True},
                {"close_after": True},
                {"raw": b"what?"},
                {"delay_s": self.chance.choice((0.5, 8.0, 40.0))},
                {"omit": (0, 3)},
                {"fail": (0, 1, 5), "code": self.chance.choice(CODES)},
            ]
        )
        times = self.chance.choice((1, 1, 3, 20))
        self.world.server.faults.plan(Fault(self.chance.choice(ACTIONS), times=times, **how))  # type: ignore[arg-type]  # of that fault

    def away(self) -> Callable[[], None]:
        endpoint = self.world.sqs
        knob = self.chance.choice(("refuse", "unreachable", "blackhole"))
        setattr(endpoint, knob, True)
        endpoint.reset_all()
        return lambda: setattr(endpoint, knob, False)

    def cut(self) -> None:
        handler, _ = self.chance.choice(self._pods)
        endpoint = self.world.loop.network.endpoint(handler.host, handler.port)
        self.chance.choice((self.world.sqs, endpoint)).reset_all()

    def stall(self) -> Callable[[], None]:
        handler, _ = self.chance.choice(self._pods)
        endpoint = self.chance.choice((self.world.sqs, self.world.loop.network.endpoint(handler.host, handler.port)))
        endpoint.stalled = True
        return lambda: setattr(endpoint, "stalled", False)

    def handler_away(self) -> Callable[[], None] | None:
        handler, _ = self.chance.choice(self._pods)
        if not handler.listening:
            return None
        handler.stop()
        return lambda: None if handler.listening else handler.start()

    def refusing(self) -> Callable[[], None]:
        action = self.chance.choice(ACTIONS[1:])
        denied = self.world.deny(action)
        return lambda: setattr(denied, "times", 0)

    def freeze(self) -> Callable[[], None] | None:
        running = self.chance.choice(self._pods)[1]
        if running.process.ended or running.process.frozen:
            return None
        running.process.freeze()
        return running.process.thaw

    def replace(self) -> None:
        number = self.chance.randrange(len(self._pods))
        running = self._pods[number][1]
        if not running.process.ended and not running.process.frozen:
            running.terminate()
            self.world.loop.run_for(25.0 * self.chance.random())
            self._renew(number)

    def kill(self) -> None:
        number = self.chance.randrange(len(self._pods))
        handler, running = self._pods[number]
        running.kill()
        if handler.listening:
            handler.stop()
            handler.start()
        self._renew(number)

    def _renew(self, number: int) -> None:
        handler, running = self._pods[number]
        running.kill()
        self._pods[number] = (handler, self.world.add(handler, **self.environ))

    def clock(self) -> None:
        running = self.chance.choice(self._pods)[1]
        running.process.wall_offset_s = self.chance.choice((-7200.0, -30.0, 0.0, 200.0, 7200.0))

    # The end

    def check(self) -> None:
        world = self.world
        told = "\n".join(self.told[-15:])
        assert world.left() == [], told
        world.check_account(duplicates=10**9)
        for _, running in self._pods:
            hand = running.sidecar.engine.hand
            assert not hand.by_id, told
            assert (hand.bytes, hand.waiting, hand.posting) == (0, 0, 0)
            assert not hand.groups
            assert running.reasons() == [], told
        hours = world.loop.now() / 3600
        for running in world.all_running:
            assert len(running.lines.written) <= 3000 * hours, told
        assert world.calls() <= 20_000 * hours


@pytest.mark.parametrize("fifo", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_every_message_is_accounted_for_after_any_trouble(seed: int, *, fifo: bool) -> None:
    trouble = Trouble(seed, fifo=fifo)
    trouble.run()
    trouble.check()
