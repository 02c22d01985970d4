"""Every kind of workload is found where its pods are, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import pytest

from carrier_operator import workloads
from carrier_operator.pods import BadPod
from carrier_operator.workloads import Template, map_templates, template_of

POD = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}


def document(version: str, kind: str, path: tuple[str, ...]) -> dict[str, Any]:
    inner: Any = POD
    for step in reversed(path):
        inner = {step: inner}
    return {"apiVersion": version, "kind": kind, **(inner if path else POD)}


CASES = [(f"{group}/v1" if group else "v1", kind, path) for (group, kind), path in workloads.TEMPLATES.items()]


@pytest.mark.parametrize(("version", "kind", "path"), CASES)
def test_the_template_is_found_and_put_back(version: str, kind: str, path: tuple[str, ...]) -> None:
    found = template_of(document(version, kind, path))
    assert found is not None
    assert found.pod["spec"] == POD["spec"]
    changed = found.with_pod({**found.pod, "spec": {"containers": [1]}})
    again = template_of(changed)
    assert again is not None
    assert again.pod["spec"] == {"containers": [1]}
    assert (found.completes is True) is (kind in ("Job", "CronJob"))


@pytest.mark.parametrize(
    "other",
    [
        {"apiVersion": "v1", "kind": "Service", "spec": {}},
        {"apiVersion": "example.test/v1", "kind": "Deployment", "spec": {"template": POD}},
        {"kind": "Pod"},
        {},
    ],
)
def test_other_kinds_are_left_alone(other: dict[str, Any]) -> None:
    assert template_of(other) is None
    assert map_templates(other, lambda template: {}) is other


def test_a_workload_without_a_template_is_said_so() -> None:
    with pytest.raises(BadPod, match=r"spec\.template"):
        template_of({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {}})


def test_items_of_lists_are_changed_one_by_one_in_lists_too() -> None:
    def change(template: Template) -> dict[str, Any]:
        return template.with_pod({**template.pod, "seen": True})

    deployment = document("apps/v1", "Deployment", ("spec", "template"))
    service = {"apiVersion": "v1", "kind": "Service"}
    inner = {"apiVersion": "apps/v1", "kind": "DeploymentList", "items": [deployment]}
    changed = map_templates({"apiVersion": "v1", "kind": "List", "items": [service, deployment, inner]}, change)
    assert changed["items"][0] == service
    assert changed["items"][1]["spec"]["template"]["seen"] is True
    assert changed["items"][2]["items"][0]["spec"]["template"]["seen"] is True
