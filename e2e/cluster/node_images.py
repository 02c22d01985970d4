"""The images that every local node has, made from Debian packages: pause, busybox, python.

| image | for |
|---|---|
| docker.io/carrier/pause:1 | the kubelet's sandboxes |
| docker.io/carrier/busybox:1 | shell and small tools |
| docker.io/carrier/python:1 | Debian's Python 3 with its whole standard library and CA certificates, no shell |
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from . import cache, debian, oci
from .commands import run
from .node import PAUSE_IMAGE

BUSYBOX_IMAGE = "docker.io/carrier/busybox:1"
PYTHON_IMAGE = "docker.io/carrier/python:1"
PYTHON_PACKAGES = ("python3", "ca-certificates")

_PAUSE = ("/bin/sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait $!; done")


def reference(name: str) -> str:
    """The full reference of a test image by its short name, `busybox` or `python`."""
    return {"busybox": BUSYBOX_IMAGE, "python": PYTHON_IMAGE}[name]


def for_node() -> list[Path]:
    """The OCI archives of all of them; made on the first call, in seconds."""
    return [*_busybox(), python()]


def for_tests() -> list[Path]:
    """Those without the sandbox, of which other clusters have their own."""
    return [_busybox()[0], python()]


def python() -> Path:
    """The OCI archive of PYTHON_IMAGE."""
    packages = debian.closure(PYTHON_PACKAGES)
    entry = cache.root() / "images" / f"python-{cache.content_key(recipe(), *map(str, packages))}"
    with cache.making(entry) as work, tempfile.TemporaryDirectory() as root:
        if work is not None:
            debian.root_file_system(PYTHON_PACKAGES, Path(root))
            oci.write_archive(
                work / "python.tar", PYTHON_IMAGE, Path(root),
                entrypoint=["/usr/bin/python3"], env={"PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
    return entry / "python.tar"


def _busybox() -> list[Path]:
    packages = debian.closure(["busybox-static"])
    entry = cache.root() / "images" / f"busybox-{cache.content_key(recipe(), *map(str, packages))}"
    with cache.making(entry) as work, tempfile.TemporaryDirectory() as directory:
        if work is not None:
            root = Path(directory)
            debian.root_file_system(["busybox-static"], root)
            link_applets(root)
            oci.write_archive(work / "busybox.tar", BUSYBOX_IMAGE, root, entrypoint=["/bin/sh"])
            oci.write_archive(work / "pause.tar", PAUSE_IMAGE, root, entrypoint=_PAUSE)
    return [entry / "busybox.tar", entry / "pause.tar"]


def link_applets(root: Path) -> None:
    """Give busybox's applets their names, where nothing has them yet."""
    for applet in run([root / "bin/busybox", "--list"]).split():
        taken = any((root / "usr" / place / applet).exists() for place in ("bin", "sbin"))
        if not taken:
            (root / "bin" / applet).symlink_to("/bin/busybox")


def recipe() -> bytes:
    """How images are made is part of what they are made from."""
    return b"".join(Path(file).read_bytes() for file in (debian.__file__, oci.__file__, __file__))
