"""The sidecar's container, as a Kubernetes object, from a binding and what the pod adds to it. Pure.

Also here: how what stands in a pod already is completed without undoing what others added (`overlay`), and the hash by
which the controller tells a sidecar that another version of the operator rendered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from typing import Any

from . import pods, render
from .identity import Identity
from .models import Binding
from .pods import Json

IMAGE_USER = 65532  # USER of the sidecar's image
MASK_VOLUME = "carrier-no-token"
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
DEFAULT_CPU = "10m"
LIMITED_CPU = "100m"  # where there must be a limit; with less a sidecar's start would be held up by it for seconds
DEFAULT_MEMORY = "64Mi"

_LIST_KEYS = {"env": "name", "volumeMounts": "mountPath", "ports": "containerPort"}


class ClusterFacts:
    """What is known of the cluster: the sidecar's image, whether every kubelet can run native sidecars (1.29), and the
    namespaces whose quotas refuse containers without a CPU limit.
    """

    __slots__ = ("cpu_limited", "image", "image_pull_policy", "native")

    def __init__(
        self,
        image: str,
        *,
        native: bool,
        image_pull_policy: str | None = None,
        cpu_limited: Collection[str] = frozenset(),
    ) -> None:
        self.image = image
        self.native = native
        self.image_pull_policy = image_pull_policy
        self.cpu_limited = cpu_limited


class PodFacts:
    """What the pod adds to a sidecar beside its `Place`."""

    __slots__ = (
        "barrier",
        "cpu_limited",
        "guaranteed",
        "host_network",
        "identity",
        "mask_token",
        "native",
        "probe_port",
        "root",
    )

    def __init__(
        self,
        *,
        native: bool,
        probe_port: int,
        identity: Identity | None = None,
        host_network: bool = False,
        barrier: bool = True,
        guaranteed: bool = False,
        cpu_limited: bool = False,
        root: bool = False,
        mask_token: bool = True,
    ) -> None:
        self.native = native
        self.probe_port = probe_port
        self.identity = identity or Identity([], [], [])
        self.host_network = host_network
        self.barrier = barrier
        self.guaranteed = guaranteed
        self.cpu_limited = cpu_limited
        self.root = root
        self.mask_token = mask_token


def sidecar_container(binding: Binding, place: render.Place, facts: PodFacts, cluster: ClusterFacts) -> Json:
    """The whole container. Field order is that of a manifest that people read."""
    wanted = binding.spec.sidecar
    container: Json = {"name": pods.container_name(binding.name), "image": wanted.image or cluster.image}
    policy = wanted.image_pull_policy or cluster.image_pull_policy
    if policy is not None:
        container["imagePullPolicy"] = policy
    if facts.native:
        container["restartPolicy"] = "Always"
    container["env"] = _env(binding, place, facts)
    if not facts.host_network:
        port = facts.probe_port
        container["ports"] = [{"name": f"carrier-{port}", "containerPort": port, "protocol": "TCP"}]
        container["livenessProbe"] = _probe("/livez", port, period_s=10, failures=3)
        if wanted.gates_pod_readiness:
            container["readinessProbe"] = _probe("/readyz", port, period_s=5, failures=1)
        if facts.barrier:
            container["lifecycle"] = {"preStop": hook("drain", place.token, port)}
    container["resources"] = _resources(binding, facts)
    container["securityContext"] = _security_context(root=facts.root)
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    container["volumeMounts"] = _mounts(binding, facts)
    if not container["volumeMounts"]:
        del container["volumeMounts"]
    return container


def hook(word: str, token: str, port: int) -> Json:
    """A preStop handler; `host` stays empty (the pod's own address): setting it breaks Pod Security."""
    return {"httpGet": {"path": f"/{word}/{token}", "port": port, "scheme": "HTTP"}}


def _probe(path: str, port: int, *, period_s: int, failures: int) -> Json:
    return {
        "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _env(binding: Binding, place: render.Place, facts: PodFacts) -> list[Json]:
    env: dict[str, Json] = {
        # Kubernetes expands $(NAME) and makes $ of $$ in values; ours mean what they say.
        name: {"name": name, "value": value.replace("$", "$$")}
        for name, value in render.binding_environment(binding, place).items()
    }
    for entry in facts.identity.env:
        env[entry["name"]] = entry
    if not binding.spec.sidecar.allow_instance_metadata:
        env["AWS_EC2_METADATA_DISABLED"] = {"name": "AWS_EC2_METADATA_DISABLED", "value": "true"}
    for variable in binding.spec.sidecar.env or ():
        env[variable.name] = variable.model_dump(by_alias=True, exclude_none=True)
    return list(env.values())


def _resources(binding: Binding, facts: PodFacts) -> Json:
    """Memory request = limit; no CPU limit, but for pods whose other containers all have one equal to their request
    (QoS class Guaranteed) and in namespaces whose quota refuses containers without.
    """
    given = binding.spec.sidecar.resources
    dumped = given.model_dump(by_alias=True, exclude_none=True) if given is not None else {}
    requests, limits = dict(dumped.get("requests", {})), dict(dumped.get("limits", {}))
    memory = limits.get("memory") or requests.get("memory") or DEFAULT_MEMORY
    limits.setdefault("memory", memory)
    requests.setdefault("memory", memory)
    if facts.guaranteed or facts.cpu_limited:
        limits.setdefault("cpu", requests.get("cpu") or LIMITED_CPU)
    if facts.guaranteed:
        requests.setdefault("cpu", limits["cpu"])
    requests.setdefault("cpu", dumped.get("limits", {}).get("cpu") or DEFAULT_CPU)
    return {
        "requests": {key: requests[key] for key in ("cpu", "memory")},
        "limits": {key: limits[key] for key in ("cpu", "memory") if key in limits},
    }


def _security_context(*, root: bool) -> Json:
    context: Json = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if root:
        context["runAsUser"] = IMAGE_USER
    return context


def _mounts(binding: Binding, facts: PodFacts) -> list[Json]:
    mounts: dict[str, Json] = {}
    for wanted in binding.spec.sidecar.volume_mounts or ():
        mounts[wanted.mount_path] = {**wanted.model_dump(by_alias=True, exclude_none=True), "readOnly": True}
    for mount in facts.identity.mounts:
        mounts.setdefault(mount["mountPath"], mount)
    if facts.mask_token:
        mounts.setdefault(TOKEN_PATH, {"name": MASK_VOLUME, "mountPath": TOKEN_PATH, "readOnly": True})
    return list(mounts.values())


def mask_volume() -> Json:
    """An empty directory in place of the API token; projected, since an emptyDir keeps nodes from being scaled down."""
    return {"name": MASK_VOLUME, "projected": {"defaultMode": 420, "sources": []}}


def overlay(standing: Json, wanted: Json) -> Json:
    """`standing` (our container as it is in the pod) completed and repaired to `wanted`.

    What others added stays: defaults of the API server, variables and mounts of other webhooks. Of the variables,
    CARRIER_* are ours alone, so one that is no longer wanted goes. Probes and hooks that a mesh has redirected to its
    own port stay so.
    """
    merged: Json = _merge(standing, _without_redirected(standing, wanted))
    names = {entry["name"] for entry in wanted["env"]}
    merged["env"] = [
        entry for entry in merged["env"] if entry["name"] in names or not str(entry["name"]).startswith("CARRIER_")
    ]
    for key in ("lifecycle", "readinessProbe", "livenessProbe", "restartPolicy", "startupProbe"):
        if key not in wanted:
            merged.pop(key, None)
    return merged


def _without_redirected(standing: Json, wanted: Json) -> Json:
    """`wanted` without the probes and hooks which stand with a path that is not ours: a mesh rewrote them."""
    out = dict(wanted)
    for key in ("livenessProbe", "readinessProbe"):
        if key in out and _redirected(standing.get(key)):
            out[key] = {}
    if "lifecycle" in out and _redirected(pods.mapping(standing, "lifecycle").get("preStop")):
        out["lifecycle"] = {}
    return out


def _redirected(handler: object) -> bool:
    request = handler.get("httpGet") if isinstance(handler, dict) else None
    path = request.get("path") if isinstance(request, dict) else None
    return isinstance(path, str) and not path.startswith(("/livez", "/readyz", "/drain/"))


def _merge(standing: Any, wanted: Any, key: str = "") -> Any:
    if isinstance(standing, dict) and isinstance(wanted, dict):
        if key == "valueFrom":
            return wanted if standing.keys() != wanted.keys() else {**standing, **wanted}
        merged = dict(standing)
        for name, value in wanted.items():
            merged[name] = _merge(standing[name], value, name) if name in standing else value
        return merged
    if isinstance(standing, list) and isinstance(wanted, list) and key in _LIST_KEYS:
        by = _LIST_KEYS[key]
        wanted_by = {entry[by]: entry for entry in wanted}
        out, seen = [], set()
        for entry in standing:
            name = entry.get(by) if isinstance(entry, dict) else None
            if name in seen:
                continue
            if name in wanted_by:
                seen.add(name)
                entry = _entry(entry, wanted_by[name])
            elif key == "ports":
                continue
            out.append(entry)
        return out + [entry for name, entry in wanted_by.items() if name not in seen]
    return wanted


def _entry(standing: Json, wanted: Json) -> Json:
    """An entry of a list: a variable has a value or a source, never both."""
    merged = {name: value for name, value in standing.items() if name in wanted or name not in ("value", "valueFrom")}
    merged_entry: Json = _merge(merged, wanted)
    return merged_entry


def rendered_hash(binding: Binding, cluster: ClusterFacts) -> str:
    """16 hexadecimal digits of what the binding renders to, apart from tokens and all that a pod adds."""
    key = ("hash", cluster.image, cluster.image_pull_policy)
    return binding.derived(key, lambda: _rendered_hash(binding, cluster))


def _rendered_hash(binding: Binding, cluster: ClusterFacts) -> str:
    webhook, check = binding.spec.webhook, binding.spec.webhook.health_check
    place = render.Place(
        webhook_port=webhook.port if isinstance(webhook.port, int) else 0,
        health_port=check.port if check is not None and isinstance(check.port, int) else 0,
        probe_address=f":{binding.spec.sidecar.probe_port}",
    )
    facts = PodFacts(
        native=False, probe_port=binding.spec.sidecar.probe_port, barrier=binding.spec.sidecar.drain_barrier
    )
    container = sidecar_container(binding, place, facts, cluster)
    names = {"webhookPort": webhook.port, "healthPort": check.port if check is not None else None}
    text = json.dumps([container, names], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
