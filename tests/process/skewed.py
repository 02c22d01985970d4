"""The sidecar's command on a wall clock that a test can set: `python -m tests.process.skewed FILE` adds the seconds in
FILE to it. The loop's own clock, which deadlines go by, stays what it is. This machine's clock is left alone."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from carrier_sidecar.__main__ import main
from carrier_sidecar.loop.selecting import SelectingLoop


def skew(file: Path) -> None:
    offset_s = 0.0

    def wall(self: SelectingLoop) -> float:
        nonlocal offset_s
        text = file.read_text()
        if text:  # not while the test is writing it
            offset_s = float(text)
        return time.time() + offset_s

    SelectingLoop.wall = wall  # type: ignore[method-assign]  # what this program is for


if __name__ == "__main__":
    skew(Path(sys.argv.pop(1)))
    sys.exit(main([]))
