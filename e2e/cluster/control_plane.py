"""etcd, API server, controller manager and scheduler on loopback. No node: see node.py.

Takes no privileges but for port 443, which only pods that configure themselves "in cluster" need.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import urllib.request
from pathlib import Path
from typing import Any

from . import binaries
from .pki import Pki
from .processes import Processes

# The order in which they are ended. etcd last: it holds the cluster's number.
PROCESSES = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")


def prepare() -> None:
    """Build what is not there yet, before a cluster takes up anything on the machine."""
    binaries.control_plane()


class ControlPlane:
    """A running control plane: its address, its certificates, a client for the harness's own few questions."""

    def __init__(self, number: int, pki: Path, services: str) -> None:
        self.number = number
        self.pki = Pki(pki)
        self.address = f"127.{self.number}.0.1"
        # 443 makes the `kubernetes` Service's own port lead here without kube-proxy.
        self.port = 443 if _can_bind(self.address, 443) else free_port(self.address)
        self.url = f"https://{self.address}:{self.port}"
        self.services = services
        """The addresses of Services, as the first three numbers of a /24."""

    def start(self, data: Path, processes: Processes, lock: int) -> None:
        """Start the four and wait until the API answers and has a default ServiceAccount.

        `lock`: a file descriptor that etcd inherits, the lock on the cluster's number.
        """
        self._certificates()
        programs = binaries.control_plane()
        storage = _start_etcd(programs, data, processes, lock)
        api_server: list[str | Path] = [programs / "kube-apiserver", *self._api_server_flags(storage)]
        processes.start("kube-apiserver", api_server, env=os.environ)
        processes.wait_until("API server", lambda: self.get("/readyz") == b"ok")
        manager: list[str | Path] = [programs / "kube-controller-manager", *self._controller_manager_flags(data)]
        processes.start("kube-controller-manager", manager, env=os.environ)
        scheduler: list[str | Path] = [programs / "kube-scheduler", *self._scheduler_flags()]
        processes.start("kube-scheduler", scheduler, env=os.environ)
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        processes.wait_until("default ServiceAccount", lambda: bool(self.get(account)))

    def get(self, path: str) -> bytes:
        """GET from the API as administrator. OSError when it can't be had."""
        context = ssl.create_default_context(cafile=str(self.pki.ca))
        context.load_cert_chain(self.pki.directory / "admin.crt", self.pki.directory / "admin.key")
        with urllib.request.urlopen(self.url + path, context=context, timeout=2) as answer:
            body: bytes = answer.read()
            return body

    def get_json(self, path: str) -> Any:
        """GET an object from the API."""
        return json.loads(self.get(path))

    def _certificates(self) -> None:
        own = [f"IP:{self.address}", f"IP:{self.services}.1", "IP:127.0.0.1", "DNS:localhost"]
        own += ["DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc"]
        self.pki.issue("apiserver", "/CN=kube-apiserver", names=own)
        self.pki.issue("admin", "/O=system:masters/CN=admin")
        self.pki.kubeconfig("admin", self.url)
        self.pki.issue("controller-manager", "/CN=system:kube-controller-manager")
        self.pki.issue("scheduler", "/CN=system:kube-scheduler")
        self.pki.service_account_key()

    def _api_server_flags(self, storage: str) -> list[str]:
        pki = self.pki.directory
        return [
            f"--etcd-servers={storage}",
            f"--bind-address={self.address}", f"--advertise-address={self.address}", f"--secure-port={self.port}",
            # The reconciler refuses loopback addresses; nothing here needs its Endpoints.
            "--endpoint-reconciler-type=none",
            f"--service-cluster-ip-range={self.services}.0/24",
            f"--cert-dir={pki}", f"--client-ca-file={pki}/ca.crt",
            f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key",
            "--authorization-mode=Node,RBAC", "--allow-privileged=true",
            f"--service-account-key-file={pki}/sa.pub", f"--service-account-signing-key-file={pki}/sa.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--kubelet-client-certificate={pki}/admin.crt", f"--kubelet-client-key={pki}/admin.key",
            # The node's name is its address, and the kubelet's certificate is for that (logs, exec, port-forward).
            f"--kubelet-certificate-authority={pki}/ca.crt", "--kubelet-preferred-address-types=Hostname,InternalIP",
            # Webhooks named by Service are called at the pods' own addresses: there is no kube-proxy.
            "--enable-aggregator-routing=true",
            "--profiling=false",
        ]  # fmt: skip

    def _controller_manager_flags(self, data: Path) -> list[str]:
        pki = self.pki.directory
        return [
            f"--kubeconfig={self.pki.kubeconfig('controller-manager', self.url)}",
            "--secure-port=0", "--leader-elect=false",
            # Without credentials per controller pods stay Pending: the one identity may not do all that they do.
            "--use-service-account-credentials=true",
            # The default rate spreads the first syncs over seconds.
            "--kube-api-qps=500", "--kube-api-burst=500",
            f"--service-account-private-key-file={pki}/sa.key", f"--root-ca-file={pki}/ca.crt",
            f"--cluster-signing-cert-file={pki}/ca.crt", f"--cluster-signing-key-file={pki}/ca.key",
            # The default is a directory of the machine's, and it would be created.
            f"--flex-volume-plugin-dir={data}/volume-plugins",
        ]  # fmt: skip

    def _scheduler_flags(self) -> list[str]:
        credentials = self.pki.kubeconfig("scheduler", self.url)
        return [f"--kubeconfig={credentials}", "--secure-port=0", "--leader-elect=false"]


def _start_etcd(programs: Path, data: Path, processes: Processes, lock: int) -> str:
    """Start etcd and return its address. It need not survive a crash of the machine: no fsync."""
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    etcd: list[str | Path] = [
        programs / "etcd", "--data-dir", data / "etcd", "--unsafe-no-fsync",
        f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
    ]  # fmt: skip
    processes.start("etcd", etcd, env=os.environ, pass_fds=[lock])
    return client


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port that is free now. Somebody else may take it before its user does; then that process says so."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def _can_bind(address: str, port: int) -> bool:
    with socket.socket() as probe:
        # As servers do; or connections of the last cluster that are not forgotten yet would be in the way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True
