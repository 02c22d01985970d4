"""The client against servers that send anything: exactly one outcome, nothing left behind, and never an exception."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import event, given, settings
from hypothesis import strategies as st

from carrier_sidecar.http1.client import Origin, Pool
from carrier_sidecar.http1.failures import KINDS, Failure
from carrier_sidecar.http1.responses import Response
from tests.simulation.loop import SimLoop
from tests.simulation.raw_server import RawConnection, RawServer

VALID = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nok",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
]


@st.composite
def pieces(draw: st.DrawFn) -> list[bytes]:
    """What one connection sends: valid, broken or random bytes, in pieces."""
    base = draw(st.one_of(st.sampled_from(VALID), st.binary(max_size=60), st.just(b"")))
    wire = bytearray(base)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(wire)))
        wire[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    cuts = sorted({0, len(wire), *draw(st.lists(st.integers(0, len(wire)), max_size=3))})
    return [bytes(wire[a:b]) for a, b in pairwise(cuts)]


behaviours = st.tuples(
    pieces(),
    st.sampled_from(["nothing", "close", "reset", "refuse"]),
    st.floats(0, 3),
    st.booleans(),  # whether it speaks before it is asked
)


class Outcome:
    def __init__(self) -> None:
        self.calls = 0

    def answered(self, response: Response) -> None:
        self.calls += 1
        assert 200 <= response.status <= 999
        event("answered")

    def failed(self, failure: Failure) -> None:
        self.calls += 1
        assert failure.kind in KINDS
        assert failure.detail
        event(failure.kind)


@given(
    st.lists(behaviours, min_size=1, max_size=5),
    st.lists(st.tuples(st.floats(0, 4), st.integers(0, 3000)), min_size=1, max_size=6),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_every_request_has_exactly_one_outcome(
    plan: list[tuple[list[bytes], str, float, bool]],
    requests: list[tuple[float, int]],
    keep_body: bool,
    small_buffers: bool,
) -> None:
    loop = SimLoop()
    server = RawServer(loop, "app", 80)
    link = loop.network.endpoint("app", 80)
    if small_buffers:
        link.capacity = 100

    def behave(connection: RawConnection) -> None:
        parts, end, pause_s, _ = plan[len(server.requests) % len(plan)]
        server.requests.append(b"")
        when = loop.now()
        for part in parts:
            loop.call_at(when, lambda part=part: connection.stream.write(part))  # type: ignore[misc] # binds the variable
            when += pause_s
        if end == "close":
            loop.call_at(when, connection.stream.close)
        elif end == "reset":
            loop.call_at(when, link.reset_all)
        elif end == "refuse":
            link.refuse = not link.refuse

    def on_data(connection: RawConnection) -> None:
        early = plan[len(server.requests) % len(plan)][3]
        if early or connection.take_request() is not None:
            connection.data = b""
            behave(connection)

    server.on_data = on_data
    pool = Pool(loop, Origin("app", 80), keep_body=keep_body, max_body=50, connect_timeout_s=2.0, write_timeout_s=3.0)
    outcomes: list[Outcome] = []

    def ask(size: int) -> None:
        outcome = Outcome()
        outcomes.append(outcome)
        head = b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: %d\r\n\r\n" % size
        pool.request(head + b"x" * size, outcome, 5.0)
        assert outcome.calls == 0

    for when, size in requests:
        loop.call_at(loop.now() + when, lambda size=size: ask(size))  # type: ignore[misc] # binds the variable
    loop.run_for(60)
    assert [outcome.calls for outcome in outcomes] == [1] * len(requests)
    assert pool.open == 0
    assert pool._idle == []
    assert loop.next_at is None or loop.next_at > loop.now()
