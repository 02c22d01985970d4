"""Pods as the API server has them, for tests of the controller; and a census to put them in."""

from __future__ import annotations

import datetime
from typing import Any

from carrier_operator.container import ClusterFacts, rendered_hash
from carrier_operator.controller.census import Census, Key
from carrier_operator.controller.snapshots import Pod, snapshot
from carrier_operator.controller.tally import Tally, tally
from carrier_operator.inject import inject
from carrier_operator.models import Binding
from carrier_operator.policy import Unaccepted

CLUSTER = ClusterFacts("carrier/sidecar:1", native=True)
TOKEN = "t" * 32


def at(seconds: float) -> str:
    """Unix seconds as the API server writes them."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def live_pod(
    name: str = "worker-1",
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    owner: str | None = "ReplicaSet",
    owner_name: str = "worker-abc12",
    created: float = 1000.0,
    status: dict[str, Any] | None = None,
    ready: bool = True,
    injected_by: Binding | None = None,
    **spec: Any,
) -> dict[str, Any]:
    labels = {"app": "worker", **(labels or {})}
    if owner == "ReplicaSet":
        labels["pod-template-hash"] = "abc12"
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "shop",
        "uid": f"uid-{name}",
        "creationTimestamp": at(created),
        "labels": labels,
        "annotations": dict(annotations or {}),
        "resourceVersion": "1",
    }
    if owner is not None:
        metadata["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": owner, "name": owner_name, "uid": f"uid-{owner_name}", "controller": True}
        ]
    app = {"name": "app", "image": "app:1", "ports": [{"name": "http", "containerPort": 8080}]}
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    pod = {
        "metadata": metadata,
        "spec": {"containers": [app], **spec},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [condition], **(status or {})},
    }
    if injected_by is not None:
        pod = inject(pod, "shop", [injected_by], CLUSTER, TOKEN).pod
    return pod


def fare(
    restarts: int = 0,
    *,
    message: str = "",
    waiting: str | None = None,
    name: str = "carrier-orders",
    reason: str = "Error",
    lived: tuple[float, float] | None = None,
    since: float | None = None,
) -> dict[str, Any]:
    """A pod's status in which the sidecar has restarted so often; its last life, and when the present one began."""
    state: dict[str, Any] = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    if since is not None:
        state["running"]["startedAt"] = at(since)
    entry = {"name": name, "restartCount": restarts, "state": state, "ready": waiting is None}
    if restarts:
        times = {} if lived is None else {"startedAt": at(lived[0]), "finishedAt": at(lived[1])}
        entry["lastState"] = {"terminated": {"exitCode": 2, "message": message, "reason": reason, **times}}
    return {"initContainerStatuses": [entry]}


class Shop:
    """One namespace of a census."""

    def __init__(self, *bindings: Binding | Unaccepted, native: bool = True) -> None:
        self.census = Census(ClusterFacts("carrier/sidecar:1", native=native))
        for binding in bindings:
            self.census.put_binding(binding)

    def put(self, document: dict[str, Any]) -> set[Key]:
        pod = self.read(document)
        metadata = document["metadata"]
        return self.census.put_pod(pod) if pod else self.census.drop_pod(metadata["namespace"], metadata["name"])

    def read(self, document: dict[str, Any]) -> Pod | None:
        return snapshot(document, self.census.shapes)

    def tally(self, binding: Binding, *, changed_at: float = 2000.0, now: float = 1e10) -> Tally:
        return tally(self.census.namespace("shop"), binding, {rendered_hash(binding, CLUSTER)}, changed_at, now)
