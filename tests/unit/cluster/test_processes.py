"""Only what a cluster has started is ended, and all of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from e2e.cluster.errors import ClusterError
from e2e.cluster.processes import Processes, start_time

pytestmark = pytest.mark.linux

SLEEPER = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]


def test_another_instance_ends_what_was_started(tmp_path: Path) -> None:
    Processes(tmp_path).start("sleeper", SLEEPER, env=os.environ)
    pid = int((tmp_path / "pids" / "sleeper").read_text().split()[0])
    assert start_time(pid) != 0

    Processes(tmp_path).stop(["sleeper"])

    assert start_time(pid) == 0
    assert Processes(tmp_path).names() == []


def test_a_number_that_belongs_to_somebody_else_by_now_gets_no_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signalled: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, signum: signalled.append(pid))
    processes = Processes(tmp_path)
    (tmp_path / "pids" / "sleeper").write_text(f"{os.getpid()} {start_time(os.getpid()) - 1}")
    processes.stop(["sleeper"])
    assert signalled == []


def test_waiting_ends_with_the_last_words_of_a_process_that_died(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start("server", [sys.executable, "-c", "raise SystemExit('no such flag')"], env=os.environ)
    with pytest.raises(ClusterError, match=r"server ended with 1: no such flag"):
        processes.wait_until("answer", lambda: False, timeout_s=20)


def test_a_process_that_never_was_counts_as_stopped(tmp_path: Path) -> None:
    Processes(tmp_path).stop(["never"])
