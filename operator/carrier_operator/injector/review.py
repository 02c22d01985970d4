"""AdmissionReview v1: bytes in, a pod creation out, and the answer's bytes back. Pure and strict.

What is not exactly the review that we asked for is a BadReview: an answer that says "allowed" by accident would hide
that something is set up wrongly.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from typing import Any

from carrier_operator.inject import Injection
from carrier_operator.pods import Json

API_VERSION = "admission.k8s.io/v1"
PODS = {"group": "", "version": "v1", "resource": "pods"}


class BadReview(ValueError):
    """Not a review of a pod's creation; the message says why not."""


class Review:
    """A pod that is to be created. `name` may be empty (generateName); `namespace` is the request's."""

    __slots__ = ("dry_run", "name", "namespace", "pod", "uid")

    def __init__(self, uid: str, namespace: str, name: str, pod: Json, *, dry_run: bool) -> None:
        self.uid = uid
        self.namespace = namespace
        self.name = name
        self.pod = pod
        self.dry_run = dry_run


def decode(body: bytes) -> Review:
    """The review of a request's body. BadReview when it is anything else."""
    try:
        # Decoded here: json.loads would guess at UTF-16 and UTF-32, and let surrogates through.
        document = json.loads(body.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise BadReview(f"not JSON: {type(error).__name__}") from error
    if not isinstance(document, dict) or document.get("kind") != "AdmissionReview":
        raise BadReview("kind is not AdmissionReview")
    if document.get("apiVersion") != API_VERSION:
        raise BadReview(f"apiVersion is not {API_VERSION}")
    request = document.get("request")
    if not isinstance(request, dict):
        raise BadReview("request is missing")
    uid = _text(request, "uid")
    if request.get("resource") != PODS:
        raise BadReview("request.resource is not pods of v1")
    if request.get("subResource"):
        raise BadReview("request.subResource is not empty")
    if request.get("operation") != "CREATE":
        raise BadReview("request.operation is not CREATE")
    namespace = _text(request, "namespace")
    pod = request.get("object")
    if not isinstance(pod, dict) or pod.get("kind") != "Pod" or pod.get("apiVersion") != "v1":
        raise BadReview("request.object is not a Pod of v1")
    name = request.get("name") or ""
    if not isinstance(name, str):
        raise BadReview("request.name is no text")
    dry_run = request.get("dryRun", False)
    if not isinstance(dry_run, bool):
        raise BadReview("request.dryRun is no boolean")
    return Review(uid, namespace, name, pod, dry_run=dry_run)


def encode(uid: str, injection: Injection) -> bytes:
    """The answer: allowed always, with the patch and the warnings if there are any."""
    response: dict[str, Any] = {"uid": uid, "allowed": True, "auditAnnotations": _audit(injection)}
    if injection.patch:
        patch = json.dumps(injection.patch, separators=(",", ":")).encode()
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(patch).decode()}
    if injection.warnings:
        response["warnings"] = list(injection.warnings)
    document = {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}
    return json.dumps(document, separators=(",", ":")).encode()


def _audit(injection: Injection) -> dict[str, str]:
    found = {"row": injection.verdict.row.name}
    if injection.injected:
        found["injected"] = ",".join(binding.name for binding in injection.injected)
    if injection.skipped:
        found["skipped"] = ",".join(_codes(injection))
    return found


def _codes(injection: Injection) -> Sequence[str]:
    return [skipped.skip.code for skipped in injection.skipped]


def _text(request: Json, key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str) or not value:
        raise BadReview(f"request.{key} is missing")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _finite(digits: str) -> float:
    """1e999 would be read as infinity, which can't be written as JSON again."""
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(digits)
    return value
