"""The handler is not there yet, goes away, comes back: nothing is received meanwhile, and receive counts stay low."""

from __future__ import annotations

import pytest

from tests.unit.simulated.world import World


def test_nothing_is_received_before_the_handler_listens() -> None:
    world = World()
    world.send("early")
    running = world.start()
    world.loop.run_for(20)
    assert world.calls("ReceiveMessage") == 0
    assert running.reasons() == ["starting"]
    world.handler.start()
    world.loop.run_for(5.1)
    assert [(post.body, post.receives) for post in world.handler.posts] == [("early", 1)]
    assert running.reasons() == []
    world.check_account()


def test_with_a_health_endpoint_nothing_is_received_before_its_first_2xx(world: World) -> None:
    world.handler.health = 503
    world.send("early")
    running = world.start(WEBHOOK_HEALTH_CHECK_ENDPOINT=f"{world.handler.url}/healthz")
    world.loop.run_for(20)
    assert world.calls("ReceiveMessage") == 0
    assert running.reasons() == ["starting"]
    world.handler.health = 204
    world.loop.run_for(5.1)
    assert [(post.body, post.receives) for post in world.handler.posts] == [("early", 1)]
    assert running.reasons() == []


def test_an_app_that_takes_long_to_start_is_not_flooded_with_checks() -> None:
    world = World()
    world.start()
    endpoint = world.loop.network.endpoint(world.handler.host, world.handler.port)
    world.loop.run_for(600)
    world.handler.start()
    world.loop.run_for(5.1)
    assert endpoint.connected == 1
    world.loop.run_for(600)
    assert endpoint.connected == 1, "without a health endpoint nothing is asked any more"


def test_an_app_whose_name_cannot_be_resolved_yet_is_waited_for() -> None:
    world = World()
    world.handler.host = "app.test"
    running = world.start()
    world.send("early")
    world.loop.run_for(30)
    assert running.reasons() == ["starting"]
    world.handler.start()
    world.loop.run_for(6)
    world.check_account()


@pytest.mark.parametrize("health", [False, True])
def test_a_handler_down_for_a_minute_burns_one_receive_count_at_most(world: World, *, health: bool) -> None:
    world.handler.answer = lambda _body: (200, 1.0, [])
    endpoint = {"WEBHOOK_HEALTH_CHECK_ENDPOINT": f"{world.handler.url}/healthz"} if health else {}
    running = world.start(**endpoint)
    world.send(*(f"m{number}" for number in range(60)))
    world.loop.run_for(2.5)
    world.handler.stop()
    world.loop.run_for(3)
    assert running.reasons() == ["offline"]
    receives = world.calls("ReceiveMessage")
    world.loop.run_for(57)
    assert world.calls("ReceiveMessage") == receives
    assert max(world.receives().values()) == 1
    world.handler.start()
    back = world.loop.now()
    world.loop.run_while(lambda: world.handler.posts[-1].at < back, 5.1)
    world.loop.run_for(60)
    assert max(post.receives for post in world.handler.posts) == 2
    world.check_account()
    assert len(running.notes("the handler is offline")) == 1


def test_it_is_back_within_the_interval_where_that_is_shorter_than_five_seconds(world: World) -> None:
    world.start(
        WEBHOOK_HEALTH_CHECK_ENDPOINT=f"{world.handler.url}/healthz",
        WEBHOOK_HEALTH_CHECK_INTERVAL="1s",
        WEBHOOK_OFFLINE_THRESHOLD_COUNT="3",
    )
    world.loop.run_for(10)
    world.handler.stop()
    world.loop.run_for(60)
    world.send("back")
    world.handler.start()
    world.loop.run_for(1.1)
    assert world.handler.bodies() == ["back"]


def test_refused_posts_shut_the_gate_after_a_failed_health_check_too(world: World) -> None:
    """One check has failed, the next is due in a minute: a refused POST does not wait for that."""
    running = world.start(WEBHOOK_HEALTH_CHECK_ENDPOINT=f"{world.handler.url}/healthz")
    world.loop.run_for(30)
    world.handler.health = 500
    world.loop.run_for(35)
    assert running.notes("a health check failed")
    assert running.reasons() == []
    world.handler.stop()
    world.send("refused")
    world.loop.run_for(2)
    assert running.reasons() == ["offline"]
    world.handler.health = 200
    world.handler.start()
    world.loop.run_for(5.1)
    assert running.reasons() == []
    world.loop.run_for(40)
    world.check_account()


def test_a_health_endpoint_elsewhere_does_not_open_the_gate_for_a_handler_that_refuses(world: World) -> None:
    health = world.add_handler()
    health.start()
    running = world.start(WEBHOOK_HEALTH_CHECK_ENDPOINT=f"{health.url}/healthz")
    world.loop.run_for(5)
    world.handler.stop()
    world.send(*(f"m{number}" for number in range(100)))
    world.loop.run_for(60)
    assert running.reasons() == ["offline"]
    assert max(world.receives().values()) == 1
    assert sum(world.receives().values()) <= 20
    world.handler.start()
    world.loop.run_for(60)
    world.check_account()


