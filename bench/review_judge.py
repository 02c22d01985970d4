"""Judges answers to fuzzed reviews by the documented rules alone: shares no code with the injector that it judges.

It knows the bindings of review_corpus.py: which of them are accepted, and whom they select.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import jsonpatch

Json = dict[str, Any]

# Accepted bindings by namespace: the labels that they select (None: no selector).
ACCEPTED: dict[str, dict[str, dict[str, str] | None]] = {
    "shop": {"orders": {"app": "orders"}, "audit": {"audited": "yes"}, "second": {"app": "orders"}, "refunds": None},
    "billing": {"only": None, "mounts": None},
    "kube-public": {"orders": {"app": "orders"}},
}
ON_HOST_NETWORK = {("shop", "refunds")}
NEVER_NATIVE = {("shop", "audit")}
WITHOUT_BARRIER = {("shop", "second")}
MIRRORED = {
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_STS_REGIONAL_ENDPOINTS",
}
STATUS = "carrier.dev/status"
LONGEST_WARNING = 120


def _refuse(word: str) -> float:
    raise ValueError(word)


def pod_creation(body: bytes) -> Json | None:
    """The request, if this is the review of a pod's creation."""
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_refuse)
        json.dumps(document, allow_nan=False)
        request = document["request"]
        right = (
            document["kind"] == "AdmissionReview"
            and document["apiVersion"] == "admission.k8s.io/v1"
            and request["operation"] == "CREATE"
            and request["resource"] == {"group": "", "version": "v1", "resource": "pods"}
            and not request.get("subResource")
            and request["object"]["kind"] == "Pod"
            and request["object"]["apiVersion"] == "v1"
            and all(isinstance(request[key], str) and request[key] for key in ("uid", "namespace"))
        )
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None
    return request if right else None


def entitled(namespace: str, pod: Json) -> set[str]:
    """The bindings whose sidecars a pod of this namespace may get."""
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    if "kubernetes.io/config.mirror" in annotations:
        return set()
    owners = [it.get("kind") for it in metadata.get("ownerReferences") or ()]
    if "Node" in owners:
        return set()
    if annotations.get("kubernetes.io/config.source") not in (None, "api"):
        return set()
    node = spec.get("nodeSelector") or {}
    if (spec.get("os") or {}).get("name") == "windows" or "windows" in (
        node.get("kubernetes.io/os"),
        node.get("beta.kubernetes.io/os"),
    ):
        return set()
    if annotations.get("carrier.dev/inject") not in (None, "true"):
        return set()
    accepted = ACCEPTED.get(namespace, {})
    names = [name for name in map(str.strip, annotations.get("carrier.dev/binding", "").split(",")) if name]
    selected = {
        name
        for name, wanted in accepted.items()
        if wanted is not None and all(labels.get(key) == value for key, value in wanted.items())
    }
    alone = [name for name, wanted in accepted.items() if wanted is None]
    if names:
        chosen = accepted.keys() & set(names)
    elif selected:
        chosen = selected
    else:
        chosen = set(alone) if len(alone) == 1 and annotations.get("carrier.dev/inject") == "true" else set()
    if spec.get("hostNetwork") is True:
        chosen = {name for name in chosen if (namespace, name) in ON_HOST_NETWORK}
    if spec.get("restartPolicy") in ("Never", "OnFailure") or "Job" in owners:
        chosen = {name for name in chosen if (namespace, name) not in NEVER_NATIVE}
    return chosen


def _containers(pod: Json) -> list[Json]:
    spec = pod.get("spec") or {}
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def _ours(container: Json) -> bool:
    names = [it.get("name") for it in container.get("env") or ()]
    return str(container.get("name")).startswith("carrier-") and "CARRIER_SQS_ENDPOINT" in names


def _plain(container: Json) -> Json:
    """The container without the pause hook, and without what is empty around it."""
    lifecycle = dict(container.get("lifecycle") or {})
    hook = lifecycle.get("preStop")
    path = (hook.get("httpGet") or {}).get("path") if hook else None
    if not hook or (isinstance(path, str) and path.startswith("/pause/")):
        lifecycle.pop("preStop", None)
    rest = {key: value for key, value in container.items() if key != "lifecycle"}
    return {**rest, "lifecycle": lifecycle} if lifecycle else rest


