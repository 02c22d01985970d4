"""What the probes say of a sidecar at work: readiness with its reasons, and figures that agree with the account."""

from __future__ import annotations

from tests.simulation.sqs_faults import Fault
from tests.unit.simulated.world import World


def test_the_figures_agree_with_the_account(world: World) -> None:
    replies = {"retried": (503, 0.2, [("Retry-After", "2")]), "failed": (500, 0.2, []), "slow": (200, 50.0, [])}
    tries: dict[str, int] = {}

    def answer(body: str) -> tuple[int, float, list[tuple[str, str]]]:
        tries[body] = tries.get(body, 0) + 1
        kind = body.partition("-")[0]
        return replies[kind] if kind in replies and tries[body] == 1 else (200, 0.2, [])

    world.handler.answer = answer
    running = world.start()
    for number in range(7):
        world.send(f"good-{number}", f"retried-{number}", f"failed-{number}")
    world.send("slow-0", "slow-1")
    world.server.faults.plan(Fault("DeleteMessageBatch", times=2, code="InternalError", status=500))
    world.loop.run_for(120)
    world.check_account()
    figures = running.figures()
    assert figures['carrier_outcomes_total{outcome="delivered"}'] == world.accepted().total() == 23
    assert figures['carrier_outcomes_total{outcome="retried"}'] == 7
    assert figures['carrier_outcomes_total{outcome="failed"}'] == 7
    assert figures['carrier_undelivered_total{reason="status 500"}'] == 7
    assert figures['carrier_undelivered_total{reason="status 503"}'] == 7
    assert figures["carrier_messages_received_total"] == len(world.handler.posts) == 37
    assert figures["carrier_receive_calls_total"] == world.calls("ReceiveMessage")
    assert figures["carrier_handler_seconds_count"] == 37
    assert figures["carrier_queue_lag_seconds_count"] == 37
    assert 100 <= figures["carrier_handler_seconds_sum"] <= 110
    assert figures["carrier_heartbeats_total"] >= 2 * (50 / 15 - 2)
    assert figures['carrier_settle_failures_total{action="delete",kind="unavailable"}'] >= 2
    for name in ("carrier_duplicates_received_total", "carrier_visibility_lapsed_total", "carrier_late_deletes_total"):
        assert figures[name] == 0
    assert sum(value for name, value in figures.items() if name.startswith("carrier_in_flight")) == 0


def test_what_is_in_flight_is_told_by_state(world: World) -> None:
    world.handler.answer = lambda _body: (200, 30.0, [])
    running = world.start(SQS_RECEIVER_WORKERS="3")
    world.send("aaaa", "bbbb", "cccc")
    world.loop.run_for(1)
    figures = running.figures()
    assert figures['carrier_in_flight{state="posting"}'] == 3
    assert figures["carrier_in_flight_bytes"] == 12
    assert figures["carrier_slots"] == 3
    assert figures["carrier_gate_open"] == 1


def test_the_gate_tells_what_holds_it_shut(world: World) -> None:
    running = world.start()
    world.loop.run_for(1)
    world.handler.stop()
    world.send("refused")
    world.loop.run_for(1)
    figures = running.figures()
    assert figures["carrier_gate_open"] == 0
    assert figures['carrier_gate_shut{reason="offline"}'] == 1
    assert figures['carrier_gate_shut{reason="starting"}'] == 0
    world.handler.start()
    world.loop.run_for(6)
    assert running.figures()["carrier_gate_open"] == 1


def test_readiness_gives_every_reason_there_is() -> None:
    world = World()
    world.sqs.refuse = True
    running = world.start()
    world.loop.run_for(3)
    assert sorted(running.reasons()) == ["queue", "starting"]
    world.handler.start()
    world.loop.run_for(6)
    assert running.reasons() == ["queue"]
    world.sqs.refuse = False
    world.loop.run_for(2)
    assert running.reasons() == []


def test_liveness_has_nothing_to_do_with_any_of_it() -> None:
    world = World()
    world.sqs.blackhole = True
    running = world.start()
    for _ in range(10):
        world.loop.run_for(60)
        asked = running.get("/livez")
        assert asked.status == 200
        assert world.loop.now() - asked.at < 0.01


def test_receive_errors_are_counted_by_their_kind(world: World) -> None:
    running = world.start()
    world.loop.run_for(1)
    for code in ("InternalError", "RequestThrottled", "InternalError"):
        world.server.faults.plan(Fault("ReceiveMessage", code=code, status=400))
    world.loop.run_for(60)
    figures = running.figures()
    assert figures['carrier_receive_errors_total{kind="unavailable"}'] == 2
    assert figures['carrier_receive_errors_total{kind="throttled"}'] == 1
