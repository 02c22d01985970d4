"""The whole sidecar on a simulated network: minutes and hours of its promises in virtual time."""

from __future__ import annotations

import pytest

from tests.simulation.sqs_faults import ALWAYS, Fault
from tests.unit.simulated.world import HANDLER, SQS, World


@pytest.fixture
def world() -> World:
    made = World()
    made.start_handler()
    return made


def test_every_message_is_delivered_once_and_deleted(world: World) -> None:
    world.start()
    world.send(*(f"m{number}" for number in range(200)))
    world.loop.run_for(60)
    assert sorted(body for _, body, _ in world.posts) == sorted(f"m{number}" for number in range(200))
    assert {count for _, _, count in world.posts} == {1}
    assert world.left() == 0


def test_a_handler_slower_than_the_visibility_timeout_gets_no_duplicate(world: World) -> None:
    world.answer = lambda _body: (200, 300.0, [])
    world.start(WEBHOOK_REQUEST_TIMEOUT="10m")
    world.send("slow")
    world.loop.run_for(400)
    assert [body for _, body, _ in world.posts] == ["slow"]
    assert world.left() == 0
    assert world.calls("ChangeMessageVisibilityBatch") >= 300 / 15 - 2


def test_at_twelve_hours_a_message_is_let_go_and_the_log_says_so(world: World) -> None:
    world.answer = lambda _body: (200, 50_000.0, [])
    world.start(WEBHOOK_REQUEST_TIMEOUT="0", MAX_IN_FLIGHT="1")
    world.send("endless")
    world.loop.run_for(43_100)
    assert not world.notes("12 hours")
    world.loop.run_for(200)
    assert len(world.notes("12 hours")) == 1


def test_nothing_is_received_before_the_handler_listens() -> None:
    world = World()
    world.send("early")
    world.start()
    world.loop.run_for(20)
    assert world.calls("ReceiveMessage") == 0
    world.start_handler()
    world.loop.run_for(5.5)
    assert [(body, count) for _, body, count in world.posts] == [("early", 1)]


def test_with_a_health_endpoint_nothing_is_received_before_its_first_2xx(world: World) -> None:
    world.loop.network.endpoint("127.0.0.1", 9001).refuse = True
    world.send("early")
    world.start(WEBHOOK_HEALTH_CHECK_ENDPOINT="http://127.0.0.1:9001/healthz")
    world.loop.run_for(20)
    assert world.calls("ReceiveMessage") == 0


def test_a_handler_down_for_a_minute_burns_one_receive_count_at_most(world: World) -> None:
    world.answer = lambda _body: (200, 1.0, [])
    world.start()
    world.send(*(f"m{number}" for number in range(60)))
    world.loop.run_for(2.5)
    world.stop_handler()
    world.loop.run_for(6)
    receives = world.calls("ReceiveMessage")
    world.loop.run_for(54)
    assert world.calls("ReceiveMessage") == receives
    assert world.sidecar.ready_reasons()
    world.start_handler()
    world.loop.run_for(120)
    assert {body for _, body, _ in world.posts} == {f"m{number}" for number in range(60)}
    assert max(count for _, _, count in world.posts) <= 2
    assert world.left() == 0


def test_a_handler_offline_ends_the_process_where_that_is_asked_for(world: World) -> None:
    world.start(WEBHOOK_OFFLINE_ACTION="exit")
    world.loop.run_for(1)
    world.stop_handler()
    world.send("refused")
    world.loop.run_for(40)
    assert world.exits == [4]


def test_an_outage_of_sqs_loses_nothing_floods_nothing_and_ends_within_a_second(world: World) -> None:
    world.answer = lambda _body: (200, 2.0, [])
    world.start()
    world.send(*(f"m{number}" for number in range(10)))
    world.loop.run_for(1)
    endpoint = world.loop.network.endpoint(*SQS)
    endpoint.refuse = True
    endpoint.reset_all()
    lines = len(world.lines.written)
    world.loop.run_for(20)
    assert len(world.lines.written) - lines <= 8
    endpoint.refuse = False
    ended = world.loop.now()
    world.send("after")
    world.loop.run_while(lambda: not any(body == "after" for _, body, _ in world.posts), 10)
    assert world.loop.now() - ended <= 1.5
    world.loop.run_for(40)
    assert sorted(body for _, body, _ in world.posts) == sorted(["after", *(f"m{number}" for number in range(10))])
    assert world.left() == 0


