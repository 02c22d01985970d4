"""Scenarios: the real process under real faults in real time. Each ends with the account of its messages, which the
summary shows.

SCENARIO_FULL=1 runs outages and slow handlers in their full lengths instead of the shortened ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.process.world import World

if TYPE_CHECKING:
    from tests.process.account import Account

FULL = os.environ.get("SCENARIO_FULL", "") not in ("", "0")
Ends = Callable[..., None]


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        yield made
        for sidecar in made.sidecars:
            assert not sidecar.other_output, sidecar.log()


@pytest.fixture
def ends(request: pytest.FixtureRequest) -> Ends:
    """`ends(account, left=0, dead=0, duplicates=0)`: show the account, and hold it against what it should be."""

    def check(account: Account, **expected: int) -> None:
        request.node.user_properties.append(("account", str(account)))
        account.balances(**expected)

    return check


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = [
        (report.nodeid.partition("tests/scenario/")[2], value, report.duration)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, value in getattr(report, "user_properties", ())
        if name == "account" and report.when == "call"
    ]
    if rows:
        terminalreporter.section("accounts of messages")
        for nodeid, account, took_s in sorted(rows):
            terminalreporter.write_line(f"{took_s:5.1f} s  {nodeid}")
            terminalreporter.write_line(f"         {account}")
