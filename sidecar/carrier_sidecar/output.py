"""Standard output as a place for whole lines that never blocks for long, never raises and never grows.

A log must not stop what it reports on: a full disk, a closed pipe or a reader that stalls costs lines, not messages.
What can't be written now is kept up to a limit and tried again; what is lost is counted, and said once it works again.
The text of lines is `log`'s business.
"""

from __future__ import annotations

import errno
import posix
import select
from _stat import S_ISREG, S_ISSOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

# What is kept while the output takes nothing.
MAX_KEPT_BYTES = 65536
RETRY_S = 1.0
# POSIX's PIPE_BUF on Linux: a pipe that select() calls writable takes that much without blocking.
_CHUNK_BYTES = 4096
# Passes by itself, and what was cut off in mid-line can be completed then.
_PASSING = (errno.EAGAIN, errno.EINTR, errno.ENOSPC, errno.EDQUOT, errno.ENOBUFS)


class Output:
    """Lines to a file descriptor. `later(seconds, callback)` calls back once; without it, what is kept is tried again
    at the next line only. `dropped` counts lost lines; `report_lost(count)` makes the line that says so."""

    __slots__ = ("_chunk_bytes", "_fd", "_kept", "_lost", "_retrying", "_socket", "dropped", "later", "report_lost")

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._kept = bytearray()
        self._lost = 0
        self._retrying = False
        self._socket: socket.socket | None = None
        self._chunk_bytes = _CHUNK_BYTES
        self.dropped = 0
        self.later: Callable[[float, Callable[[], None]], object] | None = None
        self.report_lost: Callable[[int], bytes] | None = None
        try:
            mode = posix.fstat(fd).st_mode
        except OSError:
            # Started with the descriptor closed: the next file opened would get its number, and our lines.
            null = posix.open("/dev/null", posix.O_WRONLY)
            if null != fd:
                posix.dup2(null, fd)
                posix.close(null)
            return
        if S_ISREG(mode):
            self._chunk_bytes = MAX_KEPT_BYTES
        elif S_ISSOCK(mode):
            import socket

            self._socket = socket.socket(fileno=posix.dup(fd))

    def write(self, line: bytes) -> None:
        """Write one line (with its line feed), now or later, or count it as lost."""
        if self._kept and len(self._kept) + len(line) > MAX_KEPT_BYTES:
            self._push(0.0)
            if self._kept and len(self._kept) + len(line) > MAX_KEPT_BYTES:
                self._lose(1)
                return
        self._kept += line
        self._push(0.0)

    def finish(self, wait_s: float = 0.25) -> None:
        """Before the end: give a reader that is merely busy a moment to take what is kept."""
        self.later = None
        for _ in range(int(wait_s / 0.05) + 1):
            if not self._kept:
                break
            self._push(0.05)

    def _push(self, wait_s: float) -> None:
        """Write what the descriptor takes."""
        kept = self._kept
        while kept:
            try:
                written = self._write_some(kept, wait_s)
            except OSError as error:
                if error.errno not in _PASSING:
                    self._lose(max(1, kept.count(b"\n")))
                    kept.clear()
                    return
                written = 0
            if not written:
                if self.later is not None and not self._retrying:
                    self._retrying = True
                    self.later(RETRY_S, self._retry)
                return
            del kept[:written]
            if not kept and self._lost and self.report_lost is not None:
                kept += self.report_lost(self._lost)
                self._lost = 0

    def _write_some(self, data: bytearray, wait_s: float) -> int:
        if self._socket is not None:
            return self._socket.send(data, _dont_wait())
        if self._chunk_bytes == _CHUNK_BYTES:
            if not select.select((), (self._fd,), (), wait_s)[1]:
                return 0
            return posix.write(self._fd, data[:_CHUNK_BYTES])
        return posix.write(self._fd, data)

    def _retry(self) -> None:
        self._retrying = False
        self._push(0.0)

    def _lose(self, lines: int) -> None:
        self._lost += lines
        self.dropped += lines


def _dont_wait() -> int:
    import socket

    return socket.MSG_DONTWAIT
