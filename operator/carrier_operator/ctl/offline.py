"""inject and uninject over a stream of manifests: the webhook's own code, for Git. Pure but for its arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from carrier_operator.container import ClusterFacts
from carrier_operator.inject import Injection, inject, offline_token
from carrier_operator.pods import BadPod, Json
from carrier_operator.uninject import uninject
from carrier_operator.workloads import Template, map_templates

from .documents import BadInput
from .sources import Bindings


class Outcome:
    """What became of one workload, for the summary."""

    __slots__ = ("injection", "name", "namespace")

    def __init__(self, name: str, namespace: str, injection: Injection) -> None:
        self.name = name
        self.namespace = namespace
        self.injection = injection


def inject_all(
    documents: list[Json],
    bindings: Callable[[str], Bindings],
    default_namespace: str,
    cluster: ClusterFacts,
) -> tuple[list[Json], list[Outcome]]:
    """The documents with their sidecars, and what became of each workload. BadInput for a workload without pods."""
    outcomes: list[Outcome] = []

    def change(template: Template) -> Json:
        namespace = template.namespace or default_namespace
        here = bindings(namespace)
        token = offline_token(uninject(template.pod), here)
        injection = inject(template.pod, namespace, here, cluster, token, completes=template.completes)
        outcomes.append(Outcome(template.name, namespace, injection))
        return template.with_pod(injection.pod)

    return [_changed(document, change) for document in documents], outcomes


def uninject_all(documents: list[Json]) -> list[Json]:
    """The documents without our sidecars."""
    return [_changed(document, lambda template: template.with_pod(uninject(template.pod))) for document in documents]


def _changed(document: Any, change: Callable[[Template], Json]) -> Any:
    if not isinstance(document, dict):
        return document
    try:
        return map_templates(document, change)
    except BadPod as error:
        raise BadInput(f"{document.get('kind')}: {error}") from error