def test_the_queues_visibility_is_read_again_and_raised_to_ten_seconds(world: World) -> None:
    world.start()
    world.loop.run_for(10)
    assert world.sidecar.engine.heartbeat.visibility_s == 30
    for said, used in ((120, 120), (1, 10)):
        params = {"QueueUrl": world.url, "Attributes": {"VisibilityTimeout": str(said)}}
        world.server.sqs.call("SetQueueAttributes", params, world.loop.wall())
        world.loop.run_for(310)
        assert world.sidecar.engine.heartbeat.visibility_s == used


def test_without_the_permission_to_extend_it_delivers_and_warns_once(world: World) -> None:
    world.answer = lambda _body: (200, 60.0, [])
    world.server.faults.plan(Fault("ChangeMessageVisibilityBatch", times=ALWAYS, code="AccessDenied", status=403))
    world.start(WEBHOOK_REQUEST_TIMEOUT="5m")
    world.send("a", "b")
    world.loop.run_for(70)
    assert len(world.notes("without heartbeat")) == 1
    assert {body for _, body, _ in world.posts} == {"a", "b"}


def test_refused_deletes_stop_receiving_until_they_are_granted(world: World) -> None:
    denied = world.server.faults.plan(Fault("DeleteMessageBatch", times=ALWAYS, code="AccessDenied", status=403))
    world.start()
    world.send("a")
    world.loop.run_for(25)
    assert "delete_denied" in world.sidecar.ready_reasons()
    receives = world.calls("ReceiveMessage")
    world.send("b")
    world.loop.run_for(60)
    assert world.calls("ReceiveMessage") == receives
    denied.times = 0
    world.loop.run_for(40)
    assert not world.sidecar.ready_reasons()
    assert [body for _, body, _ in world.posts] == ["a", "b"]
    assert world.left() == 0


@pytest.mark.parametrize(("start_errors", "exits"), [("exit", [3]), ("retry", [])])
def test_a_refused_queue_at_the_start(world: World, start_errors: str, exits: list[int]) -> None:
    denied = world.server.faults.plan(Fault("GetQueueUrl", times=ALWAYS, code="AccessDenied", status=403))
    world.start(START_ERRORS=start_errors)
    world.loop.run_for(60)
    assert world.exits == exits
    if not exits:
        assert "queue" in world.sidecar.ready_reasons()
        denied.times = 0
        world.loop.run_for(40)
        assert not world.sidecar.ready_reasons()


def test_an_idle_sidecar_asks_once_in_twenty_seconds_and_ends_within_two(world: World) -> None:
    world.start()
    world.loop.run_for(3600)
    assert 178 <= world.calls("ReceiveMessage") <= 182
    before = world.loop.now()
    world.sidecar.on_signal()
    world.loop.run_while(lambda: not world.exits, 10)
    assert world.exits == [0]
    assert world.loop.now() - before <= 2.01


def test_a_drain_gives_back_what_has_not_begun_and_waits_for_the_rest(world: World) -> None:
    world.answer = lambda _body: (200, 8.0, [])
    world.start(MAX_IN_FLIGHT="2")
    world.send("a", "b", "c")
    world.loop.run_for(1)
    world.sidecar.on_signal()
    world.loop.run_while(lambda: not world.exits, 30)
    assert world.exits == [0]
    assert [body for _, body, _ in world.posts] == ["a", "b"]
    assert world.left() == 1


def test_a_handler_that_hangs_bounds_the_drain_and_its_messages_go_back(world: World) -> None:
    world.answer = lambda _body: (200, 9999.0, [])
    world.start(SHUTDOWN_TIMEOUT="10s")
    world.send("a", "b")
    world.loop.run_for(1)
    before = world.loop.now()
    world.sidecar.on_signal()
    world.loop.run_while(lambda: not world.exits, 60)
    assert world.exits == [1]
    assert 10 <= world.loop.now() - before <= 13.1
    assert len(world.notes("cut off")) == 2
    assert world.left() == 2


