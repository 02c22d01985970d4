"""End-to-end tests run on a cluster with a node: pods start, deliver and end."""

from e2e.cluster.fixtures import api, cluster_fixture, helm, kubectl, namespace

__all__ = ["api", "cluster", "helm", "kubectl", "namespace"]

cluster = cluster_fixture(with_node=True)
