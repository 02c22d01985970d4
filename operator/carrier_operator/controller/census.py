"""Which pods belong to which binding, kept up to date change by change; and the counts of one binding. Pure.

The same table as the webhook's decides (inject.decide), once per shape of pods and again only when a binding that could
matter to the shape has changed. What a change touches is told as keys (namespace, binding), for the queue of work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from carrier_operator import inject
from carrier_operator.container import ClusterFacts
from carrier_operator.models import Binding
from carrier_operator.pods import BadPod
from carrier_operator.policy import Unaccepted
from carrier_operator.selection import Skipped

from .snapshots import Pod, Shape, Shapes

Key = tuple[str, str]  # namespace and name of a binding, or namespace and WORKLOADS
WORKLOADS = ""  # in the place of a binding's name: workloads of the namespace are to be told what was left out
LabelPair = tuple[str, str]


class Group:
    """The pods of one shape and what was decided about them."""

    __slots__ = ("chosen", "pods", "shape", "skipped")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.pods: dict[str, Pod] = {}
        self.chosen: tuple[str, ...] = ()
        self.skipped: tuple[Skipped, ...] = ()

    def bindings(self) -> set[str]:
        """Every binding that this decision is about."""
        return {*self.chosen, *(it.binding for it in self.skipped if it.binding is not None)}

    def unexpected(self) -> list[Skipped]:
        """What was left out against the expectation of the pods' owner."""
        return [it for it in self.skipped if it.skip.unexpected]


class Namespace:
    """Bindings and pods of one namespace, indexed by what they can have to do with each other."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bindings: dict[str, Binding | Unaccepted] = {}
        self.groups: dict[str, Group] = {}
        self.pods: dict[str, Pod] = {}
        self.groups_of: dict[str, dict[str, Group]] = {}  # binding → digest → groups decided about
        self.carriers: dict[str, dict[str, Pod]] = {}  # binding → pods that carry its sidecar
        self._by_pair: dict[LabelPair, set[str]] = {}  # a pair of matchLabels → bindings that need it
        self._without_pair: set[str] = set()  # bindings with other selectors
        self._named_groups: set[str] = set()  # groups whose pods carry an annotation of ours
        self._groups_by_pair: dict[LabelPair, set[str]] = {}

    def empty(self) -> bool:
        """Is nothing here?"""
        return not self.bindings and not self.pods

    def ready(self, labels: Mapping[str, str]) -> list[Pod]:
        """Pods with all these labels that are ready and have an address."""
        return [
            pod
            for pod in self.pods.values()
            if pod.ready and pod.ip and all(pod.shape.labels.get(key) == value for key, value in labels.items())
        ]

    # -- bindings ----------------------------------------------------------------------------------------------------

    def put_binding(self, binding: Binding | Unaccepted, facts: ClusterFacts) -> set[str]:
        """A binding is new or changed; the bindings whose pods may have changed, itself among them."""
        touched = self._touched_groups(binding.name)
        self._unindex(binding.name)
        self.bindings[binding.name] = binding
        self._index(binding)
        touched |= self._touched_groups(binding.name)
        return self._decide(touched, facts) | {binding.name}

    def drop_binding(self, name: str, facts: ClusterFacts) -> set[str]:
        """A binding is gone; the other bindings whose pods may have changed."""
        touched = self._touched_groups(name)
        self._unindex(name)
        self.bindings.pop(name, None)
        return self._decide(touched, facts) - {name}

    def _index(self, binding: Binding | Unaccepted) -> None:
        pair = _pair_of(binding)
        if pair is not None:
            self._by_pair.setdefault(pair, set()).add(binding.name)
        elif isinstance(binding, Binding) and binding.spec.selector is not None:
            self._without_pair.add(binding.name)

    def _unindex(self, name: str) -> None:
        old = self.bindings.get(name)
        pair = _pair_of(old) if old is not None else None
        if pair is not None and pair in self._by_pair:
            self._by_pair[pair].discard(name)
            if not self._by_pair[pair]:
                del self._by_pair[pair]
        self._without_pair.discard(name)

    def _touched_groups(self, name: str) -> set[str]:
        """Digests of the groups that this binding, as it is indexed now, could matter to."""
        touched = set(self.groups_of.get(name, ()))
        binding = self.bindings.get(name)
        if binding is None:
            return touched
        pair = _pair_of(binding)
        if pair is not None:
            touched |= self._groups_by_pair.get(pair, set())
        elif name in self._without_pair:
            return set(self.groups)
        return touched | self._named_groups

    def _candidates(self, shape: Shape) -> list[Binding | Unaccepted]:
        """The bindings without which the decision about a shape is the same as with all."""
        if shape.named:
            return list(self.bindings.values())
        names = set(self._without_pair)
        for pair in shape.labels.items():
            names |= self._by_pair.get(pair, set())
        return [self.bindings[name] for name in names]

    # -- pods --------------------------------------------------------------------------------------------------------

    def put_pod(self, pod: Pod, facts: ClusterFacts) -> set[str]:
        """A pod is new or changed; the bindings that it concerns or did."""
        old = self.pods.get(pod.name)
        stays = old is not None and old.shape.digest == pod.shape.digest
        touched = set() if old is None else self._leave(old, keep_group=stays)
        self.pods[pod.name] = pod
        group = self.groups.get(pod.shape.digest) or self._new_group(pod.shape, facts)
        group.pods[pod.name] = pod
        for sidecar in pod.sidecars:
            self.carriers.setdefault(sidecar.binding, {})[pod.name] = pod
        return touched | _concerned(group, pod)

    def drop_pod(self, name: str) -> set[str]:
        """A pod is gone; the bindings that it concerned."""
        pod = self.pods.pop(name, None)
        return set() if pod is None else self._leave(pod, keep_group=False)

    def _new_group(self, shape: Shape, facts: ClusterFacts) -> Group:
        group = self.groups[shape.digest] = Group(shape)
        for pair in shape.labels.items():
            self._groups_by_pair.setdefault(pair, set()).add(shape.digest)
        if shape.named:
            self._named_groups.add(shape.digest)
        self._decide({shape.digest}, facts)
        return group

    def _leave(self, pod: Pod, *, keep_group: bool) -> set[str]:
        group = self.groups[pod.shape.digest]
        touched = _concerned(group, pod)
        del group.pods[pod.name]
        for sidecar in pod.sidecars:
            there = self.carriers.get(sidecar.binding, {})
            there.pop(pod.name, None)
            if not there:
                self.carriers.pop(sidecar.binding, None)
        if not group.pods and not keep_group:
            self._forget(group)
        return touched

    def _forget(self, group: Group) -> None:
        digest = group.shape.digest
        del self.groups[digest]
        self._named_groups.discard(digest)
        for binding in group.bindings():
            self.groups_of.get(binding, {}).pop(digest, None)
        for pair in group.shape.labels.items():
            there = self._groups_by_pair.get(pair, set())
            there.discard(digest)
            if not there:
                self._groups_by_pair.pop(pair, None)

    def decide_all(self, facts: ClusterFacts) -> set[str]:
        """Something about the cluster has changed."""
        return self._decide(set(self.groups), facts)

    def _decide(self, digests: Iterable[str], facts: ClusterFacts) -> set[str]:
        touched: set[str] = set()
        for digest in digests:
            group = self.groups.get(digest)
            if group is None:
                continue
            before = group.bindings()
            try:
                chosen, skipped = inject.decide(group.shape.document, self.name, self._candidates(group.shape), facts)
            except BadPod:
                chosen, skipped = (), ()  # the webhook refuses such a pod; none of its kind may end this process
            group.chosen, group.skipped = tuple(it.name for it in chosen), skipped
            after = group.bindings()
            for name in before - after:
                self.groups_of.get(name, {}).pop(digest, None)
            for name in after - before:
                self.groups_of.setdefault(name, {})[digest] = group
            touched |= before | after
            if group.unexpected():
                touched.add(WORKLOADS)
        return touched


def _concerned(group: Group, pod: Pod) -> set[str]:
    found = group.bindings() | {it.binding for it in pod.sidecars}
    if group.unexpected():
        found.add(WORKLOADS)
    return found


def _pair_of(binding: Binding | Unaccepted) -> LabelPair | None:
    """One label that the binding's selector needs; None when there is no such one."""
    if not isinstance(binding, Binding) or binding.spec.selector is None or not binding.spec.selector.match_labels:
        return None
    return next(iter(binding.spec.selector.match_labels.items()))


