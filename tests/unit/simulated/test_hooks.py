"""The drain and pause hooks: when they are answered, what they end, and what goes on afterwards."""

from __future__ import annotations

import pytest

from tests.unit.simulated.running import TOKEN
from tests.unit.simulated.world import World

DRAIN, PAUSE = f"/drain/{TOKEN}", f"/pause/{TOKEN}"


def test_a_wrong_token_is_an_unknown_path(world: World) -> None:
    running = world.start()
    for path in ("/drain/wrong", "/pause/wrong", "/drain/", "/pause", f"/drain/{TOKEN}x", f"/suspend/{TOKEN[:-1]}"):
        assert running.get(path).status == 404
    world.loop.run_for(5)
    assert running.reasons() == []


# -- draining


def test_a_drain_is_answered_when_the_handler_has_finished_what_it_had(world: World) -> None:
    world.handler.answer = lambda _body: (200, 8.0, [])
    running = world.start()
    world.send("a", "b")
    world.loop.run_for(1)
    asked = running.ask(DRAIN)
    world.loop.run_for(6)
    assert asked.status == 0
    assert running.reasons() == ["draining"]
    world.loop.run_for(4)
    assert asked.status == 200
    assert 10 <= asked.at - world.handler.posts[0].at <= 10.1, "the poll on the wire is awaited for 2 s more"
    world.check_account()


def test_a_drained_process_stays_until_the_signal_and_receives_nothing(world: World) -> None:
    running = world.start()
    world.loop.run_for(1)
    assert running.get(DRAIN).status == 200
    receives = world.calls("ReceiveMessage")
    world.send("late")
    world.loop.run_for(600)
    assert running.exits == []
    assert running.get("/livez").status == 200
    assert world.calls("ReceiveMessage") == receives
    assert world.receives() == {"late": 0}
    running.terminate()
    world.loop.run_for(0.1)
    assert running.exits == [0]


def test_a_drain_that_could_not_finish_everything_waits_for_the_signal_too(world: World) -> None:
    world.handler.answer = lambda _body: (200, 9999.0, [])
    running = world.start(SHUTDOWN_TIMEOUT="10s")
    world.send("stuck")
    world.loop.run_for(1)
    began = world.loop.now()
    asked = running.ask(DRAIN)
    world.loop.run_for(60)
    assert asked.status == 200
    assert 10 <= asked.at - began <= 10.1
    assert len(running.notes("cut off")) == 1
    assert world.visible() == ["stuck"]
    assert running.exits == []
    running.terminate()
    world.loop.run_for(0.1)
    assert running.exits == [1]
    assert world.handler.bodies() == ["stuck"]


def test_a_drain_whose_settles_do_not_get_through_ends_with_the_signal(world: World) -> None:
    running = world.start(SHUTDOWN_TIMEOUT="10s")
    world.loop.run_for(1)
    world.fail("DeleteMessageBatch", code="InternalError", status=500)
    world.send("accepted")
    world.loop.run_for(1)
    asked = running.ask(DRAIN)
    world.loop.run_for(60)
    assert asked.status == 200
    assert running.exits == []
    running.terminate()
    world.loop.run_for(0.1)
    assert running.exits == [1]


def test_a_drain_and_the_signal_share_one_budget(world: World) -> None:
    world.handler.answer = lambda _body: (200, 9999.0, [])
    running = world.start(SHUTDOWN_TIMEOUT="20s")
    world.send("stuck")
    world.loop.run_for(1)
    asked = running.ask(DRAIN)
    began = world.loop.now()
    world.loop.run_for(15)
    running.terminate()
    world.loop.run_for(4.9)
    assert running.exits == []
    world.loop.run_for(0.5)
    assert running.exits == [1]
    assert 20 <= running.ended_at - began <= 20.2
    assert asked.status in (200, -1)
    assert world.visible() == ["stuck"]


def test_the_signal_and_then_the_hook_share_it_too(world: World) -> None:
    world.handler.answer = lambda _body: (200, 9999.0, [])
    running = world.start(SHUTDOWN_TIMEOUT="20s")
    world.send("stuck")
    world.loop.run_for(1)
    running.terminate()
    began = world.loop.now()
    world.loop.run_for(15)
    running.ask(DRAIN)
    world.loop.run_for(6)
    assert running.exits == [1]
    assert 20 <= running.ended_at - began <= 20.2


def test_a_drain_hook_after_the_signal_does_not_keep_the_process(world: World) -> None:
    world.handler.answer = lambda _body: (200, 5.0, [])
    running = world.start()
    world.send("a")
    world.loop.run_for(1)
    running.terminate()
    asked = running.ask(DRAIN)
    world.loop.run_for(8)
    assert asked.status == 200
    assert running.exits == [0]
    world.check_account()


# -- pausing


