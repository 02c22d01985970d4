"""Where what is slow to make is kept: outside the repository, in directories named by version or content.

Every entry can be deleted at any time and is made again when it is needed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Says inside a finished entry that it is finished: an interrupted build leaves none behind, but a copy might.
_COMPLETE = ".complete"
_KEPT = 4  # of one purpose; more than one, for a process that still uses the one before


def root() -> Path:
    """The cache directory, `$XDG_CACHE_HOME/carrier` or `~/.cache/carrier`; created if missing."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    directory = Path(base) / "carrier"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def content_key(*parts: str | bytes) -> str:
    """A short name for what an entry is made from: the same parts give the same name."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()[:16]


def finished(entry: Path) -> bool:
    """Has `entry` been made to its end?"""
    return (entry / _COMPLETE).exists()


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Keep other processes that ask for the same lock waiting."""
    with open(root() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def making(entry: Path) -> Iterator[Path | None]:
    """Make a cache entry, called `PURPOSE-VERSION`, once, however many processes ask for it at the same time.

    Yields an empty directory to fill, which takes the name `entry` when the block ends well, or None when the
    entry is there already (made meanwhile by someone else, too). An exception leaves nothing behind. Of one purpose the
    newest few are kept: what is named by the content of the sources would otherwise grow with every change.
    """
    if finished(entry):
        yield None
        return
    entry.parent.mkdir(parents=True, exist_ok=True)
    purpose = entry.name.rpartition("-")[0]
    with open(entry.parent / f".{purpose}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if finished(entry):
            yield None
            return
        for abandoned in entry.parent.glob(f".{purpose}.*.making"):  # the lock says that nobody is at it
            shutil.rmtree(abandoned, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=f".{purpose}.", suffix=".making", dir=entry.parent))
        try:
            work.chmod(0o755)
            yield work
            (work / _COMPLETE).touch()
            shutil.rmtree(entry, ignore_errors=True)
            work.rename(entry)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        _drop_older(entry.parent, purpose)


def _drop_older(directory: Path, purpose: str) -> None:
    entries = [path for path in directory.glob(f"{purpose}-*") if path.name.rpartition("-")[0] == purpose]
    for old in sorted(entries, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
