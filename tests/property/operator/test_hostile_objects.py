"""Whatever shape an object has that the controller is handed: it ends nothing, and the next one is read."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from carrier_operator.container import ClusterFacts
from carrier_operator.controller.conditions import Standing, status_of
from carrier_operator.controller.tally import Tally, tally
from carrier_operator.controller.world import World
from carrier_operator.models import Binding
from carrier_operator.policy import Policy
from tests.unit.operator.controller.live import CLUSTER, fare, live_pod
from tests.unit.operator.pods_for_tests import binding

Path = tuple[Any, ...]
BINDING: dict[str, Any] = {
    "metadata": {"name": "orders", "namespace": "shop", "uid": "u", "resourceVersion": "1", "generation": 1,
                 "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"time": "2026-01-01T00:00:00Z"}]},
    "spec": {
        "selector": {"matchLabels": {"app": "worker"}, "matchExpressions": [{"key": "app", "operator": "Exists"}]},
        "queue": {"name": "orders", "endpoint": "https://sqs.us-west-2.amazonaws.com", "region": "us-west-2"},
        "webhook": {"port": 9000, "path": "/e", "timeout": "60s", "healthCheck": {"path": "/h", "interval": "10s"}},
        "concurrency": {"receivers": 1, "workers": 10, "batchSize": 10},
        "deadLetter": {"queue": "dead"},
        "sidecar": {"mode": "Auto", "shutdownTimeout": "25s", "probePort": 9464, "env": [{"name": "A", "value": "b"}],
                    "resources": {"requests": {"memory": "64Mi"}}},
    },
    "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "x"}], "pods": {"matched": 1},
               "queue": {"url": "x"}},
}  # fmt: skip
POD = live_pod(injected_by=binding(selector={"app": "worker"}), status=fare(5, message="x", waiting="CrashLoopBackOff"))
JUNK: list[Any] = [
    None, True, 0, -1, 10**400, 1e308, "", "x" * 5000, "\x00", "9" * 400 + "h", [], {}, [None], [{}], {"": None},
    {"a": {"b": {}}}, ["a"] * 300, "169.254.169.254", "0001-01-01T00:00:00", "{", "é",
]  # fmt: skip
# Names and versions are the API server's own; it makes no object without them.
OURS = {("metadata",), *(("metadata", key) for key in ("name", "namespace", "uid", "resourceVersion"))}


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    if path and path not in OURS:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*path, key))


def changes(document: dict[str, Any]) -> st.SearchStrategy[list[tuple[Path, Any]]]:
    return st.lists(st.tuples(st.sampled_from(list(paths(document))), st.sampled_from(JUNK)), min_size=1, max_size=3)


def changed(document: dict[str, Any], edits: list[tuple[Path, Any]]) -> dict[str, Any]:
    out = copy.deepcopy(document)
    for path, value in edits:
        where: Any = out
        for key in path[:-1]:
            try:
                where = where[key]
            except (KeyError, IndexError, TypeError):
                break
        else:
            fits = isinstance(path[-1], int) and path[-1] < len(where) if isinstance(where, list) else True
            if isinstance(where, (dict, list)) and fits:
                where[path[-1]] = copy.deepcopy(value)
    return out


@settings(max_examples=400, deadline=None)
@given(bad_binding=changes(BINDING), bad_pod=changes(POD))
def test_objects_of_any_shape_are_read_or_passed_over(
    bad_binding: list[tuple[Path, Any]], bad_pod: list[tuple[Path, Any]]
) -> None:
    world = World(Policy(), ClusterFacts(CLUSTER.image, native=True), lambda _: None, lambda _: None, auto_native=False)
    world.put_binding(changed(BINDING, bad_binding))
    world.put_pod(changed(POD, bad_pod))
    _status(world)
    # The same, put right: nothing of what was wrong remains.
    world.put_binding({**BINDING, "metadata": {**BINDING["metadata"], "resourceVersion": "2", "generation": 2}})
    world.put_pod(POD)
    status = _status(world)
    assert status["pods"]["matched"] == 1
    assert status["pods"]["failingNames"] == ["worker-1"]


def _status(world: World) -> dict[str, Any]:
    record = world.bindings["shop", "orders"]
    found = record.binding
    counts = Tally()
    if isinstance(found, Binding):
        counts = tally(world.census.namespace("shop"), found, record.fresh, record.changed_at, 3000.0)
    return status_of(Standing(found, counts), record.status, "now")
