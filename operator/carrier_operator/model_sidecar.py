"""The part of a binding that says what the added container is like: spec.sidecar."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .model_types import NAME_PATTERN, Quantity
from .rules import DurationBetween, Rule, Shape, UniqueBy, quantity


class KeyRef(Shape):
    """A key of a Secret or ConfigMap in the binding's namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="Name of the Secret or ConfigMap.")
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", min_length=1, max_length=253)] = Field(
        description="The key."
    )
    optional: bool | None = Field(None, description="Start without the variable when it is missing.")


class FieldRef(Shape):
    """A field of the pod."""

    field_path: Annotated[
        str,
        Field(
            pattern=r"^(metadata\.(name|namespace|uid)|metadata\.(labels|annotations)\['[^'\s]+'\]"
            r"|spec\.(nodeName|serviceAccountName)|status\.(hostIP|podIP))$",
            max_length=384,
        ),
    ] = Field(description="Such as metadata.name.")


class EnvSource(Shape):
    """Where a variable's value comes from."""

    secret_key_ref: KeyRef | None = Field(None, description="A key of a Secret.")
    config_map_key_ref: KeyRef | None = Field(None, description="A key of a ConfigMap.")
    field_ref: FieldRef | None = Field(None, description="A field of the pod.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef)].filter(x, x).size() == 1",
            "name exactly one of secretKeyRef, configMapKeyRef and fieldRef",
            lambda it: [it.secret_key_ref, it.config_map_key_ref, it.field_ref].count(None) == 2,
        ),
    )


class EnvVar(Shape):
    """One more environment variable of the sidecar."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", min_length=1, max_length=128)] = Field(
        description="The variable's name."
    )
    value: Annotated[str, Field(max_length=4096)] | None = Field(None, description="The value, as in a container.")
    value_from: EnvSource | None = Field(
        None, description="Where the value comes from; refused unless the administrator allows it."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.value) && has(self.valueFrom))",
            "write value or valueFrom, not both",
            lambda it: it.value is None or it.value_from is None,
        ),
        Rule(
            "!self.name.startsWith('CARRIER_') && !self.name.startsWith('SQS_') && !self.name.startsWith('WEBHOOK_')",
            "the sidecar's own settings have fields in the binding: use those instead of variables",
            lambda it: not it.name.startswith(("CARRIER_", "SQS_", "WEBHOOK_")),
        ),
    )


class VolumeMount(Shape):
    """A volume of the pod that the sidecar reads files from."""

    name: Annotated[str, Field(pattern=NAME_PATTERN, min_length=1, max_length=63)] = Field(
        description="Name of the volume in the pod's spec; a pod without it is skipped."
    )
    mount_path: Annotated[str, Field(pattern=r"^/[^:\x00-\x1f]+$", max_length=256)] = Field(
        description="Where it is mounted, read-only."
    )
    sub_path: Annotated[str, Field(pattern=r"^[^/\x00-\x1f][^\x00-\x1f]*$", max_length=256)] | None = Field(
        None, description="A path within the volume."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.subPath) || !self.subPath.split('/').exists(p, p == '..')",
            "subPath may not contain ..",
            lambda it: it.sub_path is None or ".." not in it.sub_path.split("/"),
        ),
    )


class Amounts(Shape):
    """Amounts of CPU and memory."""

    cpu: Quantity | None = Field(None, description="Cores, such as 100m.")
    memory: Quantity | None = Field(None, description="Bytes, such as 32Mi.")


def _request_within_limit(what: str) -> Rule:
    both = " && ".join(f"has(self.{part}) && has(self.{part}.{what})" for part in ("requests", "limits"))

    def holds(resources: Resources) -> bool:
        request = getattr(resources.requests, what, None)
        limit = getattr(resources.limits, what, None)
        return request is None or limit is None or quantity(request) <= quantity(limit)

    return Rule(
        f"!({both}) || quantity(self.requests.{what}).compareTo(quantity(self.limits.{what})) <= 0",
        f"the {what} request may not be larger than its limit",
        holds,
    )


class Resources(Shape):
    """CPU and memory of the sidecar."""

    requests: Amounts | None = Field(None, description="What is set aside for it.")
    limits: Amounts | None = Field(None, description="What it may use at most.")

    rules: ClassVar[tuple[Rule, ...]] = tuple(_request_within_limit(what) for what in ("cpu", "memory"))


class Sidecar(Shape):
    """The container that is added to pods."""

    image: Annotated[str, Field(pattern=r"^[^\s]+$", min_length=1, max_length=512)] | None = Field(
        None, description="Another image, from a prefix that the administrator allows. Left out: the operator's."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(None, description="As in a container.")
    mode: Literal["Auto", "Native", "Container"] = Field(
        "Auto",
        description="Native: an init container with restartPolicy Always (Kubernetes 1.29). Container: an ordinary "
        "one. Auto: Native where every node can.",
    )
    resources: Resources | None = Field(None, description="Left out: 10m CPU, 64Mi memory as request and limit.")
    shutdown_timeout: Annotated[str, DurationBetween("1s", "1h")] = Field(
        "25s",
        description="Time for messages in hand to be finished when the pod ends; the pod's grace period must be "
        "longer.",
    )
    probe_port: int = Field(
        9464,
        ge=1024,
        le=65535,
        description="Port for probes, metrics and drain; a further sidecar takes the next free one.",
    )
    env: Annotated[list[EnvVar], Field(max_length=64), UniqueBy("name")] | None = Field(
        None, description="Further environment variables."
    )
    volume_mounts: list[VolumeMount] | None = Field(
        None, max_length=16, description="Volumes of the pod with files that the settings name (CA, token, password)."
    )
    gates_pod_readiness: bool = Field(
        False, description="Give the sidecar a readiness probe: the pod is ready only while messages can flow."
    )
    drain_barrier: bool = Field(
        True, description="Keep the app alive until its last message is answered, by preStop hooks that wait."
    )
    allow_host_network: bool = Field(
        False, description="Also inject into pods on the host's network (no hooks there; probes on loopback)."
    )
    allow_instance_metadata: bool = Field(
        False, description="Allow the node's role (instance metadata) as the source of AWS credentials."
    )
