"""Clocks that are wrong or step: SQS's time is used for signatures, and visibility is counted on a clock of its own."""

from __future__ import annotations

import pytest

from tests.unit.simulated.agent import ContainerAgent, keys_used, start
from tests.unit.simulated.world import World


@pytest.mark.parametrize("hours", [-30, -1, 2, 26])
def test_a_pod_whose_clock_is_off_by_hours_works(world: World, hours: int) -> None:
    world.server.clock_offset_s = hours * 3600.0
    running = world.start()
    world.send("a")
    world.loop.run_for(10)
    world.check_account()
    world.loop.run_for(3600)
    (line,) = running.notes("our clock and the server's differ")
    assert line["offset_s"] == pytest.approx(hours * 3600, abs=2)
    assert running.notes("failed") == []


@pytest.mark.parametrize("step_s", [-7200.0, 7200.0, 90.0, -90.0])
def test_a_wall_clock_that_steps_changes_nothing(world: World, step_s: float) -> None:
    world.handler.answer = lambda _body: (200, 70.0, [])
    running = world.start(WEBHOOK_REQUEST_TIMEOUT="2m")
    world.send("a")
    world.loop.run_for(5)
    running.process.wall_offset_s = step_s
    world.loop.run_for(60)
    assert world.visible() == []
    world.loop.run_for(60)
    world.send("b")
    world.loop.run_for(100)
    world.check_account()
    assert world.handler.bodies() == ["a", "b"]
    assert running.figures()["carrier_visibility_lapsed_total"] == 0
    assert running.notes("failed to") == []


def test_a_clock_that_is_set_right_again_is_believed(world: World) -> None:
    running = world.start()
    running.process.wall_offset_s = 7200.0
    world.loop.run_for(100)
    running.process.wall_offset_s = 0.0
    world.loop.run_for(100)
    world.send("a")
    world.loop.run_for(10)
    world.check_account()
    assert running.notes("failed to") == []
    assert len(running.notes("our clock and the server's differ")) == 2


@pytest.mark.parametrize("step_s", [-7200.0, 7200.0])
def test_temporary_credentials_survive_a_step_of_the_pods_clock(world: World, step_s: float) -> None:
    agent = ContainerAgent(world)
    start(world)
    world.loop.run_for(600)
    world.running.process.wall_offset_s = step_s
    for number in range(8):
        world.send(f"m{number}")
        world.loop.run_for(1800)
    world.check_account()
    assert world.running.reasons() == []
    assert len(keys_used(world)) >= 4
    assert agent.asked < 100
    assert world.running.figures()["carrier_credentials_remaining_seconds"] > 600


def test_log_lines_go_on_being_counted_when_the_clock_is_set_back(world: World) -> None:
    world.handler.answer = lambda _body: (500, 0.0, [])
    running = world.start()
    for _ in range(10):
        world.send(*(f"m{len(world.sent) + number}" for number in range(10)))
        world.loop.run_for(30)
        running.process.wall_offset_s -= 3600.0
    lines = running.notes("did not accept")
    assert 5 <= len(lines) <= 25
    told = sum(line.get("repeated", 1) for line in lines)
    assert told >= running.figures()['carrier_outcomes_total{outcome="failed"}'] * 0.8
