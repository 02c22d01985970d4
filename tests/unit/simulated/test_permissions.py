"""What SQS refuses: found at the start or later, said once, and mended without a restart where that can be."""

from __future__ import annotations

import pytest

from tests.unit.simulated.world import World


def test_without_the_permission_to_read_attributes_it_uses_thirty_seconds_and_says_so_once(world: World) -> None:
    denied = world.deny("GetQueueAttributes")
    world.set_queue(VisibilityTimeout="120")
    world.handler.answer = lambda _body: (200, 100.0, [])
    running = world.start(WEBHOOK_REQUEST_TIMEOUT="5m")
    world.send("a")
    world.loop.run_for(1)
    assert world.server.seen[-1][2]["VisibilityTimeout"] == 30
    world.loop.run_for(3600)
    world.check_account()
    assert world.handler.bodies() == ["a"]
    (line,) = running.notes("attributes may not be read")
    assert "AccessDenied" in line["error"]
    denied.times = 0
    world.loop.run_for(320)
    assert running.sidecar.engine.heartbeat.visibility_s == 120


def test_a_visibility_that_was_read_is_kept_while_the_attributes_may_no_longer_be_read(world: World) -> None:
    world.set_queue(VisibilityTimeout="120")
    running = world.start()
    world.loop.run_for(10)
    world.deny("GetQueueAttributes")
    world.loop.run_for(3600)
    assert running.sidecar.engine.heartbeat.visibility_s == 120
    assert len(running.notes("attributes")) == 1
    assert running.notes("30 s") == []


def test_without_the_permission_to_extend_it_delivers_and_says_so_once(world: World) -> None:
    world.handler.answer = lambda _body: (200, 60.0, [])
    world.deny("ChangeMessageVisibilityBatch")
    running = world.start(WEBHOOK_REQUEST_TIMEOUT="5m")
    world.send("a", "b")
    world.loop.run_for(130)
    assert len(running.notes("without heartbeat")) == 1
    assert {post.body for post in world.handler.posts} == {"a", "b"}
    world.loop.run_for(200)
    world.handler.answer = lambda _body: (200, 1.0, [])
    world.loop.run_for(200)
    world.send("c")
    world.loop.run_for(10)
    assert world.left() == []
    assert running.reasons() == []


def test_refused_deletes_stop_receiving_until_they_are_granted(world: World) -> None:
    denied = world.deny("DeleteMessageBatch")
    running = world.start()
    world.send("a")
    world.loop.run_for(25)
    assert running.reasons() == ["delete_denied"]
    assert len(running.notes("SQS refuses DeleteMessage")) == 1
    receives = world.calls("ReceiveMessage")
    deletes = world.calls("DeleteMessageBatch")
    world.send("b")
    world.loop.run_for(600)
    assert world.calls("ReceiveMessage") == receives
    assert world.calls("DeleteMessageBatch") - deletes <= 600 / 15 + 5
    assert world.visible() == ["b"], "what was delivered stays hidden"
    denied.times = 0
    world.loop.run_for(40)
    assert running.reasons() == []
    world.check_account()
    assert world.handler.bodies() == ["a", "b"]


def test_a_queue_that_is_refused_at_the_start_ends_the_process(world: World) -> None:
    world.deny("GetQueueUrl")
    running = world.start()
    world.loop.run_for(10)
    assert running.exits == [3]
    (line,) = running.notes("cannot be used")
    for part in ("GetQueueUrl", "orders", "key", "environment", "sqs:GetQueueUrl"):
        assert part in line["error"]


def test_a_queue_that_does_not_exist_may_also_be_one_without_access() -> None:
    world = World()
    world.handler.start()
    world.server.sqs.queues.clear()
    running = world.start()
    world.loop.run_for(10)
    assert running.exits == [3]
    (line,) = running.notes("cannot be used")
    assert "either there is no such queue" in line["error"]
    assert "access to it is missing" in line["error"]


@pytest.mark.parametrize("action", ["GetQueueUrl", "ReceiveMessage"])
def test_where_start_errors_are_retried_it_waits_not_ready_until_it_is_granted(world: World, action: str) -> None:
    denied = world.deny(action)
    running = world.start(START_ERRORS="retry")
    world.send("a")
    world.loop.run_for(600)
    assert running.exits == []
    assert len(running.reasons()) == 1
    assert world.calls(action) <= 600 / 15 + 10
    assert len(running.lines.written) <= 600 / 30 + 10
    denied.times = 0
    world.loop.run_for(31)
    assert running.reasons() == []
    world.check_account()


def test_a_receive_that_is_refused_at_the_start_ends_the_process(world: World) -> None:
    world.deny("ReceiveMessage")
    running = world.start()
    world.loop.run_for(10)
    assert running.exits == [3]
    (line,) = running.notes("cannot be used")
    assert "grant sqs:ReceiveMessage" in line["error"]


def test_a_receive_that_is_refused_later_on_is_waited_out(world: World) -> None:
    running = world.start()
    world.loop.run_for(30)
    denied = world.deny("ReceiveMessage")
    world.send("a")
    world.loop.run_for(300)
    assert running.exits == []
    assert running.reasons() == ["receive_refused"]
    denied.times = 0
    world.loop.run_for(31)
    assert running.reasons() == []
    world.check_account()


def test_an_error_of_the_key_names_the_permission_on_it(world: World) -> None:
    world.fail("ReceiveMessage", code="KmsAccessDenied", status=400, message="not allowed to use the key")
    running = world.start(START_ERRORS="retry")
    world.loop.run_for(10)
    line = running.notes("failed to receive")[0]
    assert line["kind"] == "kms"
    assert "kms:Decrypt" in line["error"]
    assert running.reasons() == ["receive_refused"]


def test_a_queue_that_is_deleted_while_it_runs_is_not_asked_in_a_tight_loop(world: World) -> None:
    running = world.start()
    world.loop.run_for(30)
    world.server.sqs.queues.clear()
    before = world.calls()
    world.loop.run_for(600)
    assert world.calls() - before <= 600 / 15 + 10
    assert running.exits == []
    assert running.reasons() == ["receive_refused"]
    world.server.sqs.call("CreateQueue", {"QueueName": "orders"}, world.loop.wall())
    world.send("a")
    world.loop.run_for(31)
    world.check_account()
