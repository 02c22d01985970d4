"""The client on real sockets: what only a kernel and OpenSSL can show."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carrier_sidecar.http1.client import Origin, Pool
from carrier_sidecar.http1.failures import Failure
from carrier_sidecar.http1.responses import Response
from carrier_sidecar.loop.selecting import SelectingLoop
from carrier_sidecar.loop.tls import TLS
from tests.wire.tls_peer import Certificates, read_request, reset, serving

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ENOUGH_S = 5.0


class Outcome:
    def __init__(self, loop: SelectingLoop) -> None:
        self._loop = loop
        self.response: Response | None = None
        self.failure: Failure | None = None

    def answered(self, response: Response) -> None:
        self.response = response
        self._loop.stop()

    def failed(self, failure: Failure) -> None:
        self.failure = failure
        self._loop.stop()


@pytest.fixture
def loop() -> Iterator[SelectingLoop]:
    made = SelectingLoop()
    yield made
    made.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def request(body: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def ask(loop: SelectingLoop, pool: Pool, body: bytes = b"", timeout_s: float = ENOUGH_S) -> Outcome:
    outcome = Outcome(loop)
    pool.request(request(body), outcome, timeout_s)
    loop.run()
    return outcome


def turn(loop: SelectingLoop, seconds: float) -> None:
    loop.call_at(loop.now() + seconds, loop.stop)
    loop.run()


def echo(sock: socket.socket) -> None:
    while (data := read_request(sock)) is not None:
        body = data.partition(b"\r\n\r\n")[2]
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


# Resets and early answers


def test_a_request_of_which_nothing_was_taken_goes_out_again_on_a_fresh_connection(loop: SelectingLoop) -> None:
    served: list[bytes] = []
    cut = threading.Event()

    def serve(sock: socket.socket) -> None:
        first = not served
        while (data := read_request(sock)) is not None:
            served.append(data)
            sock.sendall(OK)
            if first:
                reset(sock)
                cut.set()
                return

    with serving(serve) as port:
        pool = Pool(loop, Origin("127.0.0.1", port))
        assert ask(loop, pool, b"one").response is not None
        # The reset arrives while the loop does not look: the pool still takes the connection for good.
        assert cut.wait(5)
        assert pool.open == 1
        second = ask(loop, pool, b"two")
        assert second.response is not None
        assert served == [request(b"one"), request(b"two")]
        pool.close()


def test_a_request_that_a_closed_connection_has_taken_is_never_sent_again(loop: SelectingLoop) -> None:
    served: list[bytes] = []
    closed = threading.Event()

    def serve(sock: socket.socket) -> None:
        data = read_request(sock)
        if data is not None:
            served.append(data)
            sock.sendall(OK)
        sock.close()
        closed.set()

    with serving(serve) as port:
        pool = Pool(loop, Origin("127.0.0.1", port))
        assert ask(loop, pool, b"one").response is not None
        assert closed.wait(5)
        # The kernel takes the bytes, although nobody will read them: who can tell?
        failure = ask(loop, pool, b"two").failure
        assert failure is not None
        assert failure.kind in ("closed", "reset")
        assert failure.maybe_sent
        assert served == [request(b"one")]


def test_a_connection_whose_end_is_known_is_not_used(loop: SelectingLoop) -> None:
    def serve(sock: socket.socket) -> None:
        if read_request(sock) is not None:
            sock.sendall(OK)
        sock.close()

    with serving(serve) as port:
        pool = Pool(loop, Origin("127.0.0.1", port))
        for _ in range(5):
            assert ask(loop, pool).response is not None
            turn(loop, 0.02)
            assert pool.open == 0


@pytest.mark.parametrize("secured", [False, True])
def test_an_answer_before_the_whole_body_was_read(
    loop: SelectingLoop, certificates: Certificates, secured: bool
) -> None:
    def serve(sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n")
        time.sleep(0.05)
        reset(sock)  # with most of the body unread

    tls = TLS("localhost", ca_file=certificates.ca) if secured else None
    with serving(serve, certificates.server_context() if secured else None) as port:
        pool = Pool(loop, Origin("127.0.0.1", port, tls))
        outcome = ask(loop, pool, b"x" * 8_000_000)
        assert outcome.response is not None, outcome.failure
        assert (outcome.response.status, outcome.response.body) == (413, b"no\n")
        assert pool.open == 0


@pytest.mark.parametrize("secured", [False, True])
def test_an_answer_that_came_before_a_reset_counts(
    loop: SelectingLoop, certificates: Certificates, secured: bool
) -> None:
    """The loop looks only when both have arrived, and finds first that it can't go on writing."""
    cut = threading.Event()

    def serve(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(OK)
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno\n")
        reset(sock)
        cut.set()

    tls = TLS("localhost", ca_file=certificates.ca) if secured else None
    with serving(serve, certificates.server_context() if secured else None) as port:
        pool = Pool(loop, Origin("127.0.0.1", port, tls))
        assert ask(loop, pool).response is not None
        outcome = Outcome(loop)
        pool.request(request(b"x" * 20_000_000), outcome, ENOUGH_S)
        assert cut.wait(5)
        loop.run()
        assert outcome.response is not None, outcome.failure
        assert (outcome.response.status, outcome.response.body) == (413, b"no\n")
        assert pool.open == 0


def test_a_server_that_reads_nothing(loop: SelectingLoop) -> None:
    done = threading.Event()

    def serve(sock: socket.socket) -> None:
        done.wait(5)

    with serving(serve) as port:
        pool = Pool(loop, Origin("127.0.0.1", port), write_timeout_s=0.3)
        failure = ask(loop, pool, b"x" * 20_000_000).failure
        done.set()
        assert failure is not None
        assert failure.kind == "timeout"
        assert "taken" in failure.detail


def test_a_large_body_each_way(loop: SelectingLoop) -> None:
    with serving(echo) as port:
        pool = Pool(loop, Origin("127.0.0.1", port), max_body=1 << 24)
        body = os.urandom(1 << 20) * 10
        response = ask(loop, pool, body).response
        assert response is not None
        assert response.body == body
        pool.close()


# TLS


def test_tls_with_reuse_and_bodies_of_every_size(loop: SelectingLoop, certificates: Certificates) -> None:
    with serving(echo, certificates.server_context()) as port:
        pool = Pool(loop, Origin("localhost", port, TLS("localhost", ca_file=certificates.ca)), max_body=1 << 24)
        for size in (0, 1, 16383, 16384, 16385, 65536, 3_000_001, 2):
            body = os.urandom(size)
            response = ask(loop, pool, body).response
            assert response is not None
            assert response.body == body
            turn(loop, 0.02)  # session tickets make the idle connection readable; it is not dead
            assert pool.open == 1
        pool.close()


def test_tls_1_2_where_it_is_allowed(loop: SelectingLoop, certificates: Certificates) -> None:
    context = certificates.server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with serving(echo, context) as port:
        old = Pool(loop, Origin("localhost", port, TLS("localhost", ca_file=certificates.ca, min_version="1.2")))
        assert ask(loop, old, b"x").response is not None
        old.close()
        new = Pool(loop, Origin("localhost", port, TLS("localhost", ca_file=certificates.ca, min_version="1.3")))
        failure = ask(loop, new, b"x").failure
        assert failure is not None
        assert (failure.kind, failure.maybe_sent) == ("tls", False)


@pytest.mark.parametrize(
    ("name", "trusted", "verify", "works", "words"),
    [
        ("localhost", True, True, True, ""),
        ("127.0.0.1", True, True, True, ""),
        ("other.example", True, True, False, "other.example"),
        ("localhost", False, True, False, "not accepted"),
        ("other.example", False, False, True, ""),
    ],
)
def test_certificates(
    loop: SelectingLoop, certificates: Certificates, name: str, trusted: bool, verify: bool, works: bool, words: str
) -> None:
    tls = TLS(name, ca_file=certificates.ca if trusted else None, verify=verify)
    with serving(echo, certificates.server_context()) as port:
        pool = Pool(loop, Origin("127.0.0.1", port, tls))
        outcome = ask(loop, pool, b"x")
        pool.close()
    if works:
        assert outcome.response is not None, outcome.failure
    else:
        assert outcome.failure is not None
        assert (outcome.failure.kind, outcome.failure.maybe_sent) == ("tls", False)
        assert words in outcome.failure.detail


def test_an_expired_certificate(loop: SelectingLoop, tmp_path: Path) -> None:
    expired = Certificates(tmp_path, expired=True)
    with serving(echo, expired.server_context()) as port:
        failure = ask(loop, Pool(loop, Origin("127.0.0.1", port, TLS("localhost", ca_file=expired.ca)))).failure
    assert failure is not None
    assert failure.kind == "tls"
    assert "expired" in failure.detail


def test_a_client_certificate(loop: SelectingLoop, certificates: Certificates) -> None:
    context = certificates.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates.ca)
    subjects: list[Any] = []

    def serve(sock: socket.socket) -> None:
        assert isinstance(sock, ssl.SSLSocket)
        subjects.append(sock.getpeercert())
        echo(sock)

    with serving(serve, context) as port:
        tls = TLS("localhost", ca_file=certificates.ca, client_cert=certificates.cert)
        pool = Pool(loop, Origin("127.0.0.1", port, tls))
        assert ask(loop, pool, b"x").response is not None
        pool.close()
        without = Pool(loop, Origin("127.0.0.1", port, TLS("localhost", ca_file=certificates.ca)))
        assert ask(loop, without, b"x").failure is not None
    assert subjects[0]["subject"] == ((("commonName", "localhost"),),)


