"""What the controller keeps of a pod: small, and shared where pods are alike. Pure.

A `Shape` is all of a pod that selection and injection look at, without our own sidecars; pods of one template share
one. A `Pod` is the rest: identity, owner, its sidecars and how they fare. 20,000 pods are a few megabytes of these; as
they come from the API server they would be hundreds.
"""

from __future__ import annotations

import datetime
import json
import sys
import weakref
from collections.abc import Mapping
from typing import Any

from carrier_operator import pods
from carrier_operator.annotation import read_status
from carrier_operator.container import MASK_VOLUME
from carrier_operator.inject import DEFAULT_GRACE_S, standing_token
from carrier_operator.pods import BadPod, Json

MESSAGE_LIMIT = 512  # characters kept of what a sidecar said when it ended
STEADY_S = 60.0  # a sidecar that ended twice, last after less than this, is not believed before it has run so long
FAILING_RESTARTS = 2  # restarts from which on a sidecar that is down, or has just ended, counts as failing
_ANNOTATIONS = (
    pods.INJECT,
    pods.BINDING,
    pods.DRAIN_BARRIER,
    "kubernetes.io/config.mirror",
    "kubernetes.io/config.source",
)
_NODE_LABELS = ("kubernetes.io/os", "beta.kubernetes.io/os")
# What tells the templates of one workload apart: of Deployments, then of StatefulSets and DaemonSets.
_HASH_LABELS = ("pod-template-hash", "controller-revision-hash")
_HASH_LENGTH = 16  # of container.rendered_hash; the annotation is anybody's, and may have what it likes in its place


class Owner:
    """The controller of a pod as the pod names it. `group` is empty for the core group. The pods of one share one."""

    __slots__ = ("__weakref__", "group", "kind", "name", "uid")

    def __init__(self, group: str, kind: str, name: str, uid: str) -> None:
        self.group = group
        self.kind = kind
        self.name = name
        self.uid = uid

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Owner) and self.uid == other.uid

    def __hash__(self) -> int:
        return hash(self.uid)


class Shape:
    """What decides about a pod. `digest` is all of it as text, and tells shapes apart."""

    __slots__ = ("__weakref__", "digest", "grace_s", "host_network", "labels", "named", "names_bindings", "namespace")

    def __init__(self, namespace: str, digest: str, document: Json, grace_s: int) -> None:
        self.namespace = namespace
        self.digest = digest
        self.grace_s = grace_s
        self.host_network = pods.host_network(document)
        metadata = pods.mapping(document, "metadata")
        self.labels = pods.texts(metadata, "labels")
        annotations = pods.texts(metadata, "annotations")
        self.names_bindings = pods.BINDING in annotations
        self.named = pods.INJECT in annotations or self.names_bindings

    @property
    def document(self) -> Json:
        """It in the form of a pod. Decoded when asked for: that is seldom, and decoded it is six times as large."""
        document: Json = json.loads(self.digest)[1]
        return document


class Sidecar:
    """One sidecar of ours in a pod. `probe_port` is None where it can't be reached from outside the pod."""

    __slots__ = (
        "binding",
        "failing",
        "generation",
        "hash",
        "message",
        "probe_port",
        "proven_at",
        "restarts",
        "running",
        "starts_suspended",
        "token",
    )

    def __init__(self, binding: str) -> None:
        self.binding = binding
        self.generation: int | None = None
        self.hash: str | None = None
        self.probe_port: int | None = None
        self.token: str | None = None
        self.starts_suspended = False
        self.running = False
        self.restarts = 0
        self.failing = False
        self.proven_at: float | None = None  # Unix seconds: a running one may as well end again before
        self.message = ""

    def unproven_s(self, now: float) -> float:
        """How long it has yet to run until it counts as well; 0 when it does. (Nodes' clocks may differ from ours.)"""
        left_s = 0.0 if self.proven_at is None else self.proven_at - now
        return left_s if 0 < left_s <= STEADY_S else 0.0


