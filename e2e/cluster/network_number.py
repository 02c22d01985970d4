"""The number N that tells one local cluster from another on the same machine.

Everything that a cluster names or binds on the machine carries it: the API server's address 127.N.0.1, the bridge
`carrierN` with the addresses 10.N.0.0/16, the nftables table, the cgroups. A number is taken by a lock on a file that
the cluster's etcd holds for as long as it lives, so a crash frees it.
"""

from __future__ import annotations

import fcntl
import os
from typing import IO

from . import cache
from .errors import ClusterError

# 10.N and 127.N: high numbers, away from what VPNs and other tests like to use.
_RANGE = range(160, 250)


class NetworkNumber:
    """One taken number. `close` gives it back unless a process has inherited `fd`."""

    def __init__(self, number: int, lock: IO[str]) -> None:
        self.number = number
        self._lock = lock

    @property
    def fd(self) -> int:
        """What a process has to inherit to hold the number."""
        return self._lock.fileno()

    def close(self) -> None:
        self._lock.close()


def take() -> NetworkNumber:
    """The first number that no other cluster of this machine holds."""
    for number in _RANGE:
        lock = _try(number)
        if lock is not None:
            return NetworkNumber(number, lock)
    raise ClusterError(f"all {len(_RANGE)} cluster numbers are taken; locks in {_directory()}")


def others(own: int) -> bool:
    """Does any other cluster hold a number?"""
    for number in _RANGE:
        if number == own or not os.path.exists(_path(number)):
            continue
        lock = _try(number)
        if lock is None:
            return True
        lock.close()
    return False


def _try(number: int) -> IO[str] | None:
    lock = open(_path(number), "w")  # noqa: SIM115 - held beyond this function
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _path(number: int) -> str:
    return f"{_directory()}/{number}"


def _directory() -> str:
    directory = cache.root() / "numbers"
    directory.mkdir(exist_ok=True)
    return str(directory)
