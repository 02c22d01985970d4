"""The annotation carrier.dev/status of an injected pod: written by injection, read by the controller and by uninject.

It informs; nothing is decided by it, since anyone can write it. Reading never fails: what can't be read is empty.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from . import pods


class Injected:
    """One sidecar: its binding, the binding's generation and the hash of what was rendered
    (container.rendered_hash).
    """

    __slots__ = ("binding", "generation", "hash")

    def __init__(self, binding: str, generation: int, digest: str) -> None:
        self.binding = binding
        self.generation = generation
        self.hash = digest


class InjectionStatus:
    """All sidecars of a pod, and which parts of the pod injection had to make (`made`: paths that uninject removes)."""

    __slots__ = ("made", "sidecars")

    def __init__(self, sidecars: Sequence[Injected] = (), made: Sequence[str] = ()) -> None:
        self.sidecars = tuple(sidecars)
        self.made = tuple(made)

    def of(self, binding: str) -> Injected | None:
        """The entry of one binding."""
        return next((sidecar for sidecar in self.sidecars if sidecar.binding == binding), None)

    def text(self) -> str:
        """The annotation's value."""
        sidecars = [{"binding": it.binding, "generation": it.generation, "hash": it.hash} for it in self.sidecars]
        return json.dumps({"sidecars": sidecars, "made": list(self.made)}, separators=(",", ":"))


def read_status(pod: Mapping[str, Any]) -> InjectionStatus:
    """What the annotation of a pod says."""
    try:
        text = pods.mapping(pods.mapping(pod, "metadata"), "annotations").get(pods.STATUS)
        found = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return InjectionStatus()
    if not isinstance(found, dict):
        return InjectionStatus()
    made = [path for path in _list(found.get("made")) if isinstance(path, str)]
    sidecars = [
        Injected(it["binding"], it["generation"], it["hash"])
        for it in _list(found.get("sidecars"))
        if isinstance(it, dict)
        and isinstance(it.get("binding"), str)
        and isinstance(it.get("generation"), int)
        and isinstance(it.get("hash"), str)
    ]
    return InjectionStatus(sidecars, made)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
