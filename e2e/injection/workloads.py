"""Deployments, StatefulSets and DaemonSets of a namespace: made from a pod template, and every state of theirs kept.

A watch sees each version of an object, and versions of all kinds count up together (they are revisions of one store),
so that what came before what can be said without a clock.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import kubernetes

from .told import wait_until
from .world import World

RESTARTED_AT = "carrier.dev/restartedAt"
KINDS = ("Deployment", "StatefulSet", "DaemonSet")


class State:
    """One version of a workload."""

    def __init__(self, kind: str, document: Any) -> None:
        spec, status = document.spec, document.status
        self.version = int(document.metadata.resource_version)
        self.generation = document.metadata.generation
        self.restarted_at = (spec.template.metadata.annotations or {}).get(RESTARTED_AT)
        if kind == "DaemonSet":
            wanted, updated = status.desired_number_scheduled, status.updated_number_scheduled or 0
            self.available = status.number_available or 0
        else:
            wanted, updated = spec.replicas, status.updated_replicas or 0
            self.available = status.available_replicas or 0
        same = kind != "StatefulSet" or status.current_revision == status.update_revision
        others = kind == "Deployment" and (status.replicas or 0) > updated
        # As `kubectl rollout status` says it.
        self.done = (
            status.observed_generation == self.generation
            and same
            and not others
            and wanted > 0
            and updated == wanted == self.available
        )

    def __repr__(self) -> str:
        restarted = f", restarted at {self.restarted_at}" if self.restarted_at else ""
        return f"{self.version}: generation {self.generation}, {self.available} available, done {self.done}{restarted}"


class Workload:
    """A workload that was made here."""

    def __init__(self, world: World, history: dict[tuple[str, str], list[State]], kind: str, name: str) -> None:
        self._world = world
        self._history = history
        self.kind = kind
        self.name = name
        self.title = f"{kind.lower()}/{name}"

    def __repr__(self) -> str:
        return f"{self.title} {self.states}"

    @property
    def states(self) -> list[State]:
        """All that were seen, the oldest first."""
        return list(self._history.get((self.kind, self.name), ()))

    @property
    def state(self) -> State:
        """The latest that was seen."""
        return self.states[-1]

    @property
    def restarts(self) -> list[State]:
        """The states that began with a restart by the controller."""
        found = []
        before = None
        for it in self.states:
            if it.restarted_at != before:
                found.append(it)
            before = it.restarted_at
        return found

    def done_after(self, state: State) -> State:
        """The first state after this one in which all its pods are new and available; AssertionError if none was."""
        found = next((it for it in self.states if it.version > state.version and it.done), None)
        assert found is not None, f"{self.title} never came back: {self.states}"
        return found

    def wait_until_done(self, timeout_s: float = 90) -> None:
        """Until all its pods are of the present template and available."""
        wait_until(lambda: self.states and self.state.done, f"{self.title} is available", timeout_s)

    def pods(self) -> list[Any]:
        """Its pods that are not going, as documents."""
        found = self._world.core.list_namespaced_pod(self._world.namespace, label_selector=f"workload={self.name}")
        return [
            self._world.api.sanitize_for_serialization(it)
            for it in found.items
            if it.metadata.deletion_timestamp is None
        ]

    def patch(self, change: dict[str, Any]) -> None:
        """As `kubectl patch`."""
        method = getattr(self._world.apps, f"patch_namespaced_{_SNAKE[self.kind]}")
        method(self.name, self._world.namespace, change)

    def events(self, reason: str) -> list[Any]:
        """Events about it."""
        selector = f"involvedObject.kind={self.kind},involvedObject.name={self.name},reason={reason}"
        found = self._world.core.list_namespaced_event(self._world.namespace, field_selector=selector)
        return list(found.items)


_SNAKE = {"Deployment": "deployment", "StatefulSet": "stateful_set", "DaemonSet": "daemon_set"}


class Workloads:
    """Makes workloads in the world's namespace; `watched` keeps their states."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._history: dict[tuple[str, str], list[State]] = {}

    def make(self, kind: str, name: str, template: dict[str, Any], **spec: Any) -> Workload:
        """A workload with pods of that template, which also get a label of their own."""
        template = copy.deepcopy(template)
        template["metadata"].pop("name", None)
        template["metadata"]["labels"]["workload"] = name
        whole = {"selector": {"matchLabels": {"workload": name}}, "template": template, **spec}
        if kind == "StatefulSet":
            whole.setdefault("serviceName", name)
        create = getattr(self._world.apps, f"create_namespaced_{_SNAKE[kind]}")
        create(self._world.namespace, {"metadata": {"name": name}, "spec": whole})
        made = Workload(self._world, self._history, kind, name)
        wait_until(lambda: made.states, f"the watch shows {made.title}")
        return made

    def watch(self, kind: str, stop: threading.Event) -> None:
        """Keeps the states of one kind until the end."""
        follow: Callable[..., Any] = getattr(self._world.apps, f"list_namespaced_{_SNAKE[kind]}")
        version = None
        while not stop.is_set():
            stream = kubernetes.watch.Watch()
            for event in stream.stream(follow, self._world.namespace, resource_version=version, timeout_seconds=2):
                version = event["object"].metadata.resource_version
                self._history.setdefault((kind, event["object"].metadata.name), []).append(State(kind, event["object"]))


@contextmanager
def watched(made: Workloads) -> Iterator[None]:
    """The world's workloads are watched for the length of the block."""
    stop = threading.Event()
    threads = [threading.Thread(target=made.watch, args=(kind, stop), name=f"watch {kind}") for kind in KINDS]
    for it in threads:
        it.start()
    try:
        yield
    finally:
        stop.set()
        for it in threads:
            it.join()
