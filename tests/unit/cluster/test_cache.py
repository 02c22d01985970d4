"""What is slow to make is made once, and never left half-made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from e2e.cluster import cache


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def make(entry: Path, *, fail: bool = False) -> bool:
    """Make an entry with one file; False if it was there. `fail`: ZeroDivisionError when it is half made."""
    with cache.making(entry) as work:
        if work is None:
            return False
        (work / "file").write_text("made")
        if fail:
            raise ZeroDivisionError
    return True


def test_an_entry_is_made_once() -> None:
    entry = cache.root() / "things" / "one-1"
    assert make(entry)
    assert not make(entry)
    assert (entry / "file").read_text() == "made"


def test_a_failure_leaves_nothing_behind() -> None:
    entry = cache.root() / "things" / "one-1"
    with pytest.raises(ZeroDivisionError):
        make(entry, fail=True)
    assert not entry.exists()
    assert [path.name for path in entry.parent.iterdir()] == [".one.lock"]
    assert make(entry)


def test_what_a_killed_process_left_half_made_is_removed() -> None:
    entry = cache.root() / "things" / "one-1"
    leftover = entry.parent / ".one.abc.making"
    leftover.mkdir(parents=True)
    make(entry)
    assert not leftover.exists()


def test_what_somebody_else_finished_while_we_waited_for_the_lock_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = cache.root() / "things" / "one-1"

    def finished_by_somebody_else(*_: object) -> None:
        monkeypatch.undo()
        os.makedirs(entry)
        (entry / ".complete").touch()

    monkeypatch.setattr("fcntl.flock", finished_by_somebody_else)
    with cache.making(entry) as work:
        assert work is None


def test_only_the_newest_of_a_purpose_are_kept() -> None:
    images = cache.root() / "images"
    make(images / "base-sidecar-0")
    for age in (4, 3, 2, 1):
        make(images / f"sidecar-{age}")
        os.utime(images / f"sidecar-{age}", (1000 - age, 1000 - age))
    make(images / "sidecar-0")
    left = sorted(path.name for path in images.iterdir() if path.is_dir())
    assert left == ["base-sidecar-0", "sidecar-0", "sidecar-1", "sidecar-2", "sidecar-3"]


def test_a_key_tells_apart_where_parts_begin() -> None:
    assert cache.content_key("ab", "c") != cache.content_key("a", "bc")
    assert cache.content_key("ab", b"c") == cache.content_key(b"ab", "c")
