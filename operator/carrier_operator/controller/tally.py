"""The counts of one binding, from the census. Pure; what they mean for its conditions is conditions.py's."""

from __future__ import annotations

from collections.abc import Collection

from carrier_operator.inject import GRACE_MARGIN_S
from carrier_operator.models import Binding
from carrier_operator.rules import seconds

from .census import Namespace
from .snapshots import Pod, Sidecar

NAMES = 5  # how many names of pods a status has


class LeftOut:
    """Pods that can't have the sidecar, for one reason."""

    __slots__ = ("code", "count", "message")

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        self.count = 0


class Failing:
    """A sidecar that does not run: its pod, how often it was restarted, and what it said when it last ended."""

    __slots__ = ("message", "pod", "restarts")

    def __init__(self, pod: str, restarts: int, message: str) -> None:
        self.pod = pod
        self.restarts = restarts
        self.message = message


class Tally:
    """How the pods of one binding stand."""

    __slots__ = (
        "failing",
        "grace_short",
        "injected",
        "left_out",
        "matched",
        "missing",
        "others",
        "outdated",
        "predating",
        "stale",
        "unproven_s",
    )

    def __init__(self) -> None:
        self.matched = 0
        self.injected: list[tuple[Pod, Sidecar]] = []
        self.missing: list[Pod] = []
        self.predating = 0
        self.stale: list[Pod] = []
        self.outdated = 0
        self.failing: list[Failing] = []
        self.left_out: list[LeftOut] = []
        self.others: dict[str, int] = {}  # another binding that selects the same pods → how many
        self.grace_short = 0
        self.unproven_s = 0.0  # after so long a failing sidecar that runs at present may count as well


def tally(there: Namespace, binding: Binding, fresh: Collection[str], changed_at: float, now: float) -> Tally:
    """Counts over the pods that match `binding`.

    `fresh`: hashes that a sidecar of this generation can have (rendered suspended, and not); `changed_at`: when the
    binding's spec last changed (Unix seconds), for telling pods that are older than it; `now`: Unix seconds.
    """
    found = Tally()
    left_out: dict[str, LeftOut] = {}
    needed_s = seconds(binding.spec.sidecar.shutdown_timeout) + GRACE_MARGIN_S
    for group in there.groups_of.get(binding.name, {}).values():
        if binding.name not in group.chosen:
            for skipped in group.skipped:
                if skipped.binding == binding.name:
                    entry = left_out.setdefault(skipped.skip.code, LeftOut(skipped.skip.code, skipped.message))
                    entry.count += len(group.pods)
            continue
        found.matched += len(group.pods)
        if group.shape.grace_s < needed_s:
            found.grace_short += len(group.pods)
        for other in group.chosen:
            if other != binding.name and not group.shape.names_bindings:
                found.others[other] = found.others.get(other, 0) + len(group.pods)
        for pod in group.pods.values():
            _count(found, pod, binding, fresh, changed_at, now)
    found.left_out = sorted(left_out.values(), key=lambda it: it.code)
    found.missing.sort(key=lambda it: it.name)
    found.stale.sort(key=lambda it: it.name)
    found.failing.sort(key=lambda it: it.pod)
    return found


def _count(found: Tally, pod: Pod, binding: Binding, fresh: Collection[str], changed_at: float, now: float) -> None:
    sidecar = pod.sidecar_of(binding.name)
    if sidecar is None:
        found.missing.append(pod)
        # Times of the API server are whole seconds: a pod of the same second may be either; the milder word is used.
        found.predating += pod.created <= changed_at
        return
    found.injected.append((pod, sidecar))
    unproven_s = sidecar.unproven_s(now)
    if unproven_s:
        found.unproven_s = min(found.unproven_s or unproven_s, unproven_s)
    if sidecar.failing or unproven_s:
        found.failing.append(Failing(pod.name, sidecar.restarts, sidecar.message))
    if sidecar.hash in fresh:
        return
    if sidecar.generation == binding.generation:
        found.outdated += 1
    else:
        found.stale.append(pod)


def restart_commands(pods: Collection[Pod], namespace: str, limit: int = 3) -> tuple[list[str], int]:
    """kubectl commands that replace these pods, at most `limit`, and how many workloads are beyond that."""
    workloads: dict[tuple[str, str], None] = {}
    bare: list[str] = []
    for pod in pods:
        workload = pod.workload
        if workload is None:
            bare.append(pod.name)
        elif workload[0] in ("Deployment", "StatefulSet", "DaemonSet"):
            workloads[workload] = None
    commands = [f"kubectl -n {namespace} rollout restart {kind.lower()}/{name}" for kind, name in workloads]
    if not commands and bare:
        commands = [f"kubectl -n {namespace} delete pod {name}" for name in bare]
    return commands[:limit], max(0, len(commands) - limit)
