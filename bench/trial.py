"""One trial: a stub SQS, a sink and the program under test as three processes, and what can be read off them.

What is measured and how often is said in scenarios.py; nothing here knows a budget.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.wire import cpu_seconds

ROOT = Path(__file__).resolve().parent.parent


class TrialFailed(Exception):
    """The program under test ended, or did not finish in time; the text holds the end of its output."""


class Subject:
    """A program under test: its name in the tables, its command, and what its environment has beyond the common."""

    def __init__(self, name: str, argv: list[str], environment: dict[str, str] | None = None) -> None:
        self.name = name
        self.argv = argv
        self.environment = environment or {}


class Peer:
    """The stub or the sink: a child that takes commands as lines and reports in JSON lines."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            bufsize=0,
        )
        self._buffer = b""
        self.port = int(self.wait("ready", 10)["port"])

    def tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")

    def ask(self, command: str) -> dict[str, Any]:
        self.tell(command)
        return self.wait(command, 10)

    def poll(self, event: str, timeout_s: float) -> dict[str, Any] | None:
        """The next report of that event, others dropped; None when none came in time."""
        assert self._process.stdout is not None
        ends = time.monotonic() + timeout_s
        while True:
            while b"\n" in self._buffer:
                line, self._buffer = self._buffer.split(b"\n", 1)
                report: dict[str, Any] = json.loads(line)
                if report["event"] == event:
                    return report
            left = ends - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                return None
            data = os.read(self._process.stdout.fileno(), 1 << 20)
            if not data:
                raise TrialFailed("the stub or the sink ended")
            self._buffer += data

    def wait(self, event: str, timeout_s: float) -> dict[str, Any]:
        report = self.poll(event, timeout_s)
        if report is None:
            raise TrialFailed(f"no report of {event!r} within {timeout_s} s")
        return report

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


class Trial:
    """Starts everything on entering, ends everything on leaving. Concurrency is (batch size, receivers, workers)."""

    def __init__(
        self,
        subject: Subject,
        *,
        size: int = 256,
        total: int,
        concurrency: tuple[int, int, int] = (10, 2, 10),
        rate: float = 0,
        slow_every: int = 0,
        tls: str | None = None,
        wrapper: list[str] | None = None,
    ) -> None:
        self.subject = subject
        self._concurrency = concurrency
        self._tls = tls
        self._wrapper = wrapper or []
        self._stub_arguments = ["--size", str(size), "--total", str(total), "--rate", str(rate)]
        if tls:
            self._stub_arguments += ["--tls", tls]
        self._sink_arguments = ["--slow-every", str(slow_every)]

    def __enter__(self) -> Trial:
        self._output = tempfile.TemporaryFile()
        self.stub = Peer("bench.stub_sqs", *self._stub_arguments)
        self.sink = Peer("bench.sink", *self._sink_arguments)
        batch, receivers, workers = self._concurrency
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": "/nonexistent",
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "CARRIER_SQS_ENDPOINT": f"{'https' if self._tls else 'http'}://127.0.0.1:{self.stub.port}",
            "CARRIER_SQS_QUEUE_NAME": "bench",
            "CARRIER_SQS_BATCH_SIZE": str(batch),
            "CARRIER_SQS_RECEIVERS": str(receivers),
            "CARRIER_SQS_RECEIVER_WORKERS": str(workers),
            "CARRIER_WEBHOOK_ENDPOINT": f"http://127.0.0.1:{self.sink.port}/orders",
        }
        if self._tls:
            # As on Debian: a folder with every system certificate by its hash, and a bundle of the same; botocore,
            # which would load a bundle of its own, gets this one.
            environment["SSL_CERT_DIR"] = self._tls
            environment["SSL_CERT_FILE"] = f"{self._tls}/bundle.pem"
        for name, value in self.subject.environment.items():
            environment[name] = value.replace("{bundle}", f"{self._tls}/bundle.pem" if self._tls else "")
        environment = {name: value for name, value in environment.items() if value}
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            [*self._wrapper, *self.subject.argv], env=environment, stdout=self._output, stderr=self._output, cwd=ROOT
        )
        self.stub.tell(f"pid {self.process.pid}")
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                try:
                    self.process.wait(10)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
        finally:
            self.stub.stop()
            self.sink.stop()
            self._output.close()

    def wait(self, peer: Peer, event: str, timeout_s: float) -> dict[str, Any]:
        """As Peer.wait, but notices a program under test that ended."""
        ends = time.monotonic() + timeout_s
        while time.monotonic() < ends:
            report = peer.poll(event, 1.0)
            if report is not None:
                return report
            if self.process.poll() is not None:
                raise TrialFailed(f"{self.subject.name} exited with {self.process.returncode}:\n{self.output()}")
        raise TrialFailed(
            f"{self.subject.name}: no {event!r} within {timeout_s:.0f} s; stub: {self.stub.ask('stats')}, "
            f"sink: {self.sink.ask('stats')}\n{self.output()}"
        )

    def output(self) -> str:
        """The end of what the program under test printed."""
        self._output.seek(max(0, self._output.seek(0, os.SEEK_END) - 3000))
        return self._output.read().decode(errors="replace")

    def memory(self) -> tuple[float, float]:
        """RSS and private dirty memory of the program under test, in MB (10^6 bytes)."""
        fields = {}
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, kilobytes = line.split()[:2]
            fields[name.rstrip(":")] = int(kilobytes) * 1024 / 1e6
        return fields["Rss"], fields["Private_Dirty"]

    def wakeups(self) -> int:
        """How often the program under test has gone to sleep so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("\nvoluntary_ctxt_switches:", 1)[1].split()[0])

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)


def make_certificates(folder: str) -> None:
    """Makes cert.pem for 127.0.0.1 and key.pem in `folder`; as trusted, with the system's: by hash, and bundle.pem."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        + ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        + ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
        check=True,
        capture_output=True,
    )
    certificate = Path(folder, "cert.pem")
    hashed = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", certificate], check=True, capture_output=True, text=True
    )
    shutil.copy(certificate, Path(folder, hashed.stdout.strip() + ".0"))
    for authority in Path("/etc/ssl/certs").glob("????????.[0-9]"):
        if not Path(folder, authority.name).exists():
            shutil.copy(authority, folder)
    authorities = sorted(Path(folder).glob("????????.[0-9]"))
    Path(folder, "bundle.pem").write_bytes(b"".join(authority.read_bytes() for authority in authorities))
