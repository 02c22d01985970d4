"""End-to-end tests run on a cluster with a node: pods start, deliver and end."""

from e2e.cluster.fixtures import api, cluster_fixture, helm, kubectl, namespace, operator_image, sidecar_image

__all__ = ["api", "cluster", "helm", "kubectl", "namespace", "operator_image", "sidecar_image"]

cluster = cluster_fixture(with_node=True)
