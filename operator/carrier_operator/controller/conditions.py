"""From what is so about a binding to its status: conditions, counts, and whether there is anything to write. Pure.

A condition's message is for people and carries the advice; its reason is one of reasons.py. lastTransitionTime moves
only when a condition's status does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from carrier_operator.models import Binding
from carrier_operator.policy import Unaccepted

from . import reasons
from .reasons import Reason
from .tally import NAMES, Tally, restart_commands

MESSAGE_LIMIT = 4000
CONDITIONS_LIMIT = 16  # of the CRD
FAILURE_LIMIT = 1000
Json = dict[str, Any]


class Finding:
    """What one condition says."""

    __slots__ = ("message", "reason")

    def __init__(self, reason: Reason, message: str = "") -> None:
        self.reason = reason
        self.message = message or reason.meaning


class Advice:
    """A sentence under a word of reasons.py, for a condition's message."""

    __slots__ = ("message", "reason")

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        self.message = message

    @property
    def text(self) -> str:
        """As it stands in a message."""
        return f"{self.reason.code}: {self.message}"


class Telling:
    """How far sidecars have been told to suspend or to resume; `silent` are a few pods whose sidecars don't answer."""

    __slots__ = ("answered", "of", "silent", "suspended", "unreachable")

    def __init__(
        self, *, suspended: bool, answered: int, of: int, unreachable: int, silent: Sequence[str] = ()
    ) -> None:
        self.silent = tuple(silent)
        self.suspended = suspended
        self.answered = answered
        self.of = of
        self.unreachable = unreachable


class Standing:
    """All that the conditions of one binding are made from."""

    __slots__ = (
        "binding",
        "generation",
        "namespace",
        "not_allowed",
        "queue",
        "queue_status",
        "rollout",
        "tally",
        "telling",
    )

    def __init__(
        self,
        binding: Binding | Unaccepted,
        tally: Tally,
        *,
        not_allowed: bool = False,
        queue: Finding | None = None,
        queue_status: Json | None = None,
        telling: Telling | None = None,
        rollout: Sequence[Advice] = (),
    ) -> None:
        self.binding = binding
        self.namespace = binding.namespace
        self.generation = binding.generation
        self.tally = tally
        self.not_allowed = not_allowed  # for an unaccepted binding: valid, but against the administrator's policy
        self.queue = queue or Finding(reasons.NOT_CHECKED)
        self.queue_status = queue_status
        self.telling = telling
        self.rollout = tuple(rollout)


def findings(standing: Standing) -> dict[str, Finding]:
    """What each condition says, by type, Ready first."""
    accepted, injected, queue = _accepted(standing), _injected(standing), standing.queue
    if standing.binding.deleting:
        ready, injected = Finding(reasons.GOING), Finding(reasons.CANT_INJECT_ANY_MORE)
    else:
        ready = _ready(standing, accepted, injected, queue)
    return {reasons.READY: ready, reasons.ACCEPTED: accepted, reasons.QUEUE: queue, reasons.INJECTED: injected}


def _accepted(standing: Standing) -> Finding:
    if isinstance(standing.binding, Binding):
        return Finding(reasons.VALID)
    reason = reasons.NOT_ALLOWED if standing.not_allowed else reasons.INVALID
    return Finding(reason, "; ".join(standing.binding.reasons))


def _injected(standing: Standing) -> Finding:
    binding, tally = standing.binding, standing.tally
    if isinstance(binding, Unaccepted):
        return Finding(reasons.CANT_INJECT)
    reason, message = _injected_reason(binding, tally)
    return Finding(reason, " ".join([message, *(advice.text for advice in advice_of(standing, binding))]))


def _injected_reason(binding: Binding, tally: Tally) -> tuple[Reason, str]:
    if tally.missing:
        without = f"Without the sidecar: {len(tally.missing)} of {_pods(tally.matched)}"
        command = _command(tally.missing, binding.namespace)
        if tally.predating == len(tally.missing):
            return reasons.PREDATE, f"{without}, created before the binding or its last change.{command}"
        why = "no injector answered then, or the namespace is left out (see `carrierctl check`)"
        return reasons.MISSED, f"{without}, though created after the binding: {why}.{command}"
    if tally.left_out and not tally.matched:
        return reasons.ALL_LEFT_OUT, "Every pod that the binding is for had to be left out."
    if not tally.matched:
        if binding.spec.selector is None:
            return reasons.NOBODY_ASKS, reasons.NOBODY_ASKS.meaning
        return reasons.NO_MATCH, reasons.NO_MATCH.meaning
    if tally.stale:
        command = _command(tally.stale, binding.namespace)
        stale = f"{len(tally.stale)} of {_pods(tally.matched)}"
        return reasons.STALE, f"With the sidecar as it was before the binding's last change: {stale}.{command}"
    carries = "carry" if tally.matched > 1 else "carries"
    return reasons.ALL_INJECTED, f"{_pods(tally.matched)} {carries} the sidecar."


def _command(pods: Sequence[Any], namespace: str) -> str:
    commands, more = restart_commands(pods, namespace)
    if not commands:
        return ""
    return f" Run: {'; '.join(commands)}" + (f" (and {more} more workloads)." if more else ".")


