"""Child processes: start one with its output captured, end it when its time is over, reap every one.

posix_spawn instead of the subprocess module, which would cost every pod a megabyte of imports. As PID 1 of a
container the loop also reaps processes that it does not know: orphans are handed to PID 1.
"""

from __future__ import annotations

import posix

from carrier_sidecar.loop.polling import IN

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping, Sequence

    from carrier_sidecar.loop.api import Timer
    from carrier_sidecar.loop.selecting import SelectingLoop

    Done = Callable[[int, bytes, bytes], None]
else:
    import _signal as signal  # the same without the enumerations, which cost an import of enum

KEPT = 1 << 20  # bytes of each output that are kept; the rest is read and dropped
NOT_STARTED = 127  # the exit code that a shell gives for it


class _Pipe:
    """One output of a child."""

    __slots__ = ("_fd", "_loop", "data")

    def __init__(self, loop: SelectingLoop, fd: int) -> None:
        self._loop = loop
        self._fd = fd
        self.data = bytearray()
        posix.set_blocking(fd, False)
        loop.watch(fd, self.ready, IN)

    def ready(self, events: int = 0) -> bool:
        """Read once; False when there was nothing to read."""
        if self._fd < 0:
            return False
        try:
            piece = posix.read(self._fd, 65536)
        except BlockingIOError:
            return False
        except OSError:
            piece = b""
        if not piece:
            self.close()
            return False
        self.data += piece[: KEPT - len(self.data)]
        return True

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._loop.forget(fd)
            posix.close(fd)


class SpawnedChild:
    """See api.Child."""

    __slots__ = ("_done", "_err", "_out", "_pid", "_timer")

    def __init__(self, loop: SelectingLoop, pid: int, out: int, err: int, timeout_s: float, done: Done) -> None:
        self._pid = pid
        self._done: Done | None = done
        self._out = _Pipe(loop, out)
        self._err = _Pipe(loop, err)
        self._timer: Timer = loop.call_at(loop.now() + timeout_s, self._end)

    def _end(self) -> None:
        try:
            posix.killpg(self._pid, signal.SIGKILL)  # it leads a process group of its own
        except (ProcessLookupError, PermissionError):
            pass

    def kill(self) -> None:
        """End it; `done` is not called."""
        self._done = None
        if self._pid:
            self._end()

    def exited(self, status: int) -> None:
        """It was reaped."""
        self._pid = 0
        self._timer.cancel()
        for pipe in (self._out, self._err):
            # What it wrote is in the pipes. A grandchild may hold them open: that is not waited for.
            for _ in range(64):
                if not pipe.ready():
                    break
            pipe.close()
        done, self._done = self._done, None
        if done is not None:
            done(posix.waitstatus_to_exitcode(status), bytes(self._out.data), bytes(self._err.data))


class _NeverStarted:
    __slots__ = ("_done", "_problem")

    def __init__(self, done: Done, problem: str) -> None:
        self._done: Done | None = done
        self._problem = problem

    def tell(self) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(NOT_STARTED, b"", self._problem.encode("utf-8", "replace"))

    def kill(self) -> None:
        self._done = None


class Children:
    """All children of one loop; reaps on SIGCHLD."""

    __slots__ = ("_by_pid", "_loop", "_reap_all")

    def __init__(self, loop: SelectingLoop, *, reap_all: bool) -> None:
        self._loop = loop
        self._reap_all = reap_all
        self._by_pid: dict[int, SpawnedChild] = {}
        loop.on_signal(signal.SIGCHLD, self._reap)

    def spawn(
        self, argv: Sequence[str], env: Mapping[str, str] | None, timeout_s: float, done: Done
    ) -> SpawnedChild | _NeverStarted:
        """See api.Loop.spawn."""
        out_read, out_write = posix.pipe()
        err_read, err_write = posix.pipe()
        null = posix.open("/dev/null", posix.O_RDONLY)
        try:
            pid = posix.posix_spawnp(
                argv[0],
                list(argv),
                posix.environ if env is None else dict(env),
                file_actions=[
                    (posix.POSIX_SPAWN_DUP2, null, 0),
                    (posix.POSIX_SPAWN_DUP2, out_write, 1),
                    (posix.POSIX_SPAWN_DUP2, err_write, 2),
                ],
                setpgroup=0,
                # What we ignore or handle must not be ignored by the child.
                setsigdef=[signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2],
            )
        except OSError as error:
            posix.close(out_read)
            posix.close(err_read)
            refused = _NeverStarted(done, f"{argv[0]}: {error.strerror}")
            self._loop.call_soon(refused.tell)
            return refused
        finally:
            posix.close(out_write)
            posix.close(err_write)
            posix.close(null)
        child = SpawnedChild(self._loop, pid, out_read, err_read, timeout_s, done)
        self._by_pid[pid] = child
        return child

    def _reap(self) -> None:
        if self._reap_all:
            while True:
                try:
                    pid, status = posix.waitpid(-1, posix.WNOHANG)
                except ChildProcessError:
                    return
                if not pid:
                    return
                self._exited(pid, status)
        for pid in list(self._by_pid):
            try:
                found, status = posix.waitpid(pid, posix.WNOHANG)
            except ChildProcessError:  # somebody else has reaped it: how it ended is not known
                found, status = pid, 255 << 8
            if found:
                self._exited(pid, status)

    def _exited(self, pid: int, status: int) -> None:
        child = self._by_pid.pop(pid, None)
        if child is not None:
            child.exited(status)
