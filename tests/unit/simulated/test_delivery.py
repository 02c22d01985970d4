"""Messages flow: each once, none deleted before it was accepted, extended for as long as the handler takes."""

from __future__ import annotations

import random

from tests.unit.simulated.world import World


def test_every_message_is_delivered_once_and_deleted(world: World) -> None:
    world.start()
    world.send(*(f"m{number}" for number in range(200)))
    world.loop.run_for(60)
    world.check_account()
    assert {post.receives for post in world.handler.posts} == {1}
    assert world.calls("ReceiveMessage") <= 1.5 * 20 + 4
    assert world.calls("DeleteMessageBatch") <= 30


def test_the_log_of_a_good_run_has_nothing_but_its_start(world: World) -> None:
    running = world.start()
    world.send(*(f"m{number}" for number in range(200)))
    world.loop.run_for(600)
    assert [line["msg"] for line in running.lines.written] == [
        "starting",
        "credentials found",
        "the handler answers",
        "the queue is open",
    ]


def test_a_slow_message_holds_one_slot_only(world: World) -> None:
    world.handler.answer = lambda body: (200, 100.0 if body == "slow" else 0.05, [])
    world.start(SQS_RECEIVER_WORKERS="2", WEBHOOK_REQUEST_TIMEOUT="5m")
    world.send("slow", *(f"m{number}" for number in range(300)))
    world.loop.run_for(30)
    assert world.left() == ["slow"]
    world.loop.run_for(100)
    world.check_account()


def test_while_handlers_are_slow_no_message_waits_in_one_pod_that_another_could_do(world: World) -> None:
    world.add_handler().start()
    for handler in world.handlers:
        handler.answer = lambda _body: (200, 10.0, [])
        world.add(handler, SQS_RECEIVER_WORKERS="2")
    world.loop.run_for(1)
    world.send(*(f"m{number}" for number in range(40)))
    world.loop.run_for(101)
    world.check_account()
    assert [handler.most_at_once for handler in world.handlers] == [2, 2]
    assert {len(handler.posts) for handler in world.handlers} == {20}


def test_bytes_in_hand_are_bounded(world: World) -> None:
    world.handler.answer = lambda _body: (200, 0.2, [])
    running = world.start(MAX_IN_FLIGHT_BYTES="2MiB", SQS_RECEIVERS="3")
    world.send(*(f"{number:03}" + "x" * 500_000 for number in range(40)))
    most = 0
    while world.left():
        world.loop.run_for(0.05)
        most = max(most, running.sidecar.engine.hand.bytes)
        assert world.loop.now() < 1200
    world.check_account()
    assert 1_000_000 <= most <= 3 * 10 * 500_003, "the first polls do not know yet how large messages are"
    world.send(*(f"{number:03}" + "y" * 500_000 for number in range(40)))
    most = 0
    while world.left():
        world.loop.run_for(0.05)
        most = max(most, running.sidecar.engine.hand.bytes)
        assert world.loop.now() < 1300
    assert 500_000 <= most <= 2 << 20
    world.check_account()


def test_a_handler_slower_than_the_visibility_timeout_gets_each_message_once(world: World) -> None:
    world.handler.answer = lambda _body: (200, 300.0, [])
    running = world.start(WEBHOOK_REQUEST_TIMEOUT="10m")
    world.send("slow")
    world.loop.run_for(299)
    assert world.visible() == []
    assert 300 / 15 - 2 <= world.calls("ChangeMessageVisibilityBatch") <= 300 / 15 + 2
    world.loop.run_for(100)
    world.check_account()
    assert world.handler.bodies() == ["slow"]
    assert running.figures()["carrier_visibility_lapsed_total"] == 0


def test_what_waits_in_hand_is_extended_too(world: World) -> None:
    world.handler.answer = lambda body: (200, 200.0 if body.startswith("slow") else 0.01, [])
    world.start(SQS_RECEIVER_WORKERS="2", WEBHOOK_REQUEST_TIMEOUT="10m")
    world.send("quick1", "quick2")
    world.loop.run_for(5)  # the handler is known to be fast: a batch is fetched ahead
    world.send("slow1", "slow2", *(f"m{number}" for number in range(10)))
    for _ in range(20):
        world.loop.run_for(10)
        assert not {body for body, count in world.receives().items() if count} & {*world.visible()}
    world.loop.run_for(30)
    world.check_account()
    assert {post.receives for post in world.handler.posts} == {1}


