"""The node of a local cluster: containerd, the CNI bridge and a kubelet. Needs root.

containerd, runc, the CNI plugins and nft come from Debian packages, unpacked in the cache; the machine's own are not
used.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import binaries, cache, debian, machine
from .commands import run, succeeds
from .control_plane import ControlPlane, free_port
from .errors import Unavailable
from .processes import Processes

NAME = "127.0.0.1"  # the node's name is the address at which the API server reaches the kubelet
PAUSE_IMAGE = "docker.io/carrier/pause:1"
PROCESSES = ("kubelet", "containerd")  # in the order in which they are ended

_PACKAGES = ("containerd", "runc", "containernetworking-plugins", "nftables", "iproute2")
# The C library has to fit the machine's loader; the rest are dependencies of scripts that do not run.
_NOT_UNPACKED = ("libc6", "gcc-12-base", "libgcc-s1", "debconf", "iptables", "perl-base")


def require_privileges() -> None:
    """Raises Unavailable unless this process may run a node."""
    if platform.system() != "Linux":
        raise Unavailable("a local node needs Linux")
    if os.geteuid() != 0:
        raise Unavailable("a local node needs root (mounts, cgroups, a bridge); or give a cluster by KUBECONFIG")


def prepare() -> None:
    """Make what is not there yet, before a cluster takes up anything on the machine."""
    binaries.node()
    programs()


def programs() -> Path:
    """The directory with the node's unpacked packages, made on the first call."""
    packages = debian.closure(_PACKAGES, without=_NOT_UNPACKED)
    entry = cache.root() / "node" / f"node-{cache.content_key(*map(str, packages))}"
    with cache.making(entry) as work:
        if work is not None:
            debian.unpack(debian.download(packages), work)
    return entry


def environment(unpacked: Path) -> dict[str, str]:
    """What finds the unpacked programs and their libraries."""
    path = ":".join(str(unpacked / directory) for directory in ("usr/bin", "usr/sbin", "bin", "sbin"))
    libraries = ":".join(str(unpacked / directory / debian.triplet()) for directory in ("usr/lib", "lib"))
    return dict(os.environ, PATH=f"{path}:{os.environ['PATH']}", LD_LIBRARY_PATH=libraries)


