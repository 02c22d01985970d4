"""Kubernetes Events: on a binding when a condition turns, on a workload when its pods are left out unexpectedly.

The API server does not tell repeated Events apart, so each has a name made of what it says: a second one, by us or by
the next leader, is refused as existing and costs nothing. An Event that can't be written is let go: the status says the
same.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
from typing import Any

from carrier_operator.kube.client import ApiError, Client
from carrier_operator.models import API_VERSION, KIND

from . import reasons
from .census import Group, Namespace
from .conditions import Transition
from .snapshots import Pod
from .writing import Writer

logger = logging.getLogger(__name__)

NORMAL, WARNING = "Normal", "Warning"
MESSAGE_LIMIT = 1000
TOLD_AT_MOST = 5  # reasons per workload and template; a pod may name many bindings that are not there
REMEMBERED = 20_000  # names of Events that were written


class Subject:
    """What an Event is about."""

    __slots__ = ("api_version", "kind", "name", "namespace", "uid")

    def __init__(self, api_version: str, kind: str, namespace: str, name: str, uid: str) -> None:
        self.api_version = api_version
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.uid = uid

    def reference(self) -> dict[str, str]:
        """As involvedObject."""
        return {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
        }


def binding_subject(namespace: str, name: str, uid: str) -> Subject:
    """A binding."""
    return Subject(API_VERSION, KIND, namespace, name, uid)


class Notices:
    """Writes Events. `reader` is for finding the Deployment of a ReplicaSet."""

    def __init__(self, writer: Writer, reader: Client, component: str) -> None:
        self._writer = writer
        self._reader = reader
        self._component = component
        self._written: dict[str, None] = {}
        self._deployments: dict[str, Subject] = {}

    async def transition(self, subject: Subject, turned: Transition, generation: int) -> None:
        """A condition has turned. Summary and acceptance are told; the rest is in the status."""
        if turned.kind not in (reasons.READY, reasons.ACCEPTED) or (turned.was is None and turned.is_ != reasons.FALSE):
            return
        kind = WARNING if turned.is_ == reasons.FALSE else NORMAL
        now = datetime.datetime.now(datetime.UTC).isoformat()
        await self._tell(subject, kind, turned.reason, turned.message, (subject.uid, str(generation), turned.kind, now))

    async def remaining(self, subject: Subject, count: int) -> None:
        """A binding was deleted while pods carry its sidecar."""
        pods = "1 running pod keeps its sidecar" if count == 1 else f"{count} running pods keep their sidecars"
        message = f"The binding was deleted; {pods} until replaced."
        await self._tell(subject, NORMAL, reasons.SIDECARS_REMAIN.code, message, (subject.uid, "remaining"))

    async def restarted(self, subject: Subject, binding: str, generation: int, template: str) -> None:
        """A workload was restarted."""
        message = f"Restarted, because binding {binding} (generation {generation}) asks for it by spec.rollout."
        facts = (subject.uid, binding, str(generation), template)
        await self._tell(subject, NORMAL, reasons.RESTARTED.code, message, facts)

    async def left_out(self, there: Namespace) -> None:
        """Tells the workloads of a namespace what their pods were denied."""
        for group in list(there.groups.values()):
            unexpected = group.unexpected()
            if not unexpected:
                continue
            for pod in _one_per_owner(group):
                subject = None
                for skipped in unexpected[:TOLD_AT_MOST]:
                    facts = (
                        pod.owner.uid if pod.owner is not None else pod.uid,
                        pod.template_hash or "",
                        skipped.skip.code,
                        skipped.binding or "",
                    )
                    if _name_of(facts) in self._written:
                        continue
                    subject = subject or await self._workload(pod)
                    message = f"{skipped.skip.code}: {skipped.message.removeprefix('carrier: ')}"
                    await self._tell(subject, WARNING, reasons.SIDECAR_LEFT_OUT.code, message, facts)

    async def _workload(self, pod: Pod) -> Subject:
        """What owns the pod; for a ReplicaSet's its Deployment, if that can be found out."""
        owner = pod.owner
        if owner is None:
            return Subject("v1", "Pod", pod.namespace, pod.name, pod.uid)
        version = f"{owner.group}/v1" if owner.group else "v1"
        itself = Subject(version, owner.kind, pod.namespace, owner.name, owner.uid)
        if (owner.group, owner.kind) != ("apps", "ReplicaSet"):
            return itself
        if owner.uid not in self._deployments:
            path = f"/apis/apps/v1/namespaces/{pod.namespace}/replicasets/{owner.name}"
            try:
                found = await self._reader.request("GET", path)
            except ApiError as error:
                if error.status == 404:
                    return itself
                raise
            above = next((it for it in found["metadata"].get("ownerReferences") or () if it.get("controller")), None)
            if above is None:
                return itself
            if len(self._deployments) >= REMEMBERED:
                self._deployments.clear()
            self._deployments[owner.uid] = Subject(
                above["apiVersion"], above["kind"], pod.namespace, above["name"], above["uid"]
            )
        return self._deployments[owner.uid]

    async def _tell(self, subject: Subject, kind: str, reason: str, message: str, facts: tuple[str, ...]) -> None:
        """One Event, unless one of that name was written. ApiError only where trying again may help."""
        name = _name_of(facts)
        if name in self._written:
            return
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": subject.namespace},
            "involvedObject": subject.reference(),
            "type": kind,
            "reason": reason,
            "message": message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…",
            "source": {"component": "carrier-controller"},
            "reportingComponent": "carrier.dev/controller",
            "reportingInstance": self._component,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._writer.write("event", "POST", f"/api/v1/namespaces/{subject.namespace}/events", event)
        except ApiError as error:
            if error.status == 0 or error.status == 429 or error.status >= 500:
                raise
            # 409: told already. 403, 404: the namespace is going.
            if error.status not in (403, 404, 409):
                logger.warning("an Event was refused", extra={"fields": {"error": str(error), "reason": reason}})
        if len(self._written) >= REMEMBERED:
            for old in list(self._written)[: REMEMBERED // 2]:
                del self._written[old]
        self._written[name] = None


def _one_per_owner(group: Group) -> list[Pod]:
    found: dict[str, Pod] = {}
    for pod in group.pods.values():
        found.setdefault(pod.owner.uid if pod.owner is not None else pod.uid, pod)
    return list(found.values())


def _name_of(facts: tuple[str, ...]) -> str:
    return f"carrier-{hashlib.sha256(chr(0).join(facts).encode()).hexdigest()[:24]}"