def test_at_twelve_hours_a_message_is_let_go_and_the_log_says_so(world: World) -> None:
    world.handler.answer = lambda _body: (200, 50_000.0, [])
    running = world.start(WEBHOOK_REQUEST_TIMEOUT="0", SQS_RECEIVER_WORKERS="1")
    world.send("endless")
    world.loop.run_for(43_150)
    assert not running.notes("12 hours")
    assert world.visible() == []
    world.loop.run_for(60)
    assert len(running.notes("12 hours")) == 1
    assert world.visible() == ["endless"]
    calls = world.calls("ChangeMessageVisibilityBatch")
    world.loop.run_for(60)
    assert world.calls("ChangeMessageVisibilityBatch") == calls
    assert running.figures()["carrier_messages_let_go_total"] == 1


def test_the_queues_visibility_is_read_again_every_five_minutes(world: World) -> None:
    running = world.start()
    world.loop.run_for(30)
    for said, used in ((120, 120), (1, 10), (0, 10), (45, 45)):
        world.set_queue(VisibilityTimeout=str(said))
        world.loop.run_for(300 + 21)  # and the poll that was on the wire
        assert running.sidecar.engine.heartbeat.visibility_s == used
        assert world.server.seen[-1][2]["VisibilityTimeout"] == used


def test_a_visibility_that_was_raised_meanwhile_counts_for_what_is_in_hand(world: World) -> None:
    world.handler.answer = lambda _body: (200, 1000.0, [])
    world.start(WEBHOOK_REQUEST_TIMEOUT="0")
    world.send("slow")
    world.loop.run_for(200)
    world.set_queue(VisibilityTimeout="600")
    world.loop.run_for(150)
    before = world.calls("ChangeMessageVisibilityBatch")
    world.loop.run_for(600)
    assert world.calls("ChangeMessageVisibilityBatch") - before <= 3
    assert world.visible() == []
    world.loop.run_for(100)
    world.check_account()


def test_a_retry_after_hides_the_message_for_that_long(world: World) -> None:
    answers = iter([(503, 0.1, [("Retry-After", "90")]), (429, 0.1, [("Retry-After", "3")]), (200, 0.1, [])])
    world.handler.answer = lambda _body: next(answers)
    world.start()
    world.send("later")
    world.loop.run_for(120)
    first, second, third = world.handler.posts
    assert 90 <= second.at - first.at <= 91.5
    assert 3 <= third.at - second.at <= 4.5
    world.check_account()


def test_a_failed_message_returns_when_its_visibility_runs_out(world: World) -> None:
    world.set_queue(VisibilityTimeout="40")
    statuses = iter([500, 200])
    world.handler.answer = lambda _body: (next(statuses), 0.1, [])
    world.start()
    world.send("again")
    world.loop.run_for(39)
    assert world.calls("ChangeMessageVisibilityBatch") == 0
    world.loop.run_for(20)
    first, second = world.handler.posts
    assert 39.5 <= second.at - first.at <= 41
    world.check_account()


def test_a_long_run_leaves_nothing_behind(world: World) -> None:
    """A hundred thousand messages, some of them slow, failing or hidden: what is kept per message is given up."""
    chance = random.Random(5)
    tries: dict[str, int] = {}

    def answer(body: str) -> tuple[int, float, list[tuple[str, str]]]:
        tries[body] = tries.get(body, 0) + 1
        lot = chance.random()
        if lot < 0.01 and tries[body] == 1:
            return (503, 0.02, [("Retry-After", "5")]) if lot < 0.005 else (500, 0.02, [])
        return 200, 3.0 if lot > 0.999 else 0.001, []

    world.handler.answer = answer
    running = world.start(SQS_RECEIVERS="3")
    for batch in range(400):
        world.send(*(f"{batch}-{number}" for number in range(250)))
        world.loop.run_for(2)
    world.loop.run_for(300)
    world.check_account()
    engine = running.sidecar.engine
    hand, settling, receiving = engine.hand, engine.settling, engine.receiving
    assert (len(hand.by_id), hand.bytes, hand.waiting, hand.posting, len(hand.remembered)) == (0, 0, 0, 0, 0)
    assert (len(hand._ready), len(hand.groups)) == (0, 0)
    assert (settling._deletes.waiting, settling._changes.waiting, settling._later) == ([], [], [])
    assert settling.delete_calls == 0
    assert receiving.reserved == sum(poll.count for poll in receiving.polls)
    assert not running.sidecar.webhook._posts
    assert len(running.sidecar.queue.receives) == 3
    assert not running.sidecar.queue.settles
    assert len(running.lines.written) <= 2 * 1100 / 30 + 10
