"""Which cluster the tests run on.

| first that fits | |
|---|---|
| KUBECONFIG is set | the cluster that it names; nothing is started or ended |
| a Docker engine answers (`docker info`; a client alone says nothing) | a new kind cluster, deleted at the end |
| otherwise | a new local cluster, ended at the end |
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from . import given, keeper, kind, local
from .commands import succeeds


class Cluster(Protocol):
    """A cluster as tests see it."""

    @property
    def description(self) -> str:
        """What it is, in a few words for people."""

    @property
    def kubeconfig(self) -> str:
        """A value for KUBECONFIG with the rights of an administrator."""

    @property
    def address_for_pods(self) -> str | None:
        """The address of this machine at which pods and the API server reach what a test listens with.

        None where nothing is known to lead here.
        """

    def image(self, name: str) -> str:
        """The reference of one of the tests' own images: `busybox` or `python`."""

    def load(self, archive: Path) -> None:
        """Make the images in an OCI archive known to every node, under the names that they have there."""


def prepare(*, with_node: bool) -> None:
    """Do beforehand, with a word about what takes long, what `running` would do before it starts anything.

    Raises Unavailable like `running`.
    """
    if not os.environ.get("KUBECONFIG") and not docker_engine_runs():
        local.prepare(with_node=with_node)


@contextmanager
def running(*, with_node: bool) -> Iterator[Cluster]:
    """A cluster for the length of the block. Without a node pods are admitted and stay Pending.

    Raises Unavailable with what is missing, in one line.
    """
    if os.environ.get("KUBECONFIG"):
        yield given.GivenCluster(os.environ["KUBECONFIG"])
    elif docker_engine_runs():
        with kind.running() as started:
            yield started
    else:
        with keeper.running(with_node=with_node) as kept:
            yield kept


def docker_engine_runs() -> bool:
    """Does a Docker engine answer?"""
    return shutil.which("docker") is not None and succeeds(["docker", "info", "--format", "{{.ID}}"])
