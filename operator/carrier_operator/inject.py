"""Injection: pod, namespace, bindings, cluster facts and a token in; a patch, or reasons, out. Pure.

The same function serves the webhook (token: random) and carrierctl (token: a hash, so that output in Git is stable).
Whether is selection.py's, which ports and whether it can be done is plan.py's, what the container looks like is
container.py's; here is where it goes and what else the pod gets: the drain barrier's hooks, the mask over the API
token, the annotation. Applied to its own result it changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from . import annotation, container, patch, pods, render, selection
from .container import ClusterFacts
from .identity import Identity, identity_of
from .models import Binding
from .plan import Planned, plan
from .pods import Json
from .policy import Unaccepted
from .rules import seconds
from .selection import MESSAGE_LIMIT, Skipped

_TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,256}")
DEFAULT_GRACE_S = 30
GRACE_MARGIN_S = 5


class Injection:
    """What becomes of one pod. `pod` is the pod as it will be; `patch` leads there and is empty when nothing
    changes.
    """

    __slots__ = ("injected", "patch", "pod", "skipped", "verdict", "warnings")

    def __init__(
        self,
        pod: Json,
        operations: list[patch.Operation],
        verdict: selection.Verdict,
        injected: Sequence[Binding],
        skipped: Sequence[Skipped],
        warnings: Sequence[str],
    ) -> None:
        self.pod = pod
        self.patch = operations
        self.verdict = verdict
        self.injected = tuple(injected)
        self.skipped = tuple(skipped)
        self.warnings = tuple(warnings)


def inject(
    pod: Mapping[str, Any],
    namespace: str,
    bindings: Sequence[Binding | Unaccepted],
    cluster: ClusterFacts,
    token: str,
    *,
    completes: bool | None = None,
) -> Injection:
    """What `bindings` (of any namespaces; those of `namespace` count) make of `pod`. BadPod when it is not shaped like
    one.

    `namespace` is the request's: the object's own may be empty. `token` is used unless the pod has one; `completes` is
    given for templates, whose owner can't be read from the pod.
    """
    pods.check_shape(pod)
    here = [binding for binding in bindings if binding.namespace == namespace]
    verdict = selection.select(selection.Facts(pod, here, native=cluster.native, completes=completes))
    planned, unplanned = plan(pod, verdict.chosen, cluster)
    skipped = [*verdict.skipped, *unplanned]
    warnings: list[str] = []
    changed = dict(pod)
    if planned:
        changed = _apply(pod, namespace, planned, cluster, token, warnings)
    warnings = [it.message for it in skipped if it.skip.unexpected] + warnings
    injected = [it.binding for it in planned]
    return Injection(changed, patch.diff(dict(pod), changed), verdict, injected, skipped, warnings)


def decide(
    pod: Mapping[str, Any], namespace: str, bindings: Sequence[Binding | Unaccepted], cluster: ClusterFacts
) -> tuple[tuple[Binding, ...], tuple[Skipped, ...]]:
    """The first half of `inject` alone: which bindings the pod gets, and what is left out and why. BadPod."""
    pods.check_shape(pod)
    here = [binding for binding in bindings if binding.namespace == namespace]
    verdict = selection.select(selection.Facts(pod, here, native=cluster.native))
    planned, unplanned = plan(pod, verdict.chosen, cluster)
    return tuple(it.binding for it in planned), (*verdict.skipped, *unplanned)


def offline_token(pod: Mapping[str, Any], bindings: Sequence[Binding | Unaccepted]) -> str:
    """A token that is the same for the same template and bindings, so that a second run prints the same manifest."""
    spec = pods.mapping(pod, "spec")
    kept = [it for it in pods.all_containers(pod) if not pods.is_ours(it)]
    text = json.dumps(
        [kept, spec.get("serviceAccountName"), sorted(it.name for it in bindings)], sort_keys=True, default=str
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def standing_token(pod: Mapping[str, Any]) -> str | None:
    """The token that the pod's sidecars have already."""
    for it in pods.our_containers(pod).values():
        found = pods.env_value(it, "CARRIER_DRAIN_TOKEN")
        if found is not None and _TOKEN.fullmatch(found):
            return found
    return None


def _apply(
    pod: Mapping[str, Any],
    namespace: str,
    planned: Sequence[Planned],
    cluster: ClusterFacts,
    token: str,
    warnings: list[str],
) -> Json:
    spec = pods.mapping(pod, "spec")
    metadata = pods.mapping(pod, "metadata")
    token = standing_token(pod) or token
    barriers = [it.probe_port for it in planned if it.barrier]
    identity_sources = pods.app_containers(pod)
    guaranteed = _is_guaranteed(pod)
    mask = spec.get("automountServiceAccountToken") is not False
    made = list(annotation.read_status(pod).made)

    finished: dict[str, Json] = {}
    disagreeing: dict[str, None] = {}
    for it in planned:
        identity = identity_of(identity_sources, it.webhook_port)
        disagreeing.update(dict.fromkeys(identity.disagreeing))
        wanted = _wanted(pod, namespace, it, cluster, token, barriers, identity, guaranteed=guaranteed, mask=mask)
        finished[wanted["name"]] = container.overlay(it.standing, wanted) if it.standing is not None else wanted
    if disagreeing:
        warnings.append(
            f"carrier: containers disagree on {', '.join(disagreeing)}; the handler's counts"[:MESSAGE_LIMIT]
        )
    _warn_of_grace(spec, planned, warnings)

    native = {pods.container_name(it.binding.name) for it in planned if it.native}
    new_spec = dict(spec)
    inits = [it for it in pods.objects(spec, "initContainers") if it.get("name") not in finished]
    inits += [it for name, it in finished.items() if name in native]
    ordinary = [it for it in pods.objects(spec, "containers") if it.get("name") not in finished]
    ordinary = [_with_hook(it, token, barriers, made) for it in ordinary]
    ordinary += [it for name, it in finished.items() if name not in native]
    if inits or "initContainers" in spec:
        _note_made(made, spec, "initContainers", "spec.initContainers")
        new_spec["initContainers"] = inits
    new_spec["containers"] = ordinary
    if mask and not pods.named(pods.objects(spec, "volumes"), container.MASK_VOLUME):
        _note_made(made, spec, "volumes", "spec.volumes")
        new_spec["volumes"] = [*pods.objects(spec, "volumes"), container.mask_volume()]
    _note_made(made, pod, "metadata", "metadata")
    _note_made(made, metadata, "annotations", "metadata.annotations")
    annotations = {**pods.texts(metadata, "annotations"), pods.STATUS: _status(pod, planned, cluster, made)}
    return {**pod, "metadata": {**metadata, "annotations": annotations}, "spec": new_spec}


