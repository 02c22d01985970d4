"""Breaks the promises one at a time in a copy of the source; the tests must notice each.

    python -m tools.mutate [--only WORD] [--jobs N] [--write docs/mutations.md]

Exit code 0 when every mutation was caught, 1 when one survived, 2 when the list does not fit the source any more, or a
test fails although nothing is broken.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools import mutations, operator_mutations
from tools.mutations import Mutation

MUTATIONS = (*mutations.MUTATIONS, *operator_mutations.MUTATIONS)

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("sidecar", "operator", "tests", "tools", "bench", "e2e", "examples", "helm", "crds", "pyproject.toml")
TIMEOUT_S = 300
UNBROKEN_TIMEOUT_S = 1800  # all tests of all mutations, one after the other


class Result:
    """What the tests said to one mutation: `by` names the test that noticed, "" when none did."""

    def __init__(self, mutation: Mutation, by: str) -> None:
        self.mutation = mutation
        self.by = by


def misfits() -> list[str]:
    """Rows whose text does not occur exactly once: the source has moved on."""
    found = []
    for mutation in MUTATIONS:
        count = (ROOT / mutation.file).read_text().count(mutation.old)
        if count != 1:
            found.append(f"{mutation.promise}: its text occurs {count} times in {mutation.file}")
    return found


def run_tests(folder: Path, tests: tuple[str, ...], timeout_s: float) -> str:
    """The first failing test, or ""."""
    argv = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", *tests]
    environment = {**os.environ, "MODEL_EXAMPLES": os.environ.get("MODEL_EXAMPLES", "150")}
    try:
        done = subprocess.run(
            argv, cwd=folder, capture_output=True, text=True, check=False, timeout=timeout_s, env=environment
        )
    except subprocess.TimeoutExpired:
        return "the tests hang"
    if done.returncode == 0:
        return ""
    for line in done.stdout.splitlines():
        if line.startswith(("FAILED tests/", "ERROR tests/")):
            return line.split()[1]
    return "the tests do not start"


def try_out(mutation: Mutation) -> Result:
    """Run its tests against a copy of the source with that mutation."""
    return Result(mutation, tried(mutation.tests, mutation))


def tried(tests: tuple[str, ...], mutation: Mutation | None = None) -> str:
    """The first test that fails against a copy of the source, with that mutation; or ""."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        for part in COPIED:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / part)
        if mutation is not None:
            target = folder / mutation.file
            target.write_text(target.read_text().replace(mutation.old, mutation.new))
        return run_tests(folder, tests, TIMEOUT_S if mutation is not None else UNBROKEN_TIMEOUT_S)


def page(results: list[Result]) -> str:
    """The list as a page of the documentation."""
    caught = sum(bool(result.by) for result in results)
    lines = [
        "# Mutation check",
        "",
        "Each row breaks one promise in the source (tools/mutations.py); a test must notice. Made by",
        f"`python -m tools.mutate --write`: {caught} of {len(results)} were noticed.",
        "",
        "| promise | broken in | noticed by |",
        "|---|---|---|",
    ]
    for result in results:
        test = result.by.rpartition("::")[2].partition("[")[0] if "::" in result.by else result.by
        lines.append(f"| {result.mutation.promise} | {Path(result.mutation.file).name} | {test or '**nobody**'} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--only", default="", help="only promises or files with this word in them")
    parser.add_argument("--jobs", type=int, default=2, help="mutations at once")
    parser.add_argument("--write", type=Path, help="write the list with its results to this file")
    arguments = parser.parse_args()
    wrong = misfits()
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 2
    chosen = [each for each in MUTATIONS if arguments.only in each.promise or arguments.only in each.file]
    # A test that fails in the copy by itself would notice everything.
    unbroken = tried(tuple(dict.fromkeys(test for each in chosen for test in each.tests)))
    if unbroken:
        print(f"{unbroken} fails although nothing is broken", file=sys.stderr)
        return 2
    results: list[Result] = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for result in pool.map(try_out, chosen):
            results.append(result)
            print(f"{'caught  ' if result.by else 'SURVIVED'}  {result.mutation.promise}: {result.by}", flush=True)
    survivors = [result for result in results if not result.by]
    print(f"{len(results) - len(survivors)} of {len(results)} mutations were noticed")
    if arguments.write is not None:
        arguments.write.write_text(page(results))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
