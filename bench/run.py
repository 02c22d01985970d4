"""`make bench`: the sidecar, the baseline and any other program side by side, alternating, medians of several runs.

Options, by environment:
    ONLY=256,16k,single,paced,memory,start,idle,slow,flat   (flat, a million messages, only when named)
    REPS=5            PYTHON=interpreter for the sidecar     AGAINST="command" that honours the sidecar's environment
    BASELINE=0        leaves the baseline out                PROFILE=1 adds a profile of where the time goes
    JSON=file         DOCS=1 writes docs/performance.md      (a full run does so anyway)
"""

from __future__ import annotations

import datetime
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import report, scenarios
from bench.profiling import profile
from bench.scenarios import Figures
from bench.trial import ROOT, Subject, TrialFailed, make_certificates

OURS, BASELINE = "carrier", "baseline"
ALL = ("256", "16k", "single", "paced", "memory", "start", "idle", "slow")


def interpreter() -> str:
    """For the sidecar: Debian's, as in the image, where it is new enough; else the one that runs this."""
    for candidate in (os.environ.get("PYTHON"), "/usr/bin/python3", sys.executable):
        if candidate:
            check = "import sys; sys.exit(sys.version_info < (3, 11))"
            if subprocess.run([candidate, "-c", check], check=False).returncode == 0:
                return candidate
    return sys.executable


def subjects() -> list[Subject]:
    # As the image runs it.
    programs = [Subject(OURS, [interpreter(), "-EsSOO", str(ROOT / "sidecar" / "carrier-sidecar")], {"LC_ALL": "C"})]
    if os.environ.get("BASELINE") != "0":
        bundle = {"AWS_CA_BUNDLE": "{bundle}"}
        programs.append(Subject(BASELINE, [sys.executable, str(ROOT / "bench" / "baseline.py")], bundle))
    against = os.environ.get("AGAINST")
    if against:
        argv = shlex.split(against)
        programs.append(Subject(Path(argv[0]).name, argv))
    return programs


def repeated(measure: Callable[[Subject], Figures], programs: list[Subject], repetitions: int) -> dict[str, Figures]:
    """Medians per figure; the programs take turns, so that a change of the machine's mood meets all of them."""
    runs: dict[str, list[Figures]] = {}
    for at in range(repetitions):
        for program in programs:
            figures = measure(program)
            runs.setdefault(program.name, []).append(figures)
            shown = "  ".join(f"{name} {report.number(value)}" for name, value in list(figures.items())[:4])
            print(f"    {at + 1}/{repetitions} {program.name:<10} {shown}", flush=True)
    return {
        name: {figure: statistics.median(run[figure] for run in taken) for figure in taken[0]}
        for name, taken in runs.items()
    }


def measure(scenario: str, programs: list[Subject], repetitions: int, tls: str) -> dict[str, Figures]:
    if scenario in scenarios.LOADS:
        return repeated(scenarios.LOADS[scenario], programs, repetitions)
    if scenario == "memory":
        return repeated(lambda subject: scenarios.memory(subject, tls=tls), programs, min(3, repetitions))
    if scenario == "start":
        repeated(lambda subject: scenarios.start(subject, tls=tls), programs, 1)  # compiles and warms the files
        return repeated(lambda subject: scenarios.start(subject, tls=tls), programs, repetitions)
    if scenario == "idle":
        return scenarios.idle(programs, tls=tls)
    if scenario == "slow":
        # Programs that wait for whole batches take many times as long; fewer messages say that as well.
        figures = repeated(lambda subject: scenarios.slow(subject, total=1_200), programs[:1], min(2, repetitions))
        return figures | repeated(lambda subject: scenarios.slow(subject, total=400), programs[1:], 1)
    if scenario == "flat":
        return repeated(lambda subject: scenarios.flat(subject, tls=tls), programs[:1], 1)
    raise SystemExit(f"ONLY={scenario}: not one of {', '.join((*ALL, 'flat'))}")


def versions(programs: list[Subject]) -> str:
    says = subprocess.run([programs[0].argv[0], "-V"], capture_output=True, text=True, check=False).stdout.strip()
    return f"the sidecar on {says} ({programs[0].argv[0]}), the baseline on Python {sys.version.split()[0]}"


def main() -> int:
    if not sys.platform.startswith("linux"):
        print("The benchmark reads /proc and needs epoll: Linux only.", file=sys.stderr)
        return 2
    only = os.environ.get("ONLY", "")
    chosen = only.replace(",", " ").split() or list(ALL)
    repetitions = int(os.environ.get("REPS", "5"))
    programs = subjects()
    results: report.Results = {}
    failed = False
    with tempfile.TemporaryDirectory() as tls:
        make_certificates(tls)
        for scenario in chosen:
            print(f"  {scenario}", flush=True)
            try:
                results[scenario] = measure(scenario, programs, repetitions, tls)
            except TrialFailed as error:
                print(f"    failed: {error}", flush=True)
                failed = True
    others = [program.name for program in programs if program.name not in (OURS, BASELINE)]
    rows, met = report.table(results, OURS, BASELINE, others)
    notes = {
        **report.machine(),
        "programs": versions(programs),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "repetitions": str(repetitions),
    }
    print(f"\n{report.plain(rows)}\n\n{notes['processor']}, {os.cpu_count()} cores; {notes['programs']}")
    target = Path(os.environ.get("JSON", str(ROOT / ".cache" / "bench.json")))
    report.write_json(target, results, notes)
    print(f"figures: {target}")
    profiled = ""
    if os.environ.get("PROFILE") == "1":
        try:
            profiled = profile(programs[0])
            print(f"\n{profiled}")
        except TrialFailed as error:
            print(f"no profile: {error}")
            failed = True
    if not failed and (not only or os.environ.get("DOCS") == "1"):
        section = (
            f"Medians of {repetitions} alternating runs, {notes['date']}, {notes['processor']}, "
            f"{os.cpu_count()} cores, {notes['system']}; {notes['programs']}.\n\n{report.markdown(rows)}"
        )
        if profiled:
            section += f"\n\n### Where the time goes\n\n{profiled}"
        report.write_page(ROOT / "docs" / "performance.md", section)
    print("every budget met" if met and not failed else "not every budget is met")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