def test_a_pause_is_answered_when_nothing_is_in_hand(world: World) -> None:
    world.handler.answer = lambda _body: (200, 8.0, [])
    running = world.start(SQS_RECEIVER_WORKERS="2")
    world.send("a", "b", "c")
    world.loop.run_for(1)
    asked = running.ask(PAUSE)
    world.loop.run_for(6.9)
    assert asked.status == 0
    world.loop.run_for(0.3)
    assert asked.status == 200
    assert running.reasons() == ["paused"]
    world.check_account(left=1)
    assert world.visible() == ["c"]


def test_a_pause_ends_once_the_handler_was_gone_and_is_back(world: World) -> None:
    running = world.start()
    world.loop.run_for(1)
    running.get(PAUSE)
    world.loop.run_for(3)
    world.handler.stop()
    world.loop.run_for(20)
    world.send("meanwhile")
    world.loop.run_for(5)
    assert running.reasons() == ["paused"]
    assert world.receives() == {"meanwhile": 0}
    world.handler.start()
    world.loop.run_for(0.5)
    assert [(post.body, post.receives) for post in world.handler.posts] == [("meanwhile", 1)]
    assert running.reasons() == []
    assert len(running.notes("after a pause")) == 1


def test_with_a_health_endpoint_a_failed_check_says_that_the_handler_was_gone(world: World) -> None:
    running = world.start(WEBHOOK_HEALTH_CHECK_ENDPOINT=f"{world.handler.url}/healthz")
    world.loop.run_for(1)
    running.get(PAUSE)
    world.loop.run_for(3)
    world.handler.health = 503
    world.loop.run_for(10)
    assert running.reasons() == ["paused"]
    world.handler.health = 200
    world.loop.run_for(0.5)
    assert running.reasons() == []


def test_a_handler_that_is_back_within_a_moment_was_seen_going_away(world: World) -> None:
    running = world.start()
    world.loop.run_for(1)
    running.get(PAUSE)
    world.loop.run_for(3.03)
    world.handler.stop()
    world.loop.run_for(0.25)
    world.handler.start()
    world.loop.run_for(1)
    assert running.reasons() == []


def test_a_pause_after_which_the_handler_never_went_away_ends_after_thirty_seconds(world: World) -> None:
    running = world.start()
    world.loop.run_for(1)
    asked = running.get(PAUSE)
    world.loop.run_until(asked.at + 29.5)
    assert running.reasons() == ["paused"]
    world.loop.run_until(asked.at + 30.5)
    assert running.reasons() == []
    world.send("after")
    world.loop.run_for(1)
    world.check_account()


def test_a_pause_lasts_at_least_until_its_hook_is_answered(world: World) -> None:
    """The app is alive, and messages are finished, while the hook waits: that says nothing about its end."""
    world.handler.answer = lambda _body: (200, 50.0, [])
    running = world.start(SHUTDOWN_TIMEOUT="60s", WEBHOOK_HEALTH_CHECK_ENDPOINT=f"{world.handler.url}/healthz")
    world.send("long")
    world.loop.run_for(1)
    asked = running.ask(PAUSE)
    world.loop.run_for(5)
    world.handler.health = 500
    world.loop.run_for(2)
    world.handler.health = 200
    world.loop.run_for(35)
    world.send("later")
    world.loop.run_for(5)
    assert world.receives()["later"] == 0
    world.loop.run_for(5)
    assert asked.status == 200
    world.loop.run_for(20)
    assert running.reasons() == ["paused"], "30 s count from the answer"
    world.loop.run_for(15)
    assert running.reasons() == []
    world.loop.run_for(60)
    world.check_account()


def test_a_pause_hook_is_answered_after_the_shutdown_timeout_and_the_post_goes_on(world: World) -> None:
    world.handler.answer = lambda _body: (200, 40.0, [])
    running = world.start(SHUTDOWN_TIMEOUT="10s")
    world.send("long")
    world.loop.run_for(1)
    began = world.loop.now()
    asked = running.ask(PAUSE)
    world.loop.run_for(11)
    assert asked.status == 200
    assert 10 <= asked.at - began <= 10.1
    assert running.notes("cut off") == []
    world.loop.run_for(60)
    world.check_account()
    assert world.handler.bodies() == ["long"]


def test_two_pauses_are_both_answered_and_the_later_one_counts(world: World) -> None:
    world.handler.answer = lambda _body: (200, 6.0, [])
    running = world.start()
    world.send("a")
    world.loop.run_for(1)
    first = running.ask(PAUSE)
    world.loop.run_for(1)
    second = running.ask(PAUSE)
    world.loop.run_for(6.1)
    assert (first.status, second.status) == (200, 200)
    world.loop.run_for(20)
    third = running.get(PAUSE)
    assert third.status == 200
    world.loop.run_until(third.at + 29)
    assert running.reasons() == ["paused"]
    world.loop.run_for(2)
    assert running.reasons() == []
    assert len(running.notes("paused by")) == 1


