"""The way back: a pod (or template) without our sidecars and all that came with them. Pure.

uninject(inject(pod)) == pod: the annotation says which empty parts injection had to make, so that those go and others
stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import annotation, container, inject, pods
from .pods import Json


def uninject(pod: Mapping[str, Any]) -> Json:
    """`pod` without our containers, hooks, volume and annotation; equal to `pod` when there are none. BadPod as
    inject.
    """
    pods.check_shape(pod)
    ours = pods.our_containers(pod)
    made = annotation.read_status(pod).made
    tokens = {token for it in ours.values() if (token := pods.env_value(it, "CARRIER_DRAIN_TOKEN"))}
    spec = dict(pods.mapping(pod, "spec"))
    if ours:
        for key in ("initContainers", "containers"):
            if key in spec:
                spec[key] = [it for it in pods.objects(spec, key) if not pods.is_ours(it)]
        spec["containers"] = [_unhooked(it, tokens, made) for it in pods.objects(spec, "containers")]
        mounted = {mount.get("name") for it in _containers(spec) for mount in pods.objects(it, "volumeMounts")}
        if container.MASK_VOLUME not in mounted and "volumes" in spec:
            spec["volumes"] = [it for it in pods.objects(spec, "volumes") if it.get("name") != container.MASK_VOLUME]
        for key in ("initContainers", "volumes"):
            if not spec.get(key) and f"spec.{key}" in made:
                spec.pop(key, None)
    metadata = dict(pods.mapping(pod, "metadata"))
    annotations = pods.texts(metadata, "annotations")
    if pods.STATUS in annotations:
        metadata["annotations"] = {key: value for key, value in annotations.items() if key != pods.STATUS}
        if not metadata["annotations"] and "metadata.annotations" in made:
            del metadata["annotations"]
    changed = {**pod, "metadata": metadata, "spec": spec}
    for key in ("metadata", "spec"):
        if not changed[key] and (key not in pod or key in made):
            del changed[key]
    return changed


def _unhooked(it: Json, tokens: set[str], made: tuple[str, ...]) -> Json:
    for token in tokens:
        it = inject.without_hook(it, token, made)
    return it


def _containers(spec: Json) -> list[Json]:
    return [it for key in ("initContainers", "containers") for it in pods.objects(spec, key)]
