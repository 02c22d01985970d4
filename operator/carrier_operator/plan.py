"""From selected bindings to sidecars that can be made in this pod: ports, mode, and what stands in the way. Pure.

Which bindings a pod should get is selection.py's; what is made of the plan is inject.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import pods, render, selection
from .container import ClusterFacts
from .models import Binding
from .pods import Json
from .selection import Skipped


class Planned:
    """One sidecar to be: its binding, its ports, and where its container stands already."""

    __slots__ = ("barrier", "binding", "health_port", "native", "probe_port", "standing", "webhook_port")

    def __init__(self, binding: Binding, *, native: bool, webhook_port: int, health_port: int, probe_port: int,
                 barrier: bool, standing: Json | None) -> None:  # fmt: skip
        self.binding = binding
        self.native = native
        self.webhook_port = webhook_port
        self.health_port = health_port
        self.probe_port = probe_port
        self.barrier = barrier
        self.standing = standing


def plan(
    pod: Mapping[str, Any], chosen: Sequence[Binding], cluster: ClusterFacts
) -> tuple[list[Planned], list[Skipped]]:
    """The sidecars that can be made, in order; for each other a reason."""
    ours = pods.our_containers(pod)
    annotations = pods.texts(pods.mapping(pod, "metadata"), "annotations")
    barrier = not pods.host_network(pod) and annotations.get(pods.DRAIN_BARRIER) != "false"
    taken = _declared_ports(pod)
    chosen_names = {pods.container_name(it.name) for it in chosen}
    taken |= {port for name, it in ours.items() if name not in chosen_names and (port := _standing_probe_port(it))}
    planned: list[Planned] = []
    skipped: list[Skipped] = []
    for binding in chosen:
        found = _plan_one(pod, binding, ours.get(pods.container_name(binding.name)), cluster, taken, barrier=barrier)
        if isinstance(found, Skipped):
            skipped.append(found)
        else:
            planned.append(found)
            taken.add(found.probe_port)
    return planned, skipped


def _plan_one(
    pod: Mapping[str, Any], binding: Binding, standing: Json | None, cluster: ClusterFacts, taken: set[int], *,
    barrier: bool,
) -> Planned | Skipped:  # fmt: skip
    name = binding.name
    obstacle = _foreign(pod, binding, standing) or _unknown_volume(pod, binding)
    if obstacle is not None:
        return obstacle
    ports = _ports(pod, binding)
    if ports is None:
        return Skipped(selection.PORT_UNKNOWN, f"carrier: {name}: no container port of that name", name)
    probe_port = _free_port(binding, standing, taken)
    if probe_port is None:
        return Skipped(selection.NO_FREE_PORT, f"carrier: {name}: no free port for probes", name)
    return Planned(
        binding,
        native=selection.can_be_native(binding, cluster.native),
        webhook_port=ports[0],
        health_port=ports[1],
        probe_port=probe_port,
        barrier=barrier and binding.spec.sidecar.drain_barrier,
        standing=standing,
    )


def _foreign(pod: Mapping[str, Any], binding: Binding, standing: Json | None) -> Skipped | None:
    name = pods.container_name(binding.name)
    spec = pods.mapping(pod, "spec")
    others = [*pods.all_containers(pod), *pods.objects(spec, "ephemeralContainers")]
    if not any(it.get("name") == name and it is not standing for it in others):
        return None
    return Skipped(selection.FOREIGN_CONTAINER, f"carrier: the pod has another container called {name}", binding.name)


def _unknown_volume(pod: Mapping[str, Any], binding: Binding) -> Skipped | None:
    mounts = binding.spec.sidecar.volume_mounts or ()
    names = {volume.get("name") for volume in pods.objects(pods.mapping(pod, "spec"), "volumes")}
    for mount in mounts:
        if mount.name not in names:
            message = f"carrier: {binding.name}: the pod has no volume {mount.name}"
            return Skipped(selection.VOLUME_UNKNOWN, message, binding.name)
    if len({mount.mount_path for mount in mounts}) != len(mounts):
        return Skipped(selection.MOUNT_TAKEN, f"carrier: {binding.name}: two mounts at one path", binding.name)
    return None


def _ports(pod: Mapping[str, Any], binding: Binding) -> tuple[int, int] | None:
    """The webhook's and the health check's port as numbers; None when a name is not found."""
    webhook = binding.spec.webhook
    port = render.DEFAULT_PORT if webhook.port is None else pods.port_of(pod, webhook.port)
    check = webhook.health_check
    health = port if check is None or check.port is None else pods.port_of(pod, check.port)
    return None if port is None or health is None else (port, health)


def _declared_ports(pod: Mapping[str, Any]) -> set[int]:
    return {
        entry["containerPort"]
        for it in pods.all_containers(pod)
        if not pods.is_ours(it)
        for entry in pods.objects(it, "ports")
        if isinstance(entry.get("containerPort"), int)
    }


def _standing_probe_port(standing: Json | None) -> int | None:
    address = pods.env_value(standing, "CARRIER_PROBE_ADDRESS") if standing is not None else None
    digits = (address or "").rpartition(":")[2]
    return int(digits) if digits.isascii() and digits.isdigit() and 0 < int(digits) < 65536 else None


def _free_port(binding: Binding, standing: Json | None, taken: set[int]) -> int | None:
    """The port that the sidecar has already, else the first free one from the binding's on."""
    wanted = binding.spec.sidecar.probe_port
    has = _standing_probe_port(standing)
    if has is not None and has >= wanted and has not in taken:
        return has
    return next((port for port in range(wanted, 65536) if port not in taken), None)
