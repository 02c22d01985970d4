"""End-to-end tests run on a cluster with a node: pods start, deliver and end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from e2e.cluster import Cluster
from e2e.cluster.fixtures import api, cluster_fixture, helm, kubectl, namespace, operator_image, sidecar_image
from e2e.injection.installation import installed
from e2e.injection.world import World
from e2e.injection.world import world as a_world

__all__ = ["api", "cluster", "helm", "kubectl", "namespace", "operator_image", "sidecar_image"]

cluster = cluster_fixture(with_node=True)


@pytest.fixture(scope="session")
def world(
    cluster: Cluster, api: Any, kubectl: Callable[..., str], operator_image: str, sidecar_image: str
) -> Iterator[World]:
    """A namespace that the installed operator injects in, SQS and handlers; the tests of all modules share it."""
    if cluster.address_for_pods is None:
        pytest.skip("CARRIER_E2E_ADDRESS must name an address of this machine that the given cluster's pods reach")
    with installed(api, kubectl, operator_image, sidecar_image) as operator:
        with a_world(api, kubectl, cluster.address_for_pods, cluster.image("python"), operator) as made:
            yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The accounts of messages that tests ended with."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    rows = [
        (report.nodeid.rpartition("::")[2], value)
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == "account" and report.when == "call"
    ]
    if rows:
        terminalreporter.section("accounts of messages")
        for name, account in rows:
            terminalreporter.write_line(name)
            terminalreporter.write_line(f"    {account}")
