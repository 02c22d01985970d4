"""When the folder of certificate authorities is used alone, and when the bundle is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from carrier_sidecar.loop.authorities import hashed_folder, load_system

ONE, TWO = "-- certificate one --\n", "-- certificate number two --"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A folder and a bundle as Debian makes them."""
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "4a6481c9.0").write_text(ONE)
    (folder / "0b1b94ef.1").write_text(TWO)
    (folder / "README").write_text("not a certificate")
    (tmp_path / "bundle.crt").write_text(ONE + TWO + "\n")
    return {"SSL_CERT_DIR": str(folder), "SSL_CERT_FILE": str(tmp_path / "bundle.crt")}


def test_a_folder_that_holds_what_the_bundle_holds_is_used(environ: dict[str, str]) -> None:
    assert hashed_folder(environ) == environ["SSL_CERT_DIR"]


def test_a_folder_is_used_where_there_is_no_bundle(environ: dict[str, str]) -> None:
    Path(environ["SSL_CERT_FILE"]).unlink()
    assert hashed_folder(environ) == environ["SSL_CERT_DIR"]


@pytest.mark.parametrize("bundle", [ONE, ONE + TWO + "\n-- one's own --\n", ""])
def test_somebodys_own_bundle_is_loaded(environ: dict[str, str], bundle: str) -> None:
    Path(environ["SSL_CERT_FILE"]).write_text(bundle)
    assert hashed_folder(environ) == ""


def test_a_folder_without_hashes_is_not_used(environ: dict[str, str]) -> None:
    for name in ("4a6481c9.0", "0b1b94ef.1"):
        Path(environ["SSL_CERT_DIR"], name).unlink()
    Path(environ["SSL_CERT_FILE"]).write_text("")
    assert hashed_folder(environ) == ""


def test_a_dead_link_or_a_missing_folder_means_the_bundle(environ: dict[str, str]) -> None:
    Path(environ["SSL_CERT_DIR"], "ffffffff.0").symlink_to("/nonexistent")
    assert hashed_folder(environ) == ""
    assert hashed_folder({**environ, "SSL_CERT_DIR": "/nonexistent"}) == ""


class Context:
    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def load_verify_locations(self, file: str | None, folder: str) -> None:
        self.calls.append((file, folder))

    def set_default_verify_paths(self) -> None:
        self.calls.append(("defaults",))


def test_the_context_gets_one_or_the_other(environ: dict[str, str]) -> None:
    context = Context()
    load_system(context, environ)
    Path(environ["SSL_CERT_FILE"]).write_text("another")
    load_system(context, environ)
    assert context.calls == [(None, environ["SSL_CERT_DIR"]), ("defaults",)]