def advice_of(standing: Standing, binding: Binding) -> list[Advice]:
    """What may not be meant as it is."""
    tally = standing.tally
    out = []
    if tally.others:
        others = ", ".join(sorted(tally.others)[:NAMES])
        out.append(Advice(reasons.OVERLAP, f"Selected by {others}, too: {_pods(max(tally.others.values()))}."))
    if tally.grace_short:
        out.append(
            Advice(
                reasons.GRACE,
                f"{_pods(tally.grace_short)} may end before shutdownTimeout + 5 s "
                f"({binding.spec.sidecar.shutdown_timeout} + 5s).",
            )
        )
    out += [
        Advice(reasons.LEFT_OUT, f"{_pods(it.count)}, {it.code} ({it.message.removeprefix('carrier: ')}).")
        for it in tally.left_out
    ]
    telling = standing.telling
    if telling is not None and telling.unreachable:
        word = "suspend" if telling.suspended else "resume"
        which = f" ({', '.join(telling.silent)})" if telling.silent else ""
        out.append(Advice(reasons.NOT_TOLD, f"{_sidecars(telling.unreachable)} could not be told to {word}{which}."))
    return [*out, *standing.rollout]


def _ready(standing: Standing, accepted: Finding, injected: Finding, queue: Finding) -> Finding:
    tally, telling = standing.tally, standing.telling
    if accepted.reason.status != reasons.TRUE:
        return Finding(reasons.NOT_ACCEPTED, accepted.message)
    assert isinstance(standing.binding, Binding)
    if standing.binding.spec.suspend:
        told = "" if telling is None else f" {telling.answered} of {_sidecars(telling.of)} have answered."
        return Finding(reasons.SUSPENDED, f"spec.suspend is true; nothing is received.{told}")
    if telling is not None and telling.answered < telling.of:
        return Finding(reasons.RESUMING, f"{telling.answered} of {_sidecars(telling.of)} have answered.")
    if injected.reason.status == reasons.FALSE:
        return Finding(reasons.PODS_WITHOUT, injected.message)
    if tally.failing:
        return Finding(reasons.SIDECARS_FAIL, _failure(tally))
    if queue.reason.status == reasons.FALSE:
        return Finding(reasons.QUEUE_TROUBLE, queue.message)
    if not tally.matched:
        return Finding(reasons.NOTHING_TO_DO)
    return Finding(reasons.MESSAGES_FLOW)


def _failure(tally: Tally) -> str:
    last = tally.failing[0]
    after = (
        "" if not last.restarts else " after 1 restart" if last.restarts == 1 else f" after {last.restarts} restarts"
    )
    fails = "1 sidecar does" if len(tally.failing) == 1 else f"{len(tally.failing)} sidecars do"
    return f"{fails} not keep running. In {last.pod}{after}: {last.message or 'nothing was said'}"


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"


def _sidecars(count: int) -> str:
    return "1 sidecar" if count == 1 else f"{count} sidecars"


def _by_type(status: Mapping[str, Any]) -> dict[str, Json]:
    found = status.get("conditions")
    entries = [it for it in found if isinstance(it, dict)] if isinstance(found, list) else []
    return {it["type"]: it for it in entries if isinstance(it.get("type"), str)}


def status_of(standing: Standing, old: Mapping[str, Any], now: str) -> Json:
    """The status as it should be (`now`: RFC 3339). Conditions of other types, which others wrote, stay."""
    before = _by_type(old)
    conditions = []
    for kind, finding in findings(standing).items():
        was = before.get(kind) or {}
        same = was.get("status") == finding.reason.status and isinstance(was.get("lastTransitionTime"), str)
        conditions.append(
            {
                "type": kind,
                "status": finding.reason.status,
                "reason": finding.reason.code,
                "message": _cut(finding.message, MESSAGE_LIMIT),
                "lastTransitionTime": was["lastTransitionTime"] if same else now,
                "observedGeneration": standing.generation,
            }
        )
    others = [it for kind, it in before.items() if kind not in reasons.TYPES]
    conditions += others[: CONDITIONS_LIMIT - len(conditions)]
    status: Json = {
        "observedGeneration": standing.generation,
        "conditions": conditions,
        "pods": _counts(standing.tally),
    }
    if standing.queue_status:
        status["queue"] = standing.queue_status
    return status


def _counts(tally: Tally) -> Json:
    counts: Json = {
        "matched": tally.matched,
        "injected": len(tally.injected),
        "missing": len(tally.missing),
        "stale": len(tally.stale),
        "outdated": tally.outdated,
    }
    if tally.missing:
        counts["missingNames"] = [it.name for it in tally.missing[:NAMES]]
    if tally.stale:
        counts["staleNames"] = [it.name for it in tally.stale[:NAMES]]
    if tally.failing:
        counts["failingNames"] = [it.pod for it in tally.failing[:NAMES]]
        counts["lastFailure"] = _cut(tally.failing[0].message, FAILURE_LIMIT)
        counts["failingRestarts"] = tally.failing[0].restarts
    return counts


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> Json:
    """The JSON merge patch (RFC 7386) from one status to another; empty when nothing changes."""
    out: Json = {key: None for key in old if key not in new}
    for key, value in new.items():
        was = old.get(key)
        if isinstance(value, dict) and isinstance(was, dict):
            inner = merge_patch(was, value)
            if inner:
                out[key] = inner
        elif key not in old or was != value:
            out[key] = value
    return out


class Transition:
    """A condition whose status has changed. `was` is None for a condition that was not there."""

    __slots__ = ("is_", "kind", "message", "reason", "was")

    def __init__(self, kind: str, was: str | None, is_: str, reason: str, message: str) -> None:
        self.kind = kind
        self.was = was
        self.is_ = is_
        self.reason = reason
        self.message = message


def transitions(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Transition]:
    """Which conditions of ours changed their status or, where they are no longer or not yet True, their reason."""
    before = _by_type(old)
    out = []
    for it in new["conditions"]:
        was = before.get(it["type"]) or {}
        if it["type"] not in reasons.TYPES:
            continue
        changed = was.get("status") != it["status"]
        if changed or (it["status"] == reasons.FALSE and was.get("reason") != it["reason"]):
            out.append(Transition(it["type"], was.get("status"), it["status"], it["reason"], it["message"]))
    return out
