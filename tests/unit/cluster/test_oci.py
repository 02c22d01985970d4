"""An image archive is its content and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path

from e2e.cluster import oci


def root(directory: Path) -> Path:
    (directory / "bin").mkdir(parents=True)
    (directory / "bin" / "tool").write_text("x")
    (directory / "bin" / "tool").chmod(0o755)
    (directory / "sh").symlink_to("bin/tool")
    return directory


def test_the_same_files_give_the_same_bytes_whenever_they_were_written(tmp_path: Path) -> None:
    first, second = root(tmp_path / "a"), root(tmp_path / "b")
    os.utime(second / "bin" / "tool", (1, 1))
    for name, directory in (("a.tar", first), ("b.tar", second)):
        oci.write_archive(tmp_path / name, "example.test/it:1", directory, entrypoint=["/sh"])
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_every_blob_is_what_its_name_says_and_the_index_names_the_image(tmp_path: Path) -> None:
    archive = tmp_path / "it.tar"
    oci.write_archive(archive, "example.test/it:1", root(tmp_path / "a"), env={"HOME": "/"}, user="65532:65532")
    with tarfile.open(archive) as tar:
        blobs = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        content = {name: file.read() for name, file in blobs.items() if file is not None}
    for name, blob in content.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}"
    (manifest,) = json.loads(content["index.json"])["manifests"]
    assert manifest["annotations"]["io.containerd.image.name"] == "example.test/it:1"

    def blob_of(descriptor: dict[str, str]) -> bytes:
        return content["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")]

    config = json.loads(blob_of(json.loads(blob_of(manifest))["config"]))
    assert config["config"]["User"] == "65532:65532"
    assert "HOME=/" in config["config"]["Env"]