class Pod:
    """One pod that runs or will (`created`: Unix seconds)."""

    __slots__ = ("created", "ip", "name", "namespace", "owner", "ready", "shape", "sidecars", "template_hash", "uid")

    def __init__(
        self,
        namespace: str,
        name: str,
        uid: str,
        created: float,
        shape: Shape,
        owner: Owner | None,
        template_hash: str | None,
        sidecars: tuple[Sidecar, ...],
        ip: str | None,
        *,
        ready: bool,
    ) -> None:
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self.created = created
        self.shape = shape
        self.owner = owner
        self.template_hash = template_hash
        self.sidecars = sidecars
        self.ip = ip
        self.ready = ready

    def sidecar_of(self, binding: str) -> Sidecar | None:
        """Its sidecar of this binding."""
        return next((it for it in self.sidecars if it.binding == binding), None)

    @property
    def workload(self) -> tuple[str, str] | None:
        """Kind and name of what a person would restart. A ReplicaSet's Deployment is read off its name, as kubectl's
        users know it; None for a bare pod.
        """
        if self.owner is None:
            return None
        suffix = f"-{self.template_hash}"
        if self.owner.kind == "ReplicaSet" and self.template_hash and self.owner.name.endswith(suffix):
            return "Deployment", self.owner.name[: -len(suffix)]
        return self.owner.kind, self.owner.name


class Shapes:
    """What pods have in common: each shape and each owner once, as long as anybody has it."""

    def __init__(self) -> None:
        self._known: weakref.WeakValueDictionary[str, Shape] = weakref.WeakValueDictionary()
        self._owners: weakref.WeakValueDictionary[tuple[str, str, str, str], Owner] = weakref.WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._known)

    def take(self, namespace: str, document: Json, grace_s: int) -> Shape:
        """The shape of such a pod."""
        digest = json.dumps([namespace, document, grace_s], sort_keys=True, separators=(",", ":"))
        found = self._known.get(digest)
        if found is None:
            found = self._known[digest] = Shape(namespace, digest, document, grace_s)
        return found

    def owner(self, group: str, kind: str, name: str, uid: str) -> Owner:
        """The owner of these words."""
        key = (group, kind, name, uid)
        found = self._owners.get(key)
        if found is None:
            found = self._owners[key] = Owner(group, kind, name, uid)
        return found


def snapshot(document: Mapping[str, Any], shapes: Shapes) -> Pod | None:
    """A pod as the API server has it. None for one that has ended or is going, or is not shaped like a pod."""
    try:
        return _snapshot(document, shapes)
    except BadPod:
        return None


def _snapshot(document: Mapping[str, Any], shapes: Shapes) -> Pod | None:
    metadata, spec, status = (pods.mapping(document, key) for key in ("metadata", "spec", "status"))
    if metadata.get("deletionTimestamp") is not None or status.get("phase") in ("Succeeded", "Failed"):
        return None
    name, uid = str(metadata.get("name") or ""), str(metadata.get("uid") or "")
    # What is the same in many pods is kept once (sys.intern), here and below.
    namespace = sys.intern(str(metadata.get("namespace") or ""))
    sidecars = _sidecars(document, status)
    grace_s = pods.number(spec, "terminationGracePeriodSeconds", DEFAULT_GRACE_S)
    labels = pods.texts(metadata, "labels")
    ip = status.get("podIP")
    return Pod(
        namespace,
        name,
        uid,
        unix_seconds(metadata.get("creationTimestamp")) or 0.0,
        shapes.take(namespace, _shape(metadata, spec), grace_s),
        _owner(metadata, shapes),
        next((sys.intern(labels[it]) for it in _HASH_LABELS if it in labels), None),
        sidecars,
        ip if isinstance(ip, str) and ip else None,
        ready=any(
            it.get("type") == "Ready" and it.get("status") == "True" for it in pods.objects(status, "conditions")
        ),
    )


def _shape(metadata: Json, spec: Json) -> Json:
    """What selection and injection read, and nothing of ours."""
    annotations = pods.texts(metadata, "annotations")
    node = pods.mapping(spec, "nodeSelector")
    return {
        "metadata": {
            "labels": dict(pods.texts(metadata, "labels")),
            "annotations": {key: annotations[key] for key in _ANNOTATIONS if key in annotations},
            "ownerReferences": [{"kind": it.get("kind")} for it in pods.objects(metadata, "ownerReferences")],
        },
        "spec": {
            "hostNetwork": spec.get("hostNetwork") is True,
            "os": {"name": pods.mapping(spec, "os").get("name")},
            "nodeSelector": {key: node[key] for key in _NODE_LABELS if key in node},
            "restartPolicy": spec.get("restartPolicy", "Always"),
            "initContainers": _containers(spec, "initContainers"),
            "containers": _containers(spec, "containers"),
            "ephemeralContainers": [{"name": it.get("name")} for it in pods.objects(spec, "ephemeralContainers")],
            "volumes": [{"name": it.get("name")} for it in pods.objects(spec, "volumes") if _of_template(it)],
        },
    }


