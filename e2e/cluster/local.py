"""A local cluster from start to end: control plane, node if wanted, and the way back, also from a half-made one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from . import control_plane, machine, network_number, node, node_images
from .commands import require
from .errors import ClusterError, Unavailable
from .processes import Processes


def require_machine(*, with_node: bool) -> None:
    """Raises Unavailable with the first thing that this machine lacks for a local cluster."""
    if not Path("/proc/self/stat").exists():
        raise Unavailable("a local cluster needs Linux; or give a cluster by KUBECONFIG")
    require("openssl", "a local cluster's certificates are made with it")
    if with_node:
        node.require_privileges()


def prepare(*, with_node: bool) -> list[Path]:
    """Build and download what is not in the cache yet, and return the node's images.

    Minutes on the first call on a machine; it takes up nothing but the cache.
    """
    require_machine(with_node=with_node)
    control_plane.prepare()
    if not with_node:
        return []
    node.prepare()
    return node_images.for_node()


class LocalCluster:
    """A cluster with all its files in `data`. Made by `start`, or from the files of one that runs."""

    def __init__(self, data: Path) -> None:
        state = json.loads((data / "cluster.json").read_text())
        self.data = data
        self.number: int = state["number"]
        self.with_node: bool = state["with_node"]
        self.kubeconfig = data / "pki" / "admin.kubeconfig"

    @property
    def address_for_pods(self) -> str:
        """Where a server of the test's must listen to be reached by pods (and by the API server)."""
        return machine.gateway(self.number) if self.with_node else "127.0.0.1"

    def load(self, archive: Path) -> None:
        """Make the images of an OCI archive known to the node."""
        if not self.with_node:
            raise ClusterError("this cluster has no node to load images into")
        node.Node(self.data, self.number).load(archive)


def start(data: Path, *, with_node: bool) -> LocalCluster:
    """Bring a cluster up in the new directory `data`. What came up of one that fails is taken down again."""
    images = prepare(with_node=with_node)
    number = network_number.take()
    data.mkdir(parents=True)
    try:
        _write_state(data, number.number, with_node)
        _start(data, number, images)
    except BaseException:
        number.close()
        stop(data)
        raise
    number.close()
    return LocalCluster(data)


def stop(data: Path) -> None:
    """End exactly what `start` has started, put the machine back as it was, remove `data`."""
    cluster = LocalCluster(data)
    processes = Processes(data)
    if cluster.with_node:
        _stop_node(cluster, processes)
    processes.stop(control_plane.PROCESSES)
    machine.restore_sysctls(cluster.number)
    shutil.rmtree(data)


def _start(data: Path, number: network_number.NetworkNumber, images: list[Path]) -> None:
    processes = Processes(data)
    # With a node Services need addresses that pods send to their bridge; 127.* would stay inside the pod.
    services = f"{10 if images else 127}.{number.number}.0"
    plane = control_plane.ControlPlane(number.number, data / "pki", services)
    plane.start(data, processes, number.fd)
    if images:
        one = node.Node(data, number.number)
        machine.prepare(number.number, f"{plane.address}:{plane.port}", one.env)
        one.start(plane, processes, images)


def _stop_node(cluster: LocalCluster, processes: Processes) -> None:
    one = node.Node(cluster.data, cluster.number)
    processes.stop(["kubelet"])
    one.remove_containers()
    processes.stop(["containerd"])
    machine.unmount_below(cluster.data, one.env)
    one.remove_log_links()
    machine.restore(cluster.number, one.env)


def _write_state(data: Path, number: int, with_node: bool) -> None:
    (data / "cluster.json").write_text(json.dumps({"number": number, "with_node": with_node}))
