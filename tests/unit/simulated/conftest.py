"""A world with a handler that listens, for the tests that need nothing else at their start."""

from __future__ import annotations

import pytest

from tests.unit.simulated.world import World


@pytest.fixture
def world() -> World:
    made = World()
    made.handler.start()
    return made
