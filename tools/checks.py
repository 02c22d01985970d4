"""Runs the checks behind `make test`, `scenario`, `integration`, `e2e` and `lint`, and ends with a summary.

The linters run beside the tests, since both are bound by one core each. Each step's output appears when the step is
done, so that it can be read; the tests' output appears as it comes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

LINT = (
    ("ruff check", [str(BIN / "ruff"), "check", "."]),
    ("ruff format", [str(BIN / "ruff"), "format", "--check", "."]),
    ("layers", [str(BIN / "lint-imports")]),
    ("mypy", [str(BIN / "mypy")]),
)
TIERS = {
    "test": ["tests/unit", "tests/property", "tests/contract", "tests/wire"],
    "scenario": ["tests/scenario"],
    "integration": ["tests/integration"],
    "e2e": ["e2e"],
}
# Scenarios and the controller's tests wait most of their time. With clusters every worker has one of its own (of 0.6 GB
# or more) and keeps to whole modules, which start processes of their own.
WORKERS = {"test": "2", "scenario": "4", "integration": "2", "e2e": "0"}
DISTRIBUTION = {"integration": "loadfile"}
NO_TESTS_COLLECTED = 5


class Step:
    """One finished check: its name, whether it passed, how long it took (seconds) and a word for the summary."""

    def __init__(self, name: str, passed: bool, took_s: float, note: str = "") -> None:
        self.name = name
        self.passed = passed
        self.took_s = took_s
        self.note = note


def lint(steps: list[Step], lock: threading.Lock) -> None:
    for name, argv in LINT:
        started = time.monotonic()
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
        passed = done.returncode == 0
        with lock:
            steps.append(Step(name, passed, time.monotonic() - started))
            if not passed:
                print(f"---- {name} ----\n{done.stdout}{done.stderr}", flush=True)


def counts(line: str) -> dict[str, int]:
    """`12 passed, 1 skipped in 3.4s` as a dictionary; empty for a line that is no pytest summary."""
    return {
        word.rstrip("s"): int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)", line)
    }


def run_pytest(tier: str, extra: list[str]) -> tuple[Step, dict[str, int]]:
    folders = [name for name in TIERS[tier] if (ROOT / name).is_dir()]
    if not folders:
        return Step("pytest", True, 0.0, "no tests there"), {}
    argv = [str(BIN / "python"), "-m", "pytest", "-q", *folders, *extra]
    # A cluster that was given is one for all.
    alone = WORKERS[tier] == "0" or (tier == "integration" and "KUBECONFIG" in os.environ)
    if not alone and not any(word.startswith("-n") for word in extra):
        argv += ["-n", WORKERS[tier], "--dist", DISTRIBUTION.get(tier, "worksteal")]
    started = time.monotonic()
    seen: dict[str, int] = {}
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0) as process:
        assert process.stdout is not None
        tail = b""
        while chunk := os.read(process.stdout.fileno(), 65536):
            sys.stdout.write(chunk.decode(errors="replace"))
            sys.stdout.flush()
            tail = (tail + chunk)[-4096:]
    for line in reversed(tail.decode(errors="replace").splitlines()):
        seen = counts(line)
        if seen:
            break
    passed = process.returncode in (0, NO_TESTS_COLLECTED)
    note = ", ".join(f"{number} {word}" for word, number in seen.items())
    return Step("pytest", passed, time.monotonic() - started, note), seen


def main(argv: list[str]) -> int:
    what = argv[0] if argv else "test"
    extra = argv[1:] + os.environ.get("PYTEST_ARGS", "").split()
    steps: list[Step] = []
    lock = threading.Lock()
    seen: dict[str, int] = {}
    linting = threading.Thread(target=lint, args=(steps, lock)) if what in ("test", "lint") else None
    if linting is not None:
        linting.start()
    if what in TIERS:
        step, seen = run_pytest(what, extra)
        with lock:
            steps.append(step)
    if linting is not None:
        linting.join()
    print(f"\n---- make {what}: summary ----")
    for step in steps:
        print(f"  {'ok  ' if step.passed else 'FAIL'}  {step.name:<12} {step.took_s:6.1f} s  {step.note}")
    passed = all(step.passed for step in steps)
    if what in TIERS:
        failed = seen.get("failed", 0) + seen.get("error", 0)
        print(f"{what}: {seen.get('passed', 0)} passed, {failed} failed, {seen.get('skipped', 0)} skipped")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