def test_authorities_are_loaded_once_for_all_names_and_never_for_another_level_of_trust(
    certificates: Certificates,
) -> None:
    one, two = TLS("one", ca_file=certificates.ca), TLS("two", ca_file=certificates.ca)
    others = [
        TLS("one", ca_file=certificates.ca, min_version="1.3"),
        TLS("one", ca_file=certificates.ca, verify=False),
        TLS("one"),
        TLS("one", ca_file=certificates.ca, client_cert=certificates.cert),
    ]
    for tls in (one, two, *others):
        tls.check()
    assert one.context is two.context
    assert len({id(tls.context) for tls in (one, *others)}) == 5


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_files_that_cannot_be_loaded_are_named(loop: SelectingLoop, tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_bytes(content)
    tls = TLS("localhost", ca_file=str(file))
    with pytest.raises(OSError, match=r"authorities\.pem"):
        tls.check()
    with serving(echo) as port:
        failure = ask(loop, Pool(loop, Origin("127.0.0.1", port, tls))).failure
    assert failure is not None
    assert failure.kind == "tls"
    assert "authorities.pem" in failure.detail


def test_a_server_without_tls_and_one_that_says_nothing(loop: SelectingLoop) -> None:
    def plain(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(plain) as port:
        failure = ask(loop, Pool(loop, Origin("127.0.0.1", port, TLS("localhost")))).failure
        assert failure is not None
        assert failure.kind == "tls"
    hang = threading.Event()

    def say_nothing(sock: socket.socket) -> None:
        hang.wait(5)

    with serving(say_nothing) as port:
        pool = Pool(loop, Origin("127.0.0.1", port, TLS("localhost")), connect_timeout_s=0.2)
        failure = ask(loop, pool).failure
        hang.set()
        assert failure is not None
        assert failure.kind == "connect_timeout"
    with serving(lambda sock: sock.close()) as port:
        failure = ask(loop, Pool(loop, Origin("127.0.0.1", port, TLS("localhost")))).failure
        assert failure is not None
        assert failure.kind in ("tls", "reset")


def test_a_connection_cut_without_tls_saying_so_is_not_the_end_of_a_body(
    loop: SelectingLoop, certificates: Certificates
) -> None:
    def serve(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf of i")
        assert isinstance(sock, ssl.SSLSocket)
        socket.socket.shutdown(sock, socket.SHUT_RDWR)

    with serving(serve, certificates.server_context()) as port:
        tls = TLS("localhost", ca_file=certificates.ca)
        failure = ask(loop, Pool(loop, Origin("127.0.0.1", port, tls))).failure
        assert failure is not None
        assert failure.kind == "closed"


def test_a_tunnel_through_a_proxy(loop: SelectingLoop, certificates: Certificates) -> None:
    from carrier_sidecar.http1.proxy import Proxy

    def relay(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass

    with serving(echo, certificates.server_context()) as origin_port:

        def proxy(sock: socket.socket) -> None:
            assert (read_request(sock) or b"").startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % origin_port)
            with socket.create_connection(("127.0.0.1", origin_port)) as upstream:
                sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                threading.Thread(target=relay, args=(upstream, sock), daemon=True).start()
                relay(sock, upstream)

        with serving(proxy) as proxy_port:
            tls = TLS("localhost", ca_file=certificates.ca)
            pool = Pool(loop, Origin("localhost", origin_port, tls, Proxy("127.0.0.1", proxy_port)))
            for body in (b"one", b"x" * 100_000):
                response = ask(loop, pool, body).response
                assert response is not None
                assert response.body == body
            pool.close()


# What the process carries


def test_the_client_imports_little_and_tls_only_when_it_is_used() -> None:
    script = """
import sys
from carrier_sidecar.http1 import client, server
from carrier_sidecar.loop.selecting import SelectingLoop
from carrier_sidecar.loop.tls import TLS
loop = SelectingLoop()
heavy = set(sys.argv[1].split())
print(sorted(heavy & set(sys.modules)))
"""
    heavy = (
        "asyncio typing dataclasses logging urllib email http datetime inspect socket ssl _ssl subprocess threading "
        "selectors encodings.idna re"
    )
    environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", script, heavy],
        capture_output=True,
        text=True,
        timeout=30,
        env=environment,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
