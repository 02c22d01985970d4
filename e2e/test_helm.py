"""The chart as a newcomer installs it: `helm install`, a binding, `kubectl get cb`, `helm upgrade`, `helm uninstall`.

Everything is as it is by default, but for the images. So the installation looks at all namespaces, and the test steps
aside where another one is there already.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import CoreV1Api

from e2e.cluster import Cluster
from e2e.injection.told import wait_until

CHART = Path(__file__).parents[1] / "helm/carrier"
CRD = CHART / "crds/carrierbindings.yaml"
PAUSE_S = 0.2  # between two pods while the operator is upgraded
SETTLES_WITHIN_S = 30.0

Command = Callable[..., str]


class Release:
    """A release of the chart, and what it has made."""

    def __init__(self, name: str, helm: Command, kubectl: Command, images: dict[str, str]) -> None:
        self.name = name
        self.namespace = f"{name}-system"
        self._helm = helm
        self._kubectl = kubectl
        self._images = [word for key, value in images.items() for word in ("--set", f"images.{key}={value}")]

    def install(self) -> str:
        words = ("install", self.name, str(CHART), "-n", self.namespace, "--create-namespace", "--wait", *self._images)
        return self._helm(*words)

    def upgrade(self, *values: str) -> str:
        set_them = [word for value in values for word in ("--set", value)]
        return self._helm("upgrade", self.name, str(CHART), "-n", self.namespace, "--wait", "--reuse-values", *set_them)

    def uninstall(self) -> None:
        self._helm("uninstall", self.name, "-n", self.namespace, "--ignore-not-found")

    def ca_bundle(self) -> str:
        """What the API server trusts."""
        configuration = f"z-carrier-{self.name}-injector"
        path = "jsonpath={.webhooks[*].clientConfig.caBundle}"
        return self._kubectl("get", "mutatingwebhookconfiguration", configuration, "-o", path)


@pytest.fixture
def release(
    cluster: Cluster, helm: Command, kubectl: Command, operator_image: str, sidecar_image: str
) -> Iterator[Release]:
    configurations = json.loads(kubectl("get", "mutatingwebhookconfiguration", "-o", "json"))["items"]
    if any(it["name"] == "inject.carrier.dev" for configuration in configurations for it in configuration["webhooks"]):
        pytest.skip("an installation of Carrier is in the cluster already")
    prefix, _, tag = operator_image.removeprefix("docker.io/").rpartition(":")
    prefix = prefix.removesuffix("/operator")
    assert sidecar_image.removeprefix("docker.io/") == f"{prefix}/sidecar:{tag}"
    made = Release(f"new-{secrets.token_hex(2)}", helm, kubectl, {"prefix": prefix, "tag": tag})
    try:
        yield made
    finally:
        made.uninstall()
        kubectl("delete", "namespace", made.namespace, "--wait=false", "--ignore-not-found")


BINDING = {
    "apiVersion": "carrier.dev/v1alpha1",
    "kind": "CarrierBinding",
    "metadata": {"name": "orders"},
    "spec": {
        "selector": {"matchLabels": {"app": "worker"}},
        "queue": {"name": "orders", "endpoint": "http://127.0.0.1:9", "region": "us-west-2"},
        "webhook": {"port": 8080},
    },
}


def pod(name: str, image: str, **spec: Any) -> dict[str, Any]:
    """A pod that the binding selects."""
    container = {"name": "app", "image": image, "command": ["sleep", "3600"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "worker"}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 30, **spec},
    }


class Stream:
    """Pods made one after the other, in a thread, for as long as the block runs. They need no node."""

    def __init__(self, core: CoreV1Api, namespace: str) -> None:
        self.made: dict[str, list[str]] = {}  # name → its init containers
        self._core = core
        self._namespace = namespace
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(PAUSE_S):
            body = pod(f"stream-{len(self.made)}", "none", nodeSelector={"no-such": "node"})
            answer = self._core.create_namespaced_pod(self._namespace, body)
            self.made[body["metadata"]["name"]] = [it.name for it in answer.spec.init_containers or ()]


def columns(kubectl: Command, namespace: str) -> dict[str, str]:
    """The binding's row of `kubectl get cb`, as it is printed."""
    heading, row, *_ = kubectl("get", "cb", "-n", namespace).splitlines()
    starts = [heading.index(word) for word in heading.split()]
    ends = [*starts[1:], None]
    cells = [row[start:end].strip() for start, end in zip(starts, ends, strict=True)]
    return dict(zip(heading.split(), cells, strict=True))


