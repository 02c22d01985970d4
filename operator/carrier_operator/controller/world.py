"""What the controller knows of the cluster: bindings as they were last seen, the census, kubelets. No network here.

Fed by kopf (bindings) and by reflectors (pods, nodes); every change marks keys in the queue of work. Nothing is looked
after before each of the three is known in full: counts over half a list would be written as truth.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Set
from typing import Any

from carrier_operator.container import ClusterFacts, rendered_hash
from carrier_operator.models import Binding, BindingSpec
from carrier_operator.policy import Policy, Unaccepted, read_binding
from carrier_operator.stores import NodeStore

from .census import Census, Key
from .snapshots import snapshot, unix_seconds
from .telemetry import figures_of

Mark = Callable[[Key], None]


class BindingRecord:
    """One binding as it was last seen. `changed_at`: when its spec last changed, at the latest (Unix seconds)."""

    __slots__ = ("_status", "binding", "changed_at", "figures", "fresh", "not_allowed", "resource_version", "uid")

    def __init__(self, document: dict[str, Any], policy: Policy, facts: ClusterFacts) -> None:
        metadata = document["metadata"]
        self.binding: Binding | Unaccepted = read_binding(document, policy)
        self.not_allowed = isinstance(self.binding, Unaccepted) and isinstance(
            read_binding(document, Policy.without_limits()), Binding
        )
        self.uid = str(metadata.get("uid") or "")
        self.changed_at = _changed_at(metadata)
        self.fresh = _fresh_hashes(self.binding, facts)
        self.saw(document)

    def saw(self, document: dict[str, Any]) -> None:
        """Status and version, from a newer document of the same generation."""
        self.resource_version = str(document["metadata"].get("resourceVersion") or "")
        status = document.get("status")
        # As text: decoded, the statuses of thousands of bindings are most of what is known.
        self._status = json.dumps(status, separators=(",", ":"))
        self.figures = figures_of(status if isinstance(status, dict) else {})

    @property
    def status(self) -> dict[str, Any]:
        """A copy of it; empty where there is none."""
        status = json.loads(self._status)
        return status if isinstance(status, dict) else {}

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return self.binding.namespace, self.binding.name


def _changed_at(metadata: dict[str, Any]) -> float:
    """The API server keeps no such time; the managers of fields outside the status come nearest."""
    times = [unix_seconds(metadata.get("creationTimestamp")) or 0.0]
    managers = metadata.get("managedFields")
    for entry in managers if isinstance(managers, list) else ():
        if isinstance(entry, dict) and not entry.get("subresource"):
            times.append(unix_seconds(entry.get("time")) or 0.0)
    return max(times)


def _fresh_hashes(binding: Binding | Unaccepted, facts: ClusterFacts) -> frozenset[str]:
    """Suspending does not make a sidecar stale: running ones are told."""
    if isinstance(binding, Unaccepted):
        return frozenset()
    return frozenset(
        rendered_hash(
            Binding(binding.name, binding.namespace, _suspended(binding.spec, suspend), generation=binding.generation),
            facts,
        )
        for suspend in (True, False)
    )


def _suspended(spec: BindingSpec, suspend: bool) -> BindingSpec:
    return spec.model_copy(update={"suspend": suspend})


def newer(one: str, other: str) -> bool:
    """Is resource version `one` newer than `other`, or can't it be said?"""
    return int(one) > int(other) if one.isdigit() and other.isdigit() else True


class World:
    """Everything that is known. `mark` is told each key that a change touches; `gone` each binding that went."""

    def __init__(
        self,
        policy: Policy,
        facts: ClusterFacts,
        mark: Mark,
        gone: Callable[[BindingRecord], None],
        *,
        auto_native: bool,
    ) -> None:
        self.bindings: dict[Key, BindingRecord] = {}
        self.census = Census(facts)
        self._policy = policy
        self._mark = mark
        self._gone = gone
        self._auto_native = auto_native

    # -- bindings ----------------------------------------------------------------------------------------------------

    def put_binding(self, document: dict[str, Any]) -> None:
        """A binding as it is now; older news than what is known is passed over."""
        metadata = document["metadata"]
        key = (str(metadata["namespace"]), str(metadata["name"]))
        known = self.bindings.get(key)
        if known is not None and known.uid == metadata.get("uid"):
            if not newer(str(metadata.get("resourceVersion") or ""), known.resource_version):
                return
            going = metadata.get("deletionTimestamp") is not None
            if known.binding.generation == metadata.get("generation") and known.binding.deleting == going:
                known.saw(document)
                self._mark(key)
                return
        record = BindingRecord(document, self._policy, self.census.facts)
        self.bindings[key] = record
        self._mark(key)
        self._mark_all(self.census.put_binding(record.binding))

    def drop_binding(self, namespace: str, name: str, uid: str | None = None) -> None:
        """A binding is gone (`uid`: unless another one of that name has come)."""
        known = self.bindings.get((namespace, name))
        if known is None or (uid is not None and known.uid != uid):
            return
        del self.bindings[namespace, name]
        self._mark_all(self.census.drop_binding(namespace, name))
        self._gone(known)

    # -- pods and nodes ----------------------------------------------------------------------------------------------

    def put_pod(self, document: dict[str, Any]) -> None:
        """A pod as it is now."""
        pod = snapshot(document, self.census.shapes)
        if pod is None:
            metadata = document.get("metadata") or {}
            self.drop_pod(str(metadata.get("namespace")), str(metadata.get("name")))
        else:
            self._mark_all(self.census.put_pod(pod))

    def drop_pod(self, namespace: str, name: str) -> None:
        """A pod is gone."""
        self._mark_all(self.census.drop_pod(namespace, name))

    def put_native(self, native: bool) -> None:
        """Whether every kubelet can run native sidecars, where that is looked at."""
        old = self.census.facts
        if self._auto_native and old.native != native:
            facts = ClusterFacts(old.image, native=native, image_pull_policy=old.image_pull_policy)
            self._mark_all(self.census.put_facts(facts))

    def _mark_all(self, keys: set[Key]) -> None:
        for key in keys:
            self._mark(key)


class PodFeed:
    """The reflector's store for pods."""

    def __init__(self, world: World) -> None:
        self._world = world

    def put(self, document: dict[str, Any]) -> None:
        """A pod is new or changed."""
        self._world.put_pod(document)

    def drop(self, document: dict[str, Any]) -> None:
        """A pod is gone."""
        metadata = document["metadata"]
        self._world.drop_pod(str(metadata["namespace"]), str(metadata["name"]))

    def keep_only(self, names: Set[tuple[str, str]]) -> None:
        """These are all pods there are."""
        known = [(it.name, pod) for it in self._world.census.namespaces.values() for pod in it.pods]
        for namespace, name in known:
            if (namespace, name) not in names:
                self._world.drop_pod(namespace, name)


class NodeFeed:
    """The reflector's store for nodes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._nodes = NodeStore()

    def put(self, document: dict[str, Any]) -> None:
        """A node is new or changed."""
        self._nodes.put(document)
        self._world.put_native(self._nodes.all_native())

    def drop(self, document: dict[str, Any]) -> None:
        """A node is gone."""
        self._nodes.drop(document)
        self._world.put_native(self._nodes.all_native())

    def keep_only(self, names: Set[tuple[str, str]]) -> None:
        """These are all nodes there are."""
        self._nodes.keep_only(names)
        self._world.put_native(self._nodes.all_native())
