"""A network that splits, delays, cuts and stalls: nothing is lost, and no POST is sent twice by itself."""

from __future__ import annotations

import random

import pytest

from tests.unit.simulated.world import World


@pytest.mark.parametrize("seed", range(4))
def test_splits_latency_and_resets_lose_nothing(seed: int) -> None:
    world = World()
    world.handler.start()
    chance = random.Random(seed)
    endpoints = [world.sqs, world.loop.network.endpoint(world.handler.host, world.handler.port)]
    for endpoint in endpoints:
        endpoint.split = True
        endpoint.latency_s = 0.02
    world.handler.answer = lambda _body: (200, chance.choice((0.0, 0.02, 0.3)), [])
    running = world.start(SQS_RECEIVERS="2")
    resets = 0
    for batch in range(60):
        world.send(*(f"{batch}-{number}" for number in range(5)))
        world.loop.run_for(chance.random())
        if chance.random() < 0.4:
            chance.choice(endpoints).reset_all()
            resets += 1
    world.loop.run_for(200)
    world.check_account(duplicates=resets * 20)
    assert running.sidecar.engine.hand.bytes == 0
    assert running.get("/readyz").status == 200


@pytest.mark.parametrize("knob", ["reset_after", "close_after"])
@pytest.mark.parametrize("after", [1, 20, 150, 400])
def test_answers_of_sqs_that_end_in_the_middle(world: World, knob: str, after: int) -> None:
    running = world.start()
    world.loop.run_for(1)
    world.send(*(f"m{number}" for number in range(20)))
    setattr(world.sqs, knob, after)
    world.sqs.reset_all()
    world.loop.run_for(100)
    assert running.get("/livez").status == 200
    assert world.calls() <= 100 * 2 * 4 + 50
    setattr(world.sqs, knob, None)
    world.sqs.reset_all()
    world.loop.run_for(60)
    world.check_account()
    assert {post.body for post in world.handler.posts} == {*world.sent}


@pytest.mark.parametrize("knob", ["reset_after", "close_after"])
def test_answers_of_the_handler_that_end_in_the_middle_are_failures(world: World, knob: str) -> None:
    world.start()
    handler = world.loop.network.endpoint(world.handler.host, world.handler.port)
    world.loop.run_for(1)
    setattr(handler, knob, 8)  # within the status line
    handler.reset_all()
    world.send("a", "b")
    world.loop.run_for(10)
    assert len(world.handler.posts) == 2, "a POST that may have arrived is not sent again"
    assert len(world.left()) == 2
    setattr(handler, knob, None)
    handler.reset_all()
    world.loop.run_for(40)
    world.check_account(duplicates=2)  # the handler had accepted them, which nobody learnt
    assert {post.receives for post in world.handler.posts} == {1, 2}


def test_a_handler_that_closes_each_connection_is_served_on_new_ones(world: World) -> None:
    handler = world.loop.network.endpoint(world.handler.host, world.handler.port)
    world.start()
    world.loop.run_for(1)
    for number in range(50):
        world.send(f"m{number}")
        world.loop.run_for(0.2)
        for stream in list(handler.streams):
            if stream._server:
                stream.close()
    world.loop.run_for(5)
    world.check_account()
    assert len(world.handler.posts) == 50
    assert handler.streams == []


def test_a_handler_that_hangs_is_given_up_after_the_request_timeout(world: World) -> None:
    world.handler.answer = lambda _body: (200, 9999.0, [])
    running = world.start(WEBHOOK_REQUEST_TIMEOUT="5s")
    world.send("a")
    world.loop.run_for(10)
    (line,) = running.notes("did not accept a message")
    assert line["reason"] == "timeout"
    world.handler.answer = lambda _body: (200, 0.0, [])
    world.loop.run_for(40)
    world.check_account()


def test_a_handler_that_takes_no_connection_is_given_up_after_the_connect_timeout(world: World) -> None:
    running = world.start()
    world.loop.run_for(1)
    handler = world.loop.network.endpoint(world.handler.host, world.handler.port)
    handler.blackhole = True
    world.send("a")
    world.loop.run_for(30)
    assert running.notes("did not accept a message")
    assert world.receives()["a"] == 1
    handler.blackhole = False
    world.loop.run_for(40)
    world.check_account()


def test_a_dual_stack_localhost_where_only_one_family_listens() -> None:
    world = World()
    world.handler.start()
    world.start(WEBHOOK_ENDPOINT="http://localhost:9000/events")
    world.send("a")
    world.loop.run_for(1)
    world.check_account()


def test_a_name_that_moves_to_another_address_is_followed(world: World) -> None:
    """As a Service does when its pods are replaced."""
    world.loop.network.names["app.test"] = ["127.0.0.1"]
    world.start(WEBHOOK_ENDPOINT="http://app.test:9000/events")
    world.send("a")
    world.loop.run_for(1)
    world.handler.stop()
    world.loop.network.endpoint("app.test", 9000).reset_all()
    world.handler.host = "10.0.0.9"
    world.handler.start()
    world.loop.network.names["app.test"] = ["10.0.0.9"]
    world.send("b")
    world.loop.run_for(6)
    world.check_account()
