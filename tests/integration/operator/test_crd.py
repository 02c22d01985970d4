"""The CRD on a real API server: every case both ways, and the models agree with the server on generated specs."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import kubernetes
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carrier_operator.models import Binding
from carrier_operator.policy import Policy, Unaccepted, read_binding
from tests.operator_cases import CASES, spec
from tests.property.operator.bindings import SPECS

OPEN = Policy(
    image_prefixes=("registry",), env_from=True, env_names=("AWS_*", "LD_*", "PYTHON*"), webhook_urls=("http://x/",)
)


def verdict(crd: Any, namespace: str, document: dict[str, Any], name: str = "orders") -> str | None:
    """The API server's message when it refuses this spec, None when it takes it (dry run)."""
    body = {
        "apiVersion": "carrier.dev/v1alpha1",
        "kind": "CarrierBinding",
        "metadata": {"name": name},
        "spec": document,
    }
    try:
        crd.create_namespaced_custom_object(
            "carrier.dev", "v1alpha1", namespace, "carrierbindings", body, dry_run="All"
        )
    except kubernetes.client.ApiException as error:
        return f"{error.status} {json.loads(error.body)['message']}"
    return None


def test_every_case_is_taken_or_refused_with_its_message(crd: Any, namespace: str) -> None:
    wrong = []
    for case in CASES:
        message = verdict(crd, namespace, case.spec, case.name)
        if (case.refused is None) != (message is None) or (case.refused or "") not in (message or ""):
            wrong.append(f"{case!r}: {message}")
    assert wrong == []


def test_defaults_are_filled_in_by_the_server_as_by_the_models(crd: Any, namespace: str) -> None:
    body = {
        "apiVersion": "carrier.dev/v1alpha1",
        "kind": "CarrierBinding",
        "metadata": {"name": "orders"},
        "spec": spec(),
    }
    made = crd.create_namespaced_custom_object(
        "carrier.dev", "v1alpha1", namespace, "carrierbindings", body, dry_run="All"
    )
    sparse = read_binding({**body, "metadata": made["metadata"]}, OPEN)
    filled = read_binding(made, OPEN)
    assert isinstance(sparse, Binding)
    assert isinstance(filled, Binding)
    assert sparse.spec == filled.spec
    assert made["spec"]["sidecar"]["probePort"] == 9464


def test_columns_and_explanations(crd: Any, namespace: str, kubectl: Callable[..., str]) -> None:
    kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(
        {"apiVersion": "carrier.dev/v1alpha1", "kind": "CarrierBinding", "metadata": {"name": "orders"}, "spec": spec()}
    ))  # fmt: skip
    head = kubectl("get", "cb", "-n", namespace).splitlines()[0].split()
    assert head == ["NAME", "QUEUE", "MATCHED", "INJECTED", "MISSING", "READY", "AGE"]
    explained = kubectl("explain", "carrierbinding.spec.sidecar")
    assert "probePort" in explained
    assert "further sidecar" in explained


def test_the_status_is_a_subresource(crd: Any, namespace: str) -> None:
    body = {
        "apiVersion": "carrier.dev/v1alpha1",
        "kind": "CarrierBinding",
        "metadata": {"name": "orders"},
        "spec": spec(),
    }
    where = ("carrier.dev", "v1alpha1", namespace, "carrierbindings")
    crd.create_namespaced_custom_object(*where, {**body, "status": {"pods": {"matched": 7}}})
    assert "status" not in crd.get_namespaced_custom_object(*where, "orders")
    crd.patch_namespaced_custom_object_status(*where, "orders", {"status": {"pods": {"matched": 3}}})
    found = crd.get_namespaced_custom_object(*where, "orders")
    assert (found["status"]["pods"]["matched"], found["metadata"]["generation"]) == (3, 1)


def _agree(crd: Any, namespace: str, document: dict[str, Any]) -> None:
    message = verdict(crd, namespace, document)
    found = read_binding({"metadata": {"name": "orders", "namespace": namespace}, "spec": document}, OPEN)
    reasons = found.reasons if isinstance(found, Unaccepted) else ()
    assert (message is None) == (not reasons), (document, message, reasons)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=SPECS)
def test_models_and_server_agree_on_generated_specs(crd: Any, namespace: str, document: dict[str, Any]) -> None:
    _agree(crd, namespace, document)


LEAVES = st.one_of(
    st.sampled_from(
        [
            "", " ", "0", "0s", "1s", "-1s", "1.5h", "99h", "12h1ns", "1h60m", "1d", "a/b", "/x y", "http", "http://",
            "http://x", "http://x:0/", "http://x:70000/", "https://[::1]/q", "5xx", "6xx", "100/s", "x" * 600, "true",
            "é", "a\nb", "A", "-", "arn:aws:sqs:us-west-2:123456789012:dead", "1Gi", "1e3", "100m",
        ]
    ),
    st.integers(-2, 70000),
    st.sampled_from([0.5, 2**40]),
    st.booleans(),
    st.just({}),
    st.just([]),
)  # fmt: skip


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, child in inner for found in _paths(child, (*path, key)))]


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=SPECS, data=st.data())
def test_models_and_server_agree_on_specs_with_one_thing_wrong(
    crd: Any, namespace: str, document: dict[str, Any], data: st.DataObject
) -> None:
    *parents, last = data.draw(st.sampled_from(_paths(document)[1:]))
    broken = copy.deepcopy(document)
    target: Any = broken
    for step in parents:
        target = target[step]
    if data.draw(st.booleans()):
        target[last] = data.draw(LEAVES)
    else:
        del target[last]
    _agree(crd, namespace, broken)


@pytest.mark.parametrize("name", ["a", "a-b", "a" * 40, "a" * 41, "A", "a.b", "-a", "0"])
def test_models_and_server_agree_on_names(crd: Any, namespace: str, name: str) -> None:
    message = verdict(crd, namespace, spec(), name)
    found = read_binding({"metadata": {"name": name, "namespace": namespace}, "spec": spec()}, OPEN)
    assert (message is None) == isinstance(found, Binding)
