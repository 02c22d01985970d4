"""The end of the process, whatever it is doing at that moment."""

from __future__ import annotations

import signal
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.process.handler import Reply
from tests.process.sidecar import wait_until
from tests.process.world import SHORTEST_VISIBILITY_S, World
from tests.scenario.lengths import seconds
from tests.simulation.sqs_faults import Fault

if TYPE_CHECKING:
    from tests.scenario.conftest import Ends


@pytest.mark.parametrize("in_flight", [0, 1, 50])
def test_sigterm_finishes_what_is_in_flight_and_leaves_the_rest(world: World, ends: Ends, in_flight: int) -> None:
    world.handler.script = lambda post: Reply(delay_s=1.5)
    sidecar = world.start(CARRIER_MAX_IN_FLIGHT="50", CARRIER_SQS_RECEIVERS="2")
    world.send(in_flight + 30 if in_flight == 50 else in_flight)
    wait_until(lambda: len(world.handler.running) == in_flight, 10, sidecar.log)
    began = time.monotonic()
    sidecar.terminate()
    assert sidecar.wait(10) == 0
    assert time.monotonic() - began < 4
    left = len(world.sent) - in_flight
    assert world.in_flight == 0, "something was not given back"
    assert {message.receive_count for message in world.messages} <= {0, 1}
    ends(world.account(), left=left)


def test_another_sidecar_takes_over_where_one_was_ended(world: World, ends: Ends) -> None:
    world.handler.script = lambda post: Reply(delay_s=0.05)
    world.send(600)
    for _ in range(4):
        sidecar = world.start(CARRIER_MAX_IN_FLIGHT="30")
        count = world.handler.accepted.total()
        wait_until(lambda: world.handler.accepted.total() > count + 100, 10, sidecar.log)  # noqa: B023  # used at once
        sidecar.terminate()
        assert sidecar.wait(10) == 0
        assert world.in_flight == 0
    world.start(CARRIER_MAX_IN_FLIGHT="30")
    world.wait_until_empty()
    assert not world.handler.overlaps
    ends(world.account())


def test_messages_that_a_last_receive_brings_are_given_back(world: World, ends: Ends) -> None:
    sidecar = world.start(wait=False)
    # From the first receive on each takes a second before SQS even looks.
    world.sqs.plan(Fault("ReceiveMessage", times=1000, delay_s=1.0))
    wait_until(lambda: world.count("ReceiveMessage") >= 1, 10, sidecar.log)
    world.send(10)
    sidecar.terminate()
    assert sidecar.wait(6) == 0
    assert {message.receive_count for message in world.messages} == {1}
    assert world.in_flight == 0
    assert not world.handler.posts
    ends(world.account(), left=10)


def test_a_handler_that_hangs_delays_the_end_by_the_shutdown_timeout_only(world: World, ends: Ends) -> None:
    timeout_s = seconds(4, 25)
    world.handler.script = lambda post: Reply(never=True) if post.key in hanging else Reply(delay_s=1)
    keys = world.send(40)
    hanging = set(keys[::4])
    sidecar = world.start(CARRIER_MAX_IN_FLIGHT="20", CARRIER_SHUTDOWN_TIMEOUT=f"{timeout_s}s")
    wait_until(lambda: len(world.handler.running) == 20, 10, sidecar.log)
    cut = {key for key in world.handler.running if key in hanging}
    began = time.monotonic()
    sidecar.terminate()
    assert sidecar.wait(timeout_s + 5) == 1
    assert time.monotonic() - began >= timeout_s
    logged = {line["message_id"] for line in sidecar.notes("cut_off")}
    assert logged == {world.message(key).id for key in cut}
    assert world.in_flight == 0, "a message that was cut off was not given back"
    ends(world.account(), left=40 - (20 - len(cut)))


def test_a_second_signal_ends_it_at_once(world: World, ends: Ends) -> None:
    world.handler.script = lambda post: Reply(delay_s=20)
    world.send(60)
    sidecar = world.start(CARRIER_MAX_IN_FLIGHT="50")
    wait_until(lambda: len(world.handler.running) == 50, 10, sidecar.log)
    sidecar.signal(signal.SIGTERM)
    sidecar.wait_for("draining")
    began = time.monotonic()
    sidecar.signal(signal.SIGINT)
    assert sidecar.wait(5) == 1
    assert time.monotonic() - began < 2.5
    assert len(sidecar.notes("cut_off")) == 50
    assert world.in_flight == 0
    ends(world.account(), left=60)


