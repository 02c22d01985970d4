"""Scenarios: the real process under real faults in real time. Each ends with the account of its messages, which the
summary shows.

SCENARIO_FULL=1 runs outages and slow handlers in their full lengths instead of the shortened ones.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract import sqs_servers
from tests.contract.elasticmq import Unavailable
from tests.process.world import World

if TYPE_CHECKING:
    from tests.process.account import Account

Ends = Callable[..., None]


def mend_moto(patch: pytest.MonkeyPatch) -> None:
    """Some of moto's ways with FIFO queues break the order, or hold up groups, whoever the client is: sequence numbers
    are drawn by lot, a long poll goes by the groups that were in flight at its beginning, calls are not kept apart from
    one another, and what was made visible still counts as in flight for the rest of that millisecond."""
    from moto.sqs import models

    backend: Any = models.SQSBackend
    lock = threading.RLock()
    receive = backend.receive_message

    def receive_in_turn(self: Any, name: str, count: int, wait_s: int, *more: Any) -> Any:
        until = time.monotonic() + wait_s
        while True:
            with lock:
                found = receive(self, name, count, 0, *more)
            if found or time.monotonic() > until:
                return found
            time.sleep(0.02)

    patch.setattr(backend, "receive_message", receive_in_turn)
    for action in ("change_message_visibility_batch", "delete_message_batch"):
        patch.setattr(backend, action, in_turn(lock, getattr(backend, action)))
    numbers = itertools.count(1)
    add = models.Queue.add_message

    def add_in_sequence(self: Any, message: Any) -> Any:
        message.sequence_number = f"{next(numbers):020}"
        return add(self, message)

    patch.setattr(models.Queue, "add_message", add_in_sequence)
    patch.setattr(models.Message, "visible", property(lambda self: time.time() * 1000 >= self.visible_at))


def in_turn(lock: Any, act: Any) -> Any:
    def locked(*args: Any) -> Any:
        with lock:
            return act(*args)

    return locked


@pytest.fixture(scope="module", params=["memory", "moto", pytest.param("elasticmq", marks=pytest.mark.java)])
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    patch = pytest.MonkeyPatch()
    if request.param == "moto":
        mend_moto(patch)
    start = sqs_servers.SERVERS[request.param]()
    try:
        server = start.__enter__()
    except Unavailable as why:
        pytest.skip(str(why))
    try:
        yield server.url
    finally:
        start.__exit__(None, None, None)
        patch.undo()


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
