"""The demonstration's child processes: started apart from the terminal's signals, read line by line, always ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Child:
    """One process. `on_line` gets each line of its output from a thread of its own."""

    def __init__(self, name: str, argv: list[str], on_line: Callable[[str], None], **environment: str) -> None:
        self.name = name
        self.last_lines: deque[str] = deque(maxlen=15)
        self._on_line = on_line
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT / "sidecar"), "PYTHONUNBUFFERED": "1", **environment},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.last_lines.append(line.rstrip("\n"))
            self._on_line(line.rstrip("\n"))

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def send(self, signum: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signum)

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code once it has ended and all of its output was read; None when it still runs."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(5)
        return code

    def end(self, grace_s: float = 5.0) -> int | None:
        """SIGTERM, and SIGKILL after the grace."""
        self.send(signal.SIGTERM)
        code = self.wait(grace_s)
        if code is None:
            self.send(signal.SIGKILL)
            code = self.wait(5)
        return code


def python(*words: str) -> list[str]:
    return [sys.executable, *words]


@contextmanager
def all_ended(children: list[Child]) -> Iterator[None]:
    """Whatever happens, no child outlives this block."""

    def terminated(_signum: int, _frame: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, terminated)
    try:
        yield
    finally:
        for child in reversed(children):
            child.send(signal.SIGTERM)
        for child in reversed(children):
            child.end(3.0)
