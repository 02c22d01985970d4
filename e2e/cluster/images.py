"""The project's own images for a cluster: built from the Dockerfiles, or, quicker, the wheel on Debian's Python.

What the Dockerfiles get (none of it needs a network while they are built):

| | |
|---|---|
| ARG BASE | an image of Debian packages: python3, CA certificates, busybox for a shell; for the operator also pip |
| context | the repository's files that git knows; for the operator also `wheels/`: our wheel and all that it needs |
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from . import buildah, cache, debian, node_images, oci
from .commands import require, run

REPOSITORY = Path(__file__).parents[2]
WHEEL_IMAGE = "docker.io/carrier/wheel:1"

_BASE_IMAGE = "docker.io/carrier/base:1"
_BASE_PACKAGES = {
    "sidecar": ("python3-minimal", "libpython3-stdlib", "ca-certificates"),
    "operator": ("python3", "python3-pip", "ca-certificates"),
}
_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet")
_PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")


def reference(name: str) -> str:
    """The reference, in a cluster, of the image built from Dockerfile.NAME."""
    return f"docker.io/carrier/{name}:test"


def has_dockerfile(name: str) -> bool:
    """Is there a Dockerfile.NAME?"""
    return (REPOSITORY / f"Dockerfile.{name}").exists()


def built(name: str) -> Path:
    """The archive of the image of Dockerfile.NAME, `sidecar` or `operator`, built if the sources have changed.

    FileNotFoundError without that Dockerfile; Unavailable and ClusterError as buildah.build.
    """
    dockerfile = REPOSITORY / f"Dockerfile.{name}"
    text = dockerfile.read_bytes()
    base = _base(name)
    key = cache.content_key(text, _sources_key(), base.parent.name)
    entry = cache.root() / "images" / f"{name}-{key}"
    with cache.making(entry) as work, tempfile.TemporaryDirectory(prefix="carrier-context-") as directory:
        if work is not None:
            context = Path(directory)
            _copy_sources(context)
            if name == "operator":
                _put_wheels(context / "wheels", extra="operator")
            arguments = {"BASE": _BASE_IMAGE}
            buildah.build(
                dockerfile, context, name=reference(name), bases=[base], arguments=arguments, to=work / "image.tar"
            )
    return entry / "image.tar"


def wheel_on_python() -> Path:
    """The archive of WHEEL_IMAGE: our wheel on Debian's Python, made without buildah. `python3 -m carrier_sidecar`."""
    packages = debian.closure(node_images.PYTHON_PACKAGES)
    entry = cache.root() / "images" / f"wheel-{cache.content_key(_sources_key(), *map(str, packages))}"
    with cache.making(entry) as work, tempfile.TemporaryDirectory() as directory:
        if work is not None:
            root, wheels = Path(directory, "root"), Path(directory, "wheels")
            root.mkdir()
            debian.root_file_system(node_images.PYTHON_PACKAGES, root)
            _put_wheels(wheels)
            for wheel in wheels.glob("carrier-*.whl"):
                zipfile.ZipFile(wheel).extractall(root / "usr/lib/python3/dist-packages")
            oci.write_archive(
                work / "image.tar", WHEEL_IMAGE, root,
                entrypoint=["/usr/bin/python3", "-m", "carrier_sidecar"], env={"HOME": "/"}, user="65532:65532",
            )  # fmt: skip
    return entry / "image.tar"


def _base(name: str) -> Path:
    packages = (*_BASE_PACKAGES[name], "busybox-static")
    key = cache.content_key(node_images.recipe(), *map(str, debian.closure(packages)))
    entry = cache.root() / "images" / f"base-{name}-{key}"
    with cache.making(entry) as work, tempfile.TemporaryDirectory() as directory:
        if work is not None:
            root = Path(directory)
            debian.root_file_system(packages, root)
            node_images.link_applets(root)
            oci.write_archive(work / "image.tar", _BASE_IMAGE, root)
    return entry / "image.tar"


def _put_wheels(directory: Path, extra: str = "") -> None:
    """Our wheel; with `extra` also the wheels of everything that it asks for, for the image's Python."""
    directory.mkdir()
    run([*_PIP, "wheel", "--no-deps", "--wheel-dir", directory, REPOSITORY], timeout_s=300)
    if extra:
        (own,) = directory.glob("carrier-*.whl")
        for wheel in _dependencies(own, extra).glob("*.whl"):
            shutil.copy2(wheel, directory)


def _dependencies(own: Path, extra: str) -> Path:
    """A directory with the wheels that ours asks for; looked up again when it asks for others."""
    python = _python_version()
    key = cache.content_key(python, *_requirements(own))
    entry = cache.root() / "wheels" / f"{extra}-{key}"
    with cache.making(entry) as work:
        if work is not None:
            architecture = debian.triplet().partition("-")[0]
            target = [f"--platform={platform}_{architecture}" for platform in _PLATFORMS]
            target += ["--only-binary=:all:", f"--python-version={python}"]
            run([*_PIP, "download", "--dest", work, *target, f"{own}[{extra}]"], timeout_s=300)
            (work / own.name).unlink(missing_ok=True)
    return entry


def _requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(metadata).decode().splitlines()
    return [line for line in lines if line.startswith("Requires-Dist:")]


def _python_version() -> str:
    """Of the Python in the base images, like 3.11."""
    (version,) = (package.version for package in debian.closure(["python3"]) if package.name == "python3")
    return ".".join(version.split(".")[:2])


def _sources() -> list[str]:
    git: list[str | Path] = [require("git", "an image's sources are the files that git knows"), "-C", REPOSITORY]
    listed = run([*git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"]).split("\0")
    return sorted(path for path in listed if path and (REPOSITORY / path).is_file())


def _copy_sources(context: Path) -> None:
    for path in _sources():
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / path, context / path)


def _sources_key() -> str:
    """Changes with whatever gets into a wheel or an image."""
    shipped = ("sidecar/", "operator/", "crds/", "pyproject.toml", "README.md", "LICENSE", "Dockerfile")
    parts: list[str | bytes] = []
    for path in _sources():
        if path.startswith(shipped):
            parts += [path, (REPOSITORY / path).read_bytes()]
    return cache.content_key(*parts, Path(__file__).read_bytes())
