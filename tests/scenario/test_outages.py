"""The handler, SQS or the credentials go away while messages flow, and come back."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.contract.metadata_fakes import fake_service, keys
from tests.process.handler import Reply
from tests.process.sidecar import wait_until
from tests.process.world import SHORTEST_VISIBILITY_S
from tests.scenario.lengths import seconds
from tests.simulation.sqs_faults import ALWAYS, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.metadata_fakes import Fake, Seen
    from tests.process.world import World
    from tests.scenario.conftest import Ends

OUTAGE_S = seconds(15, 60)


class Flow:
    """Sends `per_s` messages a second from a thread of its own until it is stopped."""

    def __init__(self, world: World, per_s: float) -> None:
        self._world = world
        self._per_s = per_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Flow:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._over.wait(1 / self._per_s):
            self._world.send(1)


@pytest.mark.parametrize("health", [False, True], ids=["port", "health endpoint"])
def test_the_handler_down_costs_at_most_one_receive(world: World, ends: Ends, health: bool) -> None:
    world.handler.script = lambda post: Reply(delay_s=0.1)
    more = {}
    if health:
        more = {
            "CARRIER_WEBHOOK_HEALTH_CHECK_ENDPOINT": f"http://127.0.0.1:{world.handler.port}/health",
            "CARRIER_WEBHOOK_HEALTH_CHECK_INTERVAL": "1s",
        }
    sidecar = world.start(environ=more, CARRIER_SQS_RECEIVERS="2")
    with Flow(world, 50):
        wait_until(lambda: world.handler.accepted.total() > 50, 10, sidecar.log)
        world.handler.down()
        sidecar.wait_for("handler_offline")
        time.sleep(2.5)  # what was on the wire has arrived
        polls, received = world.count("ReceiveMessage"), sidecar.metrics()["carrier_messages_received_total"]
        time.sleep(OUTAGE_S)
        metrics = sidecar.metrics()
        assert sidecar.not_ready() == ["offline"]
        assert world.count("ReceiveMessage") == polls, "it receives while the handler is down"
        assert metrics["carrier_messages_received_total"] == received
        assert metrics["carrier_gate_open"] == 0
        assert {message.receive_count for message in world.messages} == {0, 1}
        world.handler.up()
        wait_until(lambda: not sidecar.not_ready(), 6, sidecar.log)
    world.wait_until_empty(30)
    assert sidecar.alive
    assert max(post.receive_count for post in world.handler.posts) <= 2
    second = {post.key for post in world.handler.posts if post.receive_count == 2}
    assert len(second) <= 40, "more than what was in hand or on the wire"
    assert len(sidecar.lines) < 80
    ends(world.account())


def unreachable(world: World) -> Iterator[None]:
    world.sqs.down()
    yield
    world.sqs.up()


def answering_500(world: World) -> Iterator[None]:
    fault = world.sqs.plan(Fault(times=ALWAYS, code="ServiceUnavailable", status=503))
    yield
    fault.times = 0


def never_answering(world: World) -> Iterator[None]:
    fault = world.sqs.plan(Fault(times=ALWAYS, delay_s=OUTAGE_S * 2, close_before=True))
    yield
    fault.times = 0


@pytest.mark.parametrize("outage", [unreachable, answering_500, never_answering])
def test_sqs_down_in_mid_flight_loses_and_repeats_nothing(world: World, ends: Ends, outage: object) -> None:
    """Longer than messages stay hidden: they come back, are known, and are deleted instead of delivered again."""
    assert callable(outage)
    world.handler.script = lambda post: Reply(delay_s=0.5)
    sidecar = world.start(CARRIER_MAX_IN_FLIGHT="20")
    world.send(150)
    wait_until(lambda: world.handler.accepted.total() > 30, 10, sidecar.log)
    phases = outage(world)
    next(phases)
    cpu_s, lines = sidecar.cpu_s(), len(sidecar.lines)
    time.sleep(OUTAGE_S)
    assert sidecar.cpu_s() - cpu_s < 0.03 * OUTAGE_S, "it spins"
    assert len(sidecar.lines) - lines < 30 + OUTAGE_S, "it floods the log"
    assert sidecar.alive
    next(phases, None)
    world.wait_until_empty(45)
    assert not world.handler.overlaps
    ends(world.account())
    sidecar.terminate()
    assert sidecar.wait(5) == 0


def test_entries_that_fail_or_are_missing_in_every_kind_of_batch_call(world: World, ends: Ends) -> None:
    """Deletes, extensions (the handler takes longer than messages stay hidden) and give-backs (the drain)."""
    random_ = random.Random(7)
    world.handler.script = lambda post: Reply(delay_s=SHORTEST_VISIBILITY_S + 4 if random_.random() < 0.4 else 0.05)
    for action in ("DeleteMessageBatch", "ChangeMessageVisibilityBatch"):
        for _ in range(60):
            some = random_.sample(range(10), random_.randint(1, 5))
            if random_.random() < 0.5:
                world.sqs.plan(Fault(action, fail=some, code="InternalError", status=500))
            else:
                world.sqs.plan(Fault(action, omit=some))
    sidecar = world.start(CARRIER_MAX_IN_FLIGHT="40")
    world.send(200)
    wait_until(lambda: world.handler.accepted.total() >= 90, 60, sidecar.log)
    metrics = sidecar.metrics()
    assert metrics["carrier_heartbeats_total"] >= 40
    assert metrics["carrier_heartbeat_failures_total"] >= 5
    assert sum(value for name, value in metrics.items() if name.startswith("carrier_settle_failures")) >= 20
    sidecar.terminate()
    assert sidecar.wait(30) == 0
    assert world.in_flight == 0
    assert not world.handler.overlaps
    assert not world.account().unfinished, "delivered, and not deleted"
    left = len(world.messages)
    assert left > 0
    ends(world.account(), left=left)


def test_a_handler_that_restarts_every_few_seconds(world: World, ends: Ends) -> None:
    world.handler.script = lambda post: Reply(delay_s=0.05)
    sidecar = world.start()
    with Flow(world, 50):
        deadline = time.monotonic() + seconds(15, 60)
        while time.monotonic() < deadline:
            time.sleep(2)
            world.handler.down()
            time.sleep(0.3)
            world.handler.up()
    world.wait_until_empty(SHORTEST_VISIBILITY_S * 3 + 10)
    assert sidecar.alive
    assert max(post.receive_count for post in world.handler.posts) <= 4
    ends(world.account())


# Credentials


def expiring(name: str, in_s: float) -> str:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + in_s))
    return keys(name, Expiration=at)


@pytest.fixture
def agent() -> Iterator[Fake]:
    with fake_service() as fake:
        yield fake


def with_agent(agent: Fake) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "unset",
        "AWS_SECRET_ACCESS_KEY": "unset",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{agent.url}/credentials",
    }


def test_credentials_that_expire_under_load_are_renewed_before(world: World, ends: Ends, agent: Fake) -> None:
    """Each is good for some seconds, and refused from then on."""
    lifetime_s = seconds(5, 20)
    given = 0

    def answer(request: Seen) -> tuple[int, str]:
        nonlocal given
        given += 1
        name = f"GIVEN{given}"
        timer = threading.Timer(lifetime_s, lambda: world.sqs.expired_keys.add(f"AK{name}"))
        timer.daemon = True
        timer.start()
        return 200, expiring(name, lifetime_s)

    agent.answer = answer
    sidecar = world.start(environ=with_agent(agent))
    with Flow(world, 100):
        time.sleep(lifetime_s * 3.5)
    world.wait_until_empty(SHORTEST_VISIBILITY_S + 10)
    assert len(set(world.sqs.keys_seen)) >= 3
    assert given < 60, "the agent is asked again and again"
    assert sidecar.metrics()["carrier_credentials_remaining_seconds"] > -1
    assert sidecar.alive
    ends(world.account())


def test_credentials_that_are_revoked_under_load(world: World, ends: Ends, agent: Fake) -> None:
    """Refused long before they should expire; for a while there are no others, either."""
    name = "FIRST"
    agent.answer = lambda request: (200, expiring(name, 3600)) if name else (500, "no role today")
    sidecar = world.start(environ=with_agent(agent))
    with Flow(world, 100):
        wait_until(lambda: world.handler.accepted.total() > 100, 10, sidecar.log)
        world.sqs.expired_keys.add("AKFIRST")
        name = ""
        cpu_s = sidecar.cpu_s()
        time.sleep(seconds(6, 30))
        assert sidecar.alive
        assert sidecar.cpu_s() - cpu_s < 1
        name = "SECOND"
    world.wait_until_empty(60)
    assert "AKSECOND" in world.sqs.keys_seen
    assert len(sidecar.lines) < 60
    ends(world.account())
