"""The processes of one local cluster: started detached, remembered on disk, ended by number.

A process is remembered with its start time, so that a number which the kernel has given to someone else since is
never signalled.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from .commands import last_line
from .errors import ClusterError

_TERM_S = 5.0  # a process gets this long to end by itself
_POLL_S = 0.05


class Processes:
    """Processes with their logs under `data`; any later `Processes` of the same directory can end them."""

    def __init__(self, data: Path) -> None:
        self._logs = data / "logs"
        self._pids = data / "pids"
        self._logs.mkdir(exist_ok=True)
        self._pids.mkdir(exist_ok=True)
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, name: str, arguments: Sequence[str | Path], *, env: Mapping[str, str], pass_fds: Sequence[int] = ()
    ) -> None:
        """Start a program in a session of its own. OSError when it can't be started."""
        with open(self._logs / f"{name}.log", "wb") as log:
            child = subprocess.Popen(
                [str(argument) for argument in arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._logs, env=dict(env),
                start_new_session=True, pass_fds=pass_fds,
            )  # fmt: skip
        (self._pids / name).write_text(f"{child.pid} {start_time(child.pid)}")
        self._children[name] = child

    def wait_until(self, what: str, ready: Callable[[], bool], *, timeout_s: float = 60) -> None:
        """Wait for a condition; OSError and ClusterError from `ready` count as not yet.

        Raises ClusterError when time is up or one of the processes has ended, with its last words.
        """
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            self._raise_for_the_dead()
            try:
                if ready():
                    return
            except (OSError, ClusterError):
                pass
            time.sleep(_POLL_S)
        raise ClusterError(f"no {what} after {timeout_s:g} s; logs in {self._logs}")

    def stop(self, names: Iterable[str]) -> None:
        """End the named processes, one after the other; those that are not running are passed over."""
        for name in names:
            record = self._pids / name
            if record.exists():
                _stop(*map(int, record.read_text().split()))
                record.unlink()
            child = self._children.pop(name, None)
            if child is not None:
                child.wait()

    def names(self) -> list[str]:
        """The processes that were started and not yet stopped, in no order."""
        return [record.name for record in self._pids.iterdir()]

    def _raise_for_the_dead(self) -> None:
        for name, child in self._children.items():
            if child.poll() is not None:
                log = self._logs / f"{name}.log"
                words = last_line(log.read_text(errors="replace"))
                raise ClusterError(f"{name} ended with {child.returncode}: {words} (log: {log})")


def start_time(pid: int) -> int:
    """When a process was started, in ticks since the machine's start; 0 if there is none (a zombie counts as none)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def _stop(pid: int, started: int) -> None:
    for signum, patience_s in ((signal.SIGTERM, _TERM_S), (signal.SIGKILL, _TERM_S)):
        if start_time(pid) != started:
            return
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            return
        end = time.monotonic() + patience_s
        while time.monotonic() < end and start_time(pid) == started:
            time.sleep(_POLL_S)