def test_helm_finds_nothing_to_say_about_the_chart_and_refuses_values_that_it_does_not_know(helm: Command) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))
    with pytest.raises(AssertionError, match="additional properties 'replica' not allowed"):
        helm("template", "x", str(CHART), "--kube-version", "1.34", "--set", "injector.replica=3")


def test_install_bind_upgrade_uninstall(
    release: Release, api: Any, kubectl: Command, namespace: str, cluster: Cluster
) -> None:
    core = CoreV1Api(api)

    notes = release.install()
    assert f"rollout status deployment/carrier-{release.name}-injector" in notes

    # -- a binding and a pod ------------------------------------------------------------------------------------------
    kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump(BINDING))
    row = wait_for(kubectl, namespace, MATCHED="0")
    assert row["QUEUE"] == "orders"
    kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump(pod("worker", cluster.image("busybox"))))
    wait_for(kubectl, namespace, MATCHED="1", INJECTED="1", MISSING="0", READY="True")

    # -- an upgrade, while pods are made -----------------------------------------------------------------------------
    trusted = release.ca_bundle()
    assert trusted
    with Stream(core, namespace) as stream:
        # A sidecar that no pod has yet, and other pods of the operator.
        notes = release.upgrade(f"images.sidecarDigest=sha256:{'0' * 64}", "logLevel=debug")
    assert "--server-side --force-conflicts" in notes
    assert release.ca_bundle() == trusted
    missed = [name for name, containers in stream.made.items() if containers != ["carrier-orders"]]
    assert len(stream.made) > 5
    assert missed == []
    status = counts_of(kubectl, namespace)
    wait_until(
        lambda: counts_of(kubectl, namespace)["outdated"] >= 1, f"the old sidecar counts as outdated: {status}",
        timeout_s=SETTLES_WITHIN_S,
    )  # fmt: skip
    assert (counts_of(kubectl, namespace)["stale"], columns(kubectl, namespace)["READY"]) == (0, "True")

    # -- the CRD, which an upgrade leaves alone ----------------------------------------------------------------------
    changed = yaml.safe_load(CRD.read_text())
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "Another one."
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump(changed))
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))

    # -- the end -----------------------------------------------------------------------------------------------------
    release.uninstall()
    left = core.read_namespaced_pod("worker", namespace)
    assert [it.name for it in left.spec.init_containers] == ["carrier-orders"]
    assert left.status.phase == "Running"
    assert columns(kubectl, namespace)["NAME"] == "orders"
    assert core.create_namespaced_pod(namespace, pod("later", "none")).spec.init_containers is None


def counts_of(kubectl: Command, namespace: str) -> dict[str, int]:
    """status.pods of the binding."""
    found: dict[str, int] = json.loads(kubectl("get", "cb", "orders", "-n", namespace, "-o", "jsonpath={.status.pods}"))
    return found


def wait_for(kubectl: Command, namespace: str, **cells: str) -> dict[str, str]:
    """The binding's row once it has these cells: as a person sees it, who asks again."""
    rows: list[dict[str, str]] = []

    def fits() -> bool:
        rows.append(columns(kubectl, namespace))
        return cells.items() <= rows[-1].items()

    try:
        wait_until(fits, f"`kubectl get cb` shows {cells}", timeout_s=SETTLES_WITHIN_S)
    except AssertionError as error:
        raise AssertionError(f"{error}; last was {rows[-1]}") from None
    return rows[-1]
