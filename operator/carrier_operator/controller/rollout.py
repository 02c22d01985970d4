"""Which workload is restarted next, if any, for a binding whose spec.rollout asks for it. Pure.

Once per binding generation and pod template, one workload after the other: the next when the last is available, none
after one that failed or whose new pods miss the sidecar again. What was restarted is written on the workload itself, so
that a new leader knows, and nothing is forgotten while a workload has no pod at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from carrier_operator import pods
from carrier_operator.models import Binding

from . import reasons
from .conditions import Advice

RESTARTED_AT = "carrier.dev/restartedAt"  # on the pod template: what makes it another one
RESTARTED_FOR = "carrier.dev/restartedFor"  # on the workload: binding=uid.generation.template, ...
KINDS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
RECORDS = 64  # of a workload's bindings, former ones too; more are not plausible


class Workload:
    """A Deployment, StatefulSet or DaemonSet as it stands."""

    __slots__ = (
        "complete",
        "failed",
        "kind",
        "name",
        "namespace",
        "obstacle",
        "records",
        "resource_version",
        "template",
    )

    def __init__(
        self,
        kind: str,
        namespace: str,
        name: str,
        template: str,
        *,
        records: Mapping[str, str] | None = None,
        complete: bool = True,
        failed: bool = False,
        obstacle: str | None = None,
        resource_version: str = "",
    ) -> None:
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.template = template  # digest of the pod template, without our own annotation
        self.records = dict(records or {})
        self.complete = complete  # every replica is of the present template, and available
        self.failed = failed  # its own deadline for progress has passed
        self.obstacle = obstacle  # why a restart would replace nothing
        self.resource_version = resource_version

    @property
    def title(self) -> str:
        """As kubectl takes it."""
        return f"{self.kind.lower()}/{self.name}"


def read_workload(document: Mapping[str, Any]) -> Workload:
    """The workload as the API server has it."""
    metadata, spec, status = (pods.mapping(document, key) for key in ("metadata", "spec", "status"))
    kind = str(document.get("kind"))
    observed = status.get("observedGeneration") == metadata.get("generation")
    if kind == "DaemonSet":
        wanted = pods.number(status, "desiredNumberScheduled", 0)
        updated, available = "updatedNumberScheduled", "numberAvailable"
    else:
        wanted = pods.number(spec, "replicas", 1)
        updated, available = "updatedReplicas", "availableReplicas"
    current = status.get("currentRevision") == status.get("updateRevision") if kind == "StatefulSet" else True
    there = pods.number(status, "replicas", 0) if kind == "Deployment" else wanted
    complete = (
        observed
        and current
        and there <= wanted
        and pods.number(status, updated, 0) >= wanted
        and pods.number(status, available, 0) >= wanted
    )
    failed = observed and any(
        it.get("type") == "Progressing" and it.get("status") == "False" for it in pods.objects(status, "conditions")
    )
    strategy = pods.mapping(spec, "updateStrategy")
    obstacle = None
    if spec.get("paused") is True:
        obstacle = "it is paused"
    elif strategy.get("type") == "OnDelete":
        obstacle = "its update strategy is OnDelete"
    elif pods.number(pods.mapping(strategy, "rollingUpdate"), "partition", 0) > 0:
        obstacle = "its rolling update has a partition"
    return Workload(
        kind,
        str(metadata.get("namespace")),
        str(metadata.get("name")),
        template_digest(pods.mapping(spec, "template")),
        records=read_records(pods.texts(metadata, "annotations").get(RESTARTED_FOR, "")),
        complete=complete,
        failed=failed,
        obstacle=obstacle,
        resource_version=str(metadata.get("resourceVersion") or ""),
    )


def template_digest(template: Mapping[str, Any]) -> str:
    """8 hexadecimal digits of a pod template, the same before and after a restart by us."""
    metadata = pods.mapping(template, "metadata")
    annotations = {key: text for key, text in pods.texts(metadata, "annotations").items() if key != RESTARTED_AT}
    rest = {key: value for key, value in metadata.items() if key != "annotations"}
    text = json.dumps([rest, annotations, template.get("spec")], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def read_records(text: str) -> dict[str, str]:
    """The annotation's text by binding; what can't be read is left out."""
    pairs = (part.strip().partition("=") for part in text.split(","))
    return {name: value for name, equals, value in pairs if name and equals and value}


def record(binding: Binding, uid: str, template: str) -> str:
    """What is noted on a workload that was restarted for this binding. The uid tells it from an earlier
    binding of its name.
    """
    return f"{uid[:8]}.{binding.generation}.{template}"


class Candidate:
    """A workload with pods of the binding, and how many of those a restart is to mend."""

    __slots__ = ("missing", "stale", "workload")

    def __init__(self, workload: Workload, missing: int, stale: int) -> None:
        self.workload = workload
        self.missing = missing
        self.stale = stale


class Step:
    """What to do: restart a workload or none, and what the status is to say."""

    __slots__ = ("advice", "restart")

    def __init__(self, restart: Workload | None, advice: Sequence[Advice] = ()) -> None:
        self.restart = restart
        self.advice = tuple(advice)


def next_step(binding: Binding, uid: str, candidates: Sequence[Candidate], *, left: Sequence[str] = ()) -> Step:
    """The next step for a binding with rollout Missing or OnChange. `left`: pods that belong to no such workload.

    A workload is under way from its restart until it is available, whatever is done to it meanwhile: a template that
    is mended rolls out by itself. One that was restarted for an earlier generation may be so again, since a change of
    the binding may be what mends it; one that is well is not touched before it.
    """
    on_change = binding.spec.rollout == "OnChange"
    advice = []
    if left:
        advice.append(Advice(reasons.ROLLOUT_LEFT, f"{', '.join(left[:3])}{' and others' if len(left) > 3 else ''}."))
    blocked = False  # nothing may be restarted
    earlier = False  # nothing but `again` may be
    again: Workload | None = None
    due: Workload | None = None
    for it in sorted(candidates, key=lambda it: it.workload.title):
        workload = it.workload
        to_mend = it.missing + (it.stale if on_change else 0)
        own = _own_record(workload, binding.name, uid)
        obstacle = "" if workload.obstacle is None else f": {workload.obstacle}"
        if not workload.complete and (own is not None or (to_mend and _restarted_for_another(workload))):
            if own is None or own[0] == binding.generation:
                blocked = True
            else:
                earlier = True
                if again is None and not obstacle and to_mend and (workload.failed or (on_change and it.stale)):
                    again = workload
            reason = reasons.ROLLOUT_STOPPED if workload.failed else reasons.ROLLOUT_UNDER_WAY
            advice.append(Advice(reason, f"{workload.title}{obstacle}."))
        elif not to_mend:
            continue
        elif obstacle:
            advice.append(Advice(reasons.ROLLOUT_LEFT, f"{workload.title}{obstacle}."))
        elif own == (binding.generation, workload.template):
            blocked = True
            advice.append(Advice(reasons.ROLLOUT_IN_VAIN, f"{workload.title}."))
        elif due is None:
            due = workload
    return Step(None if blocked else again if earlier else due, advice)


def _own_record(workload: Workload, name: str, uid: str) -> tuple[int, str] | None:
    """Generation and template that the workload was last restarted for, by this very binding."""
    of, _, rest = workload.records.get(name, "").partition(".")
    generation, _, template = rest.partition(".")
    return (int(generation), template) if of == uid[:8] and generation.isdecimal() else None


def _restarted_for_another(workload: Workload) -> bool:
    """Is the present template out because of a restart for any binding? Its pods get all their sidecars at once."""
    return any(text.rpartition(".")[2] == workload.template for text in workload.records.values())


def restart_patch(workload: Workload, binding: Binding, uid: str, now: str) -> dict[str, Any]:
    """The merge patch that restarts a workload as it was read; it fails when somebody has changed it meanwhile."""
    records = {name: text for name, text in workload.records.items() if name != binding.name}
    records[binding.name] = record(binding, uid, workload.template)  # last: it is not what is cut off
    text = ",".join(f"{name}={value}" for name, value in list(records.items())[-RECORDS:])
    return {
        "metadata": {"resourceVersion": workload.resource_version, "annotations": {RESTARTED_FOR: text}},
        "spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}},
    }