def _wanted(
    pod: Mapping[str, Any],
    namespace: str,
    it: Planned,
    cluster: ClusterFacts,
    token: str,
    barriers: Sequence[int],
    identity: Identity,
    *,
    guaranteed: bool,
    mask: bool,
) -> Json:
    host_network = pods.host_network(pod)
    # The app's one hook goes to the first sidecar with a barrier, which asks the others.
    first = bool(barriers) and it.probe_port == barriers[0]
    place = render.Place(
        webhook_port=it.webhook_port,
        health_port=it.health_port,
        probe_address=f"{'127.0.0.1' if host_network else ''}:{it.probe_port}",
        token=token,
        peers=tuple(f"127.0.0.1:{port}" for port in barriers[1:]) if first else (),
    )
    facts = container.PodFacts(
        native=it.native,
        probe_port=it.probe_port,
        identity=identity,
        host_network=host_network,
        barrier=it.barrier,
        guaranteed=guaranteed,
        cpu_limited=namespace in cluster.cpu_limited,
        root=pods.mapping(pods.mapping(pod, "spec"), "securityContext").get("runAsUser") == 0,
        mask_token=mask,
    )
    return container.sidecar_container(it.binding, place, facts, cluster)


def _with_hook(it: Json, token: str, barriers: Sequence[int], made: list[str]) -> Json:
    """An app's container with the pause hook, unless it has a preStop of its own or is another sidecar of ours."""
    if pods.is_ours(it):
        return it
    lifecycle = pods.mapping(it, "lifecycle")
    standing = lifecycle.get("preStop")
    if standing is not None and not is_our_hook(standing, token):
        return it
    if barriers:
        wanted = container.hook("pause", token, barriers[0])
        if standing == wanted:
            return it
        _note_made(made, it, "lifecycle", f"spec.containers.{it.get('name')}.lifecycle")
        return {**it, "lifecycle": {**lifecycle, "preStop": wanted}}
    return without_hook(it, token, made) if standing is not None else it


def is_our_hook(handler: object, token: str) -> bool:
    """Is this preStop handler the pause hook of a sidecar with this token?"""
    if not isinstance(handler, dict) or not isinstance(handler.get("httpGet"), dict):
        return False
    return bool(handler["httpGet"].get("path") == f"/pause/{token}")


def without_hook(it: Json, token: str, made: Sequence[str]) -> Json:
    """The container without our hook, and without the lifecycle if we made it."""
    lifecycle = pods.mapping(it, "lifecycle")
    if not is_our_hook(lifecycle.get("preStop"), token):
        return it
    rest = {key: value for key, value in lifecycle.items() if key != "preStop"}
    if not rest and f"spec.containers.{it.get('name')}.lifecycle" in made:
        return {key: value for key, value in it.items() if key != "lifecycle"}
    return {**it, "lifecycle": rest}


def _note_made(made: list[str], parent: Mapping[str, Any], key: str, path: str) -> None:
    if parent.get(key) is None and path not in made:
        made.append(path)


def _status(pod: Mapping[str, Any], planned: Sequence[Planned], cluster: ClusterFacts, made: Sequence[str]) -> str:
    names = {it.binding.name for it in planned}
    ours = pods.our_containers(pod)
    kept = [
        it
        for it in annotation.read_status(pod).sidecars
        if it.binding not in names and pods.container_name(it.binding) in ours
    ]
    new = [
        annotation.Injected(it.binding.name, it.binding.generation, container.rendered_hash(it.binding, cluster))
        for it in planned
    ]
    return annotation.InjectionStatus([*kept, *new], made).text()


def _warn_of_grace(spec: Json, planned: Sequence[Planned], warnings: list[str]) -> None:
    grace_s = pods.number(spec, "terminationGracePeriodSeconds", DEFAULT_GRACE_S)
    needed_s = max(seconds(it.binding.spec.sidecar.shutdown_timeout) for it in planned) + GRACE_MARGIN_S
    if grace_s < needed_s:
        warnings.append(
            f"carrier: terminationGracePeriodSeconds {grace_s} is less than shutdownTimeout + {GRACE_MARGIN_S} s "
            f"({needed_s:g}): messages may be cut"[:MESSAGE_LIMIT]
        )


def _is_guaranteed(pod: Mapping[str, Any]) -> bool:
    """Would the pod be of QoS class Guaranteed without us? Every container's CPU and memory requests equal its
    limits.
    """
    others = [it for it in pods.all_containers(pod) if not pods.is_ours(it)]
    for it in others:
        resources = pods.mapping(it, "resources")
        limits, requests = pods.mapping(resources, "limits"), pods.mapping(resources, "requests")
        for what in ("cpu", "memory"):
            if what not in limits or str(requests.get(what, limits[what])) != str(limits[what]):
                return False
    return bool(others)
