"""Why a pod gets the sidecars that it gets: the verdict with the facts behind it, as data and for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from carrier_operator import labels, pods
from carrier_operator.annotation import read_status
from carrier_operator.inject import Injection
from carrier_operator.models import Binding
from carrier_operator.policy import Unaccepted


def explain(
    pod: Mapping[str, Any], namespace: str, bindings: Sequence[Binding | Unaccepted], injection: Injection
) -> dict[str, Any]:
    """Everything that decided, as data."""
    row = injection.verdict.row
    pod_labels = pods.texts(pods.mapping(pod, "metadata"), "labels")
    annotations = pods.texts(pods.mapping(pod, "metadata"), "annotations")
    status = read_status(pod)
    here = sorted((it for it in bindings if it.namespace == namespace), key=lambda it: it.name)
    return {
        "namespace": namespace,
        "row": {"name": row.name, "when": row.when, "result": row.result},
        "annotations": {
            name: annotations[name] for name in (pods.INJECT, pods.BINDING, pods.DRAIN_BARRIER) if name in annotations
        },
        "sidecars": [binding.name for binding in injection.injected],
        "skipped": [
            {"reason": it.skip.code, "binding": it.binding, "message": it.message, "expected": not it.skip.unexpected}
            for it in injection.skipped
        ],
        "warnings": list(injection.warnings),
        "present": [
            {
                "container": name,
                "generation": None
                if (entry := status.of(name[len(pods.CONTAINER_PREFIX) :])) is None
                else entry.generation,
            }
            for name in pods.our_containers(pod)
        ],
        "bindings": [_binding(it, pod_labels) for it in here],
    }


def _binding(binding: Binding | Unaccepted, pod_labels: Mapping[str, str]) -> dict[str, Any]:
    if isinstance(binding, Unaccepted):
        return {"name": binding.name, "accepted": False, "reasons": list(binding.reasons)}
    found: dict[str, Any] = {"name": binding.name, "accepted": True, "deleting": binding.deleting}
    if binding.spec.selector is None:
        return {**found, "selector": None}
    requirements = labels.requirements(binding.spec.selector, pod_labels)
    return {
        **found,
        "matches": all(it.satisfied for it in requirements),
        "selector": [{"requirement": it.text, "satisfied": it.satisfied, "found": it.found} for it in requirements],
    }


def for_people(name: str, found: Mapping[str, Any]) -> RenderableType:
    """The same for a terminal."""
    sidecars = found["sidecars"]
    verdict = Text.assemble(
        (name, "bold"),
        " in ",
        (found["namespace"], "bold"),
        " gets ",
        (", ".join(f"carrier-{it}" for it in sidecars), "bold green") if sidecars else ("no sidecar", "bold red"),
    )
    row = found["row"]
    parts: list[RenderableType] = [verdict, Text.assemble(("row ", "dim"), row["name"], (f": {row['when']}", "dim"))]
    for key, value in found["annotations"].items():
        parts.append(Text.assemble(("annotation ", "dim"), f"{key}: {value}"))
    for it in found["present"]:
        generation = "" if it["generation"] is None else f" (generation {it['generation']})"
        parts.append(Text.assemble(("in the pod now: ", "dim"), f"{it['container']}{generation}"))
    for it in found.get("lacking", ()):
        words = ("in the pod now: ", f"no carrier-{it['binding']}", f". {it['message']}")
        parts.append(Text.assemble((words[0], "dim"), (words[1], "bold red"), words[2]))
    for it in found["skipped"]:
        parts.append(Text.assemble(("skipped ", "dim"), (it["reason"], "yellow"), f": {it['message']}"))
    if found["bindings"]:
        parts.append(_table(found["bindings"]))
    else:
        parts.append(Text("there is no CarrierBinding in this namespace", style="dim"))
    return Group(*parts)


def _table(bindings: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("binding", "requirement", "the pod has", "", box=None, pad_edge=False, header_style="dim")
    for it in bindings:
        if not it["accepted"]:
            table.add_row(it["name"], Text("not accepted: " + "; ".join(it["reasons"]), style="red"), "", "")
        elif it["deleting"]:
            table.add_row(it["name"], Text("is being deleted", style="red"), "", "")
        elif it["selector"] is None:
            table.add_row(it["name"], Text("no selector: by annotation only", style="dim"), "", "")
        else:
            for index, requirement in enumerate(it["selector"]):
                mark = Text("yes", style="green") if requirement["satisfied"] else Text("no", style="red")
                found = "no such label" if requirement["found"] is None else repr(requirement["found"])
                table.add_row("" if index else it["name"], requirement["requirement"], found, mark)
    return table
