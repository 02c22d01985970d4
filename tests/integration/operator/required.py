"""The chart's ValidatingAdmissionPolicies on a cluster, pods and bindings to try them with, and what they say of a pod
(dry runs). Support code; fixtures are taken in by name.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import kubernetes
import pytest

from carrier_operator.container import ClusterFacts
from carrier_operator.inject import inject
from carrier_operator.models import Binding, BindingSpec
from carrier_operator.policy import Unaccepted
from e2e.cluster.fixtures import new_namespace
from tests.integration.operator.conftest import wait_until
from tests.integration.operator.test_webhook import rendered

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


def on(pod: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {**pod, "spec": {**pod["spec"], **spec}}


WORKER = probe({"app": "worker"})


MARK = [{"name": "A", "value": "b"}, {"name": "CARRIER_SQS_ENDPOINT", "value": "http://x"}]


def container(name: str, *, marked: bool) -> dict[str, Any]:
    return {"name": f"carrier-{name}", "image": "x:1", **({"env": MARK} if marked else {})}


FACTS = ClusterFacts("example.test/carrier/sidecar:1", native=True)
Bindings = list[Binding | Unaccepted]


@pytest.fixture(scope="module")
def system(api: Any) -> Iterator[str]:
    """The namespace that the chart is rendered for."""
    with new_namespace(api, {LABEL: "required"}) as name:
        yield name


@pytest.fixture(scope="module")
def policies(api: Any, crd: Any, system: str) -> Iterator[list[dict[str, Any]]]:
    documents = policies_of(rendered(f"t{secrets.token_hex(4)}", system, "--set", "webhook.excludedNamespaces={given}"))
    with applied(api, documents):
        yield documents


@pytest.fixture
def shop(api: Any, crd: Any, policies: Any) -> Iterator[str]:
    """A namespace that asks for the policies; bindings are made by the test, which then calls `settle`."""
    with new_namespace(api, {LABEL: "required"}) as name:
        yield name


def a_binding(name: str, selector: dict[str, Any] | None = None, **spec: Any) -> Binding:
    parts = {"queue": QUEUE, **spec, **({} if selector is None else {"selector": selector})}
    return Binding(name, "shop", BindingSpec.model_validate(parts), generation=1)


ORDERS = a_binding("orders", {"matchLabels": {"app": "worker"}})


def injected(pod: dict[str, Any], bindings: Bindings) -> dict[str, Any]:
    return inject(pod, "shop", bindings, FACTS, "a-token-of-a-test").pod


@contextmanager
def client_with(cluster: Any, api: Any, namespace: str, rules: list[dict[str, Any]]) -> Iterator[Any]:
    """A client of a ServiceAccount of `namespace` with these rules everywhere."""
    core, rbac = kubernetes.client.CoreV1Api(api), kubernetes.client.RbacAuthorizationV1Api(api)
    name = f"carrier-test-{secrets.token_hex(4)}"
    core.create_namespaced_service_account(namespace, {"metadata": {"name": name}})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    rbac.create_cluster_role({"metadata": {"name": name}, "rules": rules})
    rbac.create_cluster_role_binding({"metadata": {"name": name}, "roleRef": role, "subjects": [subject]})
    try:
        token = core.create_namespaced_service_account_token(name, namespace, {"spec": {}}).status.token
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(config_file=cluster.kubeconfig, client_configuration=configuration)
        configuration.cert_file = configuration.key_file = None
        configuration.api_key = {"authorization": f"Bearer {token}"}
        yield kubernetes.client.ApiClient(configuration)
    finally:
        rbac.delete_cluster_role_binding(name)
        rbac.delete_cluster_role(name)
