"""The pod's AWS identity, mirrored from the app's containers to the sidecar.

Which variables, and the mounts that they name; no static keys ever. An identity webhook may have written them already
or may do so later; reinvocation then completes the sidecar. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import pods
from .pods import Json

VARIABLES = (
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_STS_REGIONAL_ENDPOINTS",
)
FILES = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")


class Identity:
    """Variables and mounts to mirror, and the names on which the app's containers disagree."""

    __slots__ = ("disagreeing", "env", "mounts")

    def __init__(self, env: list[Json], mounts: list[Json], disagreeing: list[str]) -> None:
        self.env = env
        self.mounts = mounts
        self.disagreeing = disagreeing


def identity_of(containers: Sequence[Json], preferred_port: int | None) -> Identity:
    """The identity that these containers carry; where they disagree, that of the one with `preferred_port` (the
    handler).
    """
    ordered = sorted(containers, key=lambda container: not _has_port(container, preferred_port))
    env: list[Json] = []
    mounts: dict[str, Json] = {}
    disagreeing = []
    variables = [(container, _last_entries(container)) for container in ordered]
    for name in VARIABLES:
        found = [(container, entries[name]) for container, entries in variables if name in entries]
        if not found:
            continue
        container, entry = found[0]
        if any(_meaning(other) != _meaning(entry) for _, other in found[1:]):
            disagreeing.append(name)
        env.append(_meaning(entry))
        if name in FILES:
            mount = _mount_of(container, entry.get("value"))
            if mount is not None:
                mounts.setdefault(mount["mountPath"], mount)
    return Identity(env, list(mounts.values()), disagreeing)


def _has_port(container: Json, port: int | None) -> bool:
    return port is not None and any(entry.get("containerPort") == port for entry in pods.objects(container, "ports"))


def _last_entries(container: Json) -> dict[str, Json]:
    """Variables by name; of several of one name the last counts, as in Kubernetes."""
    return {entry["name"]: entry for entry in pods.objects(container, "env") if isinstance(entry.get("name"), str)}


def _meaning(entry: Json) -> dict[str, Any]:
    return {key: entry[key] for key in ("name", "value", "valueFrom") if key in entry}


def _mount_of(container: Json, path: Any) -> Json | None:
    """The container's mount that holds this file, read-only."""
    if not isinstance(path, str):
        return None
    best: Json | None = None
    for mount in pods.objects(container, "volumeMounts"):
        at = mount.get("mountPath")
        if not isinstance(at, str) or at.rstrip("/") == "" or not (path == at or path.startswith(at.rstrip("/") + "/")):
            continue
        if best is None or len(at) > len(best["mountPath"]):
            best = mount
    if best is None:
        return None
    kept: Json = {key: best[key] for key in ("name", "mountPath", "subPath", "subPathExpr") if key in best}
    return {**kept, "readOnly": True}
