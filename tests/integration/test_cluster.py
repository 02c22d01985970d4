"""The cluster itself does what the other integration tests rely on."""

from __future__ import annotations

from typing import Any

import kubernetes
import pytest
from kubernetes.client import ApiException, CoreV1Api, VersionApi

from e2e.cluster import Cluster, keeper
from e2e.cluster.fixtures import new_namespace

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def pod(**container: Any) -> dict[str, Any]:
    """A pod of one container with these fields."""
    return {
        "metadata": {"generateName": "worker-"},
        "spec": {"containers": [{"name": "app", "image": "example.test/app:1", **container}]},
    }


def test_the_api_server_knows_native_sidecars(api: Any) -> None:
    version = VersionApi(api).get_code()
    assert (int(version.major), int(version.minor.rstrip("+"))) >= (1, 29)


def test_a_dry_run_admits_a_pod_and_keeps_nothing(api: Any, namespace: str) -> None:
    core = CoreV1Api(api)
    admitted = core.create_namespaced_pod(namespace, pod(), dry_run="All")
    assert admitted.metadata.name.startswith("worker-")
    assert admitted.spec.service_account_name == "default"
    assert core.list_namespaced_pod(namespace).items == []


def test_a_restricted_namespace_refuses_a_pod_that_could_be_root(api: Any) -> None:
    core = CoreV1Api(api)
    with new_namespace(api, RESTRICTED) as namespace:
        with pytest.raises(ApiException) as refused:
            core.create_namespaced_pod(namespace, pod(), dry_run="All")
        assert refused.value.status == 403
        assert "runAsNonRoot" in refused.value.body


def test_a_restricted_namespace_admits_a_pod_that_gives_everything_up(api: Any) -> None:
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    with new_namespace(api, RESTRICTED) as namespace:
        admitted = CoreV1Api(api).create_namespaced_pod(namespace, pod(securityContext=security), dry_run="All")
    assert admitted.spec.containers[0].security_context.run_as_non_root is True


def test_a_deployment_s_pods_are_created_by_the_controllers(api: Any, namespace: str) -> None:
    labels = {"app": "orders"}
    template = pod()
    template["metadata"] = {"labels": labels}
    deployment = {
        "metadata": {"name": "orders"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }
    kubernetes.client.AppsV1Api(api).create_namespaced_deployment(namespace, deployment)
    seen = set()
    watch = kubernetes.watch.Watch()
    for event in watch.stream(CoreV1Api(api).list_namespaced_pod, namespace, timeout_seconds=30):
        seen.add(event["object"].metadata.name)
        if len(seen) == 2:
            watch.stop()
    assert len(seen) == 2


def test_two_local_clusters_stand_side_by_side(cluster: Cluster, api: Any, namespace: str) -> None:
    if not isinstance(cluster, keeper.KeptCluster):
        pytest.skip("for local clusters only")
    with keeper.running(with_node=False) as other:
        assert other.description != cluster.description
        other_core = CoreV1Api(kubernetes.config.new_client_from_config(config_file=other.kubeconfig))
        assert namespace not in [item.metadata.name for item in other_core.list_namespace().items]
    assert not other.data.exists()
    assert CoreV1Api(api).read_namespace(namespace).status.phase == "Active"
