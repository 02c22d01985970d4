"""FIFO queues under failures, on each SQS server at hand: order per group, groups side by side, no group stuck."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.process.account import Account
from tests.process.handler import Handler, Reply
from tests.process.loop_thread import LoopThread
from tests.process.real_queue import RealQueue
from tests.process.sidecar import SidecarProcess, wait_until
from tests.process.world import SHORTEST_VISIBILITY_S
from tests.scenario.lengths import seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.process.handler import Post
    from tests.scenario.conftest import Ends


class Groups:
    """A FIFO queue, a handler that watches the order, any number of sidecars."""

    def __init__(self, server_url: str) -> None:
        self.thread = LoopThread()
        self.handler = Handler(self.thread)
        self.queue = RealQueue(server_url, f"orders-{time.monotonic_ns()}.fifo", SHORTEST_VISIBILITY_S)
        self.sidecars: list[SidecarProcess] = []
        self.at_once: Counter[str] = Counter()
        self.most_groups = 0

    def fill(self, groups: int, each: int) -> None:
        """Keys are <group>.<number>; the groups' messages are sent in turns."""
        for number in range(each):
            for group in range(groups):
                self.queue.send([f"g{group}.{number:04}"], f"g{group}")

    def start(self, **more: str) -> SidecarProcess:
        sidecar = SidecarProcess(
            {
                "CARRIER_SQS_ENDPOINT": self.queue.url,
                "CARRIER_SQS_QUEUE_NAME": self.queue.name,
                "CARRIER_SQS_REGION": "us-east-1",
                "CARRIER_SQS_BATCH_SIZE": "10",
                "CARRIER_SQS_RECEIVER_WORKERS": "10",
                "CARRIER_WEBHOOK_ENDPOINT": self.handler.url,
                "CARRIER_WEBHOOK_REQUEST_TIMEOUT": "1s",
                **more,
            }
        )
        self.sidecars.append(sidecar)
        return sidecar

    def watch(self, script: object) -> None:
        """Answer by `script`, and count the groups that are with the handler at once."""
        assert callable(script)

        def answer(post: Post) -> Reply:
            groups = [key.partition(".")[0] for key in self.handler.running]
            self.most_groups = max(self.most_groups, len(set(groups)))
            reply: Reply = script(post)
            return reply

        self.handler.script = answer

    def check_order(self) -> None:
        """Of each group: a message was POSTed only after all before it were accepted, one at a time, in order."""
        accepted: dict[str, int] = {}
        busy_until: dict[str, float] = {}
        for post in self.handler.posts:
            group, _, number = post.key.partition(".")
            expected = accepted.get(group, 0)
            assert int(number) <= expected, f"{post.key} came while {expected} was due: {self.history(group)}"
            assert post.began_at >= busy_until.get(group, 0.0) - 1e-9, f"{post.key} came beside another of its group"
            assert post.ended_at is not None, f"{post.key} is still running"
            busy_until[group] = post.ended_at
            if post.status == 200 and int(number) == expected:
                accepted[group] = expected + 1

    def history(self, group: str) -> str:
        """The POSTs of one group, for people."""
        posts = [post for post in self.handler.posts if post.key.startswith(f"{group}.")]
        del posts[40:]
        return ", ".join(f"{post.key} #{post.receive_count} at {post.began_at:.3f} {post.status}" for post in posts)

    def account(self) -> Account:
        return Account(self.queue.sent, self.handler.accepted, self.queue.take_rest())

    def state(self) -> str:
        return "\n".join([str(self.queue.counts()), *[sidecar.log() for sidecar in self.sidecars]])

    def close(self) -> None:
        for sidecar in self.sidecars:
            sidecar.close()
        self.queue.close()
        self.handler.close()
        self.thread.close()


@pytest.fixture
def groups(server_url: str) -> Iterator[Groups]:
    made = Groups(server_url)
    yield made
    made.close()


def test_order_holds_under_failures_retries_slow_and_vanishing_messages(groups: Groups, ends: Ends) -> None:
    random_ = random.Random(11)

    def answer(post: Post) -> Reply:
        draw = random_.random()
        if draw < 0.05:
            return Reply(429, headers=[("Retry-After", "1")])
        if draw < 0.08:
            return Reply(503, headers=[("Retry-After", "0")])
        if post.receive_count < 3:
            if draw < 0.09:
                return Reply(500)  # comes back by its visibility timeout
            if draw < 0.10:
                return Reply(never=True)  # the request times out
            if draw < 0.105:
                return Reply(drop=True)
        return Reply(delay_s=0.6 if draw > 0.97 else 0.005)

    groups.watch(answer)
    groups.fill(8, int(seconds(25, 100)))
    sidecar = groups.start()
    wait_until(lambda: groups.handler.accepted.total() >= len(groups.queue.sent), seconds(180, 900), groups.state)
    wait_until(lambda: groups.queue.empty, 20, groups.state)
    groups.check_order()
    assert groups.most_groups >= 2, "groups do not run side by side"
    assert not groups.handler.overlaps
    assert sidecar.alive
    ends(groups.account())


def test_groups_run_side_by_side(groups: Groups, ends: Ends) -> None:
    groups.watch(lambda post: Reply(delay_s=0.5))
    groups.fill(8, 2)
    groups.start()
    wait_until(lambda: groups.handler.accepted.total() == 16, 15, groups.state)
    assert groups.most_groups >= 7
    groups.check_order()
    wait_until(lambda: groups.queue.empty, 10, groups.state)
    ends(groups.account())


def test_a_group_whose_head_fails_holds_up_no_other(groups: Groups, ends: Ends) -> None:
    def answer(post: Post) -> Reply:
        return Reply(500) if post.key == "g0.0000" and post.receive_count == 1 else Reply(delay_s=0.01)

    groups.watch(answer)
    groups.fill(5, 8)
    groups.start()
    wait_until(lambda: groups.handler.accepted.total() == 32, 8, groups.state)
    assert not any(key.startswith("g0.") for key in groups.handler.accepted), "a later one overtook the head"
    wait_until(lambda: groups.handler.accepted.total() == 40, SHORTEST_VISIBILITY_S + 10, groups.state)
    groups.check_order()
    wait_until(lambda: groups.queue.empty, 10, groups.state)
    ends(groups.account())


def test_order_holds_over_the_end_of_a_sidecar_and_with_two_of_them(groups: Groups, ends: Ends) -> None:
    groups.watch(lambda post: Reply(delay_s=0.05))
    groups.fill(6, 20)
    for _ in range(2):
        sidecar = groups.start()
        count = groups.handler.accepted.total()
        wait_until(lambda: groups.handler.accepted.total() >= count + 20, 20, groups.state)  # noqa: B023  # used at once
        sidecar.terminate()
        assert sidecar.wait(8) == 0
    groups.start()
    groups.start()
    wait_until(lambda: groups.handler.accepted.total() >= 120, 40 + SHORTEST_VISIBILITY_S, groups.state)
    wait_until(lambda: groups.queue.empty, 20, groups.state)
    time.sleep(0.2)
    groups.check_order()
    ends(groups.account())
