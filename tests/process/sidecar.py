"""The sidecar as a process of its own: its log lines, signals, figures and probes. Always ended."""

from __future__ import annotations

import atexit
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from carrier_sidecar.notes import NOTES
from tests.process.ports import HeldPort

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent.parent
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "secret"}
TOKEN = "drain-token-for-tests"
TICKS = os.sysconf("SC_CLK_TCK")


class SidecarProcess:
    """Starts at once, with nothing of the test's own environment but the path. `lines`: its log so far.

    `stdout`: where the log goes instead of a pipe that is read (then there are no `lines`). `program`: what Python
    runs.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        stdout: int | IO[bytes] | None = None,
        program: Sequence[str] = ("-m", "carrier_sidecar"),
    ) -> None:
        self._held = HeldPort()
        self.probe_port = self._held.number
        self.lines: list[dict[str, Any]] = []
        self.other_output: list[str] = []
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": f"{ROOT / 'sidecar'}:{ROOT}",
            "AWS_EC2_METADATA_DISABLED": "true",
            **KEYS,
            "CARRIER_PROBE_ADDRESS": f"127.0.0.1:{self.probe_port}",
            "CARRIER_DRAIN_TOKEN": TOKEN,
            **environ,
        }
        self.process = subprocess.Popen(
            [sys.executable, *program],
            env={name: value for name, value in environment.items() if value != "unset"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self.process.pid
        atexit.register(self.process.kill)  # a test run that is broken off leaves nothing behind
        self._readers = [
            threading.Thread(target=self._read, args=(pipe,), daemon=True)
            for pipe in (self.process.stdout, self.process.stderr)
            if pipe is not None
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.other_output.append(line.decode("utf-8", "replace").rstrip())

    # The log

    def notes(self, name: str, **fields: Any) -> list[dict[str, Any]]:
        """The lines of that row of notes.NOTES with these fields."""
        message = NOTES[name][2]
        return [
            line
            for line in list(self.lines)
            if line.get("msg") == message and all(line.get(field) == value for field, value in fields.items())
        ]

    def log(self) -> str:
        """For the message of an assertion that failed."""
        tail = [json.dumps(line) for line in self.lines[-40:]]
        return "\n".join([f"exit code {self.process.poll()}", *tail, *self.other_output[-40:]])

    def wait_for(self, name: str, timeout_s: float = 20.0, **fields: Any) -> dict[str, Any]:
        """The first such line."""
        wait_until(lambda: bool(self.notes(name, **fields)) or self.process.poll() is not None, timeout_s, self.log)
        found = self.notes(name, **fields)
        if not found and self.process.poll() is not None:
            self._join()
            found = self.notes(name, **fields)
        assert found, f"no line {name}: {self.log()}"
        return found[0]

    # The process

    def signal(self, signum: int) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signum)

    def terminate(self) -> None:
        self.signal(signal.SIGTERM)

    def wait(self, timeout_s: float) -> int:
        """Its exit code; AssertionError when it does not end in time."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the sidecar did not end within {timeout_s} s: {self.log()}") from None
        self._join()
        return code

    def _join(self) -> None:
        for reader in self._readers:
            reader.join(5)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        """End it, whatever it is doing."""
        if self.alive:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            self.process.wait(10)
        self._join()
        atexit.unregister(self.process.kill)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        self._held.close()

    def cpu_s(self) -> float:
        """CPU time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss_bytes(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def peak_rss_bytes(self) -> int:
        """The most that it had resident since it started."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM")

    # The probes

    def get(self, path: str, timeout_s: float = 10.0) -> tuple[int, str]:
        """A GET of the probe server: status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.probe_port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metrics(self) -> dict[str, float]:
        """The /metrics page: name with labels → value."""
        status, text = self.get("/metrics")
        assert status == 200
        found = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name] = float(value)
        return found

    def not_ready(self) -> list[str]:
        """The reasons that /readyz gives; none when it is ready."""
        _, text = self.get("/readyz")
        return [reason["reason"] for reason in json.loads(text)["reasons"]]


def wait_until(true: Any, timeout_s: float = 20.0, explain: Any = None) -> None:
    """Look again and again until `true()`; AssertionError after the time."""
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            told = explain() if callable(explain) else explain
            raise AssertionError(f"not so within {timeout_s} s" + (f": {told}" if told is not None else ""))
        time.sleep(0.01)
