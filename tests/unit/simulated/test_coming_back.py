"""Messages that come back though they are in hand, or were delivered: not POSTed again, deleted by the new receipt."""

from __future__ import annotations

import pytest

from tests.simulation.sqs_faults import Fault
from tests.unit.simulated.world import World


def test_a_delivered_message_that_comes_back_while_its_delete_fails_is_deleted_by_its_new_receipt(world: World) -> None:
    running = world.start()
    world.loop.run_for(1)
    failing = [
        world.fail(f"{name}Batch", code="InternalError", status=500)
        for name in ("DeleteMessage", "ChangeMessageVisibility")
    ]
    world.send("a")
    world.loop.run_for(100)
    assert world.receives()["a"] >= 3
    assert world.handler.bodies() == ["a"]
    for fault in failing:
        fault.times = 0
    world.loop.run_for(2)
    world.check_account()
    assert running.figures()["carrier_duplicates_received_total"] >= 2
    world.loop.run_for(60)
    assert world.handler.bodies() == ["a"]


def test_a_message_that_comes_back_while_the_handler_has_it_is_not_posted_beside_it(world: World) -> None:
    world.handler.answer = lambda _body: (200, 100.0, [])
    running = world.start(WEBHOOK_REQUEST_TIMEOUT="5m")
    world.loop.run_for(1)
    failing = world.fail("ChangeMessageVisibilityBatch", code="InternalError", status=500)
    world.send("slow")
    world.loop.run_for(50)
    failing.times = 0
    world.loop.run_for(40)
    assert world.visible() == [], "the newer receipt is extended"
    world.loop.run_for(20)
    world.check_account()
    assert world.handler.bodies() == ["slow"]
    assert len(running.notes("visibility ran out")) >= 1


def test_a_late_delete_of_what_another_has_received_is_repeated_when_it_comes_back(world: World) -> None:
    """SQS says yes to a delete by an older receipt, and deletes nothing."""
    world.handler.answer = lambda _body: (200, 5.0, [])
    running = world.start()
    world.send("a")
    world.loop.run_for(1)
    world.freeze(running)
    world.loop.run_for(40)
    taken = {"QueueUrl": world.url, "VisibilityTimeout": 60}
    assert world.server.sqs.call("ReceiveMessage", taken, world.loop.wall())["Messages"]
    world.thaw(running)
    world.loop.run_for(5)
    assert world.left() == ["a"]
    world.loop.run_for(60)
    world.check_account()
    assert world.handler.bodies() == ["a"]
    assert len(running.notes("was delivered before came back")) == 1


def test_a_receipt_that_has_expired_before_the_delete_is_followed_by_a_delete_when_it_comes_back() -> None:
    """FIFO queues refuse deletes by a receipt whose time is over."""
    world = World(queue="orders.fifo")
    world.handler.start()
    world.handler.answer = lambda _body: (200, 5.0, [])
    running = world.start()
    world.send("a", MessageGroupId="g", MessageDeduplicationId="a")
    world.loop.run_for(1)
    unavailable = world.fail("ReceiveMessage", code="InternalError", status=500)
    world.freeze(running)
    world.loop.run_for(60)
    world.thaw(running)
    world.loop.run_for(5)
    assert len(running.notes("could not be deleted")) == 1
    assert world.left() == ["a"]
    unavailable.times = 0
    world.loop.run_for(5)
    world.check_account()
    assert world.handler.bodies() == ["a"]


def test_an_extension_that_fails_is_sent_again_before_the_time_is_over(world: World) -> None:
    world.set_queue(VisibilityTimeout="10")
    world.handler.answer = lambda _body: (200, 100.0, [])
    world.start(WEBHOOK_REQUEST_TIMEOUT="5m")
    world.send("slow")
    for _ in range(12):
        world.server.faults.plan(Fault("ChangeMessageVisibilityBatch", times=2, code="InternalError", status=500))
        world.server.faults.plan(Fault("ChangeMessageVisibilityBatch", times=1, omit=(0,)))
        for _ in range(8):
            world.loop.run_for(1)
            assert world.visible() == []
    world.loop.run_for(20)
    world.check_account()
    assert {post.receives for post in world.handler.posts} == {1}


@pytest.mark.parametrize("may_extend", [True, False])
def test_what_comes_late_in_a_long_poll_is_delivered_at_once(world: World, *, may_extend: bool) -> None:
    """The poll took longer than messages stay hidden: only an extension says that it is still ours."""
    world.set_queue(VisibilityTimeout="10")
    if not may_extend:
        world.deny("ChangeMessageVisibilityBatch")
    world.start()
    for number in range(5):
        before = world.calls("ReceiveMessage")
        world.loop.run_while(lambda before=before: world.calls("ReceiveMessage") == before)  # type: ignore[misc]  # a default binds the loop's variable
        world.loop.run_for(15)
        world.send(f"m{number}")
        world.loop.run_for(0.1)
        assert world.handler.bodies()[-1] == f"m{number}"
    world.loop.run_for(30)
    world.check_account()
    assert len(world.handler.posts) == 5
