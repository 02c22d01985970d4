"""A cluster that KUBECONFIG names: used as it is, never started, ended or reconfigured.

What cannot be known about it is said by the environment:
CARRIER_E2E_IMAGES   where its nodes find the tests' images, a prefix such as registry.example/team
CARRIER_E2E_ADDRESS  an address of this machine that its pods and its API server reach
"""

from __future__ import annotations

import os
from pathlib import Path

from .errors import Unavailable


class GivenCluster:
    """See choice.Cluster."""

    def __init__(self, kubeconfig: str) -> None:
        self.kubeconfig = kubeconfig
        self.description = f"the cluster of KUBECONFIG={kubeconfig}"
        self.address_for_pods = os.environ.get("CARRIER_E2E_ADDRESS")

    def image(self, name: str) -> str:
        """`busybox`, `python`, `sidecar` or `operator`. Raises Unavailable when the environment names no place for
        images.
        """
        prefix = os.environ.get("CARRIER_E2E_IMAGES")
        if not prefix:
            raise Unavailable("CARRIER_E2E_IMAGES must say where the given cluster finds the tests' images")
        return f"{prefix}/{name}:{'test' if name in ('sidecar', 'operator') else '1'}"

    def load(self, archive: Path) -> None:
        """Always raises Unavailable: this harness does not push to registries."""
        raise Unavailable(f"the given cluster can't load {archive.name}; push it and set CARRIER_E2E_IMAGES")
