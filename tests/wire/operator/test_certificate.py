"""The serving certificate from mounted files, as kubelets swap them."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from carrier_operator.injector.certificate import ServingCertificate, follow_files
from tests.wire.operator.certificates import Authority
from tests.wire.operator.fake_api import until

AUTHORITY = Authority()


def swap(folder: Path, name: str, pair: tuple[bytes, bytes]) -> None:
    """A new version beside the old, and the link ..data turned to it at once."""
    fresh = folder / name
    fresh.mkdir()
    (fresh / "tls.crt").write_bytes(pair[0])
    (fresh / "tls.key").write_bytes(pair[1])
    (folder / "turning").symlink_to(name)
    (folder / "turning").replace(folder / "..data")
    for key in ("tls.crt", "tls.key"):
        if not (folder / key).is_symlink():
            (folder / key).symlink_to(f"..data/{key}")


def test_mounted_files_are_loaded_when_they_come_and_whenever_they_change(tmp_path: Path) -> None:
    async def test() -> None:
        serving = ServingCertificate()
        task = asyncio.create_task(follow_files(serving, tmp_path, look_again_s=0.01))
        await asyncio.sleep(0.05)
        assert not serving.loaded.is_set()
        assert serving.not_after is None
        swap(tmp_path, "1", AUTHORITY.leaf())
        await asyncio.wait_for(serving.loaded.wait(), 5)
        first = serving._current
        swap(tmp_path, "2", AUTHORITY.leaf())
        await until(lambda: serving._current != first)
        second = serving._current
        swap(tmp_path, "3", (AUTHORITY.leaf()[0], AUTHORITY.leaf()[1]))  # the key of another
        await asyncio.sleep(0.1)
        assert serving._current == second
        swap(tmp_path, "4", AUTHORITY.leaf())
        await until(lambda: serving._current != second)
        assert not task.done()
        task.cancel()

    asyncio.run(test())


@pytest.mark.parametrize("pair", [(b"", b""), (b"no PEM", b"no PEM"), (b"\xff", b"\xff")])
def test_what_is_no_certificate_is_a_value_error(pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="can't be used"):
        ServingCertificate().load(*pair)


def test_old_protocols_are_not_spoken() -> None:
    assert ServingCertificate().context.minimum_version == ssl.TLSVersion.TLSv1_2
