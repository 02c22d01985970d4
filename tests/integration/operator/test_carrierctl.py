"""carrierctl against a real API server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import yaml

from carrier_operator.ctl.__main__ import main

SPEC = {"selector": {"matchLabels": {"app": "worker"}}, "queue": {"name": "orders", "region": "us-west-2"}}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "worker"},
    "spec": {
        "selector": {"matchLabels": {"app": "worker"}},
        "template": {
            "metadata": {"labels": {"app": "worker"}},
            "spec": {"containers": [{"name": "app", "image": "example.test/app:1"}]},
        },
    },
}


@pytest.fixture
def bound(crd: Any, namespace: str) -> str:
    body = {
        "apiVersion": "carrier.dev/v1alpha1",
        "kind": "CarrierBinding",
        "metadata": {"name": "orders"},
        "spec": SPEC,
    }
    crd.create_namespaced_custom_object("carrier.dev", "v1alpha1", namespace, "carrierbindings", body)
    return namespace


def test_inject_with_bindings_of_the_cluster_makes_what_the_api_server_takes(
    bound: str, cluster: Any, kubectl: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "worker.yaml"
    manifest.write_text(yaml.safe_dump(DEPLOYMENT))
    common = ["--from-cluster", "--kubeconfig", str(cluster.kubeconfig), "-n", bound, "--native", "true"]
    assert main(["inject", "-f", str(manifest), *common]) == 0
    out = capsys.readouterr().out
    assert "carrier-orders" in out
    made = json.loads(kubectl("apply", "-n", bound, "--dry-run=server", "-o", "json", "-f", "-", stdin=out))
    assert made["spec"]["template"]["spec"]["initContainers"][0]["restartPolicy"] == "Always"


def test_why_a_pod_of_the_cluster_has_no_sidecar(
    bound: str, api: Any, cluster: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pod = {
        "metadata": {"name": "p-1", "labels": {"app": "other"}},
        "spec": {"containers": [{"name": "app", "image": "example.test/app:1"}]},
    }
    kubernetes.client.CoreV1Api(api).create_namespaced_pod(bound, pod)
    arguments = ["why", "p-1", "-n", bound, "--kubeconfig", str(cluster.kubeconfig), "-o", "json"]
    assert main(arguments) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["row"]["name"] == "nothing-asks"
    assert found["bindings"][0]["selector"] == [{"requirement": "app=worker", "satisfied": False, "found": "other"}]


def test_a_pod_that_is_not_there_is_exit_3(bound: str, cluster: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "nobody", "-n", bound, "--kubeconfig", str(cluster.kubeconfig)]) == 3
    assert "NotFound" in capsys.readouterr().err
