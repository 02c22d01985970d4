"""Runs the sidecar with a sampling profiler in the same process: where does its CPU time go?

    python -m bench.sampler FILE            (environment as for the sidecar; the profile goes to FILE as JSON)

A SIGPROF handler notes the function that runs, every millisecond of CPU time or as often as the kernel's clock ticks.
Time in a C function or the kernel counts for the Python line that called it, which is what one wants to know. Standard
library only, so that it runs with the interpreter that the sidecar runs with.
"""

import json
import os
import signal
import sys

INTERVAL_S = 0.001


def main() -> None:
    target = sys.argv[1]
    sys.argv = ["carrier-sidecar"]
    from carrier_sidecar.__main__ import main as sidecar

    functions: dict[str, int] = {}
    lines: dict[str, int] = {}

    def sample(_signum: int, frame: object) -> None:
        code = frame.f_code  # type: ignore[attr-defined]  # a frame; types would cost an import
        where = f"{os.path.relpath(code.co_filename, 'sidecar')}:{code.co_qualname}"
        functions[where] = functions.get(where, 0) + 1
        line = f"{where}:{frame.f_lineno}"  # type: ignore[attr-defined]
        lines[line] = lines.get(line, 0) + 1

    signal.signal(signal.SIGPROF, sample)
    signal.siginterrupt(signal.SIGPROF, False)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)
    code: object = 1
    try:
        code = sidecar()
    except SystemExit as ended:
        code = ended.code
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        user_s, system_s = os.times()[:2]
        with open(target, "w") as file:
            json.dump({"functions": functions, "lines": lines, "user_s": user_s, "system_s": system_s}, file)
    sys.exit(code)


if __name__ == "__main__":
    main()
