"""How long things take: shortened, or in full where SCENARIO_FULL=1 asks for it."""

from __future__ import annotations

import os

FULL = os.environ.get("SCENARIO_FULL", "") not in ("", "0")


def seconds(short: float, full: float) -> float:
    """The length to use."""
    return full if FULL else short
