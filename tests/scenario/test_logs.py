"""A log that nobody reads, or that has no room left, must not hold up messages."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.process.handler import Reply

if TYPE_CHECKING:
    from tests.process.handler import Post
    from tests.process.world import World
    from tests.scenario.conftest import Ends

FULL_DISK = Path("/dev/full")


def later_twice(post: Post) -> Reply:
    """Each failure is a line of the log."""
    return Reply() if post.receive_count > 2 else Reply(503, headers=[("Retry-After", "0")])


@pytest.mark.skipif(not FULL_DISK.exists(), reason="needs /dev/full")
def test_a_full_disk(world: World, ends: Ends) -> None:
    world.handler.script = later_twice
    with FULL_DISK.open("wb") as full:
        sidecar = world.start(stdout=full, CARRIER_LOG_LEVEL="debug")
        world.send(1000)
        world.wait_until_empty()
        assert sidecar.metrics()["carrier_log_lines_dropped_total"] > 100
        sidecar.terminate()
        assert sidecar.wait(5) == 0
    ends(world.account())


def test_a_pipe_that_nobody_reads(world: World, ends: Ends) -> None:
    reader, writer = os.pipe()
    try:
        world.handler.script = later_twice
        sidecar = world.start(stdout=writer, CARRIER_LOG_LEVEL="debug")
        os.close(writer)
        world.send(3000)
        world.wait_until_empty(40)
        assert sidecar.metrics()["carrier_log_lines_dropped_total"] > 100
        assert sidecar.peak_rss_bytes() < 60 << 20
        sidecar.terminate()
        assert sidecar.wait(6) == 0
    finally:
        os.close(reader)
    ends(world.account())


def test_a_log_whose_reader_has_gone(world: World, ends: Ends) -> None:
    reader, writer = os.pipe()
    world.handler.script = later_twice
    sidecar = world.start(stdout=writer)
    os.close(writer)
    os.close(reader)
    world.send(500)
    world.wait_until_empty()
    sidecar.terminate()
    assert sidecar.wait(5) == 0
    ends(world.account())