class Judge:
    """Complaints about answers; `image` is the only one that a sidecar may have."""

    def __init__(self, image: str) -> None:
        self._image = image

    def complaint(self, body: bytes, whole: bool, status: int, payload: bytes) -> str | None:
        """What is wrong about the answer to a review; None when nothing is. `whole`: it must be answered."""
        if status != 200:
            if status != 400 or whole:
                return f"status {status}: {payload[:200]!r}"
            return "a refusal that says allowed" if b"allowed" in payload or not payload else None
        request = pod_creation(body)
        if request is None:
            return "an answer to what is not the review of a pod's creation"
        document = json.loads(payload, parse_constant=_refuse)
        response = document["response"]
        if (document["apiVersion"], document["kind"]) != ("admission.k8s.io/v1", "AdmissionReview"):
            return "not an AdmissionReview of v1"
        if response["uid"] != request["uid"] or response["allowed"] is not True:
            return f"uid or allowed: {payload[:200]!r}"
        warnings = response.get("warnings", [])
        if any(not 0 < len(it) <= LONGEST_WARNING for it in warnings):
            return f"a warning of the wrong length: {warnings}"
        if "patch" not in response:
            missing = entitled(request["namespace"], request["object"])
            there = {it["name"] for it in _containers(request["object"])}
            missing = {name for name in missing if f"carrier-{name}" not in there}
            return f"nothing done and nothing said about {missing}" if missing and not warnings else None
        patch = json.loads(base64.b64decode(response["patch"], validate=True), parse_constant=_refuse)
        before: Json = request["object"]
        return self._changed(request["namespace"], before, jsonpatch.apply_patch(before, patch), warnings)

    def _changed(self, namespace: str, before: Json, after: Json, warnings: list[str]) -> str | None:
        allowed = {f"carrier-{name}" for name in entitled(namespace, before)}
        there = {it["name"] for it in _containers(before)}
        mine = {it["name"]: it for it in _containers(after) if _ours(it) and it["name"] in allowed}
        added = {it["name"] for it in _containers(after)} - there
        if added - allowed:
            return f"sidecars that nothing entitles the pod to: {added - allowed}"
        if (allowed - mine.keys()) and not warnings:
            return f"left out without a word: {allowed - mine.keys()}"
        for key in ("containers", "initContainers"):
            old = [it for it in (before.get("spec") or {}).get(key) or () if it["name"] not in mine]
            new = [it for it in after["spec"].get(key) or () if it["name"] not in mine]
            if [it["name"] for it in old] != [it["name"] for it in new]:
                return f"{key} in another order: {[it['name'] for it in new]}"
            for was, now in zip(old, new, strict=True):
                if was != now and (key == "initContainers" or _plain(was) != _plain(now)):
                    return f"container {was['name']} is not what it was"
        return self._parts(before, after) or next(filter(None, map(self._sidecar, mine.values())), None)

    def _parts(self, before: Json, after: Json) -> str | None:
        """All but the containers."""
        for part, may in (("spec", {"containers", "initContainers", "volumes"}), ("metadata", {"annotations"})):
            old, new = before.get(part) or {}, after.get(part) or {}
            changed = {
                key for key in old.keys() | new.keys() if (key in old) != (key in new) or old.get(key) != new.get(key)
            }
            if changed - may:
                return f"{part} changed in {changed - may}"
        if {key for key in before if key not in ("spec", "metadata")} != {
            key for key in after if key not in ("spec", "metadata")
        }:
            return "the pod has other parts"
        old = (before.get("metadata") or {}).get("annotations") or {}
        new = after["metadata"]["annotations"]
        if {k: v for k, v in old.items() if k != STATUS} != {k: v for k, v in new.items() if k != STATUS}:
            return "annotations of others changed"
        volumes = (after["spec"].get("volumes") or [])[: len((before.get("spec") or {}).get("volumes") or ())]
        return None if volumes == ((before.get("spec") or {}).get("volumes") or []) else "volumes changed"

    def _sidecar(self, container: Json) -> str | None:
        if container["image"] != self._image:
            return f"image {container['image']}"
        security = container["securityContext"]
        if security["allowPrivilegeEscalation"] is not False or security["runAsNonRoot"] is not True:
            return f"securityContext {security}"
        names = [it["name"] for it in container["env"]]
        if len(set(names)) != len(names):
            return f"variables twice: {names}"
        return None
