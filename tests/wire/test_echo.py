"""The sample handler as a process: listens, answers, ends on a signal."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrier_sidecar.echo import main

SIDECAR = str(Path(__file__).resolve().parent.parent.parent / "sidecar")
RUN = "import sys; from carrier_sidecar.echo import main; sys.exit(main(sys.argv[1:]))"


def start(*options: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "--port", "0", "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": SIDECAR},
    )
    assert process.stdout is not None
    listening = json.loads(process.stdout.readline())["listening"]
    return process, int(listening.rsplit(":", 1)[1])


@pytest.fixture
def echo() -> Iterator[tuple[subprocess.Popen[str], int]]:
    process, port = start("--delay-if", "slow=300ms")
    with process:
        yield process, port
        process.kill()


def post(port: int, body: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/events", body, {"X-Carrier-Message-Id": "m1"})
    return connection.getresponse().status


def test_a_post_is_answered_and_printed(echo: tuple[subprocess.Popen[str], int]) -> None:
    process, port = echo
    assert post(port, b"hello") == 200
    assert process.stdout is not None
    entry = json.loads(process.stdout.readline())
    assert (entry["path"], entry["body"], entry["headers"]["x-carrier-message-id"]) == ("/events", "hello", "m1")


def test_a_signal_waits_for_the_answers_that_are_due(echo: tuple[subprocess.Popen[str], int]) -> None:
    process, port = echo
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/", b"slow")
    assert post(port, b"quick") == 200  # by now the slow one has arrived
    process.send_signal(signal.SIGTERM)
    assert connection.getresponse().status == 200
    assert process.wait(10) == 0
    assert process.stderr is not None
    assert "2 accepted" in process.stderr.read()


def test_a_port_that_is_taken_is_said_and_exits_with_2(echo: tuple[subprocess.Popen[str], int]) -> None:
    _, port = echo
    second = subprocess.run(
        [sys.executable, "-c", RUN, "--port", str(port)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": SIDECAR},
        timeout=10,
        check=False,
    )
    assert second.returncode == 2
    assert f"127.0.0.1:{port}" in second.stderr


def test_retry_after_without_refusals_is_no_sense(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--port", "0", "--retry-after", "5"])
    assert refused.value.code == 2
    assert "--fail-rate" in capsys.readouterr().err
