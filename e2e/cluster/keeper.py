"""A local cluster that ends with whoever asked for it, however that one ends.

The cluster is kept by a process of its own (`python -m e2e.cluster keep`), which has the read end of a pipe: when the
test process closes it, or dies, the keeper takes the cluster down. A keeper that was killed itself leaves a directory
that names it; the next keeper cleans up behind it.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from . import cache, local, node_images
from .errors import ClusterError, Unavailable
from .processes import start_time

LIFETIME_S = 3 * 3600
"""A cluster that is still there after this long is taken down all the same."""

_PREFIX = "carrier-cluster-"


class KeptCluster:
    """See choice.Cluster."""

    def __init__(self, started: local.LocalCluster) -> None:
        self._local = started
        self.kubeconfig = str(started.kubeconfig)
        self.address_for_pods = started.address_for_pods
        self.data = started.data
        """Logs and settings of every component are below."""
        self.description = f"local cluster {started.number}, {'one node' if started.with_node else 'no node'}"

    def image(self, name: str) -> str:
        return node_images.reference(name)

    def load(self, archive: Path) -> None:
        self._local.load(archive)


@contextmanager
def running(*, with_node: bool) -> Iterator[KeptCluster]:
    """A local cluster for the length of the block, at most LIFETIME_S."""
    local.require_machine(with_node=with_node)
    arguments = [sys.executable, "-m", "e2e.cluster", "keep", *([] if with_node else ["--no-node"])]
    # A session of its own: an interrupt from the terminal is for the tests, which then end the keeper in their way.
    with subprocess.Popen(
        arguments, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, start_new_session=True,
    ) as keeper:  # fmt: skip
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            yield KeptCluster(local.LocalCluster(_data(keeper.stdout.readline())))
        finally:
            keeper.stdin.close()
            keeper.wait()


def keep(*, with_node: bool) -> int:
    """Start a cluster, say where on standard output, wait for the end of standard input, end the cluster.

    Returns an exit code.
    """
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, _leave)
    clean_up_behind_killed_keepers()
    data = Path(tempfile.gettempdir()) / f"{_PREFIX}{os.getpid()}-{start_time(os.getpid())}"
    try:
        local.start(data, with_node=with_node)
    except ClusterError as error:
        _say({"unavailable" if isinstance(error, Unavailable) else "failed": str(error)})
        return 1
    try:
        _say({"data": str(data)})
        select.select([sys.stdin], [], [], LIFETIME_S)
    finally:
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, signal.SIG_IGN)  # taking down is not to be interrupted half-way
        local.stop(data)
    return 0


def clean_up_behind_killed_keepers() -> None:
    """End the clusters in the temporary directory whose keeper is gone."""
    with cache.locked("clean-up"):
        for data in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            found = re.fullmatch(rf"{_PREFIX}(\d+)-(\d+)", data.name)
            if found is None or start_time(int(found[1])) == int(found[2]):
                continue
            # A keeper that ended in between has removed its directory itself.
            if not data.exists() or data.stat().st_uid != os.geteuid():
                continue
            if (data / "cluster.json").exists():
                local.stop(data)
            else:
                shutil.rmtree(data)


def _data(answer: str) -> Path:
    said = json.loads(answer) if answer else {"failed": "the cluster's keeper ended without a word"}
    if "unavailable" in said:
        raise Unavailable(said["unavailable"])
    if "failed" in said:
        raise ClusterError(said["failed"])
    return Path(said["data"])


def _say(what: dict[str, str]) -> None:
    print(json.dumps(what), flush=True)


def _leave(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)
