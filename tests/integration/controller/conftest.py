"""The CRD, and one installation with a controller for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.controller.rig import Installation, Process, wait_until
from tests.integration.operator.conftest import crd

__all__ = ["crd"]


@pytest.fixture(scope="module")
def installation(cluster: Any, api: Any, crd: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Installation(cluster, api, tmp_path_factory.mktemp("installation")) as made:
        yield made


@pytest.fixture(scope="module")
def controller(installation: Installation) -> Iterator[Process]:
    """A controller that leads and has read everything."""
    process = installation.controller()
    wait_until(lambda: process.said("everything is read"), what="the controller's start")
    yield process
    assert process.stop() == 0, process.log.read_text()
    assert not [line for line in process.lines() if "traceback" in line], process.log.read_text()
    assert "Traceback" not in process.log.read_text()


@pytest.fixture
def shop(installation: Installation) -> str:
    """A namespace of the test's own."""
    return installation.new_namespace()


@pytest.fixture(scope="session")
def address(cluster: Any) -> str:
    """Where the API server can reach this machine."""
    found: str | None = cluster.address_for_pods
    if found is None:
        pytest.skip("no address of this machine is known to lead here from the API server")
    return found