def test_a_pause_during_a_drain_neither_ends_nor_prolongs_it(world: World) -> None:
    world.handler.answer = lambda _body: (200, 6.0, [])
    running = world.start()
    world.send("a")
    world.loop.run_for(1)
    drain = running.ask(DRAIN)
    world.loop.run_for(2)
    pause = running.ask(PAUSE)
    world.loop.run_for(6)
    assert (drain.status, pause.status) == (200, 200)
    receives = world.calls("ReceiveMessage")
    world.loop.run_for(120)
    assert world.calls("ReceiveMessage") == receives
    assert "draining" in running.reasons()
    running.terminate()
    world.loop.run_for(0.1)
    assert running.exits == [0]


def test_a_drain_during_a_pause_is_for_good(world: World) -> None:
    running = world.start()
    world.loop.run_for(1)
    running.get(PAUSE)
    assert running.get(DRAIN).status == 200
    world.handler.stop()
    world.loop.run_for(3)
    world.handler.start()
    world.send("late")
    world.loop.run_for(120)
    assert world.receives() == {"late": 0}
    assert running.exits == []
    running.terminate()
    world.loop.run_for(0.1)
    assert running.exits == [0]


def test_a_signal_during_a_pause_ends_the_process(world: World) -> None:
    running = world.start()
    world.loop.run_for(1)
    running.get(PAUSE)
    world.handler.stop()
    world.loop.run_for(5)
    running.terminate()
    world.loop.run_for(0.1)
    assert running.exits == [0]


def test_an_app_that_is_restarted_through_a_pause_is_no_reason_to_exit(world: World) -> None:
    health = f"{world.handler.url}/healthz"
    running = world.start(WEBHOOK_OFFLINE_ACTION="exit", WEBHOOK_HEALTH_CHECK_ENDPOINT=health)
    world.loop.run_for(1)
    running.get(PAUSE)
    world.handler.stop()
    world.loop.run_for(20)
    assert running.exits == []
    world.handler.start()
    world.loop.run_for(1)
    assert running.reasons() == []
    assert running.notes("offline") == []


def test_an_app_that_does_not_come_back_after_a_pause_is_offline(world: World) -> None:
    running = world.start(WEBHOOK_OFFLINE_ACTION="exit")
    world.loop.run_for(1)
    running.get(PAUSE)
    world.handler.stop()
    world.loop.run_for(40)
    assert running.exits == [4]


def test_a_pause_waits_for_the_other_sidecars_of_the_pod(world: World) -> None:
    """Two bindings, one app: its one hook goes to the first sidecar, which asks the other."""
    world.handler.answer = lambda _body: (200, 8.0, [])
    first = world.start(PAUSE_PEERS="127.0.0.1:9465")
    second = world.start()
    world.loop.run_for(1)
    world.send("a")
    world.loop.run_while(lambda: not world.handler.posts)
    busy, idle = (first, second) if first.sidecar.engine.hand.by_id else (second, first)
    asked = first.ask(PAUSE)
    world.loop.run_for(5)
    assert asked.status == 0
    assert busy.reasons() == ["paused"]
    assert idle.reasons() == ["paused"]
    world.loop.run_for(5.1)
    assert asked.status == 200
    world.handler.stop()
    world.loop.run_for(2)
    world.handler.start()
    world.loop.run_for(1)
    assert first.reasons() == second.reasons() == []
    world.check_account()


@pytest.mark.parametrize("fate", ["gone", "silent"])
def test_a_sidecar_that_does_not_answer_holds_up_the_pause_for_a_bounded_time(world: World, fate: str) -> None:
    first = world.start(PAUSE_PEERS="127.0.0.1:9465", SHUTDOWN_TIMEOUT="10s")
    if fate == "silent":
        world.loop.network.endpoint("127.0.0.1", 9465).blackhole = True
    world.loop.run_for(1)
    began = world.loop.now()
    asked = first.get(PAUSE)
    assert asked.status == 200
    assert asked.at - began <= 2.1


def test_suspended_it_receives_nothing_and_finishes_what_it_has(world: World) -> None:
    world.handler.answer = lambda _body: (200, 5.0, [])
    running = world.start()
    world.send("a")
    world.loop.run_for(1)
    assert running.get(f"/suspend/{TOKEN}").status == 200
    world.loop.run_for(30)  # the poll on the wire ends
    world.send("b")
    world.loop.run_for(100)
    assert running.reasons() == ["suspended"]
    assert world.receives() == {"b": 0}
    assert running.get(f"/resume/{TOKEN}").status == 200
    world.loop.run_for(6)
    world.check_account()
