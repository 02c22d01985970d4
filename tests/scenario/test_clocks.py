"""Wall clocks that are wrong or step, the server's or ours. Deadlines go by a clock that does neither."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from tests.contract.metadata_fakes import fake_service, keys
from tests.process.handler import Reply
from tests.process.sidecar import wait_until
from tests.process.world import SHORTEST_VISIBILITY_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.process.handler import Post
    from tests.process.world import World
    from tests.scenario.conftest import Ends


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_server_whose_clock_steps_in_mid_flight(world: World, ends: Ends, hours: int) -> None:
    world.handler.script = lambda post: Reply(delay_s=SHORTEST_VISIBILITY_S * 1.3 if post.key in slow else 0.02)
    slow = {f"m{number}" for number in range(5)}
    sidecar = world.start()
    world.send(100)
    wait_until(lambda: world.handler.accepted.total() > 30, 10, sidecar.log)
    world.sqs.clock_offset_s = hours * 3600.0
    world.send(100)
    world.wait_until_empty(40)
    sidecar.wait_for("clock_corrected")
    assert set(world.handler.tries.values()) == {1}
    ends(world.account())


@pytest.mark.parametrize("hours", [-2, 2])
def test_our_clock_steps_in_mid_flight(world: World, ends: Ends, tmp_path: Path, hours: int) -> None:
    """As after a suspend, or when the time service comes late."""
    offset = tmp_path / "offset"
    offset.write_text("0")
    world.handler.script = lambda post: Reply(delay_s=SHORTEST_VISIBILITY_S * 1.3 if post.key in slow else 0.02)
    slow = {f"m{number}" for number in range(5)}
    sidecar = world.start(program=("-m", "tests.process.skewed", str(offset)))
    world.send(100)
    wait_until(lambda: world.handler.accepted.total() > 30, 10, sidecar.log)
    offset.write_text(str(hours * 3600))
    world.send(100)
    world.wait_until_empty(40)
    cpu_s = sidecar.cpu_s()
    time.sleep(0.5)
    assert sidecar.cpu_s() - cpu_s < 0.1
    assert set(world.handler.tries.values()) == {1}
    assert len(sidecar.lines) < 20
    ends(world.account())


def test_a_clock_that_was_always_wrong(world: World, ends: Ends, tmp_path: Path) -> None:
    """Retry-After as a date is held against our own clock, which the handler on the same machine shares."""
    offset = tmp_path / "offset"
    offset.write_text(str(-90 * 86400))

    def later_once(post: Post) -> Reply:
        if post.receive_count == 1 and post.key in later:
            date = formatdate(time.time() - 90 * 86400 + 3, usegmt=True)
            return Reply(503, headers=[("Retry-After", date)])
        return Reply()

    later = {"m3", "m7"}
    world.handler.script = later_once
    sidecar = world.start(program=("-m", "tests.process.skewed", str(offset)))
    world.send(50)
    wait_until(lambda: len(world.messages) == 2, 10, sidecar.log)
    world.wait_until_empty(8)
    sidecar.wait_for("clock_corrected")
    ends(world.account())


@pytest.mark.parametrize("hours", [-2, 2])
def test_short_lived_credentials_with_a_clock_that_is_hours_off(
    world: World, ends: Ends, tmp_path: Path, hours: int
) -> None:
    """By a clock that is ahead they had expired before they came; only SQS can say that it is the clock."""
    offset = tmp_path / "offset"
    offset.write_text(str(hours * 3600))
    with fake_service() as agent:
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        agent.answer = lambda request: (200, keys("GIVEN", Expiration=expires))
        environ = {
            "AWS_ACCESS_KEY_ID": "unset",
            "AWS_SECRET_ACCESS_KEY": "unset",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{agent.url}/credentials",
        }
        sidecar = world.start(program=("-m", "tests.process.skewed", str(offset)), environ=environ)
        world.send(50)
        world.wait_until_empty(10)
        sidecar.wait_for("clock_corrected")
        assert len(agent.seen) <= 2
        world.sqs.clock_offset_s = -hours * 3600.0  # now the server's clock is off as well, which ends nothing
        world.send(50)
        world.wait_until_empty(10)
    ends(world.account())
