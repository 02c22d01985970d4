"""The chart's ValidatingAdmissionPolicies on a cluster, and what they say of a pod (dry runs). Support code."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import kubernetes

from carrier_operator.models import Binding
from carrier_operator.policy import Unaccepted
from tests.integration.operator.conftest import wait_until

LABEL = "carrier.dev/injection"
KINDS = {
    "ValidatingAdmissionPolicy": "validating_admission_policy",
    "ValidatingAdmissionPolicyBinding": "validating_admission_policy_binding",
}
QUEUE = {"name": "orders", "region": "us-west-2"}
SENTINEL = {"sentinel": "here"}


def policies_of(chart: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [document for document in chart if document["kind"] in KINDS]


@contextmanager
def applied(api: Any, documents: Sequence[dict[str, Any]]) -> Iterator[None]:
    """Policies and their bindings for the length of the block."""
    admission = kubernetes.client.AdmissionregistrationV1Api(api)
    made: list[dict[str, Any]] = []
    try:
        for document in documents:
            getattr(admission, f"create_{KINDS[document['kind']]}")(document)
            made.append(document)
        yield
    finally:
        for document in reversed(made):
            getattr(admission, f"delete_{KINDS[document['kind']]}")(document["metadata"]["name"])


def complete(pod: dict[str, Any]) -> dict[str, Any]:
    """The pod with what the API server asks of owners and mirrors, and a name."""
    metadata = dict(pod.get("metadata") or {})
    metadata.pop("generateName", None)
    metadata.setdefault("name", f"worker-{secrets.token_hex(4)}")
    owners = metadata.get("ownerReferences")
    if owners:
        metadata["ownerReferences"] = [{"apiVersion": "batch/v1", "uid": "0", **owner} for owner in owners]
    mirrored = "kubernetes.io/config.mirror" in (metadata.get("annotations") or {})
    spec = {**pod["spec"], "nodeName": "n"} if mirrored else pod["spec"]
    return {**pod, "metadata": metadata, "spec": spec}


def refusal(api: Any, namespace: str, pod: dict[str, Any]) -> str | None:
    """The message when a policy refuses this pod (dry run); None when it is taken. Other trouble is raised."""
    try:
        kubernetes.client.CoreV1Api(api).create_namespaced_pod(namespace, complete(pod), dry_run="All")
    except kubernetes.client.ApiException as error:
        message: str = json.loads(error.body)["message"]
        if error.status not in (403, 422) or "ValidatingAdmissionPolicy" not in message:  # 422: it can't be evaluated
            raise
        return message
    return None


def probe(labels: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    container = {"name": "app", "image": "example.test/app:1", "ports": [{"name": "http", "containerPort": 8080}]}
    return {"metadata": {"labels": labels or {}, **metadata}, "spec": {"containers": [container]}}


def document_of(binding: Binding | Unaccepted) -> dict[str, Any]:
    """A binding as it would be written. What is not accepted gets an image of its own."""
    if isinstance(binding, Binding):
        spec = binding.spec.model_dump(by_alias=True, exclude_none=True, mode="json")
    else:
        spec = {"queue": QUEUE, "selector": {"matchLabels": {"app": "x"}}, "sidecar": {"image": "evil.test/x"}}
    return {
        "apiVersion": "carrier.dev/v1alpha1",
        "kind": "CarrierBinding",
        "metadata": {"name": binding.name},
        "spec": spec,
    }


def bind(crd: Any, namespace: str, binding: Binding | Unaccepted) -> None:
    """Creates it: with the status that the controller would give it, or half deleted."""
    where = ("carrier.dev", "v1alpha1", namespace, "carrierbindings")
    document = document_of(binding)
    if binding.deleting:
        document["metadata"]["finalizers"] = ["carrier.test/held"]
    crd.create_namespaced_custom_object(*where, document)
    condition = {
        "type": "Accepted",
        "status": "True" if isinstance(binding, Binding) else "False",
        "reason": "Test",
        "lastTransitionTime": "2024-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    # While sidecars are missing that is what another condition says; nobody may take it for "not accepted".
    others = [{**condition, "type": kind, "status": "False"} for kind in ("Ready", "Injected")]
    crd.patch_namespaced_custom_object_status(*where, binding.name, {"status": {"conditions": [condition, *others]}})
    if binding.deleting:
        crd.delete_namespaced_custom_object(*where, binding.name)


def release(crd: Any, namespace: str, name: str) -> None:
    """Lets a half deleted binding go, so that its namespace can."""
    where = ("carrier.dev", "v1alpha1", namespace, "carrierbindings")
    crd.patch_namespaced_custom_object(*where, name, {"metadata": {"finalizers": None}})


def settle(api: Any, crd: Any, namespace: str) -> None:
    """Waits until the policies are in force and know the namespace's bindings: the last one is looked for."""
    document = {
        "apiVersion": "carrier.dev/v1alpha1",
        "kind": "CarrierBinding",
        "metadata": {"name": "sentinel"},
        "spec": {"queue": QUEUE, "selector": {"matchLabels": SENTINEL}},
    }
    crd.create_namespaced_custom_object("carrier.dev", "v1alpha1", namespace, "carrierbindings", document)
    wait_until(lambda: refusal(api, namespace, probe(SENTINEL)) is not None, 60)
    wait_until(lambda: refusal(api, namespace, probe(annotations={"carrier.dev/binding": "not-there"})) is not None, 60)
