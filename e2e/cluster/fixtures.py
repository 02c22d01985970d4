"""pytest fixtures for tests on a cluster; a conftest.py takes them in by name.

    from e2e.cluster.fixtures import api, cluster_fixture, helm, kubectl, namespace, operator_image, sidecar_image
    cluster = cluster_fixture(with_node=False)

One cluster per test run. Where there can be none the tests are skipped with one line that says what is missing; with
CARRIER_REQUIRE_CLUSTER=1 they fail with it, so that a run that is meant to have one can't pass by skipping.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes
import pytest

from . import binaries, images
from .choice import Cluster, running
from .errors import Unavailable
from .given import GivenCluster

CONNECTIONS = 64  # that are kept to the API server; a test may follow many outputs at once


def cluster_fixture(*, with_node: bool) -> Callable[..., Any]:
    """A session fixture `cluster`; without a node pods are admitted and stay Pending."""

    @pytest.fixture(scope="session", name="cluster")
    def cluster() -> Iterator[Cluster]:
        try:
            with running(with_node=with_node) as started:
                yield started
        except Unavailable as missing:
            if os.environ.get("CARRIER_REQUIRE_CLUSTER"):
                pytest.fail(f"no cluster: {missing}", pytrace=False)
            pytest.skip(f"no cluster: {missing}")

    return cluster


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Any:
    """A client of the cluster with an administrator's rights, for the classes of `kubernetes.client`."""
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(config_file=cluster.kubeconfig, client_configuration=configuration)
    configuration.connection_pool_maxsize = CONNECTIONS
    return kubernetes.client.ApiClient(configuration)


@pytest.fixture
def namespace(api: Any) -> Iterator[str]:
    """The name of a namespace of the test's own, with its default ServiceAccount; deleted afterwards."""
    with new_namespace(api) as name:
        yield name


@contextmanager
def new_namespace(api: Any, labels: dict[str, str] | None = None) -> Iterator[str]:
    """A namespace with these labels, ready for pods; deleted at the end of the block (without waiting)."""
    core = kubernetes.client.CoreV1Api(api)
    name = f"carrier-test-{secrets.token_hex(4)}"
    core.create_namespace({"metadata": {"name": name, "labels": labels or {}}})
    try:
        # Pods are refused until the controller manager has made the account.
        watch = kubernetes.watch.Watch()
        for _ in watch.stream(core.list_namespaced_service_account, name, timeout_seconds=30):
            watch.stop()
        yield name
    finally:
        core.delete_namespace(name)


@pytest.fixture(scope="session")
def sidecar_image(cluster: Cluster) -> str:
    """The reference of the sidecar's image, known to every node; without its Dockerfile, of our wheel on Python."""
    if not isinstance(cluster, GivenCluster) and not images.has_dockerfile("sidecar"):
        cluster.load(images.wheel_on_python())
        return images.WHEEL_IMAGE
    return _own_image(cluster, "sidecar")


@pytest.fixture(scope="session")
def operator_image(cluster: Cluster) -> str:
    """The reference of the operator's image, known to every node."""
    return _own_image(cluster, "operator")


def _own_image(cluster: Cluster, name: str) -> str:
    if isinstance(cluster, GivenCluster):
        return cluster.image(name)
    if not images.has_dockerfile(name):
        pytest.skip(f"there is no Dockerfile.{name}")
    cluster.load(images.built(name))
    return images.reference(name)


@pytest.fixture(scope="session")
def kubectl(cluster: Cluster) -> Callable[..., str]:
    """`kubectl("explain", "pod", stdin=...)`: its standard output; AssertionError with its errors if it fails."""
    program = binaries.kubectl()

    def call(*arguments: str, stdin: str | None = None) -> str:
        return _output([program, *arguments], cluster, stdin)

    return call


@pytest.fixture(scope="session")
def helm(cluster: Cluster) -> Callable[..., str]:
    """`helm("template", "name", "chart", ...)`: like kubectl. Built on a machine's first call, a minute.

    Tests that only render need no cluster: `binaries.helm()` is the program.
    """
    program = binaries.helm()

    def call(*arguments: str, stdin: str | None = None) -> str:
        return _output([program, *arguments], cluster, stdin)

    return call


def _output(arguments: list[str | Path], cluster: Cluster, stdin: str | None) -> str:
    environment = dict(os.environ, KUBECONFIG=cluster.kubeconfig)
    ended = subprocess.run(
        arguments, env=environment, input=stdin, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, f"{Path(arguments[0]).name} {' '.join(map(str, arguments[1:]))}: {ended.stderr}"
    return ended.stdout
