"""FIFO groups: one message of a group at a time, in order, whatever fails, and whoever else receives from the queue."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.simulation.sqs_faults import Fault
from tests.unit.simulated.world import World

if TYPE_CHECKING:
    from tests.unit.simulated.handler import Reply, ScriptedHandler


class Order:
    """Watches the handlers: which message of which group is with one of them, and in what order they were accepted."""

    def __init__(self, world: World) -> None:
        self.accepted: dict[str, list[str]] = {}
        self.begun: dict[str, list[str]] = {}
        self._world = world
        self._working: dict[str, float] = {}

    def watch(self, handler: ScriptedHandler) -> None:
        """Call it after the handler's `answer` has been set."""
        scripted = handler.answer

        def answer(body: str) -> Reply:
            status, delay_s, headers = scripted(body)
            group = body.partition("-")[0]
            now = self._world.loop.now()
            assert self._working.get(group, 0.0) <= now, f"{body} while another of its group is with a handler"
            self._working[group] = now + delay_s
            self.begun.setdefault(group, []).append(body)
            if 200 <= status < 300:
                self.accepted.setdefault(group, []).append(body)
            return status, delay_s, headers

        handler.answer = answer


def send_groups(world: World, groups: int, each: int) -> dict[str, list[str]]:
    sent: dict[str, list[str]] = {}
    for number in range(each):
        for group in range(groups):
            body = f"g{group}-{number}"
            sent.setdefault(f"g{group}", []).append(body)
            world.send(body, MessageGroupId=f"g{group}", MessageDeduplicationId=body)
    return sent


def fifo_world() -> World:
    world = World(queue="orders.fifo")
    world.handler.start()
    return world


def test_a_group_keeps_its_order_through_failures_and_retries() -> None:
    world = fifo_world()
    failures = {"a-2": 2, "b-1": 1}

    def answer(body: str) -> Reply:
        if failures.get(body, 0):
            failures[body] -= 1
            return (503, 0.1, [("Retry-After", "3")]) if body == "a-2" else (500, 0.1, [])
        return 200, 0.1, []

    world.handler.answer = answer
    order = Order(world)
    order.watch(world.handler)
    world.start()
    for body in ("a-1", "b-1", "a-2", "a-3", "b-2", "a-4"):
        world.send(body, MessageGroupId=body[0], MessageDeduplicationId=body)
    world.loop.run_for(180)
    assert order.begun == {"a": ["a-1", "a-2", "a-2", "a-2", "a-3", "a-4"], "b": ["b-1", "b-1", "b-2"]}
    world.check_account()


def test_groups_go_side_by_side() -> None:
    world = fifo_world()
    world.handler.answer = lambda _body: (200, 1.0, [])
    order = Order(world)
    order.watch(world.handler)
    world.start()
    sent = send_groups(world, groups=10, each=5)
    world.loop.run_for(20)
    assert order.accepted == sent
    assert world.handler.most_at_once == 10
    world.check_account()


def test_a_retry_after_holds_up_its_own_group_only() -> None:
    world = fifo_world()
    first = {"g0-0": True}
    world.handler.answer = lambda body: (
        (503, 0.1, [("Retry-After", "30")]) if first.pop(body, False) else (200, 0.1, [])
    )
    order = Order(world)
    order.watch(world.handler)
    world.start()
    sent = send_groups(world, groups=3, each=4)
    world.loop.run_for(25)
    assert order.accepted == {group: bodies for group, bodies in sent.items() if group != "g0"}
    world.loop.run_for(10)
    assert order.accepted == sent
    world.check_account()
    assert max(post.receives for post in world.handler.posts if not post.body.startswith("g0")) == 1


@pytest.mark.parametrize("seed", range(10))
def test_two_sidecars_keep_the_order_of_every_group(seed: int) -> None:
    """They compete for the groups of one queue while messages fail, take their time, and calls to SQS fail; one of them
    is replaced in the middle of it."""
    world = World(queue="orders.fifo")
    chance = random.Random(seed)
    tries: dict[str, int] = {}

    def answer(body: str) -> Reply:
        tries[body] = tries.get(body, 0) + 1
        lot = chance.random()
        takes_s = chance.choice((0.01, 0.05, 0.5, 3.0))
        if tries[body] <= 2 and lot < 0.1:
            return 500, takes_s, []
        if tries[body] <= 2 and lot < 0.2:
            return 503, takes_s, [("Retry-After", str(chance.randint(0, 40)))]
        return 200, takes_s, []

    order = Order(world)
    for handler in (world.handler, world.add_handler()):
        handler.start()
        handler.answer = answer
        order.watch(handler)
        world.add(handler, SQS_RECEIVERS="2", SQS_RECEIVER_WORKERS="3")
    for action, how in (
        ("ChangeMessageVisibilityBatch", {"code": "InternalError", "status": 500}),
        ("ChangeMessageVisibilityBatch", {"omit": (0,)}),
        ("DeleteMessageBatch", {"code": "InternalError", "status": 500}),
        ("DeleteMessageBatch", {"omit": (0,)}),
        ("ReceiveMessage", {"close_after": True}),
        ("ReceiveMessage", {"code": "RequestThrottled"}),
    ):
        world.server.faults.plan(Fault(action, times=2, **how))
    sent = send_groups(world, groups=6, each=12)
    world.loop.run_for(chance.uniform(1, 40))
    world.running.terminate()
    world.loop.run_for(10)
    world.add(world.handler)
    world.loop.run_for(1500)
    assert world.running.exits == [0]
    assert order.accepted == sent
    world.check_account()
    assert {len(handler.posts) > 0 for handler in world.handlers} == {True}


def test_a_group_whose_head_is_slow_is_extended_as_a_whole() -> None:
    world = fifo_world()
    world.handler.answer = lambda body: (200, 200.0 if body.endswith("-0") else 0.1, [])
    order = Order(world)
    order.watch(world.handler)
    running = world.start(WEBHOOK_REQUEST_TIMEOUT="5m")
    other = world.add_handler()
    other.start()
    world.add(other)
    sent = send_groups(world, groups=1, each=8)
    world.loop.run_for(210)
    assert order.accepted == sent
    assert running.figures()["carrier_visibility_lapsed_total"] == 0
    world.check_account()


def test_a_termination_gives_a_group_back_in_order() -> None:
    world = fifo_world()
    world.handler.answer = lambda _body: (200, 2.0, [])
    order = Order(world)
    order.watch(world.handler)
    first = world.start()
    sent = send_groups(world, groups=2, each=6)
    world.loop.run_for(3)
    second = world.add_handler()
    second.start()
    second.answer = lambda _body: (200, 0.1, [])
    order.watch(second)
    first.terminate()
    world.add(second)
    world.loop.run_for(60)
    assert first.exits == [0]
    assert order.accepted == sent
    world.check_account()


def test_a_receive_without_an_answer_is_repeated_under_its_attempt_id() -> None:
    """SQS hands out the same messages again; they are not hidden for a visibility timeout."""
    world = fifo_world()
    world.server.faults.plan(Fault("ReceiveMessage", times=2, close_after=True))
    order = Order(world)
    order.watch(world.handler)
    sent = send_groups(world, groups=2, each=3)
    world.start()
    world.loop.run_for(5)
    assert order.accepted == sent
    attempts = [
        params["ReceiveRequestAttemptId"] for action, _, params in world.server.seen if action == "ReceiveMessage"
    ]
    assert attempts[0] == attempts[1] == attempts[2]
    assert len(set(attempts)) == len(attempts) - 2
    assert max(post.receives for post in world.handler.posts) == 1
