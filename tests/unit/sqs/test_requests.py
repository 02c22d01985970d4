"""Whole requests: their bytes, their signatures, and what is kept between them."""

from __future__ import annotations

from carrier_sidecar.sqs.clock import ServerClock
from carrier_sidecar.sqs.credentials.values import Credentials
from carrier_sidecar.sqs.requests import RequestWriter
from carrier_sidecar.sqs.signing import Signer, sign
from carrier_sidecar.url import parse_url

NOON = 1767268800.0


class World:
    def __init__(self, url: str = "https://sqs.us-west-2.amazonaws.com/base/path?x=2&a=1") -> None:
        self.url = parse_url(url)
        self.wall = NOON
        self.credentials = Credentials("AKID", "secret", "", None, "test")
        self.writer = RequestWriter(self.url, "us-west-2", ServerClock(lambda: self.wall, lambda: 0.0))

    def write(self, body: bytes = b"{}", *, token: str = "", action: str = "ReceiveMessage") -> dict[str, str]:
        """Write a request, check its signature with the general function, and return its headers."""
        if token != self.credentials.token:
            self.credentials = Credentials("AKID", "secret", token, None, "test")
        head, _, rest = self.writer.write(action, body, self.credentials).partition(b"\r\n\r\n")
        assert rest == body
        line, *lines = head.decode("latin-1").split("\r\n")
        assert line == f"POST {self.url.target} HTTP/1.1"
        headers = dict(each.split(": ", 1) for each in lines)
        assert len(headers) == len(lines)
        signed = headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        pairs = [(name, value) for name, value in headers.items() if name.lower() in signed]
        assert len(pairs) == len(signed)
        path, _, query = self.url.target.partition("?")
        signer = Signer("AKID", "secret", "us-west-2", "sqs")
        assert sign(signer, "POST", path, query, pairs, body, headers["X-Amz-Date"]) == headers["Authorization"]
        assert headers["Content-Length"] == str(len(body))
        return headers


def test_a_request_says_what_the_protocol_asks_for() -> None:
    headers = World().write(b'{"QueueUrl":"u"}')
    assert headers["Host"] == "sqs.us-west-2.amazonaws.com"
    assert headers["Content-Type"] == "application/x-amz-json-1.0"
    assert headers["X-Amz-Target"] == "AmazonSQS.ReceiveMessage"
    assert headers["x-amzn-query-mode"] == "true"
    assert headers["X-Amz-Date"] == "20260101T120000Z"
    assert "X-Amz-Security-Token" not in headers


def test_a_session_token_is_sent_and_signed() -> None:
    headers = World().write(token="t0ken+/=")
    assert headers["X-Amz-Security-Token"] == "t0ken+/="
    assert "x-amz-security-token" in headers["Authorization"]


def test_ports_and_ipv6_addresses_are_in_the_host_header() -> None:
    assert World("http://localhost:9324").write()["Host"] == "localhost:9324"
    assert World("http://[::1]:9324/").write()["Host"] == "[::1]:9324"
    assert World("https://sqs.example.com:443").write()["Host"] == "sqs.example.com"


def test_the_date_is_renewed_every_half_minute_and_each_action_signed_for_itself() -> None:
    world = World()
    first = world.write()
    world.wall += 29
    assert world.write()["X-Amz-Date"] == first["X-Amz-Date"]
    assert world.write(action="DeleteMessageBatch")["Authorization"] != first["Authorization"]
    world.wall += 2
    assert world.write()["X-Amz-Date"] == "20260101T120031Z"


def test_a_wall_clock_set_back_renews_the_date() -> None:
    world = World()
    world.write()
    world.wall -= 3600
    assert world.write()["X-Amz-Date"] == "20260101T110000Z"


def test_a_new_day_has_a_new_key() -> None:
    world = World()
    world.write()
    world.wall += 86400
    assert "/20260102/us-west-2/sqs/aws4_request" in world.write()["Authorization"]


def test_new_credentials_sign_at_once() -> None:
    world = World()
    world.write(token="old")
    assert world.write(token="new")["X-Amz-Security-Token"] == "new"
    assert "X-Amz-Security-Token" not in world.write()


def test_what_is_kept_can_be_forgotten() -> None:
    world = World()
    world.write()
    world.wall += 5
    world.writer.forget()
    assert world.write()["X-Amz-Date"] == "20260101T120005Z"


def test_every_body_is_hashed() -> None:
    world = World()
    assert world.write(b"a")["Authorization"] != world.write(b"b")["Authorization"]