def test_a_blip_costs_what_waits_in_hand_no_receive_count(world: World) -> None:
    world.handler.answer = lambda _body: (200, 1.0, [])
    world.start(SQS_RECEIVER_WORKERS="2")
    _bring_a_batch_in_hand(world)
    world.handler.stop()
    world.loop.run_for(3)
    held = {body for body, count in world.receives().items() if count and body not in world.handler.bodies()}
    assert len(held) >= 8
    assert not held & {*world.visible()}
    world.handler.start()
    world.loop.run_for(60)
    again = {post.body for post in world.handler.posts if post.body in held and post.receives > 1}
    assert len(again) <= 2, "those whose POST was refused"
    world.check_account()


def test_what_waits_in_hand_is_given_back_when_the_handler_stays_away(world: World) -> None:
    world.handler.answer = lambda _body: (200, 1.0, [])
    running = world.start(SQS_RECEIVER_WORKERS="2")
    _bring_a_batch_in_hand(world)
    world.handler.stop()
    waiting = running.sidecar.engine.hand.waiting
    assert waiting >= 8
    world.loop.run_for(4.5)
    assert running.figures()["carrier_messages_given_back_total"] == 0
    world.loop.run_for(1)
    assert running.figures()["carrier_messages_given_back_total"] >= waiting - 2
    assert len(world.visible()) >= waiting - 2
    world.handler.start()
    world.loop.run_for(60)
    assert max(post.receives for post in world.handler.posts) == 2
    world.check_account()


def _bring_a_batch_in_hand(world: World) -> None:
    """The handler is known to be fast, then gets slow: a batch waits in hand."""
    slow = world.handler.answer
    world.handler.answer = lambda _body: (200, 0.01, [])
    world.send("first", "second")
    world.loop.run_for(2)
    world.handler.answer = slow
    world.send(*(f"m{number}" for number in range(30)))
    world.loop.run_for(0.5)


def test_the_offline_threshold_counts_failed_checks_in_a_row(world: World) -> None:
    running = world.start(
        WEBHOOK_HEALTH_CHECK_ENDPOINT=f"{world.handler.url}/healthz",
        WEBHOOK_HEALTH_CHECK_INTERVAL="10s",
        WEBHOOK_OFFLINE_THRESHOLD_COUNT="3",
    )
    world.loop.run_for(5)
    for status in (500, 500, 200, 500, 500):
        world.handler.health = status
        world.loop.run_for(10)
        assert running.reasons() == []
    world.loop.run_for(10)
    assert running.reasons() == ["offline"]
    receives = world.calls("ReceiveMessage")
    world.loop.run_for(60)
    assert world.calls("ReceiveMessage") <= receives + 1, "the poll on the wire may be followed by none"
    world.handler.health = 200
    world.loop.run_for(5.1)
    assert running.reasons() == []


def test_a_health_check_that_hangs_has_failed(world: World) -> None:
    running = world.start(
        WEBHOOK_HEALTH_CHECK_ENDPOINT=f"{world.handler.url}/healthz",
        WEBHOOK_HEALTH_CHECK_INTERVAL="10s",
        WEBHOOK_HEALTH_CHECK_TIMEOUT="2s",
        WEBHOOK_OFFLINE_THRESHOLD_COUNT="2",
    )
    world.loop.run_for(5)
    world.handler.health = 0
    world.loop.run_for(25)
    assert running.reasons() == ["offline"]


def test_a_handler_offline_ends_the_process_where_that_is_asked_for(world: World) -> None:
    running = world.start(WEBHOOK_OFFLINE_ACTION="exit")
    world.loop.run_for(1)
    world.handler.stop()
    world.send("refused")
    world.loop.run_for(8)
    assert running.exits == [4]
    assert world.left() == ["refused"]
    assert running.notes("CARRIER_WEBHOOK_OFFLINE_ACTION")


def test_offline_by_its_health_checks_ends_the_process_where_that_is_asked_for(world: World) -> None:
    world.handler.answer = lambda _body: (200, 5.0, [])
    running = world.start(
        WEBHOOK_OFFLINE_ACTION="exit",
        WEBHOOK_HEALTH_CHECK_ENDPOINT=f"{world.handler.url}/healthz",
        WEBHOOK_HEALTH_CHECK_INTERVAL="1s",
        WEBHOOK_OFFLINE_THRESHOLD_COUNT="3",
    )
    world.loop.run_for(5)
    world.handler.health = 500
    world.send("a")
    world.loop.run_for(1.5)
    assert running.exits == []
    world.loop.run_for(6)
    assert running.exits == [4]
    world.check_account()


def test_a_start_without_its_app_is_no_reason_to_exit() -> None:
    world = World()
    running = world.start(WEBHOOK_OFFLINE_ACTION="exit")
    world.loop.run_for(120)
    assert running.exits == []