def test_sigkill_loses_nothing(world: World, ends: Ends) -> None:
    world.handler.script = lambda post: Reply(delay_s=0.05)
    world.send(1000)
    explained: set[str] = set()
    for _ in range(3):
        sidecar = world.start(CARRIER_MAX_IN_FLIGHT="30")
        count = world.handler.accepted.total()
        wait_until(lambda: world.handler.accepted.total() > count + 100, 10, sidecar.log)  # noqa: B023  # used at once
        sidecar.signal(signal.SIGKILL)
        sidecar.wait(5)
        # What the handler accepted and is still there: its delete had not been sent.
        explained |= {key for key in world.account().left if world.handler.accepted[key]}
    world.start(CARRIER_MAX_IN_FLIGHT="30")
    world.wait_until_empty(SHORTEST_VISIBILITY_S + 20)
    account = world.account()
    assert set(account.duplicates) <= explained, "a duplicate that the kills do not explain"
    ends(account, duplicates=sum(account.duplicates.values()))


def stopped(world: World, keys: list[str]) -> None:
    """A sidecar that is stopped while the handler works on these, for longer than they stay hidden."""
    world.handler.script = lambda post: Reply(delay_s=1)
    sidecar = world.start()
    world.send_bodies(keys)
    wait_until(lambda: len(world.handler.running) == len(keys), 10, sidecar.log)
    sidecar.signal(signal.SIGSTOP)


def test_a_process_that_was_stopped_deletes_late_counts_and_says_so(world: World, ends: Ends) -> None:
    keys = [f"m{number}" for number in range(10)]
    stopped(world, keys)
    (sidecar,) = world.sidecars
    wait_until(lambda: world.in_flight == 0, SHORTEST_VISIBILITY_S + 5)
    time.sleep(seconds(1, 20))
    sidecar.signal(signal.SIGCONT)
    world.wait_until_empty()
    wait_until(lambda: sidecar.metrics()["carrier_late_deletes_total"] == 10, 5, sidecar.log)
    lines = sidecar.notes("late_delete")
    assert lines
    assert all(line["late_ms"] > 0 for line in lines)
    ends(world.account())


def test_what_another_took_over_from_a_stopped_process_stays_his(world: World, ends: Ends) -> None:
    """Both deliver it, which at-least-once allows; nothing is lost, and the late one does not delete it."""
    keys = [f"m{number}" for number in range(10)]
    stopped(world, keys)
    first = world.sidecars[0]
    time.sleep(1.5)
    world.handler.script = lambda post: Reply(delay_s=6)
    world.start()
    wait_until(lambda: len(world.handler.running) == 10, SHORTEST_VISIBILITY_S + 10, world.state)
    first.signal(signal.SIGCONT)
    wait_until(lambda: first.metrics()["carrier_late_deletes_total"] == 10, 5, first.log)
    time.sleep(1)
    assert len(world.messages) == 10, "a receipt that is no longer good deleted a message"
    world.wait_until_empty()
    ends(world.account(), duplicates=10)
    assert set(world.handler.accepted.values()) == {2}


def test_a_stopped_process_on_a_fifo_queue_keeps_the_order(ends: Ends) -> None:
    with World(queue="orders.fifo") as world:
        keys = [f"g{group}-{number}" for number in range(4) for group in range(5)]
        world.handler.script = lambda post: Reply(delay_s=0.7)
        sidecar = world.start()
        for key in keys:
            world.send_bodies([key], MessageGroupId=key.partition("-")[0], MessageDeduplicationId=key)
        wait_until(lambda: len(world.handler.running) == 5, 10, sidecar.log)
        sidecar.signal(signal.SIGSTOP)
        time.sleep(SHORTEST_VISIBILITY_S + 2)
        sidecar.signal(signal.SIGCONT)
        world.wait_until_empty(SHORTEST_VISIBILITY_S * 2 + 20)
        per_group: dict[str, list[str]] = {}
        for post in world.handler.posts:
            if post.status == 200:
                per_group.setdefault(post.key.partition("-")[0], []).append(post.key)
        for posted in per_group.values():
            assert posted == sorted(posted), "the order of a group is broken"
        # An expired receipt of a FIFO queue deletes nothing: those come again, and are not given to the handler again.
        assert Counter(world.handler.accepted.values()) == {1: 20}
        ends(world.account())
