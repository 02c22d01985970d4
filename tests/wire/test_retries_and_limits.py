"""Retries, dead letters and limits, seen from the whole process."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.process.handler import OK, Post, Reply
from tests.process.sidecar import TOKEN, wait_until
from tests.process.world import World
from tests.simulation.sqs_faults import ALWAYS, Fault
from tests.wire.tls_peer import Certificates, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def make_world() -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(**options: Any) -> World:
        made.append(World(**options))
        return made[-1]

    yield make
    for world in made:
        world.close()


def dead_letters(world: World) -> list[Any]:
    return world.thread.do(lambda: list(world._queue(world.dead_name).messages.values()))


def said(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.attributes["Carrier.DeadLetter"]["StringValue"])
    return found


def test_a_failed_message_comes_back_after_its_backoff(make_world: Callable[..., World]) -> None:
    world = make_world(visibility_s=60)
    world.handler.script = lambda post: OK if post.receive_count == 3 else Reply(500)
    sidecar = world.start(CARRIER_RETRY_INITIAL="1s", CARRIER_RETRY_FACTOR="1")
    world.send()
    world.wait_until_empty(10)
    assert world.handler.statuses("m0") == [500, 500, 200]
    began = [post.began_at for post in world.handler.posts]
    assert 0.9 <= began[1] - began[0] <= 2.5
    assert len(sidecar.notes("retry_later")) >= 1


def test_dead_letters_by_header_by_status_and_by_giving_up(make_world: Callable[..., World]) -> None:
    world = make_world(visibility_s=30, max_receives=10)

    def script(post: Post) -> Reply:
        return {
            "header": Reply(200, headers=[("X-Carrier-Dead-Letter", "no such customer")]),
            "final": Reply(422),
            "given-up": Reply(500),
            "fine": OK,
        }[post.key]

    world.handler.script = script
    sidecar = world.start(
        CARRIER_DEAD_LETTER_STATUSES="422", CARRIER_GIVE_UP_RECEIVES="2", CARRIER_RETRY_BY_STATUS="500=1s/1"
    )
    attributes = {"kept": {"DataType": "String", "StringValue": "yes"}}
    world.send_bodies(["header", "final", "given-up", "fine"], MessageAttributes=attributes)
    world.wait_until_empty(15)
    letters = {message.body: message for message in dead_letters(world)}
    assert {
        key: (said(one)["reason"], said(one)["status"], said(one)["receiveCount"]) for key, one in letters.items()
    } == {
        "header": ("no such customer", 200, 1),
        "final": ("status 422 is final", 422, 1),
        "given-up": ("given up on receive 2: status 500", 500, 2),
    }
    assert all(message.attributes["kept"] == attributes["kept"] for message in letters.values())
    assert sidecar.metrics()["carrier_dead_letters_total"] == 3
    line = sidecar.wait_for("dead_lettered", reason="status 422")
    assert line["dead_letter"] == "status 422 is final"
    assert len(line["trace_id"]) == 32
    # The letter first, then the delete.
    actions = [action for action, _, _ in world.sqs.seen if action in ("SendMessage", "DeleteMessageBatch")]
    assert actions[0] == "SendMessage"


def test_a_dead_letter_queue_that_fails_keeps_the_message_until_it_is_well(make_world: Callable[..., World]) -> None:
    world = make_world(visibility_s=10, max_receives=10)
    world.handler.script = lambda post: Reply(422)
    fault = world.sqs.plan(Fault("SendMessage", times=ALWAYS, code="InternalError", status=500))
    sidecar = world.start(CARRIER_DEAD_LETTER_STATUSES="4xx")
    world.send()
    sidecar.wait_for("dead_letter_failed")
    time.sleep(1.5)
    assert world.in_flight == 1
    assert dead_letters(world) == []
    assert world.count("SendMessage") < 15
    fault.times = 0
    world.wait_until_empty(10)
    assert len(dead_letters(world)) == 1
    assert world.handler.tries["m0"] == 1


def test_a_fifo_group_goes_on_behind_a_dead_letter(make_world: Callable[..., World]) -> None:
    world = make_world(queue="orders.fifo", visibility_s=30, max_receives=10)
    world.handler.script = lambda post: Reply(422) if post.key == "m1" else OK
    world.start(CARRIER_DEAD_LETTER_STATUSES="422")
    for number in range(4):
        world.send_bodies([f"m{number}"], MessageGroupId="g", MessageDeduplicationId=f"d{number}")
    world.wait_until_empty(10)
    assert [post.key for post in world.handler.posts] == ["m0", "m1", "m2", "m3"]
    (letter,) = dead_letters(world)
    assert (letter.body, letter.group, letter.dedup) == ("m1", "g", "d1")


def test_without_a_dead_letter_queue_messages_are_left_and_that_is_said(make_world: Callable[..., World]) -> None:
    world = make_world(visibility_s=10)
    world.handler.script = lambda post: Reply(422)
    sidecar = world.start(CARRIER_DEAD_LETTER_STATUSES="422")
    sidecar.wait_for("dead_letter_queue_unknown")
    world.send()
    sidecar.wait_for("no_dead_letter_queue")
    assert len(world.messages) == 1


def test_the_rate_limit_slows_receiving(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.send(200)
    world.start(CARRIER_RATE_LIMIT="40/s", CARRIER_RATE_BURST="20")
    began = time.monotonic()
    wait_until(lambda: sum(world.handler.tries.values()) >= 20, 5)
    time.sleep(2.0)
    count = sum(world.handler.tries.values())
    passed = time.monotonic() - began
    assert 20 + 40 * (passed - 0.6) <= count <= 20 + 40 * (passed + 0.3)
    assert world.in_flight <= 10


def test_the_breaker_lets_one_message_try(make_world: Callable[..., World]) -> None:
    world = make_world(visibility_s=10)
    world.handler.script = lambda post: Reply(500)
    sidecar = world.start(CARRIER_BREAKER_FAILURES="3", CARRIER_BREAKER_PAUSE="2s", CARRIER_RETRY_BY_STATUS="500=1s/1")
    world.send(60)
    sidecar.wait_for("breaker_shut")
    assert sidecar.not_ready() == ["breaker"]
    wait_until(lambda: not world.handler.running, 5)
    tried = sum(world.handler.tries.values())
    assert tried <= 20  # what was with the handler, and the poll that was out
    sidecar.wait_for("breaker_trying", 10)
    wait_until(lambda: sum(world.handler.tries.values()) == tried + 1, 5)
    world.handler.script = lambda post: OK
    sidecar.wait_for("breaker_open", 15)
    world.wait_until_empty(25)


def test_suspending_and_resuming_by_signal_and_by_path(make_world: Callable[..., World]) -> None:
    world = make_world()
    sidecar = world.start(wait=False, CARRIER_SUSPENDED="true")
    sidecar.wait_for("queue_open")
    wait_until(lambda: sidecar.not_ready() == ["suspended"], 10, sidecar.log)
    world.send()
    time.sleep(0.3)
    assert world.count("ReceiveMessage") == 0
    sidecar.signal(signal.SIGUSR2)
    world.wait_until_empty(10)
    sidecar.signal(signal.SIGUSR1)
    wait_until(lambda: sidecar.not_ready() == ["suspended"], 10, sidecar.log)
    assert sidecar.get(f"/resume/{TOKEN}")[0] == 200
    assert sidecar.not_ready() == []
    assert sidecar.get("/suspend/wrong-token")[0] == 404
    assert sidecar.get(f"/suspend/{TOKEN}")[0] == 200
    assert sidecar.not_ready() == ["suspended"]
    sidecar.terminate()
    assert sidecar.wait(10) == 0


def test_headers_trace_context_and_a_token_that_rotates(make_world: Callable[..., World], tmp_path: Path) -> None:
    world = make_world(visibility_s=30)
    token = tmp_path / "token"
    token.write_text("one\n")
    good = "Bearer one"
    world.handler.script = lambda post: OK if post.headers.get("authorization") == good else Reply(401)
    sidecar = world.start(
        CARRIER_WEBHOOK_HEADERS="X-Tenant: shop\nX-Other: a, b", CARRIER_WEBHOOK_BEARER_TOKEN_FILE=str(token)
    )
    world.send()
    world.wait_until_empty()
    post = world.handler.posts[0]
    assert (post.headers["x-tenant"], post.headers["x-other"]) == ("shop", "a, b")
    assert len(post.headers["traceparent"]) == 55
    good = "Bearer two"
    other = tmp_path / "other"
    other.write_text("two")
    os.replace(other, token)
    attributes = {"traceparent": {"DataType": "String", "StringValue": PARENT}}
    world.send(MessageAttributes=attributes)
    world.wait_until_empty()
    assert world.handler.accepted["m1"] == 1
    assert world.handler.posts[-1].receive_count == 1
    assert world.handler.posts[-1].headers["traceparent"] == PARENT
    assert sidecar.notes("not_delivered") == []


def test_basic_from_a_file(make_world: Callable[..., World], tmp_path: Path) -> None:
    world = make_world()
    password = tmp_path / "password"
    password.write_text("p:w\n")
    world.start(CARRIER_WEBHOOK_USERNAME="me", CARRIER_WEBHOOK_PASSWORD_FILE=str(password))
    world.send()
    world.wait_until_empty()
    scheme, _, encoded = world.handler.posts[0].headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(encoded)) == ("Basic", b"me:p:w")


def test_a_file_that_cannot_be_read_ends_the_start(make_world: Callable[..., World]) -> None:
    world = make_world()
    sidecar = world.start(
        wait=False, CARRIER_WEBHOOK_BEARER_TOKEN_FILE="/nowhere/token", CARRIER_WEBHOOK_CA_FILE="/nowhere/ca.pem"
    )
    assert sidecar.wait(10) == 2
    problems = " ".join(line["error"] for line in sidecar.notes("setting_error"))
    assert "CARRIER_WEBHOOK_BEARER_TOKEN_FILE='/nowhere/token' cannot be used: No such file or directory" in problems
    assert "CARRIER_WEBHOOK_CA_FILE='/nowhere/ca.pem'" in problems


def test_the_handler_is_verified_and_shown_a_certificate(make_world: Callable[..., World], tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    context = certificates.server_context()
    context.load_verify_locations(certificates.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    shown: list[Any] = []

    def serve(stream: socket.socket) -> None:
        assert isinstance(stream, ssl.SSLSocket)
        data = b""
        while b"\r\n\r\n" not in data:
            piece = stream.recv(65536)
            if not piece:
                return
            data += piece
        shown.append(stream.getpeercert())
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    world = make_world()
    with serving(serve, context) as port:
        endpoint: Any = {"CARRIER_WEBHOOK_ENDPOINT": f"https://localhost:{port}/"}
        world.start(**endpoint, CARRIER_WEBHOOK_CA_FILE=certificates.ca, CARRIER_WEBHOOK_CERT_FILE=certificates.cert)
        world.send()
        world.wait_until_empty()
        assert shown[-1]["subject"] == ((("commonName", "localhost"),),)
        # Without either of the two nothing gets through.
        before = len(shown)
        world.sidecars[0].close()
        only: Any
        for only in ({"CARRIER_WEBHOOK_CA_FILE": certificates.ca}, {"CARRIER_WEBHOOK_CERT_FILE": certificates.cert}):
            sidecar = world.start(wait=False, **endpoint, **only)
            world.send()
            time.sleep(0.5)
            assert world.messages
            assert len(shown) == before
            sidecar.close()


def test_a_file_without_a_certificate_ends_the_start(make_world: Callable[..., World], tmp_path: Path) -> None:
    world = make_world()
    (tmp_path / "ca.pem").write_text("nothing of use")
    sidecar = world.start(
        wait=False,
        CARRIER_WEBHOOK_ENDPOINT="https://localhost:1",
        CARRIER_WEBHOOK_CA_FILE=str(tmp_path / "ca.pem"),
    )
    assert sidecar.wait(10) == 2
    assert "ca.pem" in sidecar.notes("setting_error")[0]["error"]
