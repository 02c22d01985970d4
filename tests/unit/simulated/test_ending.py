"""The end: by a signal, a second one, or the end of the time; what is given back, and what it costs."""

from __future__ import annotations

import pytest

from tests.simulation.sqs_faults import Fault
from tests.unit.simulated.world import World


def test_an_idle_sidecar_ends_within_two_seconds(world: World) -> None:
    running = world.start()
    world.loop.run_for(7)
    began = world.loop.now()
    running.terminate()
    world.loop.run_for(5)
    assert running.exits == [0]
    assert running.ended_at - began <= 2.05
    assert [line["msg"] for line in running.lines.written[-2:]] == [
        "draining: nothing more is received; the handler may finish what it has",
        "drained",
    ]


@pytest.mark.parametrize("away", ["handler", "queue"])
def test_a_sidecar_that_never_got_to_work_ends_at_once(away: str) -> None:
    world = World()
    if away == "queue":
        world.handler.start()
        world.sqs.refuse = True
    running = world.start()
    world.loop.run_for(7)
    began = world.loop.now()
    running.terminate()
    world.loop.run_for(5)
    assert running.exits == [0]
    assert running.ended_at - began <= 0.1


def test_what_a_receive_on_the_wire_brings_is_given_back(world: World) -> None:
    running = world.start()
    world.loop.run_for(7)
    running.terminate()
    world.loop.run_for(0.5)
    world.send("just", "now")
    world.loop.run_for(0.1)
    world.loop.run_for(2)
    assert running.exits == [0]
    assert world.handler.posts == []
    assert sorted(world.visible()) == ["just", "now"]
    assert world.receives() == {"just": 1, "now": 0}


def test_what_crosses_the_end_comes_back_by_its_visibility_timeout(world: World) -> None:
    running = world.start()
    world.loop.run_for(7)
    world.sqs.latency_s = 0.5
    running.terminate()
    world.loop.run_for(1.8)
    world.send("crossing")  # its answer is on its way when the connection is closed
    world.loop.run_for(5)
    assert running.exits == [0]
    assert world.receives() == {"crossing": 1}
    world.loop.run_for(30)
    assert world.visible() == ["crossing"]


def test_what_has_not_begun_is_given_back_and_the_rest_is_finished(world: World) -> None:
    world.handler.answer = lambda _body: (200, 0.01, [])
    running = world.start(SQS_RECEIVER_WORKERS="2")
    world.send("first", "second")
    world.loop.run_for(2)
    world.handler.answer = lambda _body: (200, 8.0, [])
    world.send(*(f"m{number}" for number in range(30)))
    world.loop.run_for(1)
    begun = world.handler.bodies()[2:]
    waiting = running.sidecar.engine.hand.waiting
    assert waiting >= 8
    running.terminate()
    world.loop.run_for(0.1)
    assert len(world.visible()) >= waiting
    world.loop.run_for(12)
    assert running.exits == [0]
    assert world.handler.bodies()[2:] == begun
    world.check_account(left=30 - len(begun))
    assert set(world.receives().values()) <= {0, 1}


def test_a_receive_is_awaited_while_the_handler_works_and_two_seconds_beyond(world: World) -> None:
    world.handler.answer = lambda _body: (200, 8.0, [])
    running = world.start()
    world.send("a")
    world.loop.run_for(1)
    running.terminate()
    world.loop.run_for(6)
    world.send("late")
    world.loop.run_for(0.1)
    assert world.receives()["late"] == 1
    assert "late" in world.visible()
    world.loop.run_for(5)
    assert running.exits == [0]
    world.check_account(left=1)


def test_a_handler_that_hangs_bounds_the_end_and_its_messages_go_back(world: World) -> None:
    world.handler.answer = lambda _body: (200, 9999.0, [])
    running = world.start(SHUTDOWN_TIMEOUT="10s")
    world.send("a", "b")
    world.loop.run_for(1)
    began = world.loop.now()
    running.terminate()
    world.loop.run_for(20)
    assert running.exits == [1]
    assert 10 <= running.ended_at - began <= 10.2
    assert len(running.notes("cut off")) == 2
    assert len(running.notes("not everything could be finished")) == 1
    assert sorted(world.visible()) == ["a", "b"]
    assert max(world.receives().values()) <= 2, "its own poll, still awaited, may get them once more"