class Census:
    """All namespaces. Every change answers with the keys that it touches."""

    def __init__(self, facts: ClusterFacts) -> None:
        self.facts = facts
        self.shapes = Shapes()
        self.namespaces: dict[str, Namespace] = {}

    @property
    def pods(self) -> int:
        """How many pods are known."""
        return sum(len(it.pods) for it in self.namespaces.values())

    def put_binding(self, binding: Binding | Unaccepted) -> set[Key]:
        """A binding is new or changed."""
        return self._keys(binding.namespace, self._at(binding.namespace).put_binding(binding, self.facts))

    def drop_binding(self, namespace: str, name: str) -> set[Key]:
        """A binding is gone."""
        keys = self._keys(namespace, self._at(namespace).drop_binding(name, self.facts))
        self._tidy(namespace)
        return keys

    def put_pod(self, pod: Pod) -> set[Key]:
        """A pod is new or changed."""
        return self._keys(pod.namespace, self._at(pod.namespace).put_pod(pod, self.facts))

    def drop_pod(self, namespace: str, name: str) -> set[Key]:
        """A pod is gone, or going."""
        there = self.namespaces.get(namespace)
        if there is None or name not in there.pods:
            return set()
        touched = there.drop_pod(name)
        self._tidy(namespace)
        return self._keys(namespace, touched)

    def put_facts(self, facts: ClusterFacts) -> set[Key]:
        """Kubelets have changed what they can."""
        self.facts = facts
        return {key for it in self.namespaces.values() for key in self._keys(it.name, it.decide_all(facts))}

    def namespace(self, name: str) -> Namespace:
        """The namespace; an empty one when nothing is known of it."""
        return self.namespaces.get(name) or Namespace(name)

    def _at(self, name: str) -> Namespace:
        return self.namespaces.setdefault(name, Namespace(name))

    def _tidy(self, name: str) -> None:
        if self.namespaces[name].empty():
            del self.namespaces[name]

    @staticmethod
    def _keys(namespace: str, names: Iterable[str]) -> set[Key]:
        return {(namespace, name) for name in names}
