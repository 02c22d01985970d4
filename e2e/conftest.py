"""End-to-end tests run on a cluster with a node: pods start, deliver and end."""

from __future__ import annotations

import pytest

from e2e.cluster.fixtures import api, cluster_fixture, helm, kubectl, namespace, operator_image, sidecar_image

__all__ = ["api", "cluster", "helm", "kubectl", "namespace", "operator_image", "sidecar_image"]

cluster = cluster_fixture(with_node=True)


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
