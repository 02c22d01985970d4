"""The client on the simulated network: what counts as an answer, what as a failure, and what becomes of the
connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from carrier_sidecar.http1.client import Origin, Pool
from carrier_sidecar.http1.connection import Connection
from carrier_sidecar.http1.failures import Failure
from carrier_sidecar.http1.proxy import Proxy
from carrier_sidecar.http1.responses import Response
from carrier_sidecar.loop.tls import TLS
from tests.simulation.loop import SimLoop
from tests.simulation.network import Endpoint
from tests.simulation.raw_server import RawConnection, RawServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Outcome:
    """An exchange that keeps what it hears."""

    def __init__(self) -> None:
        self.response: Response | None = None
        self.failure: Failure | None = None
        self.calls = 0
        self.then: Callable[[], None] | None = None

    def answered(self, response: Response) -> None:
        self.calls += 1
        self.response = response
        if self.then is not None:
            self.then()

    def failed(self, failure: Failure) -> None:
        self.calls += 1
        self.failure = failure


def request(body: bytes = b"", method: str = "POST") -> bytes:
    return f"{method} /x HTTP/1.1\r\nHost: app\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class World:
    """A loop, a server at app:80 and a pool to it."""

    def __init__(self, answer: bytes = OK, **pool_settings: Any) -> None:
        self.loop = SimLoop()
        self.server = RawServer(self.loop, "app", 80, answer)
        self.pool = Pool(self.loop, Origin("app", 80), **pool_settings)

    @property
    def link(self) -> Endpoint:
        return self.loop.network.endpoint("app", 80)

    def start(self, body: bytes = b"", timeout_s: float | None = 10.0, **more: Any) -> tuple[Outcome, Connection]:
        outcome = Outcome()
        connection = self.pool.request(request(body), outcome, timeout_s, **more)
        assert outcome.calls == 0
        return outcome, connection

    def ask(self, body: bytes = b"", timeout_s: float | None = 10.0, **more: Any) -> Outcome:
        outcome, _ = self.start(body, timeout_s, **more)
        self.loop.run_while(lambda: not outcome.calls)
        return outcome

    def response(self, body: bytes = b"", **more: Any) -> Response:
        response = self.ask(body, **more).response
        assert response is not None
        return response

    def failure(self, body: bytes = b"", **more: Any) -> Failure:
        outcome = self.ask(body, **more)
        assert outcome.failure is not None, outcome.response
        self.loop.run_for(100)
        assert outcome.calls == 1
        return outcome.failure


def answer_with(*parts: bytes, end: str = "", pause_s: float = 0.001) -> Callable[[RawConnection], None]:
    """Once a request is there: these pieces, one after the other; then, if said so, close or reset."""

    def on_data(connection: RawConnection) -> None:
        if connection.take_request() is None:
            return
        loop = connection._server.loop
        when = loop.now()
        for part in parts:
            loop.call_at(when, lambda part=part: connection.stream.write(part))  # type: ignore[misc] # binds the variable
            when += pause_s
        if end == "close":
            loop.call_at(when, connection.stream.close)
        elif end == "reset":
            assert isinstance(loop, SimLoop)
            loop.call_at(when, loop.network.endpoint("app", 80).reset_all)

    return on_data


# Answers


def test_an_answer_in_one_piece() -> None:
    world = World(b"HTTP/1.1 201 Created\r\nX-One: 1\r\nx-two:\t2 \r\nContent-Length: 3\r\n\r\nabc")
    response = world.response(b"body")
    assert (response.status, response.body, response.truncated) == (201, b"abc", False)
    assert response.headers == {"x-one": "1", "x-two": "2", "content-length": "3"}
    assert world.server.requests == [request(b"body")]


@pytest.mark.parametrize("keep_body", [True, False])
def test_connections_are_used_again(keep_body: bool) -> None:
    world = World(keep_body=keep_body)
    for _ in range(5):
        assert world.response().body == (b"ok" if keep_body else b"")
    assert world.link.connected == 1
    assert world.pool.open == 1


def test_equal_heads_with_different_bodies_are_told_apart() -> None:
    world = World()
    for body in (b"aa", b"bb", b"ccc", b"dd", b"", b"ee"):
        world.server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        assert world.response().body == body
    assert world.link.connected == 1


def test_a_known_head_whose_body_comes_later_is_no_whole_answer() -> None:
    world = World()
    world.response()
    world.server.on_data = answer_with(OK[:-2], b"o", b"k")
    assert world.response().body == b"ok"
    world.server.on_data = answer_with(OK[:10], OK[10:])
    assert world.response().body == b"ok"
    assert world.link.connected == 1


def test_a_known_head_followed_by_too_much_is_one_answer_and_the_end_of_the_connection() -> None:
    world = World()
    world.response()
    world.server.answer = OK + OK
    assert world.response().body == b"ok"
    assert world.pool.open == 0


def test_an_answer_to_head_has_no_body_even_with_a_known_head() -> None:
    world = World()
    world.response()
    world.server.answer = OK[:-2]
    assert world.response(head=True).body == b""
    world.server.answer = OK
    assert world.response().body == b"ok"
    assert world.link.connected == 1


def test_requests_at_once_have_connections_of_their_own_and_share_them_later() -> None:
    world = World()
    first = [world.start()[0] for _ in range(4)]
    world.loop.run_while(lambda: not all(each.response for each in first))
    second = [world.start()[0] for _ in range(4)]
    world.loop.run_while(lambda: not all(each.response for each in second))
    assert world.link.connected == 4


def test_a_request_from_within_an_answer_takes_the_same_connection() -> None:
    world = World()
    outcome, _ = world.start()
    again = Outcome()

    def then() -> None:
        world.pool.request(request(), again, 5.0)

    outcome.then = then
    world.loop.run_while(lambda: not again.calls)
    assert again.response is not None
    assert world.link.connected == 1


@pytest.mark.parametrize("split", [False, True])
def test_chunks_and_trailers(split: bool) -> None:
    world = World(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n3\r\ncde\r\n0\r\nT: 1\r\n\r\n")
    world.link.split = split
    assert world.response().body == b"abcde"
    assert world.response().body == b"abcde"
    assert world.link.connected == 1


def test_a_body_until_the_end_of_the_connection() -> None:
    world = World()
    world.server.on_data = answer_with(b"HTTP/1.1 200 OK\r\n\r\nab", b"cd", end="close")
    response = world.response()
    assert (response.body, response.truncated) == (b"abcd", False)
    assert world.pool.open == 0


def test_informational_answers_are_skipped() -> None:
    world = World(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK)
    assert world.response().body == b"ok"
    assert world.response().body == b"ok"
    world.server.on_data = answer_with(b"HTTP/1.1 102 Processing\r\n\r\n", OK, pause_s=5.0)
    assert world.response().body == b"ok"
    assert world.link.connected == 1


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(status: int) -> None:
    world = World(f"HTTP/1.1 {status} Nothing\r\n\r\n".encode())
    assert world.response().status == status
    assert world.response().body == b""
    assert world.link.connected == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_answers_that_end_their_connection(answer: bytes) -> None:
    world = World(answer)
    for used in (1, 2):
        assert world.response().status == 200
        assert world.link.connected == used
        assert world.pool.open == 0


def test_http_1_0_may_stay_open_too() -> None:
    world = World(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")
    world.response()
    world.response()
    assert world.link.connected == 1


# Idle connections


@pytest.mark.parametrize(
    ("header", "reused_after", "not_after"),
    [(b"", 0.95, 1.05), (b"Keep-Alive: timeout=5, max=9\r\n", 3.9, 4.1), (b"Keep-Alive: timeout=1\r\n", 0.45, 0.55)],
)
def test_how_long_an_idle_connection_may_be_used_again(header: bytes, reused_after: float, not_after: float) -> None:
    world = World(b"HTTP/1.1 200 OK\r\n" + header + b"Content-Length: 0\r\n\r\n")
    world.response()
    world.loop.run_for(reused_after)
    world.response()
    assert world.link.connected == 1
    world.loop.run_for(not_after)
    world.response()
    assert world.link.connected == 2


def test_after_a_suspend_old_connections_are_not_used() -> None:
    world = World()
    world.response()
    world.loop._now += 3600  # no timer has run yet
    world.response()
    assert world.link.connected == 2


def test_idle_connections_are_closed_in_time() -> None:
    world = World()
    outcomes = [world.start()[0] for _ in range(3)]
    world.loop.run_while(lambda: not all(each.calls for each in outcomes))
    assert world.pool.open == 3
    world.loop.run_for(1.2)
    assert world.pool.open == 0
    assert all(each.ended_at is not None for each in world.server.connections)


def test_an_idle_connection_that_the_server_closes_is_dropped_at_once() -> None:
    world = World()
    world.response()
    world.server.connections[0].stream.close()
    world.loop.run_for(0.01)
    assert world.pool.open == 0
    assert world.response().body == b"ok"


def test_bytes_on_an_idle_connection_end_it() -> None:
    world = World()
    world.response()
    world.server.connections[0].stream.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
    world.loop.run_for(0.01)
    assert world.pool.open == 0
    assert world.response().status == 200


def test_a_reset_idle_connection_is_dropped() -> None:
    world = World()
    world.response()
    world.link.reset_all()
    world.loop.run_for(0.01)
    assert world.pool.open == 0


# Early and broken answers


def test_an_answer_before_the_body_was_sent_is_taken_and_the_connection_closed() -> None:
    world = World()
    world.link.capacity = 1000

    def refuse(connection: RawConnection) -> None:
        connection.stream.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        world.server.on_data = lambda connection: None

    world.server.on_data = refuse
    assert world.response(b"x" * 100_000).status == 413
    assert world.pool.open == 0


def test_an_answer_before_the_body_was_sent_is_taken_with_a_known_head_too() -> None:
    world = World()
    world.response()
    world.link.capacity = 1000

    def answer_early(connection: RawConnection) -> None:
        connection.stream.write(OK)
        world.server.on_data = lambda connection: None

    world.server.on_data = answer_early
    assert world.response(b"x" * 100_000).status == 200
    assert world.pool.open == 0


GARBAGE = [
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/2 200\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\na",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\na",
    b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\rContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 2xx OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 70_000,
    b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
]


@pytest.mark.parametrize("answer", GARBAGE)
@pytest.mark.parametrize("split", [False, True])
def test_what_is_no_answer_is_garbage(answer: bytes, split: bool) -> None:
    world = World(answer)
    world.link.split = split
    failure = world.failure()
    assert failure.kind == "garbage"
    assert failure.maybe_sent
    assert world.pool.open == 0


BAD_CHUNKS = [
    b"x\r\n",
    b"-1\r\n",
    b"2\r\nabc\r\n",
    b"2\r\nabXX0\r\n\r\n",
    b"1\nab",
    b"ffffffffffffffff\r\n",
    b" 1\r\na\r\n",
    b"0\r\nT\r\n\r\n",
    b"5" * 5000,
]


@pytest.mark.parametrize("chunks", BAD_CHUNKS)
def test_bad_chunks_are_garbage_but_the_status_counts_where_bodies_are_not_kept(chunks: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    assert World(answer).failure().kind == "garbage"
    response = World(answer, keep_body=False).response()
    assert (response.status, response.truncated) == (200, True)


def test_endless_headers_are_cut_off() -> None:
    world = World()

    def pour(connection: RawConnection) -> None:
        def more() -> None:
            connection.stream.write(b"X-Again: and again\r\n" * 50)
            if connection.ended_at is None:
                world.loop.call_at(world.loop.now() + 0.001, more)

        if connection.take_request() is not None:
            connection.stream.write(b"HTTP/1.1 200 OK\r\n")
            more()

    world.server.on_data = pour
    assert world.failure().kind == "garbage"


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1001\r\n\r\n", b"\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n"]
)
def test_a_body_over_the_limit(framing: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + framing + b"x" * 1001
    failure = World(answer, max_body=1000).failure()
    assert failure.kind == "too_large"
    world = World(answer, max_body=1000, keep_body=False)
    response = world.response()
    assert (response.status, response.truncated) == (200, True)
    assert world.pool.open == 0


def test_a_body_of_exactly_the_limit_passes() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000
    assert len(World(answer, max_body=1000).response().body) == 1000


@pytest.mark.parametrize(
    ("parts", "end", "kind"),
    [
        ([], "close", "closed"),
        ([], "reset", "reset"),
        ([b"HTTP/1.1 20"], "close", "closed"),
        ([OK[:-1]], "close", "closed"),
        ([OK[:-1]], "reset", "reset"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"], "close", "closed"),
        ([b"HTTP/1.1 200 OK\r\n\r\nab"], "reset", "reset"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n"], "close", "closed"),
    ],
)
def test_answers_that_break_off(parts: list[bytes], end: str, kind: str) -> None:
    world = World()
    world.server.on_data = answer_with(*parts, end=end)
    failure = world.failure()
    assert (failure.kind, failure.maybe_sent) == (kind, True)
    assert world.pool.open == 0
    dropping = World(keep_body=False)
    dropping.server.on_data = answer_with(*parts, end=end)
    outcome = dropping.ask()
    if parts and b"200 OK\r\n" in parts[0]:
        assert outcome.response is not None
        assert outcome.response.truncated
    else:
        assert outcome.failure is not None


# Time


def test_no_answer_in_time() -> None:
    world = World(b"")
    started = world.loop.now()
    outcome = world.ask(timeout_s=3.0)
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.maybe_sent) == ("timeout", True)
    assert world.loop.now() == pytest.approx(started + 3.0)
    world.loop.run_for(1)
    assert world.server.connections[0].ended_at is not None


def test_an_answer_that_dribbles_is_cut_at_the_whole_time() -> None:
    world = World()
    world.server.on_data = answer_with(OK[:-2], *[b""] * 3, b"o", pause_s=1.0)
    assert world.failure(timeout_s=3.0, first_byte_timeout_s=1.0).kind == "timeout"


def test_the_time_until_an_answer_begins() -> None:
    world = World(b"HTTP/1.1 100 Continue\r\n\r\n")
    started = world.loop.now()
    outcome = world.ask(timeout_s=30.0, first_byte_timeout_s=2.0)
    assert outcome.failure is not None
    assert outcome.failure.kind == "timeout"
    assert world.loop.now() == pytest.approx(started + 2.0)
    world.server.on_data = answer_with(OK[:-1], b"k", pause_s=5.0)
    assert world.response(timeout_s=30.0, first_byte_timeout_s=2.0).body == b"ok"


def test_no_time_limit() -> None:
    world = World()
    world.server.on_data = answer_with(b"", OK, pause_s=100_000.0)
    outcome, _ = world.start(timeout_s=None)
    world.loop.run_for(200_000)
    assert outcome.response is not None


def test_a_request_that_is_not_taken_in_time() -> None:
    world = World(write_timeout_s=4.0)
    world.response()
    world.link.capacity = 1000
    world.link.stalled = True
    started = world.loop.now()
    outcome = world.ask(b"x" * 5000, timeout_s=60.0)
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.maybe_sent) == ("timeout", True)
    assert "taken" in outcome.failure.detail
    assert world.loop.now() == pytest.approx(started + 4.0)


def test_a_slow_upload_that_ends_in_time_is_no_failure() -> None:
    world = World(write_timeout_s=4.0)
    world.link.capacity = 1000
    world.link.latency_s = 0.5
    assert world.response(b"x" * 5000, timeout_s=60.0).body == b"ok"
    world.server.on_data = answer_with(b"", OK, pause_s=20.0)
    assert world.response(b"x" * 5000, timeout_s=60.0).body == b"ok"


def test_a_later_request_on_the_connection_has_a_time_of_its_own() -> None:
    world = World(idle_s=60.0)
    world.response(timeout_s=5.0)
    world.loop.run_for(4)
    world.server.on_data = answer_with(b"", OK, pause_s=3.0)
    assert world.response(timeout_s=5.0).body == b"ok"
    world.server.on_data = answer_with()
    started = world.loop.now()
    assert world.ask(timeout_s=0.5).failure is not None
    assert world.loop.now() == pytest.approx(started + 0.5)


def test_a_steady_flow_sets_no_timer_per_request() -> None:
    world = World()
    world.response(timeout_s=60.0)
    before = world.loop._number
    for _ in range(200):
        world.response(timeout_s=60.0)
    # Two arrivals per exchange are the simulated network's own.
    assert world.loop._number - before - 400 <= 5


# Connecting


def test_refused() -> None:
    world = World()
    world.link.refuse = True
    failure = world.failure()
    assert (failure.kind, failure.maybe_sent) == ("refused", False)


def test_a_name_without_address() -> None:
    world = World()
    world.pool = Pool(world.loop, Origin("nowhere", 80))
    failure = world.failure()
    assert (failure.kind, failure.maybe_sent) == ("resolve", False)


def test_no_connection_in_time() -> None:
    world = World(connect_timeout_s=2.0)
    world.link.blackhole = True
    started = world.loop.now()
    outcome = world.ask(timeout_s=60.0)
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.maybe_sent) == ("connect_timeout", False)
    assert world.loop.now() == pytest.approx(started + 2.0)


def test_the_whole_time_covers_connecting() -> None:
    world = World(connect_timeout_s=20.0)
    world.link.blackhole = True
    outcome = world.ask(timeout_s=3.0)
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.maybe_sent) == ("timeout", False)


def test_tls_that_fails() -> None:
    world = World()
    world.pool = Pool(world.loop, Origin("app", 80, TLS("app")))
    assert world.response().body == b"ok"
    world.link.tls_problem = "the certificate has expired"
    world.loop.run_for(5)
    failure = world.failure()
    assert (failure.kind, failure.maybe_sent) == ("tls", False)
    assert "expired" in failure.detail


# Cancelling


def test_a_cancelled_request_is_never_heard_of_again() -> None:
    world = World()
    world.server.on_data = answer_with(b"", OK, pause_s=1.0)
    outcome, connection = world.start()
    world.loop.run_for(0.5)
    world.pool.cancel(connection)
    world.loop.run_for(60)
    assert outcome.calls == 0
    assert world.pool.open == 0
    assert world.server.connections[0].ended_at is not None


def test_a_request_can_be_cancelled_before_there_is_a_connection() -> None:
    world = World()
    outcome, connection = world.start()
    world.pool.cancel(connection)
    world.loop.run_for(60)
    assert (outcome.calls, world.link.connected) == (0, 0)


def test_a_closed_pool_is_silent() -> None:
    world = World(b"")
    outcomes = [world.start()[0] for _ in range(3)]
    world.loop.run_for(0.1)
    world.pool.close()
    world.loop.run_for(60)
    assert [outcome.calls for outcome in outcomes] == [0, 0, 0]
    assert world.pool.open == 0
    assert world.loop.next_at is None


# Proxies


def test_https_goes_through_a_tunnel() -> None:
    world = World()
    proxy = RawServer(world.loop, "proxy", 3128)

    def serve(connection: RawConnection) -> None:
        if (head := connection.take_request()) is not None:
            proxy.requests.append(head)
            connection.stream.write(b"HTTP/1.1 200 Connection established\r\n\r\n" if len(proxy.requests) == 1 else OK)

    proxy.on_data = serve
    world.pool = Pool(world.loop, Origin("sqs", 443, TLS("sqs"), Proxy("proxy", 3128, "Basic dTpw")))
    assert world.response(b"in the tunnel").body == b"ok"
    assert world.response(b"again").body == b"ok"
    assert proxy.requests[0] == (
        b"CONNECT sqs:443 HTTP/1.1\r\nHost: sqs:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n"
    )
    assert proxy.requests[1:] == [request(b"in the tunnel"), request(b"again")]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nnope", "proxy", "407"),
        (b"HTTP/1.1 503 No\r\n\r\n", "proxy", "503"),
        (b"what?", "proxy", "understood"),
        (b"HTTP/1.1 200 OK\r\n\r\nearly", "proxy", "before"),
    ],
)
def test_a_proxy_that_gives_no_tunnel(answer: bytes, kind: str, words: str) -> None:
    world = World()
    RawServer(world.loop, "proxy", 3128, answer)
    world.pool = Pool(world.loop, Origin("sqs", 443, TLS("sqs"), Proxy("proxy", 3128)))
    failure = world.failure()
    assert (failure.kind, failure.maybe_sent) == (kind, False)
    assert words in failure.detail


def test_a_proxy_that_is_not_there_or_silent() -> None:
    world = World()
    world.pool = Pool(world.loop, Origin("sqs", 443, TLS("sqs"), Proxy("127.0.0.1", 3128)), connect_timeout_s=5.0)
    failure = world.failure()
    assert (failure.kind, failure.maybe_sent) == ("refused", False)
    assert "proxy" in failure.detail
    RawServer(world.loop, "127.0.0.1", 3128, b"")
    started = world.loop.now()
    outcome = world.ask(timeout_s=None)
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.maybe_sent) == ("connect_timeout", False)
    assert world.loop.now() == pytest.approx(started + 5.0)


def test_a_plain_proxy_that_is_not_there_is_told_from_the_origin() -> None:
    world = World()
    world.pool = Pool(world.loop, Origin("sqs", 9324, None, Proxy("127.0.0.1", 3128)))
    assert world.failure().detail.startswith("proxy")


def test_http_goes_to_the_proxy_in_absolute_form() -> None:
    world = World()
    proxy = RawServer(world.loop, "proxy", 3128, OK)
    world.pool = Pool(world.loop, Origin("sqs", 9324, None, Proxy("proxy", 3128, "Basic dTpw")))
    assert world.response(b"b").body == b"ok"
    assert proxy.requests == [
        b"POST http://sqs:9324/x HTTP/1.1\r\nProxy-Authorization: Basic dTpw\r\nHost: app\r\nContent-Length: 1\r\n\r\nb"
    ]
