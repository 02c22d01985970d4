"""Where the pod is in each kind of workload: a document in, its pod template out, and back with another one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import pods
from .pods import BadPod, Json

# (group, kind) and the path of the template; a Pod is its own template.
TEMPLATES: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "Pod"): (),
    ("", "ReplicationController"): ("spec", "template"),
    ("", "PodTemplate"): ("template",),
    ("apps", "Deployment"): ("spec", "template"),
    ("apps", "ReplicaSet"): ("spec", "template"),
    ("apps", "StatefulSet"): ("spec", "template"),
    ("apps", "DaemonSet"): ("spec", "template"),
    ("batch", "Job"): ("spec", "template"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
    ("argoproj.io", "Rollout"): ("spec", "template"),
}
COMPLETING = ("Job", "CronJob")


class Template:
    """The pod template of one document: the document, how to reach the template, whether its pods are to complete."""

    __slots__ = ("completes", "document", "path", "pod")

    def __init__(self, document: Json, path: tuple[str, ...], pod: Json, *, completes: bool | None) -> None:
        self.document = document
        self.path = path
        self.pod = pod
        self.completes = completes

    @property
    def namespace(self) -> str | None:
        """The namespace that the document names; None when it leaves it open."""
        found = pods.mapping(self.document, "metadata").get("namespace")
        return found if isinstance(found, str) and found else None

    @property
    def name(self) -> str:
        """Kind/name for people."""
        metadata = pods.mapping(self.document, "metadata")
        return f"{self.document.get('kind')}/{metadata.get('name') or metadata.get('generateName') or '?'}"

    def with_pod(self, pod: Json) -> Json:
        """The document with another template; the order of keys stays."""
        return _replaced(self.document, self.path, pod)


def template_of(document: Mapping[str, Any]) -> Template | None:
    """The template of a workload, None for every other kind. BadPod when a workload has none."""
    version, kind = document.get("apiVersion"), document.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str):
        return None
    group = version.partition("/")[0] if "/" in version else ""
    path = TEMPLATES.get((group, kind))
    if path is None:
        return None
    here: Json = dict(document)
    for step in path:
        here = pods.mapping(here, step)
    if path and not here:
        raise BadPod(f"{kind} has no {'.'.join(path)}")
    return Template(dict(document), path, here, completes=True if kind in COMPLETING else None)


def map_templates(document: Json, change: Callable[[Template], Json]) -> Json:
    """The document with `change` made to its template; a List's items one by one, every other kind as it is."""
    if is_list(document):
        items = [map_templates(item, change) for item in pods.objects(document, "items")]
        return document if items == document.get("items") else {**document, "items": items}
    template = template_of(document)
    return document if template is None else change(template)


def is_list(document: Mapping[str, Any]) -> bool:
    """Is this a List (of any kind)?"""
    kind = document.get("kind")
    return isinstance(kind, str) and kind.endswith("List") and isinstance(document.get("items"), list)


def _replaced(document: Json, path: tuple[str, ...], pod: Json) -> Json:
    if not path:
        return pod
    return {**document, path[0]: _replaced(pods.mapping(document, path[0]), path[1:], pod)}
