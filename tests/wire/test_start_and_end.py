"""How the process starts, refuses to start, and ends: exit codes, and log lines that help."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.process.handler import Reply
from tests.process.sidecar import ROOT, TOKEN, SidecarProcess, wait_until
from tests.process.world import World
from tests.simulation.sqs_faults import ALWAYS, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_KEYS = {"AWS_ACCESS_KEY_ID": "unset", "AWS_SECRET_ACCESS_KEY": "unset"}


@pytest.fixture
def world() -> Iterator[World]:
    with World(visibility_s=300) as made:
        yield made
        for sidecar in made.sidecars:
            assert not sidecar.other_output, sidecar.log()


# Settings


def test_all_bad_settings_are_said_at_once(world: World) -> None:
    sidecar = world.start(
        wait=False,
        CARRIER_SQS_BATCH_SIZE="11",
        CARRIER_WEBHOOK_REQUEST_TIMEOUT="a minute",
        CARRIER_WEBHOOK_ENDPOINT="ftp://localhost",
        CARRIER_SQS_QUEUE_NAME="https://sqs.us-west-2.amazonaws.com/1/orders",
        CARRIER_SQS_RECIEVERS="2",
    )
    assert sidecar.wait(5) == 2
    errors = " ".join(line["error"] for line in sidecar.notes("setting_error"))
    for name, value in (
        ("CARRIER_SQS_BATCH_SIZE", "11"),
        ("CARRIER_WEBHOOK_REQUEST_TIMEOUT", "a minute"),
        ("CARRIER_WEBHOOK_ENDPOINT", "ftp://localhost"),
        ("CARRIER_SQS_QUEUE_NAME", "https://sqs.us-west-2.amazonaws.com/1/orders"),
    ):
        assert name in errors
        assert value in errors
    (warning,) = sidecar.notes("setting_warning")
    assert "CARRIER_SQS_RECIEVERS" in warning["warning"]
    assert "CARRIER_SQS_RECEIVERS" in warning["warning"]


def test_files_are_said_with_the_other_bad_settings(world: World) -> None:
    sidecar = world.start(
        wait=False,
        CARRIER_SQS_BATCH_SIZE="11",
        CARRIER_WEBHOOK_CA_FILE="/nonexistent/ca",
        CARRIER_WEBHOOK_BEARER_TOKEN_FILE="/nonexistent/token",
    )
    assert sidecar.wait(5) == 2
    errors = " ".join(line["error"] for line in sidecar.notes("setting_error"))
    for part in ("CARRIER_SQS_BATCH_SIZE", "/nonexistent/ca", "/nonexistent/token"):
        assert part in errors


def test_a_handler_that_is_waited_for_is_said_in_the_log(world: World) -> None:
    world.handler.down()
    sidecar = world.start(wait=False)
    line = sidecar.wait_for("handler_awaited")
    assert line["level"] == "INFO"
    assert "refused the connection" in line["error"]
    time.sleep(1)  # several more tries
    assert len(sidecar.notes("handler_awaited")) == 1
    world.handler.up()
    sidecar.wait_for("handler_online")


def test_nothing_set_at_all() -> None:
    sidecar = SidecarProcess({"CARRIER_PROBE_ADDRESS": "unset"})
    try:
        assert sidecar.wait(5) == 2
        errors = " ".join(line["error"] for line in sidecar.notes("setting_error"))
        assert "CARRIER_SQS_ENDPOINT" in errors
        assert "CARRIER_SQS_QUEUE_NAME" in errors
    finally:
        sidecar.close()


def test_a_probe_address_that_is_taken(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        sidecar = world.start(wait=False, CARRIER_PROBE_ADDRESS=address)
        assert sidecar.wait(5) == 2
    assert sidecar.wait_for("probe_address_taken")["address"] == address
    assert not world.sqs.seen


@pytest.mark.parametrize("command", ["settings", "settings -o json", "check", "--help"])
def test_a_reader_that_has_read_enough_is_no_error(command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "carrier_sidecar", *command.split()],
            stdout=writing,
            stderr=subprocess.PIPE,
            env={"PYTHONPATH": str(ROOT / "sidecar")},
            timeout=20,
            check=False,
        )
    finally:
        os.close(writing)
    assert ended.stderr == b""


# The queue and permissions


def test_a_queue_that_does_not_exist_may_be_missing_access(world: World) -> None:
    sidecar = world.start(wait=False, CARRIER_SQS_QUEUE_NAME="no-such-queue")
    assert sidecar.wait(5) == 3
    error = sidecar.wait_for("queue_refused")["error"]
    for part in ("GetQueueUrl", "no-such-queue", "AKIDTEST", "us-east-1", "no such queue", "access to it is missing"):
        assert part in error


@pytest.mark.parametrize("action", ["GetQueueUrl", "ReceiveMessage"])
def test_a_permission_that_is_refused(world: World, action: str) -> None:
    world.sqs.plan(
        Fault(action, times=ALWAYS, code="AccessDeniedException", status=403, message="User is not authorized")
    )
    world.send(10)
    sidecar = world.start(wait=False)
    assert sidecar.wait(5) == 3
    error = sidecar.wait_for("queue_refused")["error"]
    for part in (f"{action} on orders", "at http://127.0.0.1", "not authorized", "AKIDTEST", f"grant sqs:{action}"):
        assert part in error
    world.account().balances(left=10)


def test_a_key_that_may_not_be_used(world: World) -> None:
    world.sqs.plan(Fault("ReceiveMessage", times=ALWAYS, code="KmsAccessDenied", message="The ciphertext"))
    sidecar = world.start(wait=False)
    assert sidecar.wait(5) == 3
    assert "kms:Decrypt" in sidecar.wait_for("queue_refused")["error"]


def test_no_credentials_anywhere(world: World) -> None:
    sidecar = world.start(wait=False, environ=NO_KEYS)
    assert sidecar.wait(10) == 3
    error = sidecar.wait_for("queue_refused")["error"]
    for part in ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_EC2_METADATA_DISABLED"):
        assert part in error


def test_expired_credentials(world: World) -> None:
    world.sqs.expired_keys.add("AKIDTEST")
    sidecar = world.start(wait=False)
    assert sidecar.wait(5) == 3
    error = sidecar.wait_for("queue_refused")["error"]
    assert "expired" in error
    assert "AKIDTEST" in error


def test_a_region_that_can_be_none(world: World) -> None:
    sidecar = world.start(wait=False, CARRIER_SQS_REGION="us west 2")
    assert sidecar.wait(5) == 2
    assert "CARRIER_SQS_REGION" in sidecar.wait_for("setting_error")["error"]


@pytest.mark.parametrize("action", ["GetQueueUrl", "ReceiveMessage"])
def test_what_is_refused_is_tried_again_when_asked_to(world: World, action: str) -> None:
    denied = world.sqs.plan(Fault(action, times=ALWAYS, code="AccessDenied", status=403))
    world.send(10)
    sidecar = world.start(wait=False, CARRIER_START_ERRORS="retry")
    sidecar.wait_for("queue_unreachable" if action == "GetQueueUrl" else "receive_failed")
    assert sidecar.not_ready() == ["queue" if action == "GetQueueUrl" else "receive_refused"]
    denied.times = 0
    world.wait_until_empty(10)
    assert not sidecar.not_ready()
    world.account().balances()


# The handler


def test_nothing_is_received_before_the_handler_answers(world: World) -> None:
    world.handler.down()
    world.send(10)
    sidecar = world.start(wait=False)
    sidecar.wait_for("queue_open")
    assert sidecar.not_ready() == ["starting"]
    time.sleep(0.5)
    assert world.count("ReceiveMessage") == 0
    world.handler.up()
    world.wait_until_empty(10)
    assert {post.receive_count for post in world.handler.posts} == {1}


def test_a_health_endpoint_decides_when_there_is_one(world: World) -> None:
    world.handler.health = 503
    world.send(10)
    sidecar = world.start(
        wait=False,
        CARRIER_WEBHOOK_HEALTH_CHECK_ENDPOINT=f"http://127.0.0.1:{world.handler.port}/health",
        CARRIER_WEBHOOK_HEALTH_CHECK_INTERVAL="100ms",
        CARRIER_WEBHOOK_OFFLINE_THRESHOLD_COUNT="2",
    )
    wait_until(lambda: world.handler.health_checks >= 2, 5, sidecar.log)
    assert world.count("ReceiveMessage") == 0
    world.handler.health = 204
    world.wait_until_empty(10)
    world.handler.health = 500
    sidecar.wait_for("handler_offline")
    assert sidecar.not_ready() == ["offline"]
    world.handler.health = 200
    wait_until(lambda: not sidecar.not_ready(), 7, sidecar.log)
    sidecar.wait_for("handler_online")


def test_an_offline_handler_ends_the_process_when_asked_to(world: World) -> None:
    sidecar = world.start(CARRIER_WEBHOOK_OFFLINE_ACTION="exit")
    world.handler.down()
    world.send(10)
    assert sidecar.wait(10) == 4
    sidecar.wait_for("handler_offline")
    sidecar.wait_for("offline_exit")
    assert {message.receive_count for message in world.messages} <= {0, 1}
    world.account().balances(left=10)


# The end


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_handler_finish(world: World, signum: int) -> None:
    world.handler.script = lambda post: Reply(delay_s=0.5)
    sidecar = world.start()
    world.send(5)
    wait_until(lambda: len(world.handler.running) == 5, 5, sidecar.log)
    sidecar.signal(signum)
    assert sidecar.wait(5) == 0
    assert sidecar.wait_for("drained")["delivered"] == 5
    world.account().balances()


def test_an_idle_sidecar_ends_within_two_seconds(world: World) -> None:
    sidecar = world.start()
    began = time.monotonic()
    sidecar.terminate()
    assert sidecar.wait(5) == 0
    assert time.monotonic() - began < 2.5


def test_a_signal_while_the_queue_is_not_even_open(world: World) -> None:
    world.sqs.plan(Fault("GetQueueUrl", times=ALWAYS, delay_s=60))
    sidecar = world.start(wait=False)
    wait_until(lambda: world.count("GetQueueUrl") == 1, 5, sidecar.log)
    sidecar.terminate()
    assert sidecar.wait(3) == 0


def test_a_second_signal_cuts_off_gives_back_and_says_so(world: World) -> None:
    world.handler.script = lambda post: Reply(never=True)
    sidecar = world.start()
    keys = world.send(3)
    wait_until(lambda: len(world.handler.running) == 3, 5, sidecar.log)
    sidecar.terminate()
    sidecar.wait_for("draining")
    sidecar.terminate()
    assert sidecar.wait(5) == 1
    assert len(sidecar.notes("cut_off")) == 3
    sidecar.wait_for("not_drained")
    assert world.in_flight == 0, "they were not given back"
    world.account().balances(left=len(keys))


def test_the_time_for_the_end_is_bounded(world: World) -> None:
    world.handler.script = lambda post: Reply(never=True)
    sidecar = world.start(CARRIER_SHUTDOWN_TIMEOUT="1s")
    world.send(15)
    wait_until(lambda: len(world.handler.running) == 10, 5, sidecar.log)
    began = time.monotonic()
    sidecar.terminate()
    assert sidecar.wait(6) == 1
    assert 0.9 < time.monotonic() - began < 4.5
    assert len(sidecar.notes("cut_off")) == 10
    assert world.in_flight == 0
    world.account().balances(left=15)


# Hooks


def test_the_drain_hook_answers_when_nothing_is_in_hand_and_the_signal_ends_it(world: World) -> None:
    world.handler.script = lambda post: Reply(delay_s=0.6)
    sidecar = world.start()
    world.send(5)
    wait_until(lambda: len(world.handler.running) == 5, 5, sidecar.log)
    assert sidecar.get("/drain/wrong-token")[0] == 404
    status, _ = sidecar.get(f"/drain/{TOKEN}")
    assert status == 200
    assert world.handler.accepted.total() == 5
    assert not world.messages
    time.sleep(0.2)  # see the pause below
    world.send(5)
    time.sleep(0.3)
    assert sidecar.alive
    assert "draining" in sidecar.not_ready()
    assert world.handler.accepted.total() == 5, "it received after the drain"
    began = time.monotonic()
    sidecar.terminate()
    assert sidecar.wait(5) == 0
    assert time.monotonic() - began < 1
    world.account().balances(left=5)


def test_the_pause_hook_holds_until_the_handler_was_restarted(world: World) -> None:
    world.handler.script = lambda post: Reply(delay_s=0.3)
    sidecar = world.start()
    world.send(5)
    wait_until(lambda: len(world.handler.running) == 5, 5, sidecar.log)
    status, _ = sidecar.get(f"/pause/{TOKEN}")
    assert status == 200
    assert world.handler.accepted.total() == 5
    time.sleep(0.2)  # the receive on the wire has been closed: let SQS notice, or it would still hand out a message
    world.send(5)
    assert sidecar.not_ready() == ["paused"]
    time.sleep(0.7)
    assert world.handler.tries.total() == 5, "it received during the pause"
    world.handler.down()
    time.sleep(0.7)
    world.handler.up()
    world.wait_until_empty(10)
    sidecar.wait_for("resumed")
    assert not sidecar.not_ready()
    world.account().balances()


# Figures


def test_the_metrics_agree_with_the_account(world: World) -> None:
    def answer(post: object) -> Reply:
        key = getattr(post, "key", "")
        if key.startswith("bad"):
            return Reply(500)
        if key.startswith("later"):
            return Reply(503, headers=[("Retry-After", "600")])
        return Reply()

    world.handler.script = answer
    sidecar = world.start()
    world.send(57)
    world.send(7, prefix="bad")
    world.send(4, prefix="later")
    wait_until(lambda: len(world.messages) == 11, 10, sidecar.log)
    wait_until(lambda: sidecar.metrics()['carrier_in_flight{state="hiding"}'] == 0, 5, sidecar.log)
    metrics = sidecar.metrics()
    assert metrics["carrier_messages_received_total"] == 68
    assert metrics['carrier_outcomes_total{outcome="delivered"}'] == world.account().delivered == 57
    assert metrics['carrier_outcomes_total{outcome="failed"}'] == 7
    assert metrics['carrier_outcomes_total{outcome="retried"}'] == 4
    assert metrics['carrier_undelivered_total{reason="status 500"}'] == 7
    assert metrics['carrier_undelivered_total{reason="status 503"}'] == 4
    assert metrics["carrier_receive_calls_total"] == world.count("ReceiveMessage")
    assert metrics["carrier_handler_seconds_count"] == 68
    assert metrics["carrier_queue_lag_seconds_count"] == 68
    assert metrics["carrier_duplicates_received_total"] == 0
    assert metrics["carrier_gate_open"] == 1
    assert sum(value for name, value in metrics.items() if name.startswith("carrier_in_flight{")) == 0
    assert metrics["carrier_in_flight_bytes"] == 0
    hidden = [message.visible_at - time.time() for message in world.messages if message.body.startswith("later")]
    assert all(590 < left <= 601 for left in hidden)
    world.account().balances(left=11)


def test_what_is_cut_off_is_not_moved_to_the_dead_letter_queue_by_receives_on_the_wire() -> None:
    """Each would receive what was just given back, and count."""
    with World(visibility_s=300, max_receives=3) as world:
        world.handler.script = lambda _post: Reply(never=True)
        sidecar = world.start(CARRIER_SHUTDOWN_TIMEOUT="500ms", CARRIER_SQS_RECEIVERS="6")
        world.send(3)
        wait_until(lambda: len(world.handler.posts) == 3, 10, sidecar.log)
        sidecar.terminate()
        assert sidecar.wait(10) == 1
        world.account().balances(left=3)
        assert max(message.receive_count for message in world.messages) <= 2


def test_what_is_sent_during_an_idle_drain_is_not_moved_to_the_dead_letter_queue() -> None:
    with World(visibility_s=300, max_receives=3) as world:
        sidecar = world.start(CARRIER_SQS_RECEIVERS="6")
        wait_until(lambda: world.count("ReceiveMessage") == 6, 10, sidecar.log)
        sidecar.terminate()
        sidecar.wait_for("draining")
        world.send(1)
        assert sidecar.wait(10) == 0
        world.account().balances(left=1)
        assert world.messages[0].receive_count <= 2
