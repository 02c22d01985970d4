"""Integration tests run on an API server with scheduler and controller manager; no pod starts."""

from e2e.cluster.fixtures import api, cluster_fixture, helm, kubectl, namespace

__all__ = ["api", "cluster", "helm", "kubectl", "namespace"]

cluster = cluster_fixture(with_node=False)