def test_a_second_signal_ends_it_at_once(world: World) -> None:
    world.handler.answer = lambda _body: (200, 9999.0, [])
    running = world.start()
    world.send("a", "b")
    world.loop.run_for(1)
    running.terminate()
    world.loop.run_for(3)
    assert running.exits == []
    running.terminate()
    world.loop.run_for(0.2)
    assert running.exits == [1]
    assert sorted(world.visible()) == ["a", "b"]
    assert len(running.notes("cut off")) == 2


def test_settles_have_three_seconds_more_while_sqs_is_away(world: World) -> None:
    running = world.start(SHUTDOWN_TIMEOUT="5s")
    world.loop.run_for(1)
    world.fail("DeleteMessageBatch", code="InternalError", status=500)
    world.send("accepted")
    world.loop.run_for(1)
    began = world.loop.now()
    running.terminate()
    world.loop.run_for(20)
    assert running.exits == [1]
    assert 8 <= running.ended_at - began <= 8.2
    assert world.left() == ["accepted"]


def test_an_sqs_that_hangs_does_not_prolong_the_end(world: World) -> None:
    world.handler.answer = lambda _body: (200, 2.0, [])
    running = world.start(SHUTDOWN_TIMEOUT="10s")
    world.send("a")
    world.loop.run_for(1)
    world.sqs.stalled = True
    began = world.loop.now()
    running.terminate()
    world.loop.run_for(30)
    assert running.exits == [1]
    assert running.ended_at - began <= 13.2
    world.check_account(left=1)


def test_a_delete_that_fails_at_the_end_is_tried_again_before_it(world: World) -> None:
    world.handler.answer = lambda _body: (200, 2.0, [])
    running = world.start()
    world.send("a", "b")
    world.loop.run_for(1)
    world.server.faults.plan(Fault("DeleteMessageBatch", times=3, code="InternalError", status=500))
    running.terminate()
    world.loop.run_for(10)
    assert running.exits == [0]
    world.check_account()


def test_killed_it_loses_nothing_and_its_successor_finishes(world: World) -> None:
    world.handler.answer = lambda _body: (200, 1.0, [])
    first = world.start()
    world.send(*(f"m{number}" for number in range(60)))
    world.loop.run_for(2.5)
    first.kill()
    world.handler.stop()
    world.handler.start()
    world.start()
    world.loop.run_for(60)
    world.check_account(duplicates=10)
    assert max(post.receives for post in world.handler.posts) == 2


def test_what_was_with_the_handler_when_the_process_was_stopped_for_a_minute_is_not_posted_again(world: World) -> None:
    """As by SIGSTOP, or on a node that sleeps: what it should have heard arrives at once afterwards."""
    world.handler.answer = lambda _body: (200, 5.0, [])
    running = world.start()
    world.send("a")
    world.loop.run_for(1)
    world.freeze(running)
    world.loop.run_for(60)
    assert world.visible() == ["a"]
    world.thaw(running)
    world.loop.run_for(5)
    assert len(running.notes("visibility ran out while it was in hand")) == 1
    assert world.handler.bodies() == ["a"]
    world.check_account()


def test_a_delete_after_the_visibility_has_run_out_is_said_to_be_late(world: World) -> None:
    """As before, while nothing can be received: the message does not come back by itself."""
    world.handler.answer = lambda _body: (200, 5.0, [])
    running = world.start()
    world.send("a")
    world.loop.run_for(1)
    world.fail("ReceiveMessage", code="InternalError", status=500)
    world.freeze(running)
    world.loop.run_for(60)
    world.thaw(running)
    world.loop.run_for(5)
    assert len(running.notes("a delete is sent after the visibility timeout")) == 1
    assert running.figures()["carrier_late_deletes_total"] == 1
    world.check_account()
