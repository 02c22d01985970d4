"""SQS unreachable, failing, throttling, hanging: few calls, few lines, nothing lost, and on again within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.simulation.sqs_faults import ALWAYS, Fault
from tests.unit.simulated.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from carrier_sidecar.http1.requests import Request
    from carrier_sidecar.http1.server import Responder

OUTAGE_S = 300.0


def refusing(world: World) -> Callable[[], None]:
    world.sqs.refuse = True
    world.sqs.reset_all()
    return lambda: setattr(world.sqs, "refuse", False)


def unreachable(world: World) -> Callable[[], None]:
    world.sqs.unreachable = True
    world.sqs.reset_all()
    return lambda: setattr(world.sqs, "unreachable", False)


def failing(**how: Any) -> Callable[[World], Callable[[], None]]:
    def begin(world: World) -> Callable[[], None]:
        fault = world.server.faults.plan(Fault("", times=ALWAYS, **how))
        world.sqs.reset_all()
        return lambda: setattr(fault, "times", 0)

    return begin


def answered_by_another(status: int, body: bytes) -> Callable[[World], Callable[[], None]]:
    """Something before SQS answers in its place, without knowing its protocol."""

    def begin(world: World) -> Callable[[], None]:
        server = world.server.server
        sqs = server.handle

        def answer(_request: Request, responder: Responder) -> None:
            world.server.seen.append(("?", {}, {}))
            responder.answer(status, body, "text/html")

        server.handle = answer
        world.sqs.reset_all()
        return lambda: setattr(server, "handle", sqs)

    return begin


# Each with how many calls one try may take: a broken connection is worth a second one at once.
OUTAGES: dict[str, tuple[Callable[[World], Callable[[], None]], int]] = {
    "refused": (refusing, 1),
    "unreachable": (unreachable, 1),
    "500": (failing(code="InternalError", status=500), 1),
    "502 of a proxy": (answered_by_another(502, b"<html>bad gateway</html>"), 1),
    "200 of a proxy": (answered_by_another(200, b"<html>please log in</html>"), 1),
    "closed": (failing(close_before=True), 2),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_floods_nothing_loses_nothing_and_is_over_within_a_second(world: World, outage: str) -> None:
    world.handler.answer = lambda _body: (200, 2.0, [])
    running = world.start()
    world.send(*(f"m{number}" for number in range(10)))
    world.loop.run_for(1)
    begin, calls_per_try = OUTAGES[outage]
    over = begin(world)
    world.loop.run_for(5)
    lines, calls, fired = len(running.lines.written), world.calls(), running.process.fired
    world.loop.run_for(OUTAGE_S)
    assert len(running.lines.written) - lines <= 4 * OUTAGE_S / 30 + 4
    # Receives, deletes and extensions have a backoff each, whose average is above half a second at its cap.
    assert world.calls() - calls <= 3 * OUTAGE_S / 0.5 * calls_per_try
    assert running.process.fired - fired <= 20 * OUTAGE_S
    assert running.get("/livez").status == 200
    over()
    ended = world.loop.now()
    world.send("after")
    world.loop.run_while(lambda: "after" not in world.handler.bodies(), 5)
    assert world.loop.now() - ended <= 1.5
    world.loop.run_for(60)
    world.check_account()
    assert max(post.receives for post in world.handler.posts) == 1, "what was delivered before is deleted, not repeated"


def test_throttling_is_answered_by_fewer_calls(world: World) -> None:
    running = world.start()
    world.loop.run_for(30)
    throttled = world.fail("", code="RequestThrottled", status=400)
    before, lines = world.calls(), len(running.lines.written)
    world.loop.run_for(OUTAGE_S)
    assert world.calls() - before <= OUTAGE_S / 2 + 10
    assert len(running.lines.written) - lines <= OUTAGE_S / 30 + 3
    throttled.times = 0
    world.send("after")
    world.loop.run_for(6)
    world.check_account()


def test_a_single_throttled_call_costs_no_more_than_a_moment(world: World) -> None:
    world.start()
    world.loop.run_for(1)
    for action in ("ReceiveMessage", "DeleteMessageBatch"):
        world.server.faults.plan(Fault(action, code="RequestThrottled", status=400))
    world.send("first")
    world.loop.run_for(1)
    world.send("second")
    world.loop.run_for(1)
    world.check_account()


def test_a_receive_that_hangs_is_given_up(world: World) -> None:
    running = world.start()
    world.loop.run_for(1)
    world.sqs.stalled = True
    world.loop.run_for(32)
    assert len(running.notes("failed to receive")) == 1
    world.sqs.reset_all()
    world.sqs.stalled = False
    world.send("after")
    world.loop.run_for(2)
    world.check_account()


def test_deletes_that_fail_for_minutes_are_sent_again_while_their_messages_stay_hidden(world: World) -> None:
    running = world.start()
    world.loop.run_for(1)
    failing_deletes = world.fail("DeleteMessageBatch", code="InternalError", status=500)
    world.send(*(f"m{number}" for number in range(25)))
    for _ in range(30):
        world.loop.run_for(10)
        assert world.visible() == []
    assert len(world.handler.posts) == 25
    failing_deletes.times = 0
    world.loop.run_for(1.5)
    world.check_account()
    assert running.figures()["carrier_in_flight_bytes"] == 0


def test_no_more_is_received_than_can_be_kept_while_deletes_fail(world: World) -> None:
    running = world.start()
    world.loop.run_for(1)
    failing_deletes = world.fail("DeleteMessageBatch", code="InternalError", status=500)
    for number in range(1000):
        world.send(f"m{number}")
    world.loop.run_for(100)
    in_hand = len(running.sidecar.engine.hand.by_id)
    assert in_hand <= 4 * 20 + 100 + 20
    assert running.sidecar.engine.hand.bytes == 0
    failing_deletes.times = 0
    world.loop.run_for(60)
    world.check_account()


@pytest.mark.parametrize("how", [{"fail": (0, 3), "code": "InternalError", "status": 500}, {"omit": (1, 2)}])
def test_entries_that_fail_or_are_missing_in_a_good_answer_are_settled_again(world: World, how: dict[str, Any]) -> None:
    world.server.faults.plan(Fault("DeleteMessageBatch", times=3, **how))
    world.start()
    world.send(*(f"m{number}" for number in range(40)))
    world.loop.run_for(20)
    world.check_account()
    assert len(world.handler.posts) == 40


def test_a_delete_that_was_done_but_not_answered_is_repeated_and_all_is_well(world: World) -> None:
    world.server.faults.plan(Fault("DeleteMessageBatch", times=2, close_after=True))
    running = world.start()
    world.send(*(f"m{number}" for number in range(40)))
    world.loop.run_for(60)
    world.check_account()
    assert len(world.handler.posts) == 40
    assert running.figures()["carrier_in_flight_bytes"] == 0


def test_a_receive_that_was_done_but_not_answered_costs_a_visibility_timeout(world: World) -> None:
    world.server.faults.plan(Fault("ReceiveMessage", times=1, close_after=True))
    world.send("a")
    world.start()
    world.loop.run_for(35)
    assert [(post.body, post.receives) for post in world.handler.posts] == [("a", 2)]
    world.check_account()


def test_an_sqs_that_is_away_at_the_start_is_waited_for(world: World) -> None:
    world.sqs.refuse = True
    world.send("a")
    running = world.start()
    world.loop.run_for(120)
    assert running.exits == []
    assert running.reasons() == ["queue"]
    assert len(running.lines.written) <= 120 / 30 + 6
    world.sqs.refuse = False
    world.loop.run_for(1.5)
    world.check_account()


def test_a_resolver_that_knows_nothing_for_a_while(world: World) -> None:
    running = world.start()
    world.loop.run_for(1)
    world.loop.network.resolver_down = True
    world.sqs.reset_all()
    world.loop.run_for(200)
    assert running.get("/livez").status == 200
    assert len(running.lines.written) <= 20
    world.loop.network.resolver_down = False
    world.send("after")
    world.loop.run_for(12)
    world.check_account()
