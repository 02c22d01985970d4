"""A minute of the soak: a schedule of all faults from a seed, on a standard and a FIFO queue."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from tests.process.account import Account
from tests.scenario.lengths import seconds
from tests.soak.run import Soak

if TYPE_CHECKING:
    import pytest


def test_a_minute_of_everything(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    """SOAK_SEED repeats one that failed."""
    seed = int(os.environ.get("SOAK_SEED") or int(time.time()) % 1_000_000)
    soak = Soak(seed, seconds(60, 300), 500)
    problems = soak.run()
    for line in soak.report():
        request.node.user_properties.append(("account", line.strip()))
    assert not problems, f"SOAK_SEED={seed}: " + "\n".join(problems)


def test_the_account_sees_what_is_lost_and_what_is_doubled() -> None:
    account = Account(["a", "b", "c", "d"], {"a": 1, "b": 2}, left=["c"])
    assert account.lost == ["d"]
    assert account.duplicates == {"b": 1}
