"""The sample handler's decisions and what it prints; its sockets are tested in tests/wire."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from carrier_sidecar import echo
from carrier_sidecar.http1.requests import Request


class Timers:
    """A loop whose time moves only when told to."""

    def __init__(self) -> None:
        self.at = 100.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return 1_700_000_000.0

    def call_at(self, when: float, callback: Callable[[], None]) -> None:
        self.due.append((when, callback))

    def run_until(self, moment: float) -> None:
        for when, callback in sorted(self.due, key=lambda timer: timer[0]):
            if when <= moment:
                self.at = when
                callback()
        self.due = [timer for timer in self.due if timer[0] > moment]
        self.at = moment


class Answers:
    """A responder that remembers."""

    def __init__(self) -> None:
        self.waiting = True
        self.status: int | None = None
        self.headers: list[tuple[str, str]] = []

    def answer(self, status: int, body: bytes = b"", headers: list[tuple[str, str]] | None = None) -> None:
        self.status = status
        self.headers = headers or []


class Handler:
    """An Echo with the given options, and what it printed."""

    def __init__(self, *options: str, chance: float = 0.5) -> None:
        self.loop = Timers()
        self.lines: list[str] = []
        parsed = echo.parser().parse_args(options)
        self.echo = echo.Echo(self.loop, parsed, self.lines.append, lambda: chance)  # type: ignore[arg-type]  # fakes

    def post(self, body: bytes, path: str = "/", **headers: str) -> Answers:
        request = Request("POST", path, {name.replace("_", "-"): value for name, value in headers.items()}, True)
        request.body = body
        answers = Answers()
        self.echo.handle(request, answers)  # type: ignore[arg-type]  # a fake
        return answers


def test_a_request_is_answered_and_printed() -> None:
    handler = Handler()
    assert handler.post(b'{"order":1}', "/events", x_carrier_message_id="m1", accept="*/*").status == 200
    text = "\n".join(handler.lines)
    assert "POST /events  →  200" in text
    assert "x-carrier-message-id: m1" in text
    assert '{"order":1}' in text
    assert "accept" not in text


def test_a_delayed_request_is_answered_when_its_time_has_come() -> None:
    handler = Handler("--delay", "250ms")
    answers = handler.post(b"x")
    handler.loop.run_until(100.2)
    assert answers.status is None
    handler.loop.run_until(100.25)
    assert answers.status == 200


def test_only_bodies_that_hold_the_text_are_delayed() -> None:
    handler = Handler("--delay-if", "slow=2s")
    quick, slow = handler.post(b"quick"), handler.post(b"a slow one")
    assert (quick.status, slow.status) == (200, None)
    handler.loop.run_until(102.0)
    assert slow.status == 200


@pytest.mark.parametrize(("chance", "status"), [(0.29, 500), (0.3, 200)])
def test_the_fail_rate_is_the_share_that_is_refused(chance: float, status: int) -> None:
    assert Handler("--fail-rate", "0.3", chance=chance).post(b"x").status == status


def test_refusals_carry_retry_after_and_then_say_503() -> None:
    answers = Handler("--fail-rate", "1", "--retry-after", "7").post(b"x")
    assert (answers.status, answers.headers) == (503, [("Retry-After", "7")])


def test_the_fail_status_can_be_chosen_with_retry_after() -> None:
    answers = Handler("--fail-rate", "1", "--fail-status", "429", "--retry-after", "7").post(b"x")
    assert answers.status == 429


def test_the_health_path_is_answered_without_being_printed_delayed_or_failed() -> None:
    handler = Handler("--delay", "5s", "--fail-rate", "1")
    assert handler.post(b"", "/healthz").status == 200
    assert handler.lines == []


def test_what_a_terminal_could_take_for_a_command_is_escaped() -> None:
    handler = Handler()
    handler.post(b"\x1b[2J\xff\n", x_carrier_group_id="\x9b31m")
    assert "\x1b" not in "".join(handler.lines)
    assert "\x9b" not in "".join(handler.lines)
    assert any(r"\x1b[2J\xff\n" in line for line in handler.lines)


def test_a_long_body_is_cut_and_says_so() -> None:
    handler = Handler("--limit", "4")
    handler.post(b"abcdefgh")
    assert "abcd … (4 bytes more)" in handler.lines[-1]


def test_json_lines_hold_the_request_and_the_answer() -> None:
    handler = Handler("--json")
    handler.post(b'{"order":1}', "/events", x_carrier_receive_count="2")
    (line,) = handler.lines
    entry = json.loads(line)
    assert entry["status"] == 200
    assert entry["headers"] == {"x-carrier-receive-count": "2"}
    assert entry["body"] == '{"order":1}'


def test_a_client_that_went_away_is_not_counted_as_answered() -> None:
    handler = Handler("--delay", "1s")
    answers = handler.post(b"x")
    answers.waiting = False
    handler.loop.run_until(101.0)
    assert handler.echo.answered == 0
    assert "gone" in handler.lines[0]


def test_the_summary_counts_different_messages() -> None:
    handler = Handler("--quiet")
    for message in ("m1", "m2", "m1"):
        handler.post(b"x", x_carrier_message_id=message)
    assert handler.echo.summary() == "3 accepted (2 different messages), 0 refused"
    assert handler.lines == []


@pytest.mark.parametrize(
    "options",
    [["--delay", "soon"], ["--delay=-1s"], ["--fail-rate", "2"], ["--status", "99"], ["--delay-if", "slow"]]
    + [["--retry-after", "5\r\nX: y"], ["--port", "65536"], ["--port", "http"]],
)
def test_options_out_of_range_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        echo.parser().parse_args(options)
    assert refused.value.code == 2
    assert options[0].split("=", 1)[0] in capsys.readouterr().err
