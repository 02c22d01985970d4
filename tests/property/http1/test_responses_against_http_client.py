"""Our reading of responses against the standard library's, on generated responses cut anywhere, and on broken ones."""

from __future__ import annotations

import http.client
import io
from itertools import pairwise
from typing import Any, NamedTuple

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from carrier_sidecar.http1.heads import MAX_HEAD, BadMessage
from carrier_sidecar.http1.responses import Response, ResponseReader, TooLarge

_TOKEN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"
_FRAMING = {"content-length", "transfer-encoding", "connection", "keep-alive"}

names = st.text(_TOKEN, min_size=1, max_size=12).filter(lambda name: name.lower() not in _FRAMING)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30).map(str.strip)
headers = st.lists(st.tuples(names, values), max_size=5)
bodies = st.binary(max_size=300)


class Generated(NamedTuple):
    """A response on the wire; `closes`: only the end of the connection ends it."""

    wire: bytes
    head_request: bool
    closes: bool


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    wire = b""
    at = 0
    while at < len(body):
        size = draw(st.integers(1, max(1, len(body) - at)))
        digits = draw(st.sampled_from(["%x", "%X", "0%x"])) % size
        extension = draw(st.sampled_from(["", ";a=b", "; name", ';q="x"']))
        wire += f"{digits}{extension}\r\n".encode() + body[at : at + size] + b"\r\n"
        at += size
    wire += draw(st.sampled_from([b"0", b"000", b"0;last"])) + b"\r\n"
    for name, value in draw(st.lists(st.tuples(names, values), max_size=2)):
        wire += f"{name}: {value}\r\n".encode()
    return wire + b"\r\n"


