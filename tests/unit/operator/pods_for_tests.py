"""Pods and bindings that the operator's unit tests begin from."""

from __future__ import annotations

from typing import Any

from carrier_operator.models import Binding, BindingSpec
from carrier_operator.policy import Policy, Unaccepted, read_binding

QUEUE = {"name": "orders", "endpoint": "https://sqs.us-west-2.amazonaws.com"}


def binding(
    name: str = "orders", *, selector: dict[str, str] | None = None, generation: int = 1, **spec: Any
) -> Binding:
    parts = {"queue": QUEUE, **spec}
    if selector is not None:
        parts["selector"] = {"matchLabels": selector}
    return Binding(name, "shop", BindingSpec.model_validate(parts), generation=generation)


def unaccepted(name: str) -> Unaccepted:
    found = read_binding({"metadata": {"name": name, "namespace": "shop"}, "spec": {"queue": {}}}, Policy())
    assert isinstance(found, Unaccepted)
    return found


def pod(
    *, annotations: dict[str, str] | None = None, labels: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"generateName": "worker-"}
    if annotations is not None:
        metadata["annotations"] = annotations
    if labels is not None:
        metadata["labels"] = labels
    app = {"name": "app", "image": "app:1", "ports": [{"name": "http", "containerPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [app], **spec}}
