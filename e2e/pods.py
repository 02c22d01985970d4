"""Waiting for pods, reading what they say, and the settings that any of ours must live with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kubernetes
from kubernetes.client import CoreV1Api

RESTRICTED_LABELS = {"pod-security.kubernetes.io/enforce": "restricted"}
"""Labels of a namespace that enforces the restricted Pod Security Standard."""

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""The securityContext of a container that gives up all that it can."""


def wait_for(core: CoreV1Api, namespace: str, seen: Callable[[str, Any], bool], timeout_s: int = 30) -> Any:
    """The first pod of the namespace for which `seen(kind of event, pod)`; the kind is ADDED, MODIFIED or DELETED.

    AssertionError with what the pods look like when there is none in time.
    """
    latest: dict[str, Any] = {}
    watch = kubernetes.watch.Watch()
    for event in watch.stream(core.list_namespaced_pod, namespace, timeout_seconds=timeout_s):
        latest[event["object"].metadata.name] = event["object"].status
        if seen(event["type"], event["object"]):
            watch.stop()
            return event["object"]
    raise AssertionError(f"not seen within {timeout_s} s; the pods at the end: {latest}")


def is_ready(_: str, pod: Any) -> bool:
    """Has the pod the condition Ready?"""
    return any(condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions or [])


def has_ended(_: str, pod: Any) -> bool:
    """Is the pod through, one way or the other?"""
    return pod.status.phase in ("Succeeded", "Failed")


def is_deleted(event: str, _: Any) -> bool:
    """Is it gone from the API?"""
    return event == "DELETED"
