"""The server on the simulated network: what it answers to the good, the broken, the slow and the many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from carrier_sidecar.http1.requests import Request
from carrier_sidecar.http1.server import Responder, Server
from carrier_sidecar.loop.api import Stream
from carrier_sidecar.loop.errors import StreamError
from tests.simulation.loop import SimLoop


class Client:
    """A raw connection to the server."""

    def __init__(self, loop: SimLoop, port: int) -> None:
        self.loop = loop
        self.data = b""
        self.ended_at: float | None = None
        self.stream: Stream = loop.connect("127.0.0.1", port, None, self, 5.0)
        loop.run_for(0.01)

    def opened(self) -> None:
        pass

    def received(self, data: bytes) -> None:
        self.data += data

    def ended(self) -> None:
        self.ended_at = self.loop.now()

    def lost(self, error: StreamError) -> None:
        self.ended_at = self.loop.now()

    def send(self, data: bytes, seconds: float = 0.01) -> bytes:
        """Write, let time pass, and take what came."""
        self.stream.write(data)
        return self.take(seconds)

    def take(self, seconds: float = 0.01) -> bytes:
        self.loop.run_for(seconds)
        data, self.data = self.data, b""
        return data


class World:
    """A server that answers with what it was asked, and a client."""

    def __init__(self, handle: Callable[[Request, Responder], None] | None = None, **limits: Any) -> None:
        self.loop = SimLoop()
        self.requests: list[Request] = []
        self.responders: list[Responder] = []
        self._handle = handle
        self.server = Server(self.loop, "127.0.0.1", 0, self.handle, **limits)
        self.client = self.connect()

    def handle(self, request: Request, responder: Responder) -> None:
        self.requests.append(request)
        self.responders.append(responder)
        if self._handle is not None:
            self._handle(request, responder)
        else:
            responder.answer(200, request.body or request.path.encode())

    def connect(self) -> Client:
        return Client(self.loop, self.server.port)


def later(request: Request, responder: Responder) -> None:
    """The test answers."""


GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_request_is_handed_over_whole_and_answered() -> None:
    world = World()
    answer = world.client.send(b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Y: z\r\nContent-Length: 4\r\n\r\nbody")
    assert answer == (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n\r\nbody")
    (request,) = world.requests
    assert (request.method, request.target, request.path, request.query) == ("POST", "/a?b=c", "/a", "b=c")
    assert (request.headers["x-y"], request.body) == ("z", b"body")


def test_one_connection_carries_many_requests() -> None:
    world = World()
    for _ in range(5):
        assert world.client.send(GET).endswith(b"\r\n\r\n/livez")
    assert world.server.connections == 1


def test_a_request_may_come_byte_by_byte_and_in_chunks() -> None:
    world = World()
    wire = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    for at in range(len(wire)):
        world.client.stream.write(wire[at : at + 1])
        world.loop.run_for(0.001)
    assert world.client.take().endswith(b"\r\n\r\nabc")
    assert world.client.send(GET).endswith(b"/livez")


def test_requests_sent_ahead_are_answered_in_order() -> None:
    world = World()
    assert world.client.send(GET + GET.replace(b"livez", b"readyz") + GET).count(b"HTTP/1.1 200 OK") == 3
    assert [request.path for request in world.requests] == ["/livez", "/readyz", "/livez"]


def test_requests_sent_ahead_of_a_late_answer_wait_for_it() -> None:
    world = World(later)
    assert world.client.send(GET + GET) == b""
    assert len(world.requests) == 1
    assert world.client.send(b"GET /third HTTP/1.1\r\nHost: x\r\n\r\n") == b""
    world.responders[0].answer(200, b"1")
    world.loop.run_for(0.01)
    world.responders[1].answer(200, b"2")
    world.loop.run_for(0.01)
    assert world.requests[2].path == "/third"


def test_too_much_sent_ahead_ends_the_connection() -> None:
    world = World(later, max_head=1000)
    world.client.send(GET)
    world.client.send(b"x" * 1001)
    assert world.client.ended_at is not None
    assert world.server.connections == 0


def test_head_gets_the_head_only() -> None:
    world = World()
    answer = world.client.send(b"HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Content-Length: 6\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")
    assert world.client.send(GET).endswith(b"/livez")


def test_an_answer_may_come_minutes_later() -> None:
    world = World(later)
    assert world.client.send(GET, 600.0) == b""
    world.responders[0].answer(204)
    world.responders[0].answer(500, b"only the first counts")
    assert world.client.take() == b"HTTP/1.1 204 No Content\r\n\r\n"


def test_headers_and_content_type_are_the_handlers() -> None:
    world = World(lambda request, responder: responder.answer(503, b"{}", "application/json", [("Retry-After", "5")]))
    assert world.client.send(GET) == (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\nRetry-After: 5\r\n\r\n{}"
    )


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"])
def test_a_client_that_wants_no_more_gets_its_connection_closed(head: bytes) -> None:
    world = World()
    assert b"Connection: close\r\n" in world.client.send(head)
    assert world.client.ended_at is not None
    assert world.server.connections == 0


def test_a_client_that_waits_to_send_its_body_is_told_to() -> None:
    world = World()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    assert world.client.send(head) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert world.client.send(b"ab").endswith(b"\r\n\r\nab")


REFUSED = [
    (b"nonsense\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n folded\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", 413),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001, 413),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 2000, 431),
]


@pytest.mark.parametrize(("wire", "status"), REFUSED)
def test_what_is_refused(wire: bytes, status: int) -> None:
    world = World(max_head=1000, max_body=1000)
    answer = world.client.send(wire)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Connection: close" in answer
    assert world.requests == []
    assert world.client.ended_at is not None
    assert world.server.connections == 0


def test_a_request_that_dribbles_is_given_up() -> None:
    world = World(request_s=5.0)
    for byte in (b"G", b"E", b"T", b" ", b"/", b" ", b"H"):
        world.client.stream.write(byte)
        world.loop.run_for(1.0)
    assert world.client.data.startswith(b"HTTP/1.1 408 ")
    assert world.server.connections == 0


def test_a_connection_that_says_nothing_is_closed() -> None:
    world = World(request_s=5.0, idle_s=20.0)
    world.loop.run_for(6.0)
    assert world.client.ended_at is not None
    assert world.client.data == b""
    other = world.connect()
    other.send(GET)
    other.take(19.0)
    assert other.ended_at is None
    other.take(2.0)
    assert other.ended_at is not None


def test_an_answer_that_nobody_reads_does_not_hold_its_connection_for_ever() -> None:
    world = World(lambda request, responder: responder.answer(200, b"x" * 1_000_000), idle_s=20.0)
    link = world.loop.network.endpoint("127.0.0.1", world.server.port)
    link.capacity = 1000
    world.client.stream.write(GET)
    world.loop.run_for(0.0002)
    link.stalled = True
    world.loop.run_for(30.0)
    assert world.server.connections == 0


def test_more_connections_than_allowed_are_closed_at_once_where_all_are_busy() -> None:
    world = World(later, max_connections=3)
    busy = [world.client, world.connect(), world.connect()]
    for client in busy:
        client.send(GET)
    others = [world.connect() for _ in range(2)]
    assert [client.ended_at is None for client in [*busy, *others]] == [True, True, True, False, False]
    world.responders[1].answer(200, b"late")
    world.loop.run_for(0.01)
    assert busy[1].data.endswith(b"late")
    assert world.connect().ended_at is None


def test_idle_connections_keep_nobody_out() -> None:
    world = World(max_connections=3)
    idle = [world.client, *[world.connect() for _ in range(4)]]
    assert [client.ended_at is None for client in idle] == [False, False, True, True, True]
    assert world.connect().send(GET).endswith(b"/livez")
    assert world.server.connections == 3


def test_the_handler_hears_that_the_client_has_gone() -> None:
    world = World(later)
    world.client.send(GET)
    gone: list[bool] = []
    responder = world.responders[0]
    responder.gone = lambda: gone.append(True)
    world.client.stream.close()
    world.loop.run_for(0.01)
    assert gone == [True]
    responder.answer(200)
    world.loop.run_for(10.0)
    assert not responder.waiting
    assert world.server.connections == 0


def test_the_handler_hears_of_a_reset_and_need_not_answer() -> None:
    world = World(later)
    world.client.send(GET)
    gone: list[bool] = []
    world.responders[0].gone = lambda: gone.append(True)
    world.loop.network.endpoint("127.0.0.1", world.server.port).reset_all()
    world.loop.run_for(0.01)
    assert gone == [True]
    assert not world.responders[0].waiting
    assert world.server.connections == 0


def test_an_answer_can_be_refused_by_closing() -> None:
    world = World(lambda request, responder: responder.drop())
    assert world.client.send(GET) == b""
    assert world.client.ended_at is not None


def test_a_closed_server_answers_what_it_has_and_takes_nothing_more() -> None:
    world = World(later)
    idle = world.connect()
    world.client.send(GET)
    world.server.close()
    world.loop.run_for(0.01)
    assert idle.ended_at is not None
    assert world.client.ended_at is None
    world.responders[0].answer(200, b"late")
    assert world.client.take().endswith(b"Connection: close\r\n\r\nlate")
    assert world.server.connections == 0
    assert world.connect().ended_at is not None


def test_closing_at_once_spares_nobody() -> None:
    world = World(later)
    world.client.send(GET)
    world.server.close(at_once=True)
    world.loop.run_for(0.01)
    assert world.client.ended_at is not None
    assert world.server.connections == 0
    assert world.loop.next_at is None


def test_a_port_that_is_taken_is_an_error() -> None:
    world = World()
    with pytest.raises(OSError):
        Server(world.loop, "127.0.0.1", world.server.port, later)
