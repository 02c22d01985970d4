"""Reading a pod (a decoded JSON object, or a workload's template) without trusting its shape.

Absent, null and empty are the same to these functions. Nothing here decides anything; selection.py and inject.py do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Json = dict[str, Any]

INJECT = "carrier.dev/inject"
BINDING = "carrier.dev/binding"
STATUS = "carrier.dev/status"
DRAIN_BARRIER = "carrier.dev/drain-barrier"

CONTAINER_PREFIX = "carrier-"
_MARK = "CARRIER_SQS_ENDPOINT"  # the one variable that every sidecar of ours has and nobody else's container needs


class BadPod(ValueError):
    """The object is not shaped like a pod; the message says where."""


def mapping(parent: Mapping[str, Any] | None, key: str) -> Json:
    """parent[key] as an object, empty when absent or null. BadPod when it is something else."""
    value = parent.get(key) if parent else None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadPod(f"{key} is not an object")
    return value


def objects(parent: Mapping[str, Any] | None, key: str) -> list[Json]:
    """parent[key] as a list of objects, empty when absent or null. BadPod when it is something else."""
    value = parent.get(key) if parent else None
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadPod(f"{key} is not a list of objects")
    for item in value:
        if not isinstance(item, dict):
            raise BadPod(f"{key} is not a list of objects")
    return value


def texts(parent: Mapping[str, Any] | None, key: str) -> dict[str, str]:
    """parent[key] as a mapping of text to text. BadPod when it is something else."""
    found = mapping(parent, key)
    for value in found.values():
        if not isinstance(value, str):
            raise BadPod(f"{key} has a value that is no text")
    return found


def number(parent: Mapping[str, Any], key: str, default: int) -> int:
    """parent[key] as a whole number. BadPod when it is something else."""
    value = parent.get(key)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadPod(f"{key} is not a whole number")
    return value


_KEYED = ("env", "name"), ("volumeMounts", "mountPath")


def check_shape(pod: Mapping[str, Any]) -> None:
    """BadPod unless names are texts and lists are lists wherever the rest of this package relies on it."""
    spec = mapping(pod, "spec")
    for container in (*all_containers(pod), *objects(spec, "ephemeralContainers")):
        _named_by(container, "name", "containers")
        for key, name in _KEYED:
            for entry in objects(container, key):
                _named_by(entry, name, key)
        for entry in objects(container, "ports"):
            number(entry, "containerPort", 0)
    for volume in objects(spec, "volumes"):
        _named_by(volume, "name", "volumes")


def _named_by(item: Json, key: str, where: str) -> None:
    if not isinstance(item.get(key), str):
        raise BadPod(f"{where}: {key} is no text")


def container_name(binding: str) -> str:
    """What the sidecar of a binding is called."""
    return CONTAINER_PREFIX + binding


def env_value(container: Mapping[str, Any], name: str) -> str | None:
    """The literal value of a variable of a container; None when it has none."""
    for entry in objects(container, "env"):
        if entry.get("name") == name:
            value = entry.get("value")
            return value if isinstance(value, str) else None
    return None


def is_ours(container: Mapping[str, Any]) -> bool:
    """Is this container a sidecar that we made? Decided by the container itself, never by an annotation."""
    name = container.get("name")
    if not isinstance(name, str) or not name.startswith(CONTAINER_PREFIX):
        return False
    return any(entry.get("name") == _MARK for entry in objects(container, "env"))


def all_containers(pod: Mapping[str, Any]) -> Iterator[Json]:
    """Init containers, then containers."""
    spec = mapping(pod, "spec")
    yield from objects(spec, "initContainers")
    yield from objects(spec, "containers")


def app_containers(pod: Mapping[str, Any]) -> list[Json]:
    """The ordinary containers that are not ours."""
    return [container for container in objects(mapping(pod, "spec"), "containers") if not is_ours(container)]


def our_containers(pod: Mapping[str, Any]) -> dict[str, Json]:
    """Our sidecars in the pod by container name."""
    return {container["name"]: container for container in all_containers(pod) if is_ours(container)}


def named(containers: Sequence[Json], name: str) -> Json | None:
    """The container of that name."""
    return next((container for container in containers if container.get("name") == name), None)


def host_network(pod: Mapping[str, Any]) -> bool:
    """Is the pod on its node's network?"""
    return mapping(pod, "spec").get("hostNetwork") is True


def is_static(pod: Mapping[str, Any]) -> bool:
    """Is this a static pod or its mirror on the API server? A kubelet made it; nothing that we add would run."""
    metadata = mapping(pod, "metadata")
    annotations = mapping(metadata, "annotations")
    if "kubernetes.io/config.mirror" in annotations:
        return True
    if annotations.get("kubernetes.io/config.source", "api") != "api":
        return True
    return any(owner.get("kind") == "Node" for owner in objects(metadata, "ownerReferences"))


def is_windows(pod: Mapping[str, Any]) -> bool:
    """Is the pod for Windows nodes?"""
    spec = mapping(pod, "spec")
    if mapping(spec, "os").get("name") == "windows":
        return True
    node = mapping(spec, "nodeSelector")
    return "windows" in (node.get("kubernetes.io/os"), node.get("beta.kubernetes.io/os"))


def runs_to_completion(pod: Mapping[str, Any]) -> bool:
    """Is this a Job's pod, or one like it? Such a pod ends when its containers do, so an ordinary sidecar would keep
    it.
    """
    if mapping(pod, "spec").get("restartPolicy", "Always") in ("Never", "OnFailure"):
        return True
    return any(owner.get("kind") == "Job" for owner in objects(mapping(pod, "metadata"), "ownerReferences"))


def port_of(pod: Mapping[str, Any], port: int | str) -> int | None:
    """A port number, or the number of the container port of that name; None when no container has it."""
    if isinstance(port, int):
        return port
    spec = mapping(pod, "spec")
    for container in (*objects(spec, "containers"), *objects(spec, "initContainers")):
        if is_ours(container):
            continue
        for entry in objects(container, "ports"):
            if entry.get("name") == port and isinstance(entry.get("containerPort"), int):
                return int(entry["containerPort"])
    return None
