"""What the log says over time: statistics, troubles counted instead of repeated, and nothing that is secret."""

from __future__ import annotations

import json

import pytest

from tests.simulation.sqs_faults import Fault
from tests.unit.simulated.world import World


def test_the_statistics_tell_of_the_time_since_the_last_line(world: World) -> None:
    world.handler.answer = lambda _body: (200, 0.15, [])
    running = world.start(ENABLE_STAT_LOG="true", STAT_LOG_TIMER="60s")
    for number in range(300):
        world.send(f"m{number}")
        world.loop.run_for(0.1)
    world.loop.run_for(150)
    first, second, third = running.notes("stats")
    assert (first["received"], first["delivered"], first["failed"], first["in_flight"]) == (300, 300, 0, 0)
    assert first["rate_per_s"] == 5.0
    assert 100 <= first["p50_ms"] <= 200
    assert first["p50_ms"] <= first["p90_ms"] <= first["p99_ms"]
    assert second["delivered"] == 300
    assert second["rate_per_s"] == third["rate_per_s"] == 0
    assert "p50_ms" not in second


def test_the_same_trouble_is_one_line_at_once_and_then_counted(world: World) -> None:
    world.handler.answer = lambda _body: (500, 0.1, [])
    world.set_queue(VisibilityTimeout="10")
    running = world.start()
    world.send(*(f"m{number}" for number in range(20)))
    world.loop.run_for(0.5)
    assert len(running.notes("did not accept a message")) == 1
    world.loop.run_for(600)
    lines = running.notes("did not accept a message")
    assert len(lines) <= 1 + 600 / 30
    told = sum(line.get("repeated", 1) for line in lines)
    failed = running.figures()['carrier_outcomes_total{outcome="failed"}']
    assert failed - 40 <= told <= failed


def test_a_trouble_that_ends_is_told_to_its_last_occurrence(world: World) -> None:
    running = world.start()
    world.loop.run_for(1)
    failing = world.fail("ReceiveMessage", code="InternalError", status=500)
    world.loop.run_for(45)
    failing.times = 0
    world.loop.run_for(60)
    lines = running.notes("failed to receive")
    told = sum(line.get("repeated", 1) for line in lines)
    assert told == running.figures()['carrier_receive_errors_total{kind="unavailable"}']
    assert len(lines) <= 3


def test_what_was_counted_is_said_before_the_end(world: World) -> None:
    world.handler.answer = lambda _body: (500, 0.1, [])
    running = world.start()
    world.send(*(f"m{number}" for number in range(10)))
    world.loop.run_for(1)
    running.terminate()
    world.loop.run_for(5)
    told = sum(line.get("repeated", 1) for line in running.notes("did not accept a message"))
    assert told == 10


@pytest.mark.parametrize("level", ["debug", "info"])
def test_nothing_secret_is_logged_whatever_goes_wrong(world: World, level: str) -> None:
    world.handler.answer = lambda _body: (500, 0.1, [])
    world.set_queue(VisibilityTimeout="10")
    running = world.start(
        LOG_LEVEL=level,
        WEBHOOK_ENDPOINT="http://user:wordofpass@127.0.0.1:9000/events",
        AWS_ACCESS_KEY_ID="AKIDEXAMPLE",
        AWS_SECRET_ACCESS_KEY="verysecretkey",
        AWS_SESSION_TOKEN="verysecrettoken",
        SHUTDOWN_TIMEOUT="1s",
        START_ERRORS="retry",
    )
    world.send("bodyofmessage-1", "bodyofmessage-2")
    for action in ("ReceiveMessage", "ChangeMessageVisibilityBatch", "DeleteMessageBatch"):
        world.server.faults.plan(Fault(action, times=2, code="AccessDenied", status=403))
        world.server.faults.plan(Fault(action, times=2, raw=b"\0"))
    world.loop.run_for(60)
    world.handler.answer = lambda _body: (200, 50.0, [])
    world.loop.run_for(20)
    receipts = [message.receipt for message in world.queue.messages.values()]
    running.terminate()
    world.loop.run_for(10)
    assert running.exits == [1]
    text = json.dumps(running.lines.written)
    for secret in ("bodyofmessage", "wordofpass", "verysecretkey", "verysecrettoken", *receipts):
        assert secret
        assert secret not in text
