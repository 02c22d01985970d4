"""The programs of a cluster and Helm, built from their Go modules and kept by version.

Which versions: `tools/go.mod` (etcd and Kubernetes) and HELM_VERSION below. What a node needs besides (containerd,
runc, ...) comes from Debian packages, see debian.py.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from . import cache
from .commands import require, run

HELM_VERSION = "v3.19.2"
KIND_VERSION = "v0.30.0"
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
NODE = ("kubelet",)

_BUILD_TIMEOUT_S = 1800  # for one program with empty caches, on a machine that has other things to do
_KUBERNETES = "k8s.io/kubernetes"
_ETCD = "go.etcd.io/etcd/server/v3"
_TOOLS = Path(__file__).with_name("tools")


def module_version(module: str) -> str:
    """The version of a module that tools/go.mod asks for, like `v1.34.4`."""
    found = re.search(rf"^require {re.escape(module)} (v\S+)", (_TOOLS / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise LookupError(f"tools/go.mod has no line of its own for {module}")
    return found[1]


def control_plane() -> Path:
    """The directory with etcd and the programs of CONTROL_PLANE. The first call on a machine takes minutes.

    Raises Unavailable when they have to be built and there is no Go, ClusterError when the build fails.
    """
    entry = _control_plane_entry()
    with cache.making(entry) as work:
        if work is not None:
            _build_kubernetes(CONTROL_PLANE, work)
            _build(_ETCD, work / "etcd", "")
    return entry


def node() -> Path:
    """The directory with the kubelet, built like the control plane (and from the same build cache)."""
    entry = cache.root() / "bin" / f"kubernetes-{module_version(_KUBERNETES)}-node"
    with cache.making(entry) as work:
        if work is not None:
            _build_kubernetes(NODE, work)
    return entry


def kubectl() -> Path:
    """A kubectl: the one of the clusters' own version if it is built already, else the machine's, else built now."""
    entry, installed = _control_plane_entry(), shutil.which("kubectl")
    if installed is not None and not cache.finished(entry):
        return Path(installed)
    return control_plane() / "kubectl"


def helm() -> Path:
    """The Helm program itself; built on the first call (about a minute)."""
    return _installed("helm", f"helm.sh/helm/v3/cmd/helm@{HELM_VERSION}")


def kind() -> Path:
    """The kind program itself; built on the first call."""
    return _installed("kind", f"sigs.k8s.io/kind@{KIND_VERSION}")


def _installed(name: str, package: str) -> Path:
    entry = cache.root() / "bin" / f"{name}-{package.rpartition('@')[2]}"
    with cache.making(entry) as work:
        if work is not None:
            _go(["install", "-trimpath", "-ldflags=-s -w", package], cwd=work, gobin=work)
    return entry / name


def _control_plane_entry() -> Path:
    name = f"kubernetes-{module_version(_KUBERNETES)}-control-plane-etcd-{module_version(_ETCD)}"
    return cache.root() / "bin" / name


def _build_kubernetes(programs: tuple[str, ...], directory: Path) -> None:
    flags = _version_flags(module_version(_KUBERNETES))
    for program in programs:
        _build(f"{_KUBERNETES}/cmd/{program}", directory / program, flags)


def _version_flags(version: str) -> str:
    """Linker flags that make the programs report their own version: the API server's discovery shows it."""
    major, minor, _ = version.removeprefix("v").split(".", 2)
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(f"-X {package}.{name}={value}" for package in packages for name, value in values.items())


def _build(package: str, output: Path, linker_flags: str) -> None:
    _go(["build", "-trimpath", "-ldflags", f"-s -w {linker_flags}", "-o", str(output), package], cwd=_TOOLS)


def _go(arguments: list[str], *, cwd: Path, gobin: Path | None = None) -> None:
    go = require("go", "the cluster's programs are built from their Go modules")
    print(f"building {arguments[-1]} (once on this machine, up to minutes)", file=sys.stderr, flush=True)
    environment = dict(os.environ, CGO_ENABLED="0", GOFLAGS="-buildvcs=false")
    if gobin is not None:
        environment["GOBIN"] = str(gobin)
    # nice: a build of several minutes must not stop whatever else runs on the machine.
    run(["nice", "-n", "10", go, *arguments], cwd=cwd, env=environment, timeout_s=_BUILD_TIMEOUT_S)
