"""Handlers that misbehave, seen from the whole process: the message stays in the queue, nothing else suffers."""

from __future__ import annotations

import contextlib
import itertools
import time
from typing import TYPE_CHECKING

import pytest

from tests.process.raw_handler import raw_handler
from tests.process.sidecar import wait_until
from tests.process.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.raw_handler import Connection, Head, RawHandler
    from tests.process.sidecar import SidecarProcess

TIMEOUT_S = 1.0


class Rig:
    """One sidecar for the whole file. What is done with a message is looked up by its content type, `case/<name>`: that
    arrives before its body."""

    def __init__(self, world: World, handler: RawHandler) -> None:
        self.world = world
        self.handler = handler
        self.cases: dict[str, Callable[[Connection, Head], None]] = {}
        handler.serve = self._serve
        self.sidecar: SidecarProcess = world.start(
            CARRIER_WEBHOOK_ENDPOINT=handler.url, CARRIER_WEBHOOK_REQUEST_TIMEOUT=f"{TIMEOUT_S}s"
        )
        self._numbers = itertools.count()

    def _serve(self, connection: Connection, head: Head) -> None:
        name = head.headers["content-type"].removeprefix("case/")
        if name in self.cases:
            self.cases[name](connection, head)
        else:
            connection.ok(head)

    def send(self, serve: Callable[[Connection, Head], None], size: int = 10) -> str:
        """A message that is served so; its case's name, which is its key too."""
        name = f"c{next(self._numbers)}"
        self.cases[name] = serve
        attribute = {"DataType": "String", "StringValue": f"case/{name}"}
        self.world.send_bodies([f"{name} {'x' * size}"], MessageAttributes={"Body.ContentType": attribute})
        return name

    def heads(self, name: str) -> list[Head]:
        return [head for head in self.handler.heads if head.headers.get("content-type") == f"case/{name}"]

    def outcome(self, serve: Callable[[Connection, Head], None], size: int = 10) -> tuple[str, str]:
        """Send a message, wait for what comes of it: its name, and the reason why it was not delivered ("" if it
        was)."""
        before = self._reasons()
        name = self.send(serve, size)
        wait_until(lambda: self._reasons() != before, 10 + TIMEOUT_S, self.sidecar.log)
        after = self._reasons()
        (reason,) = [reason for reason in after if after[reason] != before.get(reason, 0)]
        return name, "" if reason == "delivered" else reason

    def _reasons(self) -> dict[str, float]:
        metrics = self.sidecar.metrics()
        reasons = {"delivered": metrics['carrier_outcomes_total{outcome="delivered"}']}
        for name, value in metrics.items():
            if name.startswith("carrier_undelivered_total"):
                reasons[name.partition('"')[2].rpartition('"')[0]] = value
        return reasons

    def is_left(self, name: str) -> bool:
        return any(message.body.startswith(f"{name} ") for message in self.world.messages)


@pytest.fixture(scope="module")
def whole() -> Iterator[Rig]:
    with World(visibility_s=300) as world, raw_handler() as handler:
        yield Rig(world, handler)


@pytest.fixture
def rig(whole: Rig) -> Iterator[Rig]:
    """The sidecar, which must be as well after the test as it was before it."""
    sidecar = whole.sidecar
    yield whole
    assert sidecar.alive, sidecar.log()
    _, reason = whole.outcome(lambda connection, head: connection.ok(head))
    assert reason == "", f"an ordinary message after it was not delivered: {reason}"
    cpu_s = sidecar.cpu_s()
    time.sleep(0.2)
    assert sidecar.cpu_s() - cpu_s <= 0.05, "it keeps a core busy"
    assert sidecar.peak_rss_bytes() < 60 << 20
    assert not sidecar.other_output


def never(connection: Connection, head: Head) -> None:
    connection.read_body(head)
    connection.wait_for_end()


def drip(connection: Connection, head: Head) -> None:
    connection.read_body(head)
    for byte in itertools.chain(b"HTTP/1.1 200 OK\r\nX-Slow: ", itertools.repeat(0x61)):
        connection.send(bytes((byte,)))
        time.sleep(0.05)


def drip_body(connection: Connection, head: Head) -> None:
    connection.read_body(head)
    connection.send(b"HTTP/1.1 500 Broken\r\nContent-Length: 1000\r\n\r\n")
    while True:
        connection.send(b"x")
        time.sleep(0.05)


def close_unread(connection: Connection, head: Head) -> None:
    connection.close()


def close_read(connection: Connection, head: Head) -> None:
    connection.read_body(head)
    connection.close()


def reset(connection: Connection, head: Head) -> None:
    connection.read_body(head)
    connection.reset()


def reset_within_the_head(connection: Connection, head: Head) -> None:
    connection.read_body(head)
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    connection.reset()


