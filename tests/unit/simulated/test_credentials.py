"""Credentials that expire: refreshed in the background, used while they are valid, waited for when they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.simulated.agent import ContainerAgent, keys_used, refuse_expired, start

if TYPE_CHECKING:
    from tests.unit.simulated.world import World


def test_credentials_are_refreshed_in_the_background_well_before_they_expire(world: World) -> None:
    agent = ContainerAgent(world)
    start(world)
    for hour in range(24):
        world.send(f"m{hour}")
        world.loop.run_for(3600)
        remaining = world.running.figures()["carrier_credentials_remaining_seconds"]
        assert remaining > 600
    world.check_account()
    assert agent.asked <= 24 * 2 + 2
    assert len(keys_used(world)) >= 24
    assert world.running.notes("failed") == []


def test_the_old_ones_are_used_while_they_are_valid_however_often_a_refresh_fails(world: World) -> None:
    agent = ContainerAgent(world)
    start(world)
    world.loop.run_for(1800)
    agent.status = 500
    world.loop.run_for(1700)
    world.send("a")
    world.loop.run_for(1)
    world.check_account()
    assert keys_used(world) == ["AK1"]
    assert world.running.reasons() == []
    failures = world.running.notes("credentials could not be refreshed")
    assert 1 <= len(failures) <= 1700 / 30
    assert failures[0]["remaining_s"] > 600
    agent.status = 200
    world.loop.run_for(90)
    assert world.running.figures()["carrier_credentials_remaining_seconds"] > 3000


def test_expired_without_a_new_one_it_is_not_ready_and_recovers_by_itself(world: World) -> None:
    agent = ContainerAgent(world)
    start(world)
    world.loop.run_for(1800)
    agent.status = 500
    world.loop.run_for(1830)
    assert world.running.reasons() == ["receive_refused"]
    calls, lines, asked = world.calls(), len(world.running.lines.written), agent.asked
    world.send("a")
    world.loop.run_for(600)
    assert world.running.exits == []
    assert world.calls() == calls, "nothing is sent that nobody can sign"
    assert len(world.running.lines.written) - lines <= 4 * 600 / 30 + 4
    assert agent.asked - asked <= 3 * 600 / 4
    assert world.running.figures()["carrier_credentials_remaining_seconds"] == 0
    agent.status = 200
    world.loop.run_for(20)
    assert world.running.reasons() == []
    world.check_account()


def test_a_token_that_is_revoked_is_replaced(world: World) -> None:
    agent = ContainerAgent(world)
    refuse_expired(world, agent)
    start(world)
    world.loop.run_for(100)
    agent.expires_at = 0.0  # the agent has newer ones, and what it gave before is no longer good
    agent.issued += 1
    world.send("a")
    world.loop.run_for(40)
    world.check_account()
    assert world.running.reasons() == []


def test_settles_survive_a_change_of_credentials(world: World) -> None:
    world.handler.answer = lambda _body: (200, 7.0, [])
    agent = ContainerAgent(world, life_s=120.0)
    refuse_expired(world, agent)
    start(world)
    for number in range(60):
        world.send(f"m{number}")
        world.loop.run_for(10)
    world.loop.run_for(60)
    world.check_account()
    assert len(world.handler.posts) == 60
    assert agent.issued >= 5


def test_without_any_credentials_the_process_ends_and_names_each_source(world: World) -> None:
    agent = ContainerAgent(world)
    agent.status = 500
    start(world)
    world.loop.run_for(30)
    assert world.running.exits == [3]
    (line,) = world.running.notes("cannot be used")
    for part in ("environment", "container", "500", "not now"):
        assert part in line["error"]


def test_where_start_errors_are_retried_it_waits_for_its_first_credentials(world: World) -> None:
    agent = ContainerAgent(world)
    agent.status = 500
    start(world, START_ERRORS="retry")
    world.send("a")
    world.loop.run_for(300)
    assert world.running.exits == []
    assert world.running.reasons() == ["queue"]
    assert agent.asked <= 3 * 300 / 4
    agent.status = 200
    world.loop.run_for(40)
    world.check_account()