class Node:
    """containerd and kubelet of the cluster with files in `data`."""

    def __init__(self, data: Path, number: int) -> None:
        self._data = data
        self._number = number
        self._unpacked = programs()
        self._socket = data / "containerd.sock"
        self.env = environment(self._unpacked)

    def start(self, control_plane: ControlPlane, processes: Processes, images: Iterable[Path]) -> None:
        """Bring the node up with these images (OCI archives) and wait until the API server calls it ready."""
        self._write_cni()
        (self._data / "containerd.toml").write_text(self._containerd_settings())
        containerd: list[str | Path] = ["containerd", "--config", self._data / "containerd.toml"]
        processes.start("containerd", containerd, env=self.env)
        processes.wait_until("containerd", lambda: succeeds([*self._ctr(), "version"], env=self.env))
        for image in images:
            self.load(image)
        settings = self._data / "kubelet.json"
        settings.write_text(json.dumps(self._kubelet_settings(control_plane)))
        credentials = control_plane.pki.kubeconfig("kubelet", control_plane.url)
        kubelet: list[str | Path] = [
            binaries.node() / "kubelet", f"--config={settings}", f"--kubeconfig={credentials}",
            f"--root-dir={self._data}/kubelet", f"--cert-dir={control_plane.pki.directory}",
            f"--hostname-override={NAME}",
        ]  # fmt: skip
        processes.start("kubelet", kubelet, env=self.env)
        processes.wait_until("ready node", lambda: _is_ready(control_plane))

    def load(self, archive: Path) -> None:
        """Make the images of an OCI archive known to the node."""
        run([*self._ctr(), "images", "import", archive], env=self.env)

    def remove_containers(self) -> None:
        """End every container and unmount its network namespace; the kubelet must have ended before."""
        if not succeeds([*self._ctr(), "version"], env=self.env):
            return  # containerd did not come up, or is gone with its containers' shims
        namespaces = set()
        containers = run([*self._ctr(), "containers", "list", "--quiet"], env=self.env).split()
        for container in containers:
            spec = json.loads(run([*self._ctr(), "containers", "info", container], env=self.env))["Spec"]
            namespaces |= {entry.get("path", "") for entry in spec["linux"]["namespaces"]}
            succeeds([*self._ctr(), "tasks", "rm", "--force", container], env=self.env)
        for container in containers:
            succeeds([*self._ctr(), "containers", "rm", container], env=self.env)
            _forget_address(container)
        for namespace in (Path(path) for path in namespaces if "/netns/cni-" in path):
            if namespace.exists():
                succeeds(["umount", "--lazy", namespace])  # its virtual Ethernet pair goes with it
                namespace.unlink()

    def remove_log_links(self) -> None:
        """Remove the links to this node's logs that the kubelet leaves in a directory of the machine's."""
        for link in Path("/var/log/containers").glob("*.log"):
            if str(link.readlink()).startswith(f"{self._data}/"):
                link.unlink()

    def _ctr(self) -> list[str | Path]:
        return ["ctr", "--address", self._socket, "--namespace", "k8s.io"]

    def _write_cni(self) -> None:
        addresses = {"subnet": f"10.{self._number}.1.0/24", "gateway": machine.gateway(self._number)}
        bridge = {
            "type": "bridge", "bridge": machine.bridge_name(self._number),
            "isGateway": True, "ipMasq": False, "hairpinMode": True,
            "ipam": {
                "type": "host-local", "dataDir": f"{self._data}/addresses", "ranges": [[addresses]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }  # fmt: skip
        network = {"cniVersion": "0.4.0", "name": machine.bridge_name(self._number), "plugins": [bridge]}
        (self._data / "cni").mkdir()
        (self._data / "cni" / "10-bridge.conflist").write_text(json.dumps(network))

    def _containerd_settings(self) -> str:
        # restrict_oom_score_adj: in a container without CAP_SYS_RESOURCE the score can't be lowered.
        return f'''version = 2
root = "{self._data}/containerd/root"
state = "{self._data}/containerd/state"
oom_score = 0
[grpc]
  address = "{self._socket}"
[ttrpc]
  address = "{self._socket}.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{self._data}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{self._unpacked}/usr/lib/cni"
    conf_dir = "{self._data}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    BinaryName = "{self._unpacked}/usr/sbin/runc"
    Root = "{self._data}/containerd/runc"
    SystemdCgroup = false
'''

    def _kubelet_settings(self, control_plane: ControlPlane) -> dict[str, Any]:
        control_plane.pki.issue("kubelet", f"/O=system:nodes/CN=system:node:{NAME}", names=[f"IP:{NAME}"])
        pki = control_plane.pki.directory
        return {
            "kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "address": "127.0.0.1", "port": free_port(), "healthzPort": 0, "readOnlyPort": 0,
            "tlsCertFile": f"{pki}/kubelet.crt", "tlsPrivateKeyFile": f"{pki}/kubelet.key",
            "authentication": {
                "anonymous": {"enabled": False}, "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{pki}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{self._socket}", "resolvConf": "/etc/resolv.conf",
            "cgroupDriver": "cgroupfs", "cgroupRoot": machine.cgroup(self._number), "failCgroupV1": False,
            "failSwapOn": False, "oomScoreAdj": 0, "enforceNodeAllocatable": [],
            # A full disk of the machine's must not evict a test's pods.
            "localStorageCapacityIsolation": False, "imageGCHighThresholdPercent": 100,
            "evictionHard": {
                "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
                "imagefs.available": "0%",
            },
            "podLogsDir": f"{self._data}/pod-logs", "volumePluginDir": f"{self._data}/volume-plugins",
        }  # fmt: skip


def _is_ready(control_plane: ControlPlane) -> bool:
    conditions = control_plane.get_json(f"/api/v1/nodes/{NAME}")["status"]["conditions"]
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _forget_address(container: str) -> None:
    """Remove what the CNI library keeps of a container in a directory of the machine's."""
    for result in Path("/var/lib/cni/results").glob(f"*{container}*"):
        result.unlink()
