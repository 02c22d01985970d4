"""Debian packages without installing them: resolve, download with the machine's own apt, unpack into a directory.

Maintainer scripts do not run; what a root file system needs of their work is done in `root_file_system`.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from . import cache
from .commands import require, run
from .errors import ClusterError

_WHY = "the node's programs and images are made from Debian packages"
# Resolving against an empty system gives the whole closure, whatever this machine happens to have installed.
_EMPTY_SYSTEM = ["-o", "Dir::State::status=/dev/null", "--no-install-recommends"]


class Package:
    """One package in one version, as apt names them."""

    __slots__ = ("name", "version")

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self.version = version

    def __str__(self) -> str:
        return f"{self.name}={self.version}"


def closure(names: Iterable[str], *, without: Iterable[str] = ()) -> list[Package]:
    """The packages and everything they depend on, but for those in `without`. In the order of apt, a stable one."""
    left_out = set(without)
    found = re.findall(r"^Inst (\S+) \((\S+) ", _simulated_installation(list(names)), re.MULTILINE)
    return [Package(name, version) for name, version in found if name not in left_out]


def download(packages: Iterable[Package]) -> list[Path]:
    """The packages' files, fetched into the cache where they are not there yet."""
    directory = cache.root() / "debs"
    directory.mkdir(exist_ok=True)
    wanted = list(packages)
    missing = [package for package in wanted if _file(directory, package) is None]
    if missing:
        # Sandbox::User: apt would otherwise fetch as _apt, which may not write here.
        apt = [require("apt-get", _WHY), "-q", "-o", f"APT::Sandbox::User={_user()}", "download"]
        _apt([*apt, *map(str, missing)], cwd=directory)
    files = []
    for package in wanted:
        file = _file(directory, package)
        if file is None:
            raise ClusterError(f"apt-get download brought no file for {package}")
        files.append(file)
    return files


def unpack(files: Iterable[Path], directory: Path) -> None:
    """Unpack packages into `directory`; links that are there already (a merged /usr) are kept."""
    dpkg = require("dpkg-deb", _WHY)
    with tempfile.TemporaryDirectory() as tars:
        for file in files:
            # Not --extract: that would put a directory in the place of a link.
            tar = Path(tars, file.name)
            with open(tar, "wb") as content:
                subprocess.run([dpkg, "--fsys-tarfile", file], stdout=content, check=True)
            run(["tar", "--extract", "--keep-directory-symlink", "--file", tar, "--directory", directory])
            tar.unlink()


def root_file_system(names: Iterable[str], directory: Path) -> None:
    """A root file system of the packages (and what they depend on) for an image: no package database, no documents.

    Users: root, nobody (65534). CA certificates are put together where the package is among them.
    """
    for link in ("bin", "sbin", "lib", "lib64"):
        (directory / "usr" / link).mkdir(parents=True)
        (directory / link).symlink_to(f"usr/{link}")
    unpack(download(closure(names, without=_NOT_IN_IMAGES)), directory)
    for unused in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/bug"):
        run(["rm", "-rf", directory / unused])
    for place in ("tmp", "root", "run", "var/tmp", "usr/local/bin"):
        (directory / place).mkdir(parents=True, exist_ok=True)
    (directory / "tmp").chmod(0o1777)
    etc = directory / "etc"
    etc.mkdir(exist_ok=True)
    (etc / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    )
    (etc / "group").write_text("root:x:0:\nnogroup:x:65534:\n")
    certificates = sorted((directory / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    if certificates:  # what update-ca-certificates does
        (etc / "ssl/certs").mkdir(parents=True, exist_ok=True)
        bundle = b"".join(file.read_bytes() for file in certificates)
        (etc / "ssl/certs/ca-certificates.crt").write_bytes(bundle)


def triplet() -> str:
    """The name of this machine's architecture in library paths."""
    known = {"x86_64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu"}
    triplet = known.get(platform.machine())
    if triplet is None:
        raise ClusterError(f"no Debian packages are known for {platform.machine()}")
    return triplet


_DOWNLOAD_TIMEOUT_S = 600

# Essential packages that others name as a dependency, for their own scripts only.
_NOT_IN_IMAGES = ("dpkg", "debconf", "tar", "openssl", "perl-base")


def _simulated_installation(names: list[str]) -> str:
    """What apt says it would do on an empty system; remembered for as long as its package lists are the same."""
    apt = require("apt-get", _WHY)
    lists = Path("/var/lib/apt/lists")
    state = str(lists.stat().st_mtime_ns) if lists.exists() else ""
    entry = cache.root() / "closures" / f"{'+'.join(names)}-{cache.content_key(state)}"
    with cache.making(entry) as work:
        if work is not None:
            simulated = _apt([apt, "-q", *_EMPTY_SYSTEM, "--simulate", "install", *names])
            (work / "simulated").write_text(simulated)
    return (entry / "simulated").read_text()


def _apt(arguments: list[str], cwd: Path | None = None) -> str:
    """Run apt-get; where it fails and we may, once more with fresh package lists: missing or old ones are the usual
    reason (new machines have none; the archive drops superseded versions).
    """
    try:
        return run(arguments, cwd=cwd, timeout_s=_DOWNLOAD_TIMEOUT_S)
    except ClusterError:
        if os.geteuid() != 0:
            raise
    run([arguments[0], "-q", "update"], timeout_s=_DOWNLOAD_TIMEOUT_S)
    return run(arguments, cwd=cwd, timeout_s=_DOWNLOAD_TIMEOUT_S)


def _file(directory: Path, package: Package) -> Path | None:
    # A file's name has the epoch's colon escaped, and the architecture, which may be `all`.
    found = list(directory.glob(f"{package.name}_{package.version.replace(':', '%3a')}_*.deb"))
    return found[0] if found else None


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name