def close_within_the_head(connection: Connection, head: Head) -> None:
    connection.read_body(head)
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    connection.close()


def says(data: bytes) -> Callable[[Connection, Head], None]:
    """Reads the request, sends these bytes, and goes on with the next request if there is one."""

    def serve(connection: Connection, head: Head) -> None:
        connection.read_body(head)
        connection.send(data)

    return serve


def endless(start: bytes, piece: bytes) -> Callable[[Connection, Head], None]:
    """Reads the request, sends `start` and then `piece` for as long as somebody listens."""

    def serve(connection: Connection, head: Head) -> None:
        connection.read_body(head)
        connection.send(start)
        while True:
            connection.send(piece)

    return serve


@pytest.mark.parametrize(
    ("serve", "reasons"),
    [
        (never, {"timeout"}),
        (drip, {"timeout"}),
        (close_unread, {"closed", "reset"}),
        (close_read, {"closed"}),
        (reset, {"reset"}),
        (reset_within_the_head, {"reset"}),
        (close_within_the_head, {"closed"}),
        (says(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is not HTTP\r\n\r\n"), {"garbage"}),
        (says(b"SSH-2.0-OpenSSH_9.9\r\n"), {"garbage"}),
        (says(b"HTTP/1.1 999999 OK\r\nContent-Length: 0\r\n\r\n"), {"garbage"}),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\n"), {"garbage"}),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), {"garbage"}),
        (says(b"HTTP/2.0 200\r\n\r\n"), {"garbage"}),
        (endless(b"HTTP/1.1 200 OK\r\n", b"X-More: and more of it\r\n" * 100), {"garbage", "too_large"}),
        (endless(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 10000), {"garbage", "too_large"}),
        (endless(b"", b"x" * 10000), {"garbage", "too_large"}),
        (endless(b"", b"\r\n" * 1000), {"garbage", "too_large", "timeout"}),
        (endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 50), {"garbage", "too_large", "timeout"}),
        (says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"), {"garbage", "status 101"}),
        (says(b"HTTP/1.1 304 Not Modified\r\n\r\n"), {"status 304"}),
        (says(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"), {"status 302"}),
        (drip_body, {"status 500"}),
    ],
    ids=[
        "never answers",
        "a byte at a time",
        "closes unread",
        "closes after the request",
        "resets",
        "resets within the head",
        "closes within the head",
        "speaks TLS",
        "speaks SSH",
        "a status of six digits",
        "a negative length",
        "two lengths",
        "another HTTP",
        "endless header lines",
        "an endless header line",
        "an endless status line",
        "endless empty lines",
        "endless interim answers",
        "switches protocols",
        "not modified",
        "a redirect that changes the method",
        "a failure whose body drips",
    ],
)
def test_an_undelivered_message_stays_in_the_queue(
    rig: Rig, serve: Callable[[Connection, Head], None], reasons: set[str]
) -> None:
    began = time.monotonic()
    name, reason = rig.outcome(serve)
    took_s = time.monotonic() - began
    assert reason in reasons
    assert took_s < TIMEOUT_S + 1.5
    assert rig.is_left(name)
    message = next(message for message in rig.world.messages if message.body.startswith(f"{name} "))
    assert message.receive_count == 1
    assert message.visible_at > time.time() + 250, "its visibility was changed"
    assert len(rig.heads(name)) == 1, "it was POSTed more than once"


def test_the_body_is_not_waited_for_after_an_early_refusal(rig: Rig) -> None:
    def refuse(connection: Connection, head: Head) -> None:
        connection.send(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        connection.wait_for_end()

    name, reason = rig.outcome(refuse, 1_000_000)
    assert reason == "status 413"
    assert rig.is_left(name)


def test_a_refusal_that_is_followed_by_a_reset_leaves_the_message(rig: Rig) -> None:
    def refuse(connection: Connection, head: Head) -> None:
        connection.send(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        connection.close()  # with a body that nobody reads the kernel makes a reset of it

    name, reason = rig.outcome(refuse, 1_000_000)
    assert reason in ("status 413", "reset", "closed")
    assert rig.is_left(name)
    assert len(rig.heads(name)) == 1


def test_a_handler_that_reads_nothing_times_out(rig: Rig) -> None:
    def deaf(connection: Connection, head: Head) -> None:
        connection.closed.wait(TIMEOUT_S + 3)

    name, reason = rig.outcome(deaf, 1_000_000)
    assert reason == "timeout"
    assert rig.is_left(name)


def deleted(rig: Rig, serve: Callable[[Connection, Head], None], size: int = 10) -> str:
    name, reason = rig.outcome(serve, size)
    assert reason == ""
    wait_until(lambda: not rig.is_left(name), 5, rig.sidecar.log)
    return name


def test_an_early_success_is_one(rig: Rig) -> None:
    def accept(connection: Connection, head: Head) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        with contextlib.suppress(OSError):
            connection.read_body(head)

    name = deleted(rig, accept, 1_000_000)
    assert len(rig.heads(name)) == 1


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8000000\r\n",
    ],
    ids=["until close", "a length", "a chunk"],
)
def test_an_endless_body_does_not_undo_a_success(rig: Rig, start: bytes) -> None:
    began = time.monotonic()
    deleted(rig, endless(start, b"x" * 65536))
    assert time.monotonic() - began < TIMEOUT_S + 1.5


def test_a_success_whose_body_breaks_off_is_one(rig: Rig) -> None:
    def half(connection: Connection, head: Head) -> None:
        connection.read_body(head)
        connection.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000\r\n\r\nhalf")
        connection.reset()

    name = deleted(rig, half)
    assert len(rig.heads(name)) == 1


def test_interim_answers_are_passed_over(rig: Rig) -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    deleted(rig, says(data))


def test_a_connection_closed_between_requests_costs_nothing(rig: Rig) -> None:
    def ok_and_close(connection: Connection, head: Head) -> None:
        connection.read_body(head)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")  # as if it stayed open
        connection.close()

    for _ in range(5):
        name = deleted(rig, ok_and_close)
        assert len(rig.heads(name)) == 1


def test_a_connection_closed_as_the_next_request_comes_is_not_a_second_post(rig: Rig) -> None:
    """The close crosses the request: whether the handler saw it is not known, so it is not sent again."""
    first = True

    def close_the_second(connection: Connection, head: Head) -> None:
        nonlocal first
        if first:
            first = False
            connection.ok(head)
        else:
            connection.reset()

    deleted(rig, close_the_second)
    name, reason = rig.outcome(close_the_second)
    assert reason in ("reset", "closed")
    assert len(rig.heads(name)) == 1
    assert rig.is_left(name)


def redirects(*locations: str, status: int = 307) -> Callable[[Connection, Head], None]:
    """One after the other, then 200."""
    left = list(locations)

    def serve(connection: Connection, head: Head) -> None:
        body = connection.read_body(head)
        assert body.endswith(b"xxx")
        if left:
            answer = f"HTTP/1.1 {status} Moved\r\nLocation: {left.pop(0)}\r\nContent-Length: 0\r\n\r\n"
            connection.send(answer.encode())
        else:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    return serve


@pytest.mark.parametrize("status", [307, 308])
def test_redirects_within_the_origin_are_followed_with_method_and_body(rig: Rig, status: int) -> None:
    absolute = f"http://127.0.0.1:{rig.handler.port}/third"
    name = deleted(rig, redirects("/second", absolute, "fourth?a=b", status=status))
    heads = rig.heads(name)
    assert [(head.method, head.target) for head in heads] == [
        ("POST", "/events"),
        ("POST", "/second"),
        ("POST", "/third"),
        ("POST", "/fourth?a=b"),
    ]
    assert {head.headers["x-carrier-message-id"] for head in heads} == {heads[0].headers["x-carrier-message-id"]}


@pytest.mark.parametrize(
    ("locations", "posts"),
    [
        (["/a", "/b", "/c", "/d", "/e"], 4),
        (["http://127.0.0.1:1/events"], 1),
        (["http://localhost/events"], 1),
        (["https://127.0.0.1/events"], 1),
        (["//example.com/events"], 1),
        (["/a\x01b"], 1),
        ([""], 1),
    ],
    ids=["too many", "another port", "another host", "another scheme", "a host alone", "not an address", "empty"],
)
def test_redirects_elsewhere_or_without_end_are_not_followed(rig: Rig, locations: list[str], posts: int) -> None:
    name, reason = rig.outcome(redirects(*locations))
    assert reason in ("status 307", "garbage")
    assert len(rig.heads(name)) == posts
    assert rig.is_left(name)


@pytest.mark.parametrize(
    "content_type", ["text/plain\r\nX-Evil: 1", "text/plain\n\nGET / HTTP/1.1", "a\tb\rc"], ids=["CRLF", "LF", "CR"]
)
def test_a_content_type_with_a_line_break_fails_its_message(rig: Rig, content_type: str) -> None:
    posted = len(rig.handler.heads)
    counted = rig.sidecar.metrics()["carrier_bad_messages_total"]
    attribute = {"DataType": "String", "StringValue": content_type}
    rig.world.send_bodies(["evil"], MessageAttributes={"Body.ContentType": attribute})
    wait_until(lambda: rig.sidecar.metrics()["carrier_bad_messages_total"] > counted, 5, rig.sidecar.log)
    rig.sidecar.wait_for("not_delivered", reason="bad_message")
    assert any(message.body == "evil" for message in rig.world.messages)
    assert len(rig.handler.heads) == posted, "it was POSTed"
