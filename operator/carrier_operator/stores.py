"""What is known of the cluster: accepted bindings by namespace, whether every kubelet can run native sidecars, and
which namespaces' quotas ask for CPU limits.

Filled by reflectors, read by the webhook. Bindings are validated once, when they come, not once per pod.
"""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Any

from carrier_operator.models import Binding
from carrier_operator.policy import Policy, Unaccepted, read_binding

NATIVE_SINCE = (1, 29)

Name = tuple[str, str]  # namespace (empty for nodes) and name


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

    def put(self, document: dict[str, Any]) -> None:
        """A binding is new or changed."""
        found = read_binding(document, self._policy)
        self._by_namespace.setdefault(found.namespace, {})[found.name] = found

    def drop(self, document: dict[str, Any]) -> None:
        """A binding is gone."""
        self._drop(*_name(document))

    def keep_only(self, names: Set[Name]) -> None:
        """These are all bindings there are."""
        known = [(namespace, name) for namespace, there in self._by_namespace.items() for name in there]
        for name in known:
            if name not in names:
                self._drop(*name)

    def _drop(self, namespace: str, name: str) -> None:
        there = self._by_namespace.get(namespace, {})
        there.pop(name, None)
        if not there:
            self._by_namespace.pop(namespace, None)


class NodeStore:
    """Kubelet versions by node."""

    def __init__(self) -> None:
        self._versions: dict[str, tuple[int, int]] = {}

    def all_native(self) -> bool:
        """Can every node's kubelet run native sidecars? No, where no node is known."""
        return bool(self._versions) and min(self._versions.values()) >= NATIVE_SINCE

    def put(self, document: dict[str, Any]) -> None:
        """A node is new or changed. An unreadable version counts as old."""
        info = (document.get("status") or {}).get("nodeInfo") or {}
        match = re.match(r"v?([0-9]{1,4})\.([0-9]{1,4})", str(info.get("kubeletVersion") or ""))
        self._versions[_name(document)[1]] = (int(match[1]), int(match[2])) if match else (0, 0)

    def drop(self, document: dict[str, Any]) -> None:
        """A node is gone."""
        self._versions.pop(_name(document)[1], None)

    def keep_only(self, names: Set[Name]) -> None:
        """These are all nodes there are."""
        for name in self._versions.keys() - {name for _, name in names}:
            del self._versions[name]


class QuotaStore:
    """Namespaces where a container without a CPU limit is refused: those with a ResourceQuota over limits.cpu."""

    def __init__(self) -> None:
        self.namespaces: frozenset[str] = frozenset()
        self._quotas: set[tuple[str, str]] = set()

    def put(self, document: dict[str, Any]) -> None:
        """A quota is new or changed; mostly what it has counted changed, which is nothing to us. Scopes are not looked
        at: a limit more does no harm.
        """
        if "limits.cpu" in ((document.get("spec") or {}).get("hard") or {}):
            self._keep(self._quotas | {_name(document)})
        else:
            self.drop(document)

    def drop(self, document: dict[str, Any]) -> None:
        """A quota is gone."""
        self._keep(self._quotas - {_name(document)})

    def keep_only(self, names: Set[Name]) -> None:
        """These are all quotas there are."""
        self._keep(self._quotas & names)

    def _keep(self, quotas: set[tuple[str, str]]) -> None:
        if quotas != self._quotas:
            self._quotas = quotas
            self.namespaces = frozenset(namespace for namespace, _ in quotas)


def _name(document: dict[str, Any]) -> Name:
    metadata = document.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
