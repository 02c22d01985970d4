"""Running other programs to their end: quiet when they succeed, one line with their last words when they fail."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import ClusterError, Unavailable

_LINES_SHOWN = 3


def run(
    arguments: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout_s: float = 120,
) -> str:
    """Run a program and return its standard output.

    Raises ClusterError with the last lines that it wrote when it fails or takes longer than `timeout_s`.
    """
    argv = [str(argument) for argument in arguments]
    try:
        ended = subprocess.run(
            argv, env=env, cwd=cwd, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{_shown(argv)} took longer than {timeout_s:g} s") from error
    if ended.returncode != 0:
        words = " | ".join((ended.stderr.strip() or ended.stdout.strip()).splitlines()[-_LINES_SHOWN:])
        raise ClusterError(f"{_shown(argv)} failed with {ended.returncode}: {words or 'no output'}")
    return ended.stdout


def succeeds(arguments: Sequence[str | Path], *, env: Mapping[str, str] | None = None, timeout_s: float = 20) -> bool:
    """Does the program exist, end in time, and end with 0?"""
    try:
        run(arguments, env=env, timeout_s=timeout_s)
    except (ClusterError, OSError):
        return False
    return True


def require(program: str, why: str) -> str:
    """The path of a program, or Unavailable with the reason for which it is needed."""
    path = shutil.which(program)
    if path is None:
        raise Unavailable(f"{program} is missing: {why}")
    return path


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no output"


def _shown(argv: list[str]) -> str:
    shown = " ".join(argv[:4])
    return shown if len(argv) <= 4 else f"{shown} ..."
