"""What is off by default, over hours: retries that grow, a rate limit, the breaker, dead letters."""

from __future__ import annotations

import json
from itertools import pairwise

from tests.unit.simulated.world import World


def test_retries_grow_to_their_longest_and_stay_there(world: World) -> None:
    world.handler.answer = lambda _body: (500, 0.1, [])
    world.start(RETRY_INITIAL="10s", RETRY_FACTOR="3", RETRY_MAX="5m")
    world.send("bad")
    world.loop.run_for(4 * 3600)
    times = [post.at for post in world.handler.posts]
    waits = [later - earlier for earlier, later in pairwise(times)]
    for wait_s, longest_s in zip(waits, [10, 30, 90, 270, *[300] * len(waits)], strict=False):
        assert 1 <= wait_s <= longest_s + 2
    assert max(waits) > 200
    assert len(waits) >= 4 * 3600 / 300
    world.check_account(left=1)


def test_a_rate_limit_holds_over_hours_and_is_used_up(world: World) -> None:
    world.start(RATE_LIMIT="100/h", RATE_BURST="5")
    world.send(*(f"m{number}" for number in range(500)))
    for hour in range(1, 4):
        world.loop.run_for(3600)
        assert 100 * hour - 3 <= len(world.handler.posts) <= 100 * hour + 5
    assert {post.receives for post in world.handler.posts} == {1}
    assert world.calls("ReceiveMessage") <= 3.1 * 100 + 10


def test_a_shut_breaker_tries_one_message_at_a_time(world: World) -> None:
    world.handler.answer = lambda _body: (500, 0.1, [])
    running = world.start(BREAKER_FAILURES="5", BREAKER_PAUSE="60s", WEBHOOK_REQUEST_TIMEOUT="5s")
    world.send(*(f"m{number}" for number in range(100)))
    world.loop.run_for(30)
    assert running.reasons() == ["breaker"]
    before = len(world.handler.posts)
    assert before <= 20
    world.loop.run_for(600)
    assert 8 <= len(world.handler.posts) - before <= 10
    world.handler.answer = lambda _body: (200, 0.1, [])
    world.loop.run_for(120)
    assert running.reasons() == []
    world.check_account()


def test_what_is_given_up_arrives_in_the_dead_letter_queue_and_nowhere_else() -> None:
    world = World(queue="orders")
    world.handler.start()
    sqs = world.server.sqs
    dead = sqs.call("CreateQueue", {"QueueName": "dead"}, world.loop.wall())["QueueUrl"]
    policy = {"deadLetterTargetArn": sqs.queues["dead"].arn, "maxReceiveCount": "100"}
    world.set_queue(RedrivePolicy=json.dumps(policy), VisibilityTimeout="10")
    world.handler.answer = lambda body: (200 if body.startswith("good") else 500, 0.1, [])
    running = world.start(GIVE_UP_RECEIVES="3")
    world.send("bad-1", "good-1", "bad-2", "good-2")
    failing = world.fail("SendMessage", code="InternalError", status=500)
    world.loop.run_for(120)
    assert sorted(world.left()) == ["bad-1", "bad-2"], "kept while it cannot be sent"
    assert world.visible() == []
    failing.times = 0
    world.loop.run_for(10)
    assert world.left() == []
    assert sorted(message.body for message in sqs.queues["dead"].messages.values()) == ["bad-1", "bad-2"]
    assert dead.endswith("/dead")
    assert {body: world.handler.bodies().count(body) for body in world.sent} == {
        "bad-1": 3, "bad-2": 3, "good-1": 1, "good-2": 1,
    }  # fmt: skip
    assert running.figures()["carrier_dead_letters_total"] == 2