@st.composite
def responses(draw: st.DrawFn) -> Generated:
    status = draw(st.sampled_from([200, 201, 202, 204, 302, 304, 400, 404, 413, 429, 500, 503, 599]))
    version = draw(st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"]))
    reason = draw(st.sampled_from([" OK", "", " ", " Not at all  so"]))
    body = draw(bodies)
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    head_request = draw(st.booleans())
    lines = [f"{version} {status}{reason}"]
    lines += [f"{name}:{draw(st.sampled_from(['', ' ', '  ']))}{value}" for name, value in draw(headers)]
    if framing == "chunked" and (version == "HTTP/1.0" or status in (204, 304)):
        framing = "close"  # neither has chunks; the library would wait for some
    wire_body = body
    if framing == "length":
        lines.append(f"Content-Length: {len(body)}")
    elif framing == "chunked":
        lines.append("transfer-encoding: " + draw(st.sampled_from(["chunked", "Chunked"])))
        wire_body = draw(chunked(body))
    if draw(st.booleans()):
        lines.append("Connection: " + draw(st.sampled_from(["close", "keep-alive", "Keep-Alive, foo"])))
    if head_request or status in (204, 304):
        wire_body = b""
    informational = b"HTTP/1.1 100 Continue\r\n\r\n" * draw(st.integers(0, 2))
    end = draw(st.sampled_from(["\r\n", "\r\n", "\n"]))
    head = end.join([*lines, "", ""]).encode("latin-1")
    closes = framing == "close" and not head_request and status not in (204, 304)
    return Generated(informational + head + wire_body, head_request, closes)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({min(max(edge, 0), len(data)) for edge in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(edges)]


def by_us(generated: Generated, pieces: list[bytes], *, keep_body: bool = True) -> tuple[Response | None, bytes]:
    reader = ResponseReader(1 << 20, keep_body, generated.head_request)
    done = False
    for index, piece in enumerate(pieces):
        done = reader.feed(piece)
        if done:
            rest = reader.rest + b"".join(pieces[index + 1 :])
            return reader.response(), rest
    if reader.ends_here():
        return reader.response(), b""
    return None, b""


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def by_the_library(generated: Generated) -> tuple[int, bytes, Any]:
    response = http.client.HTTPResponse(_Socket(generated.wire), method="HEAD" if generated.head_request else "POST")  # type: ignore[arg-type] # all it uses of a socket
    response.begin()
    return response.status, response.read(), response.headers


@given(responses(), st.lists(st.integers(0, 900), max_size=8), st.binary(max_size=5))
@settings(max_examples=400, deadline=None)
def test_we_read_what_http_client_reads(generated: Generated, cuts: list[int], rest: bytes) -> None:
    if generated.closes:
        rest = b""
    response, left = by_us(generated, cut(generated.wire + rest, cuts))
    status, body, fields = by_the_library(generated)
    assert response is not None
    assert (response.status, response.body) == (status, body)
    assert left == rest
    for name in fields:
        if name.lower() not in _FRAMING:
            assert response.headers[name.lower()] == fields.get_all(name)[-1].strip()


@given(responses())
@settings(max_examples=100, deadline=None)
def test_one_byte_at_a_time_gives_the_same(generated: Generated) -> None:
    whole, _ = by_us(generated, [generated.wire])
    bytewise, _ = by_us(generated, [generated.wire[at : at + 1] for at in range(len(generated.wire))])
    assert whole is not None
    assert bytewise is not None
    assert (whole.status, whole.headers, whole.body) == (bytewise.status, bytewise.headers, bytewise.body)


@given(responses(), st.data())
@settings(max_examples=100, deadline=None)
def test_an_answer_that_breaks_off_is_never_complete(generated: Generated, data: st.DataObject) -> None:
    assume(not generated.closes)
    at = data.draw(st.integers(0, len(generated.wire) - 1))
    response, _ = by_us(generated, [generated.wire[:at]])
    # The empty line at the end of trailers is all that may be missing; without it there is no answer either.
    assert response is None


@given(responses())
@settings(max_examples=100, deadline=None)
def test_a_body_that_is_not_kept_leaves_all_else_the_same(generated: Generated) -> None:
    kept, _ = by_us(generated, [generated.wire])
    dropped, _ = by_us(generated, [generated.wire], keep_body=False)
    assert kept is not None
    assert dropped is not None
    assert (kept.status, kept.headers) == (dropped.status, dropped.headers)
    assert dropped.body == b""


@st.composite
def broken(draw: st.DrawFn) -> Generated:
    generated = draw(responses())
    wire = bytearray(generated.wire)
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["flip", "insert", "delete", "repeat"]))
        at = draw(st.integers(0, max(len(wire) - 1, 0)))
        if kind == "flip" and wire:
            wire[at] = draw(st.integers(0, 255))
        elif kind == "insert":
            wire[at:at] = draw(
                st.sampled_from([b"\r\n", b"\n", b"\0", b" ", b":", b"0", b"Content-Length: 3\r\n", b"\xff"])
            )
        elif kind == "delete":
            del wire[at : at + draw(st.integers(1, 5))]
        else:
            wire[at:at] = wire[at : at + 20]
    return generated._replace(wire=bytes(wire))


@given(
    st.one_of(broken(), st.binary(max_size=200).map(lambda wire: Generated(wire, False, False))),
    st.lists(st.integers(0, 900), max_size=8),
)
@settings(max_examples=600, deadline=None)
def test_broken_answers_are_refused_or_read_as_http_client_reads_them(generated: Generated, cuts: list[int]) -> None:
    try:
        response, _ = by_us(generated, cut(generated.wire, cuts))
    except (BadMessage, TooLarge):
        event("refused")
        return
    if response is None:
        event("incomplete")
        return
    try:
        status, body, _ = by_the_library(generated)
    except (http.client.HTTPException, ValueError, OSError):
        event("the library refuses, we do not")
        return
    event("both read it")
    # What the library takes for a final answer or for a body where the standard has none is its own.
    if status >= 200 and response.status not in (204, 304):
        assert status == response.status
        assert body == response.body


@given(st.lists(st.binary(min_size=1, max_size=4000), max_size=60))
@settings(max_examples=100, deadline=None)
def test_what_is_buffered_of_garbage_is_bounded(pieces: list[bytes]) -> None:
    reader = ResponseReader(1000, keep_body=True)
    try:
        for piece in [b"HTTP/1.1 200 OK\r\n", *pieces]:
            if reader.feed(piece):
                return
            held = len(reader._buffer) + sum(len(part) for part in reader._parts)
            assert held <= MAX_HEAD + 1000
    except (BadMessage, TooLarge):
        pass
