"""carrierctl status: the bindings as the controller has described them. Pure but for its arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_COLOURS = {"True": "green", "False": "red"}


def standing(document: Mapping[str, Any]) -> dict[str, Any]:
    """One binding, as data."""
    metadata, spec = document["metadata"], document.get("spec") or {}
    status = document.get("status") or {}
    pods, queue = status.get("pods") or {}, status.get("queue") or {}
    conditions = {it.get("type"): it for it in status.get("conditions") or () if isinstance(it, dict)}
    ready = conditions.get("Ready") or {}
    named = (spec.get("queue") or {}).get("name") or (spec.get("queue") or {}).get("url")
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "queue": named,
        "matched": pods.get("matched"),
        "injected": pods.get("injected"),
        "missing": pods.get("missing"),
        "stale": pods.get("stale"),
        "outdated": pods.get("outdated"),
        "visible": queue.get("visible"),
        "inFlight": queue.get("inFlight"),
        "ready": ready.get("status", "Unknown"),
        "reason": ready.get("reason", "NoStatus"),
        "message": ready.get("message", "no controller has looked at it"),
        "current": status.get("observedGeneration") == metadata.get("generation"),
        "advice": [*_about_queue(conditions), *_advice((conditions.get("Injected") or {}).get("message", ""))],
    }


def _advice(message: str) -> list[str]:
    """The sentences of a message that begin with a word of advice (`OverlappingBindings: ...`)."""
    return [part.strip() for part in re.split(r"(?<=[.])\s+(?=[A-Z][a-z]+[A-Z]\w*: )", message)[1:]]


def _about_queue(conditions: Mapping[Any, Any]) -> list[str]:
    """What was seen of the queue, where it is more than that it fits or that nobody looks."""
    found = conditions.get("QueueVerified") or {}
    word = found.get("reason")
    return [f"{word}: {found.get('message')}"] if word not in (None, "Verified", "NotChecked") else []


def is_well(found: Mapping[str, Any]) -> bool:
    """Is nothing amiss with this binding, as far as is known?"""
    return bool(found["ready"] == "True")


def for_people(found: Sequence[Mapping[str, Any]]) -> RenderableType:
    """All of them as a table, and below it what is to be said of those that are not well."""
    table = Table(
        "namespace", "binding", "queue", "matched", "injected", "missing", "stale", "waiting", "in flight", "ready",
        box=None, pad_edge=False, header_style="dim",
    )  # fmt: skip
    notes: list[RenderableType] = []
    for it in found:
        colour = _COLOURS.get(it["ready"], "yellow")
        counts = [_count(it[key]) for key in ("matched", "injected", "missing", "stale", "visible", "inFlight")]
        word = it["ready"] if is_well(it) else f"{it['ready']} {it['reason']}"
        table.add_row(it["namespace"], it["name"], it["queue"] or "", *counts, Text(word, style=colour))
        title = Text(f"{it['namespace']}/{it['name']}: ", style="bold")
        if not is_well(it):
            notes.append(Text.assemble(title, it["message"]))
        if it["outdated"]:
            of = "1 pod carries" if it["outdated"] == 1 else f"{it['outdated']} pods carry"
            notes.append(Text.assemble(title, f"{of} the sidecar of an earlier installation, until restarted"))
        notes += [Text.assemble(title, advice) for advice in it["advice"] if advice not in it["message"]]
        if not it["current"] and it["reason"] != "NoStatus":
            notes.append(Text.assemble(title, "the status is of an earlier generation: does a controller run?"))
    if not found:
        return Text("there are no CarrierBindings", style="dim")
    return Group(table, *([Text()] if notes else []), *notes)


def _count(value: object) -> str:
    return "-" if value is None else str(value)
