"""Nothing to do: what an idle sidecar costs in calls and in wake-ups."""

from __future__ import annotations

import pytest

from tests.unit.simulated.world import World


@pytest.mark.parametrize("receivers", [1, 4])
def test_an_idle_sidecar_asks_once_in_twenty_seconds_per_receiver(world: World, receivers: int) -> None:
    world.start(SQS_RECEIVERS=str(receivers))
    world.loop.run_for(20.1)
    before = world.calls("ReceiveMessage")
    world.loop.run_for(3600)
    assert receivers * 179 <= world.calls("ReceiveMessage") - before <= receivers * 180
    assert world.calls("GetQueueAttributes") <= 1 + 3620 / 300
    assert {*world.server.actions()} == {"GetQueueUrl", "GetQueueAttributes", "ReceiveMessage"}


def test_an_idle_sidecar_has_almost_no_timers(world: World) -> None:
    running = world.start()
    world.loop.run_for(60)
    before = running.process.fired
    world.loop.run_for(3600)
    assert running.process.fired - before <= 1.5 * 60, "a look at idle connections once a minute, and little else"


def test_an_idle_sidecar_keeps_its_connection(world: World) -> None:
    world.start()
    world.loop.run_for(3600)
    assert world.sqs.connected <= 1 + 3600 / 300, "another one beside the poll's, for the queue's attributes"
    assert len(world.sqs.streams) <= 2 * 2


def test_an_idle_sidecar_says_nothing(world: World) -> None:
    running = world.start()
    world.loop.run_for(60)
    before = len(running.lines.written)
    world.loop.run_for(24 * 3600)
    assert len(running.lines.written) == before
