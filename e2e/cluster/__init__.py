"""A real Kubernetes for the tests: one that KUBECONFIG names, kind where a Docker engine runs, a local one otherwise.

`running()` is the way in; `python -m e2e.cluster` has the same for people. Tests use the fixtures of fixtures.py.
The local cluster needs no Docker: its programs are built from Go modules, its node and images from Debian packages.
"""

from __future__ import annotations

from .choice import Cluster, running
from .errors import ClusterError, Unavailable

__all__ = ["Cluster", "ClusterError", "Unavailable", "running"]