def test_a_pause_ends_once_the_handler_was_gone_and_is_back(world: World) -> None:
    world.start()
    world.loop.run_for(1)
    answered: list[float] = []
    world.sidecar.pause(lambda: answered.append(world.loop.now()))
    world.loop.run_for(3)
    assert answered
    world.stop_handler()
    world.loop.run_for(5)
    world.send("meanwhile")
    assert "paused" in world.sidecar.ready_reasons()
    world.start_handler()
    world.loop.run_for(7)
    assert [body for _, body, _ in world.posts] == ["meanwhile"]


def test_a_handler_that_is_back_within_a_moment_was_seen_going_away(world: World) -> None:
    world.start()
    world.loop.run_for(1)
    world.sidecar.pause(lambda: None)
    world.loop.run_for(3.03)
    world.stop_handler()
    world.loop.run_for(0.25)
    world.start_handler()
    world.loop.run_for(1)
    assert not world.sidecar.ready_reasons()


def test_a_pause_after_which_the_handler_never_went_away_ends_after_thirty_seconds(world: World) -> None:
    world.start()
    world.loop.run_for(1)
    world.sidecar.pause(lambda: None)
    world.loop.run_for(29)
    assert "paused" in world.sidecar.ready_reasons()
    world.loop.run_for(2)
    assert not world.sidecar.ready_reasons()


def test_a_fifo_group_keeps_its_order_through_failures_and_retries() -> None:
    world = World(queue="orders.fifo")
    world.start_handler()
    failures = {"a2": 2, "b1": 1}

    def answer(body: str) -> tuple[int, float, list[tuple[str, str]]]:
        if failures.get(body, 0):
            failures[body] -= 1
            return (503, 0.1, [("Retry-After", "3")]) if body == "a2" else (500, 0.1, [])
        return 200, 0.1, []

    world.answer = answer
    world.start()
    for body in ("a1", "b1", "a2", "a3", "b2", "a4"):
        world.send(body, MessageGroupId=body[0], MessageDeduplicationId=body)
    world.loop.run_for(180)
    accepted = [body for _, body, _ in world.posts]
    for group, last in (("a", ["a1", "a2", "a2", "a2", "a3", "a4"]), ("b", ["b1", "b1", "b2"])):
        assert [body for body in accepted if body[0] == group] == last
    assert world.left() == 0


def test_a_network_that_splits_and_resets_loses_nothing(world: World) -> None:
    for host, port in (SQS, HANDLER):
        world.loop.network.endpoint(host, port).split = True
    world.start()
    bodies = [f"m{number}" for number in range(100)]
    for at, body in enumerate(bodies):
        world.send(body)
        if at % 10 == 9:
            world.loop.run_for(0.002)
            world.loop.network.endpoint(*(SQS if at % 20 == 9 else HANDLER)).reset_all()
    world.loop.run_for(200)
    assert {body for _, body, _ in world.posts} == set(bodies)
    assert world.left() == 0


def test_a_clock_that_steps_changes_nothing(world: World) -> None:
    world.answer = lambda _body: (200, 40.0, [])
    world.start(WEBHOOK_REQUEST_TIMEOUT="2m")
    world.send("a")
    world.loop.run_for(5)
    world.loop.step_wall(7200)
    world.loop.run_for(60)
    assert [body for _, body, _ in world.posts] == ["a"]


def test_two_thousand_messages_leave_nothing_behind(world: World) -> None:
    world.start(ENABLE_STAT_LOG="true")
    for batch in range(20):
        world.send(*(f"{batch}-{number}" for number in range(100)))
        world.loop.run_for(5)
    world.loop.run_for(150)
    engine = world.sidecar.engine
    assert (len(engine.hand.by_id), engine.hand.bytes, len(engine.hand.remembered)) == (0, 0, 0)
    assert world.sidecar.metrics.delivered == 2000
    assert world.notes("stats")
