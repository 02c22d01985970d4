"""The soak: hundreds of thousands of messages through real sidecar processes while everything around them fails.

    python -m tests.soak [--seed N] [--minutes M] [--rate R] [--queue standard|fifo|both] [--only KINDS]

A schedule of faults is drawn from the seed. At the end: nothing lost, each second delivery explained by an injected
fault, the order of FIFO groups kept, the memory of the sidecar that was never touched flat, all ended in good order.
Exit code 0, or 1 with what was wrong and the command that repeats it.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.soak.run import Soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=None, help="of the schedule of faults; by default a new one")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long faults are injected")
    parser.add_argument("--rate", type=float, default=1500.0, help="most messages sent per second")
    parser.add_argument("--queue", choices=("standard", "fifo", "both"), default="both")
    parser.add_argument("--only", default="", help="kinds of faults, separated by commas (see schedule.py)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args()
    seed = int(time.time()) % 1_000_000 if options.seed is None else options.seed
    soak = Soak(seed, options.minutes * 60, options.rate, options.queue, options.only)
    soak.show = (lambda line: None) if options.quiet else (lambda line: print(line, flush=True))  # noqa: T201
    problems = soak.run()
    for line in soak.report():
        print(line)  # noqa: T201  # the command's output
    for problem in problems:
        print(f"WRONG  {problem}")  # noqa: T201
    if problems:
        command = f"python -m tests.soak --seed {seed} --minutes {options.minutes:g} --queue {options.queue}"
        command += f" --only {options.only}" if options.only else ""
        print(f"again with: {command}")  # noqa: T201
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