def _of_template(volume: Json) -> bool:
    """Not ours, and not the API token's, whose name is another in every pod."""
    name = str(volume.get("name"))
    return name != MASK_VOLUME and not name.startswith("kube-api-access-")


def _containers(spec: Json, key: str) -> list[Json]:
    return [
        {
            "name": it.get("name"),
            "ports": [
                {"name": port.get("name"), "containerPort": port.get("containerPort")}
                for port in pods.objects(it, "ports")
            ],
        }
        for it in pods.objects(spec, key)
        if not pods.is_ours(it)
    ]


def _owner(metadata: Json, shapes: Shapes) -> Owner | None:
    for it in pods.objects(metadata, "ownerReferences"):
        if it.get("controller") is True:
            group = str(it.get("apiVersion") or "").rpartition("/")[0]
            return shapes.owner(group, str(it.get("kind")), str(it.get("name")), str(it.get("uid")))
    return None


def _sidecars(document: Mapping[str, Any], status: Json) -> tuple[Sidecar, ...]:
    ours = pods.our_containers(document)
    if not ours:
        return ()
    said = read_status(document)
    token = standing_token(document)
    host_network = pods.host_network(document)
    states = {
        str(it.get("name")): it
        for key in ("initContainerStatuses", "containerStatuses")
        for it in pods.objects(status, key)
    }
    out = []
    for name, container in ours.items():
        sidecar = Sidecar(sys.intern(name[len(pods.CONTAINER_PREFIX) :]))
        entry = said.of(sidecar.binding)
        if entry is not None:
            sidecar.generation, sidecar.hash = entry.generation, sys.intern(entry.hash[:_HASH_LENGTH])
        sidecar.token = token
        sidecar.probe_port = None if host_network else _port(pods.env_value(container, "CARRIER_PROBE_ADDRESS"))
        sidecar.starts_suspended = pods.env_value(container, "CARRIER_SUSPENDED") == "true"
        _fate(sidecar, states.get(name) or {})
        out.append(sidecar)
    return tuple(out)


def _fate(sidecar: Sidecar, state: Json) -> None:
    """How the container fares, from its status."""
    now, last = pods.mapping(state, "state"), pods.mapping(state, "lastState")
    sidecar.restarts = pods.number(state, "restartCount", 0)
    sidecar.running = "running" in now
    waiting = pods.mapping(now, "waiting").get("reason")
    ended = pods.mapping(now, "terminated") or pods.mapping(last, "terminated")
    down = waiting == "CrashLoopBackOff" or "terminated" in now or state.get("ready") is False
    sidecar.failing = waiting == "CrashLoopBackOff" or (down and sidecar.restarts >= FAILING_RESTARTS)
    if waiting in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"):
        sidecar.failing = True
        sidecar.message = str(pods.mapping(now, "waiting").get("message") or waiting)[:MESSAGE_LIMIT]
        return
    if sidecar.running and not sidecar.failing:
        sidecar.proven_at = _proven_at(sidecar.restarts, pods.mapping(now, "running"), ended)
    if ended and (sidecar.failing or sidecar.proven_at is not None):
        sidecar.message = _last_words(ended)


def _last_words(ended: Json) -> str:
    reason, text = ended.get("reason"), str(ended.get("message") or "").strip()
    telling = reason not in (None, "Error", "Completed")  # those say no more than the code does
    why = f" ({reason})" if telling else ""
    return f"exit code {ended.get('exitCode')}{why}" + (f": {text[-MESSAGE_LIMIT:]}" if text else "")


def _proven_at(restarts: int, life: Json, before: Json) -> float | None:
    """Between two ends of a crash loop a container runs for a moment: that is no recovery."""
    started = unix_seconds(life.get("startedAt"))
    began, ended = unix_seconds(before.get("startedAt")), unix_seconds(before.get("finishedAt"))
    if restarts < FAILING_RESTARTS or started is None or began is None or ended is None or ended - began >= STEADY_S:
        return None
    return started + STEADY_S


def _port(address: str | None) -> int | None:
    """The port of `:9464`, None for an address on loopback."""
    host, _, digits = (address or "").rpartition(":")
    if host or not (digits.isascii() and digits.isdigit()) or not 0 < int(digits) < 65536:
        return None
    return int(digits)


def unix_seconds(text: object) -> float | None:
    """An RFC 3339 time of the API server as Unix seconds; None when it is none."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
