"""The ends of a process on SQS servers that are not ours."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.process.account import Account
from tests.process.handler import Handler, Reply
from tests.process.loop_thread import LoopThread
from tests.process.real_queue import RealQueue
from tests.process.sidecar import SidecarProcess, wait_until
from tests.process.world import SHORTEST_VISIBILITY_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.scenario.conftest import Ends


class Place:
    """A queue on a real server, a handler, sidecars."""

    def __init__(self, server_url: str) -> None:
        self.thread = LoopThread()
        self.handler = Handler(self.thread)
        self.queue = RealQueue(server_url, f"orders-{time.monotonic_ns()}", SHORTEST_VISIBILITY_S)
        self.sidecars: list[SidecarProcess] = []

    def start(self) -> SidecarProcess:
        sidecar = SidecarProcess(
            {
                "CARRIER_SQS_ENDPOINT": self.queue.url,
                "CARRIER_SQS_QUEUE_NAME": self.queue.name,
                "CARRIER_SQS_REGION": "us-east-1",
                "CARRIER_SQS_BATCH_SIZE": "10",
                "CARRIER_MAX_IN_FLIGHT": "20",
                "CARRIER_WEBHOOK_ENDPOINT": self.handler.url,
            }
        )
        self.sidecars.append(sidecar)
        return sidecar

    def state(self) -> str:
        return "\n".join([str(self.queue.counts()), *[sidecar.log() for sidecar in self.sidecars]])

    def close(self) -> None:
        for sidecar in self.sidecars:
            assert not sidecar.other_output
            sidecar.close()
        self.queue.close()
        self.handler.close()
        self.thread.close()


@pytest.fixture
def place(server_url: str) -> Iterator[Place]:
    made = Place(server_url)
    yield made
    made.close()


def test_terminated_killed_and_stopped_sidecars_lose_nothing(place: Place, ends: Ends) -> None:
    place.handler.script = lambda post: Reply(delay_s=0.1)
    place.queue.send([f"m{number}" for number in range(300)])
    handler = place.handler

    for signum in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        sidecar = place.start()
        count = handler.accepted.total()
        wait_until(lambda: handler.accepted.total() > count + 40, 20, place.state)  # noqa: B023  # used at once
        sidecar.signal(signum)
        assert sidecar.wait(10) == (0 if signum == signal.SIGTERM else -signal.SIGKILL)
    last = place.start()
    wait_until(lambda: len(handler.running) >= 10, 20, place.state)
    last.signal(signal.SIGSTOP)
    time.sleep(SHORTEST_VISIBILITY_S + 1)
    last.signal(signal.SIGCONT)
    wait_until(lambda: place.queue.empty, SHORTEST_VISIBILITY_S * 2 + 20, place.state)
    assert last.metrics()["carrier_late_deletes_total"] > 0
    assert not handler.overlaps
    # What the kill cut off between the answer and the delete comes again.
    account = Account(place.queue.sent, handler.accepted, place.queue.take_rest())
    assert sum(account.duplicates.values()) <= 20
    ends(account, duplicates=sum(account.duplicates.values()))
