"""A kind cluster on a running Docker engine; kind itself is built from its Go module unless it is installed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import binaries, node_images
from .commands import run, succeeds
from .errors import ClusterError

_START_TIMEOUT_S = 600  # the node's image may have to come first


class KindCluster:
    """See choice.Cluster."""

    def __init__(self, program: Path, name: str, kubeconfig: Path) -> None:
        self._program = program
        self._name = name
        self.kubeconfig = str(kubeconfig)
        self.description = f"kind cluster {name}"

    @property
    def address_for_pods(self) -> str:
        """The engine's end of kind's network."""
        found = json.loads(run(["docker", "network", "inspect", "kind"]))[0]["IPAM"]["Config"]
        for network in found:
            gateway: str = network.get("Gateway", "")
            if "." in gateway:
                return gateway
        raise ClusterError("kind's Docker network has no IPv4 gateway")

    def image(self, name: str) -> str:
        return node_images.reference(name)

    def load(self, archive: Path) -> None:
        run([self._program, "load", "image-archive", archive, "--name", self._name])


@contextmanager
def running() -> Iterator[KindCluster]:
    """A new kind cluster for the length of the block, with the tests' own images."""
    installed = shutil.which("kind")
    program = Path(installed) if installed else binaries.kind()
    name = f"carrier-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="carrier-kind-") as directory:
        kubeconfig = Path(directory) / "kubeconfig"
        options = ["--name", name, "--kubeconfig", str(kubeconfig)]
        try:
            run([program, "create", "cluster", *options, "--wait", "120s"], timeout_s=_START_TIMEOUT_S)
            cluster = KindCluster(program, name, kubeconfig)
            for archive in node_images.for_tests():
                cluster.load(archive)
            yield cluster
        finally:
            succeeds([program, "delete", "cluster", *options], timeout_s=120)
