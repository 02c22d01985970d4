"""Which cluster the tests run on, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.cluster import choice
from e2e.cluster.errors import Unavailable


def stub(directory: Path, name: str, body: str) -> None:
    """A program of this name, in shell."""
    file = directory / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)


def test_a_given_cluster_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somewhere/config")
    monkeypatch.setenv("CARRIER_E2E_IMAGES", "registry.example/team")
    with choice.running(with_node=True) as cluster:
        assert cluster.kubeconfig == "/somewhere/config"
        assert cluster.image("python") == "registry.example/team/python:1"
        assert cluster.address_for_pods is None


def test_a_given_cluster_without_a_place_for_images_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somewhere/config")
    monkeypatch.delenv("CARRIER_E2E_IMAGES", raising=False)
    with choice.running(with_node=True) as cluster, pytest.raises(Unavailable, match="CARRIER_E2E_IMAGES"):
        cluster.image("python")


@pytest.mark.parametrize(("body", "runs"), [("exit 0", True), ("echo 'no daemon' >&2; exit 1", False)])
def test_a_docker_client_alone_is_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, runs: bool
) -> None:
    stub(tmp_path, "docker", body)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert choice.docker_engine_runs() is runs


def test_what_is_missing_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    stub(tmp_path, "openssl", "exit 0")
    with pytest.raises(Unavailable) as missing:
        choice.prepare(with_node=False)
    assert str(missing.value) == "go is missing: the cluster's programs are built from their Go modules"
