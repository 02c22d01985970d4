"""What a POST carries only when asked to: static headers, authorization from a file, trace context."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from carrier_sidecar.authorization import FileAuthorization
from carrier_sidecar.disposition import DEAD, DELIVERED, Answer
from carrier_sidecar.http1.responses import Response
from carrier_sidecar.message import Message
from carrier_sidecar.trace import Tracing
from carrier_sidecar.url import parse_url
from carrier_sidecar.webhook import Webhook

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Loop:
    def __init__(self) -> None:
        self.time = 50.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return 1_700_000_000.0

    def call_soon(self, callback: Any) -> None:
        callback()


class Pool:
    def __init__(self) -> None:
        self.requests: list[tuple[bytes, Any, float | None]] = []

    def request(self, data: bytes, exchange: Any, timeout_s: float | None) -> object:
        self.requests.append((data, exchange, timeout_s))
        return self

    def cancel(self, connection: object) -> None:
        pass


class Rig:
    def __init__(self, url: str = "http://h:1/p", **options: Any) -> None:
        self.loop = Loop()
        self.pool = Pool()
        self.answers: list[Answer] = []
        loop: Any = self.loop
        pool: Any = self.pool
        self.webhook = Webhook(loop, pool, parse_url(url), default_content_type="text/plain", timeout_s=60.0, **options)
        self.webhook.answered = lambda message, answer, now: self.answers.append(answer)

    def post(self, **more: Any) -> list[str]:
        """The lines of the head of a POST."""
        message = Message("id-1", "r", b"body", **more)
        message.posted_at = self.loop.time
        self.webhook.post(message)
        return self.head()

    def head(self) -> list[str]:
        head, _, body = self.pool.requests[-1][0].partition(b"\r\n\r\n")
        assert body == b"body"
        return head.decode().split("\r\n")

    def answer(self, status: int, **headers: str) -> None:
        exchange = self.pool.requests[-1][1]
        exchange.answered(Response(status, {name.replace("_", "-"): text for name, text in headers.items()}, b""))


def named(lines: list[str], name: str) -> list[str]:
    return [line.partition(": ")[2] for line in lines if line.lower().startswith(name.lower() + ":")]


def test_static_headers_go_with_every_post_and_follow_a_redirect() -> None:
    rig = Rig(headers=[("X-Tenant", "shop"), ("X-Empty", "")])
    assert named(rig.post(), "X-Tenant") == ["shop"]
    rig.answer(307, location="/elsewhere")
    lines = rig.head()
    assert lines[0] == "POST /elsewhere HTTP/1.1"
    assert named(lines, "X-Tenant") == ["shop"]
    assert named(lines, "X-Empty") == [""]
    assert named(lines, "Content-Type") == ["text/plain"]


def test_a_user_agent_of_ones_own_replaces_ours() -> None:
    assert named(Rig(headers=[("user-agent", "mine")]).post(), "User-Agent") == ["mine"]
    assert named(Rig().post(), "User-Agent")[0].startswith("carrier/")


def test_nothing_is_added_that_was_not_asked_for() -> None:
    lines = Rig().post()
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "Host", "User-Agent", "Content-Type", "X-Carrier-Receive-Count", "X-Carrier-First-Receive-Time",
        "X-Carrier-Message-Id", "X-Carrier-Sent-Time", "Content-Length",
    ]  # fmt: skip


def test_trace_context_goes_along_and_stays_the_same_when_a_post_is_repeated() -> None:
    rig = Rig(tracing=Tracing(os.urandom, make=True))
    made = named(rig.post(), "traceparent")
    assert len(made) == 1
    rig.answer(308, location="/elsewhere")
    assert named(rig.head(), "traceparent") == made
    attributes = {"traceparent": {"DataType": "String", "StringValue": PARENT}}
    assert named(rig.post(attributes=attributes), "traceparent") == [PARENT]
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    assert named(rig.post(system={"AWSTraceHeader": header}), "X-Amzn-Trace-Id") == [header]


def test_the_header_of_dead_letters_is_heeded_only_when_asked_for() -> None:
    for on, verdict in ((False, DELIVERED), (True, DEAD)):
        rig = Rig(dead_letters=on)
        rig.post()
        rig.answer(200, x_carrier_dead_letter="why")
        assert rig.answers[0].verdict == verdict


class TestAuthorization:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "token"
        path.write_bytes(b"one")
        return path

    @pytest.fixture
    def rig(self, file: Path) -> Rig:
        return Rig(authorization=FileAuthorization(str(file), None, lambda path, reason: None))

    @staticmethod
    def rotate(file: Path, content: bytes) -> None:
        other = file.with_name("other")
        other.write_bytes(content)
        os.replace(other, file)

    def test_it_goes_with_every_post_and_a_new_one_within_a_second(self, rig: Rig, file: Path) -> None:
        assert named(rig.post(), "Authorization") == ["Bearer one"]
        self.rotate(file, b"two")
        assert named(rig.post(), "Authorization") == ["Bearer one"]
        rig.loop.time += 1.0
        assert named(rig.post(), "Authorization") == ["Bearer two"]

    def test_a_401_is_tried_again_with_what_the_file_holds_now(self, rig: Rig, file: Path) -> None:
        rig.post()
        self.rotate(file, b"two")
        rig.loop.time += 0.5
        rig.answer(401)
        assert rig.answers == []
        assert named(rig.head(), "Authorization") == ["Bearer two"]
        assert rig.pool.requests[-1][2] == pytest.approx(59.5)
        rig.answer(200)
        assert [answer.verdict for answer in rig.answers] == [DELIVERED]

    def test_a_401_with_the_credentials_of_the_moment_is_an_answer(self, rig: Rig) -> None:
        rig.post()
        rig.answer(401)
        assert [answer.status for answer in rig.answers] == [401]
        assert len(rig.pool.requests) == 1

    def test_a_401_of_a_post_from_before_a_rotation_is_tried_again_though_that_was_seen_already(
        self, rig: Rig, file: Path
    ) -> None:
        rig.post()
        first = rig.pool.requests[-1][1]
        self.rotate(file, b"two")
        rig.loop.time += 2.0
        rig.post()
        first.answered(Response(401, {}, b""))
        assert rig.answers == []
        assert len(rig.pool.requests) == 3

    def test_a_401_after_the_time_is_over_is_an_answer(self, rig: Rig, file: Path) -> None:
        rig.post()
        self.rotate(file, b"two")
        rig.loop.time += 60.0
        rig.answer(401)
        assert [answer.status for answer in rig.answers] == [401]

    def test_a_401_without_a_file_is_an_answer(self) -> None:
        rig = Rig()
        rig.post()
        rig.answer(401)
        assert [answer.status for answer in rig.answers] == [401]
