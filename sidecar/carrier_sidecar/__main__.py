"""The command `carrier-sidecar`: without arguments the sidecar itself; `settings`, `check` and `echo` beside it.

Wiring only. What a subcommand needs is imported when it is asked for: the resident process carries none of it.
"""

from __future__ import annotations

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carrier_sidecar.run import Sidecar

USAGE = """\
usage: carrier-sidecar [run]          receive from SQS, POST to the handler, settle by its answers
       carrier-sidecar settings       every setting with its value in force and where that came from
       carrier-sidecar check          try credentials, queue, permissions and handler, and say what to mend
       carrier-sidecar echo           a sample handler that prints what it gets
       carrier-sidecar --version

Settings are environment variables: `carrier-sidecar settings` lists them. Each subcommand has a --help of its own.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments.pop(0) if arguments else "run"
    if command == "run" and not arguments:
        from carrier_sidecar.loop.environ import read_environ

        return run(read_environ())
    try:
        code = _tell(command, arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has read enough (`| head`)
        posix.dup2(posix.open("/dev/null", posix.O_WRONLY), 1)  # for the flush at the end of the process
        return 1
    return code


def _tell(command: str, arguments: list[str]) -> int:
    """The commands that print something and end; the exit code."""
    if command == "settings":
        from carrier_sidecar.settings_page import main as settings_main

        return settings_main(arguments)
    if command == "check":
        from carrier_sidecar.check import main as check_main

        return check_main(arguments)
    if command == "echo":
        from carrier_sidecar.echo import main as echo_main

        return echo_main(arguments)
    if command in ("--version", "version"):
        from carrier_sidecar import __version__

        sys.stdout.write(f"carrier-sidecar {__version__}\n")
        return 0
    if command in ("-h", "--help", "help"):
        sys.stdout.write(USAGE)
        return 0
    sys.stderr.write(f"carrier-sidecar: unknown command {command!r}\n{USAGE}")
    return 2


def run(environ: Mapping[str, str]) -> int:
    """The sidecar: until it has drained, or cannot start. Its exit code (see run.py)."""
    from carrier_sidecar.loop.selecting import SelectingLoop

    loop = SelectingLoop()
    stop = _Stop()
    for signum in (15, 2):  # SIGTERM, SIGINT; first of all: as PID 1 an unhandled one would be ignored
        loop.on_signal(signum, stop.arrived)
    linux = sys.platform.startswith("linux")
    loop.on_signal(10 if linux else 30, lambda: stop.suspend(True))  # SIGUSR1
    loop.on_signal(12 if linux else 31, lambda: stop.suspend(False))  # SIGUSR2

    from carrier_sidecar.run import build

    exit_code = 1

    def done(code: int) -> None:
        nonlocal exit_code
        exit_code = code
        loop.stop()

    sidecar = build(loop, environ, done, draw=_draw, new_id=_new_id)
    if isinstance(sidecar, int):
        return sidecar
    stop.sidecar = sidecar
    sidecar.start()
    stop.deliver_early()
    loop.run()
    sidecar.close()
    return exit_code


class _Stop:
    """Signals that arrive while the sidecar is still being built are kept for it."""

    def __init__(self) -> None:
        self.sidecar: Sidecar | None = None
        self._stopped = False
        self._suspended: bool | None = None

    def arrived(self) -> None:
        self._stopped = True
        if self.sidecar is not None:
            self.sidecar.on_signal()

    def suspend(self, suspended: bool) -> None:
        self._suspended = suspended
        if self.sidecar is not None:
            (self.sidecar.suspend if suspended else self.sidecar.unsuspend)()

    def deliver_early(self) -> None:
        if self._suspended is not None:
            self.suspend(self._suspended)
        if self._stopped:
            self.arrived()


def _draw() -> float:
    """A random number in [0, 1); the `random` module would cost half a megabyte."""
    return int.from_bytes(posix.urandom(6), "big") / (1 << 48)


def _new_id() -> str:
    return posix.urandom(16).hex()


if __name__ == "__main__":
    sys.exit(main())
