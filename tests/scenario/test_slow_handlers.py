"""Handlers that take long: messages stay hidden, and nobody waits for them who need not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.process.handler import Reply
from tests.process.sidecar import wait_until
from tests.process.world import SHORTEST_VISIBILITY_S
from tests.scenario.lengths import seconds
from tests.simulation.sqs_faults import ALWAYS, Fault

if TYPE_CHECKING:
    from tests.process.world import World
    from tests.scenario.conftest import Ends

SLOW_S = seconds(3.2, 5) * SHORTEST_VISIBILITY_S


def test_a_handler_much_slower_than_the_visibility_timeout_gets_no_duplicates(world: World, ends: Ends) -> None:
    world.handler.script = lambda post: Reply(delay_s=SLOW_S)
    first = world.start(CARRIER_WEBHOOK_REQUEST_TIMEOUT="0")
    second = world.start(CARRIER_WEBHOOK_REQUEST_TIMEOUT="0")
    world.send(15)
    wait_until(lambda: len(world.handler.running) == 15, 10, world.state)
    # For a part of the time SQS does not take extensions; heartbeats come early enough to bear it.
    fault = world.sqs.plan(Fault("ChangeMessageVisibilityBatch", times=ALWAYS, code="InternalError", status=500))
    time.sleep(SHORTEST_VISIBILITY_S * 0.4)
    fault.times = 0
    world.wait_until_empty(SLOW_S + 10)
    assert set(world.handler.tries.values()) == {1}
    for sidecar in (first, second):
        assert sidecar.metrics()["carrier_heartbeats_total"] > 0
        assert sidecar.metrics()["carrier_visibility_lapsed_total"] == 0
    ends(world.account())


def test_refused_extensions_are_said_once_and_delivery_goes_on(world: World, ends: Ends) -> None:
    world.sqs.plan(Fault("ChangeMessageVisibilityBatch", times=ALWAYS, code="AccessDenied", status=403))
    world.handler.script = lambda post: Reply(delay_s=SHORTEST_VISIBILITY_S * 0.7)
    sidecar = world.start()
    world.send(20)
    world.wait_until_empty(40)
    assert len(sidecar.notes("extend_denied")) == 1
    ends(world.account())


def test_a_slow_message_holds_one_slot_and_nothing_else(world: World, ends: Ends) -> None:
    """A receiver does not wait for the slowest message of a batch."""
    world.handler.script = lambda post: Reply(delay_s=5 if post.key in slow else 0.01)
    slow = {"m0"}
    sidecar = world.start()
    world.send(500)
    wait_until(lambda: world.handler.accepted.total() == 499, 4, sidecar.log)
    assert not world.handler.accepted["m0"]
    assert world.handler.tries["m0"] == 1
    world.wait_until_empty()
    ends(world.account())


def test_connections_are_kept(world: World, ends: Ends) -> None:
    sidecar = world.start()
    world.send(3000)
    world.wait_until_empty()
    assert world.handler.connected <= 2 * 10 + 5, "more than a connection per slot"
    assert world.count("ReceiveMessage") <= 1.5 * 300 + 5
    assert sidecar.metrics()["process_open_fds"] < 60
    ends(world.account())


def test_the_first_health_check_does_not_wait_for_its_interval(world: World, ends: Ends) -> None:
    world.send(10)
    began = time.monotonic()
    world.start(
        CARRIER_WEBHOOK_HEALTH_CHECK_ENDPOINT=f"http://127.0.0.1:{world.handler.port}/health",
        CARRIER_WEBHOOK_HEALTH_CHECK_INTERVAL="60s",
    )
    world.wait_until_empty(5)
    assert time.monotonic() - began < 5
    ends(world.account())
