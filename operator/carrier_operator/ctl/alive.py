"""carrierctl why, of a pod that is there: what the controller thinks of the bindings, and which sidecars the pod should
carry and does not. Pure.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from carrier_operator import pods
from carrier_operator.models import Binding
from carrier_operator.policy import Unaccepted


def as_the_controller_sees_them(
    bindings: Iterable[Binding | Unaccepted], documents: Iterable[Mapping[str, Any]]
) -> list[Binding | Unaccepted]:
    """The same, but for those that the controller has not accepted: it knows the administrator's policy."""
    refused = {}
    for document in documents:
        metadata, status = pods.mapping(document, "metadata"), pods.mapping(document, "status")
        for it in pods.objects(status, "conditions"):
            current = it.get("observedGeneration") == metadata.get("generation")
            if it.get("type") == "Accepted" and it.get("status") == "False" and current:
                refused[metadata.get("name")] = str(it.get("message"))
    return [
        Unaccepted(it.name, it.namespace, (refused[it.name],), generation=it.generation, deleting=it.deleting)
        if isinstance(it, Binding) and it.name in refused
        else it
        for it in bindings
    ]


def lacking(
    pod: Mapping[str, Any], sidecars: Sequence[str], documents: Iterable[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """For each binding of `sidecars` whose sidecar the pod does not carry: its name, and why that may be."""
    present = pods.our_containers(pod)
    made = _time(pod)
    bound = {pods.mapping(it, "metadata").get("name"): _time(it) for it in documents}
    found = []
    for name in sidecars:
        if f"{pods.CONTAINER_PREFIX}{name}" in present:
            continue
        since = bound.get(name)
        if made is None or since is None:
            why = "and this one was made without it"
        elif made <= since:
            why = f"and this one ({made:%Y-%m-%d %H:%M:%S}) before the binding ({since:%Y-%m-%d %H:%M:%S})"
        else:
            why = (
                f"and this one ({made:%Y-%m-%d %H:%M:%S}) was made after the binding ({since:%Y-%m-%d %H:%M:%S}): "
                "before its selector matched, or no injector answered then (see `carrierctl check`)"
            )
        text = f"Pods get their sidecar when they are made, {why}. Restart its workload (`kubectl rollout restart`)."
        found.append({"binding": name, "message": text})
    return found


def _time(document: Mapping[str, Any]) -> datetime.datetime | None:
    text = pods.mapping(document, "metadata").get("creationTimestamp")
    try:
        return datetime.datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
