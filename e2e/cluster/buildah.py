"""Container images from Dockerfiles without Docker: buildah in chroot isolation, with a store that lasts for one build.

buildah comes from its Debian package, unpacked in the cache, unless it is installed. Needs root.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from . import cache, debian, machine
from .commands import run
from .errors import Unavailable

_TIMEOUT_S = 600
_WITHOUT = ("libc6", "gcc-12-base", "libgcc-s1", "perl", "perl-base", "perl-modules-5.36", "libperl5.36", "gnupg-l10n")
_SETTINGS = {
    "storage.conf": '[storage]\ndriver = "vfs"\nrunroot = "STORE/run"\ngraphroot = "STORE/graph"\n',
    "registries.conf": "unqualified-search-registries = []\n",
    "policy.json": json.dumps({"default": [{"type": "insecureAcceptAnything"}]}),
}


def build(
    dockerfile: Path, context: Path, *, name: str, bases: Iterable[Path], arguments: Mapping[str, str], to: Path
) -> None:
    """Build an image and write it to the archive `to`, under the full reference `name`.

    `bases`: OCI archives of the images that the Dockerfile starts from, by the names in them; nothing else can be
    pulled. `arguments`: build arguments; those that the Dockerfile does not have are ignored.
    Raises Unavailable without root, ClusterError with buildah's last words when a step fails.
    """
    if os.geteuid() != 0:
        raise Unavailable("building images with buildah needs root")
    buildah = _program()
    with _store() as store:
        env = dict(
            os.environ,
            CONTAINERS_STORAGE_CONF=str(store / "storage.conf"),
            CONTAINERS_REGISTRIES_CONF=str(store / "registries.conf"),
            TMPDIR=str(store),
        )

        def call(command: str, *options: str | Path) -> None:
            trust = f"--signature-policy={store}/policy.json"
            run([buildah, command, trust, *options], env=env, timeout_s=_TIMEOUT_S)

        for archive in bases:
            call("pull", f"oci-archive:{archive}")
        values = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        names = [f"--file={dockerfile}", f"--tag={name}"]
        call("build", "--isolation=chroot", "--pull-never", "--format=docker", *values, *names, context)
        # Docker's kind of archive: containerd and kind take the image's whole name from it.
        call("push", name, f"docker-archive:{to}:{name}")


@contextmanager
def _store() -> Iterator[Path]:
    """An empty image store with its settings, for the length of the block."""
    store = Path(tempfile.mkdtemp(prefix="carrier-buildah-"))
    try:
        for file, text in _SETTINGS.items():
            (store / file).write_text(text.replace("STORE", str(store)))
        yield store
    finally:
        machine.unmount_below(store, os.environ)  # what an interrupted build left mounted
        shutil.rmtree(store)


def _program() -> Path:
    installed = shutil.which("buildah")
    if installed is not None:
        return Path(installed)
    packages = debian.closure(["buildah"], without=_WITHOUT)
    tool = debian.closure(["patchelf"], without=[*_WITHOUT, "libstdc++6"])
    key = cache.content_key(Path(__file__).read_bytes(), *map(str, packages + tool))
    entry = cache.root() / "node" / f"buildah-{key}"
    with cache.making(entry) as work:
        if work is not None:
            debian.unpack(debian.download(packages + tool), work)
            # Where it looks for libraries has to stand in the program: it starts itself again with an empty
            # environment and through /proc, so that neither LD_LIBRARY_PATH nor $ORIGIN would lead there.
            libraries = ":".join(str(entry / place / debian.triplet()) for place in ("usr/lib", "lib"))
            patch: list[str | Path] = [work / "usr/bin/patchelf", "--force-rpath", "--set-rpath", libraries]
            run([*patch, work / "usr/bin/buildah"])
    return entry / "usr/bin/buildah"
