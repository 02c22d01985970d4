"""What is known of the cluster: accepted bindings by namespace, whether every kubelet can run native sidecars, and
which namespaces' quotas ask for CPU limits.

Filled by reflectors, read by the webhook. Bindings are validated once, when they come, not once per pod.
"""

from __future__ import annotations

import re
from typing import Any

from carrier_operator.models import Binding
from carrier_operator.policy import Policy, Unaccepted, read_binding

NATIVE_SINCE = (1, 29)


class BindingStore:
    """Bindings of all namespaces, read with the administrator's policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._by_namespace: dict[str, dict[str, Binding | Unaccepted]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_namespace.values()))

    def of(self, namespace: str) -> list[Binding | Unaccepted]:
        """The bindings of one namespace."""
        return list(self._by_namespace.get(namespace, {}).values())

    def reduce(self, document: dict[str, Any]) -> Binding | Unaccepted:
        """The object as a binding, accepted or not."""
        return read_binding(document, self._policy)

    def replace(self, objects: list[Any]) -> None:
        """These are all bindings there are."""
        fresh: dict[str, dict[str, Binding | Unaccepted]] = {}
        for found in objects:
            fresh.setdefault(found.namespace, {})[found.name] = found
        self._by_namespace = fresh

    def put(self, document: dict[str, Any]) -> None:
        """A binding is new or changed."""
        found = self.reduce(document)
        self._by_namespace.setdefault(found.namespace, {})[found.name] = found

    def drop(self, document: dict[str, Any]) -> None:
        """A binding is gone."""
        found = self.reduce(document)
        there = self._by_namespace.get(found.namespace, {})
        there.pop(found.name, None)
        if not there:
            self._by_namespace.pop(found.namespace, None)


class NodeStore:
    """Kubelet versions by node."""

    def __init__(self) -> None:
        self._versions: dict[str, tuple[int, int]] = {}

    def all_native(self) -> bool:
        """Can every node's kubelet run native sidecars? No, where no node is known."""
        return bool(self._versions) and min(self._versions.values()) >= NATIVE_SINCE

    def reduce(self, document: dict[str, Any]) -> tuple[str, tuple[int, int]]:
        """Name and version; an unreadable version counts as old."""
        metadata = document.get("metadata") or {}
        info = (document.get("status") or {}).get("nodeInfo") or {}
        match = re.match(r"v?([0-9]{1,4})\.([0-9]{1,4})", str(info.get("kubeletVersion") or ""))
        return str(metadata.get("name") or ""), (int(match[1]), int(match[2])) if match else (0, 0)

    def replace(self, objects: list[Any]) -> None:
        """These are all nodes there are."""
        self._versions = dict(objects)

    def put(self, document: dict[str, Any]) -> None:
        """A node is new or changed."""
        name, version = self.reduce(document)
        self._versions[name] = version

    def drop(self, document: dict[str, Any]) -> None:
        """A node is gone."""
        self._versions.pop(self.reduce(document)[0], None)


class QuotaStore:
    """Namespaces where a container without a CPU limit is refused: those with a ResourceQuota over limits.cpu."""

    def __init__(self) -> None:
        self.namespaces: frozenset[str] = frozenset()
        self._quotas: set[tuple[str, str]] = set()

    def reduce(self, document: dict[str, Any]) -> tuple[str, str] | None:
        """Namespace and name, if the quota is one over limits.cpu. Scopes are not looked at: a limit more does no
        harm.
        """
        hard = (document.get("spec") or {}).get("hard") or {}
        return _name(document) if "limits.cpu" in hard else None

    def replace(self, objects: list[Any]) -> None:
        """These are all quotas there are."""
        self._keep({found for found in objects if found is not None})

    def put(self, document: dict[str, Any]) -> None:
        """A quota is new or changed; mostly what it has counted changed, which is nothing to us."""
        if self.reduce(document) is None:
            self.drop(document)
        else:
            self._keep(self._quotas | {_name(document)})

    def drop(self, document: dict[str, Any]) -> None:
        """A quota is gone."""
        self._keep(self._quotas - {_name(document)})

    def _keep(self, quotas: set[tuple[str, str]]) -> None:
        if quotas != self._quotas:
            self._quotas = quotas
            self.namespaces = frozenset(namespace for namespace, _ in quotas)


def _name(document: dict[str, Any]) -> tuple[str, str]:
    metadata = document.get("metadata") or {}
    return str(metadata.get("namespace")), str(metadata.get("name"))
