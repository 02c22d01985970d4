"""carrierctl about a cluster, by what the cluster answers: pods that lack their sidecar, checks, the table."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from carrier_operator.ctl import alive, checks, standing
from carrier_operator.ctl.__main__ import WIDTH
from carrier_operator.models import Binding
from carrier_operator.policy import Policy, Unaccepted, read_binding


def binding(created: str = "2026-01-02T00:00:00Z", conditions: Any = (), generation: int = 3) -> dict[str, Any]:
    return {
        "metadata": {"name": "orders", "namespace": "shop", "generation": generation, "creationTimestamp": created},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, "queue": {"name": "q", "region": "us-west-2"},
                 "webhook": {"port": 80}},
        "status": {"conditions": list(conditions)},
    }  # fmt: skip


def pod(created: str, *containers: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "shop", "creationTimestamp": created},
        "spec": {"initContainers": [{"name": name, "image": "i"} for name in containers]},
    }


@pytest.mark.parametrize(
    ("created", "said"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01 00:00:00) before the binding (2026-01-02 00:00:00)"),
        ("2026-01-03T00:00:00Z", "no injector answered then"),
        (None, "this one was made without it"),
    ],
)
def test_a_pod_without_its_sidecar_is_told_when_it_was_made_and_when_the_binding(created: Any, said: str) -> None:
    (found,) = alive.lacking(pod(created), ["orders"], [binding()])
    assert found["binding"] == "orders"
    assert said in found["message"]
    assert "rollout restart" in found["message"]


def refusal(generation: int, status: str = "False") -> dict[str, Any]:
    return {"type": "Accepted", "status": status, "observedGeneration": generation, "message": "not here"}


@pytest.mark.parametrize(
    ("condition", "accepted"), [(refusal(3), False), (refusal(2), True), (refusal(3, "True"), True), ({}, True)]
)
def test_what_the_controller_has_not_accepted_in_this_generation_is_not_accepted(
    condition: dict[str, Any], accepted: bool
) -> None:
    document = binding(conditions=[condition])
    (found,) = alive.as_the_controller_sees_them([read_binding(document, Policy.without_limits())], [document])
    assert isinstance(found, Binding) == accepted
    if isinstance(found, Unaccepted):
        assert (found.reasons, found.generation) == (("not here",), 3)


@pytest.mark.parametrize(
    ("injector", "said"),
    [
        (None, "can the API server reach"),
        ({"spec": {"replicas": 2}, "status": {"availableReplicas": 1}}, "can the API server reach"),
        ({"spec": {"replicas": 2}, "status": {}}, "describe pods"),
        ({"spec": {"replicas": 0}}, "scale deployment carrier-injector --replicas 2"),
    ],
)
def test_when_no_injector_answers_the_remedy_depends_on_whether_one_is_available(injector: Any, said: str) -> None:
    if injector is not None:
        injector["metadata"] = {"name": "carrier-injector", "namespace": "carrier-system"}
    found = checks.check_answers([], injector)
    assert (found.outcome, said in found.remedy) == (checks.FAILED, True)
    assert checks.check_answers(['carrier: carrier.dev/inject must be "true"'], injector).outcome == checks.OK


def test_commands_for_applying_the_crd_take_it_from_helm() -> None:
    """helm owns the fields of the CRD that it has made: without force a changed one is a conflict."""
    stale: list[Any] = [None, {"spec": {"versions": []}}, {"spec": {"versions": [_served_without_fields()]}}]
    for found in stale:
        assert "--server-side --force-conflicts" in checks.check_crd(found).remedy


def _served_without_fields() -> dict[str, Any]:
    return {"name": "v1alpha1", "served": True, "schema": {"openAPIV3Schema": {"properties": {}}}}


def test_the_table_breaks_neither_names_nor_commands() -> None:
    command = "kubectl -n a-namespace-with-a-long-name rollout restart deployment/a-workload-with-a-long-name"
    document = binding(conditions=[{"type": "Ready", "status": "False", "reason": "R", "message": f"Run: {command}."}])
    document["metadata"]["namespace"] = "a-namespace-with-a-long-name"
    document["status"]["pods"] = {"matched": 3, "injected": 2, "missing": 1, "stale": 0, "outdated": 2}
    console = Console(width=WIDTH)
    with console.capture() as capture:
        console.print(standing.for_people([standing.standing(document)]))
    said = capture.get()
    assert command in said
    assert "2 pods carry the sidecar of an earlier installation" in said
    heading, row, *_ = said.splitlines()
    assert heading.split()[:3] == ["namespace", "binding", "queue"]
    assert row.split()[:3] == ["a-namespace-with-a-long-name", "orders", "q"]
    assert max(map(len, (heading, row))) < 130


@pytest.mark.parametrize(
    ("reason", "said"),
    [("NoDeadLetterQueue", True), ("AccessDenied", True), ("Verified", False), ("NotChecked", False)],
)
def test_what_does_not_fit_about_the_queue_is_said_though_the_binding_is_ready(reason: str, said: bool) -> None:
    seen = {"type": "QueueVerified", "status": "True", "reason": reason, "message": "The queue."}
    found = standing.standing(binding(conditions=[{"type": "Ready", "status": "True"}, seen]))
    assert found["advice"] == ([f"{reason}: The queue."] if said else [])


@pytest.mark.parametrize(
    ("labels", "label"),
    [
        ({"kubernetes.io/metadata.name": "shop"}, None),
        ({"kubernetes.io/metadata.name": "shop", "carrier.dev/injection": "required"}, None),
        (
            {"kubernetes.io/metadata.name": "shop", "carrier.dev/injection": "disabled"},
            "carrier.dev/injection=disabled",
        ),
        ({"kubernetes.io/metadata.name": "kube-system"}, "kubernetes.io/metadata.name=kube-system"),
    ],
)
def test_a_namespace_that_the_webhook_leaves_out_is_named_with_its_label(
    labels: dict[str, str], label: str | None
) -> None:
    terms = {"kubernetes.io/metadata.name": ["kube-system"], "carrier.dev/injection": ["disabled"]}
    expressions = [{"key": key, "operator": "NotIn", "values": values} for key, values in terms.items()]
    webhook = {"name": "inject.carrier.dev", "namespaceSelector": {"matchExpressions": expressions}}
    (found,) = checks.webhooks_of([{"metadata": {"name": "z"}, "webhooks": [webhook]}])
    assert found.leaves_out({"metadata": {"labels": labels}}) == label
    said = checks.check_answers([], None, label)
    assert (label or "8443") in said.message + said.remedy
