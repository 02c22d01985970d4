"""`python -m carrier_operator injector|controller`: the operator image's entry point. `carrierctl` is a command of its
own.
"""

from __future__ import annotations

import importlib
import sys

PROCESSES = ("injector", "controller")


def main() -> int:
    """The process that the first argument names."""
    if len(sys.argv) != 2 or sys.argv[1] not in PROCESSES:
        sys.stderr.write(f"say which process: {' or '.join(PROCESSES)}\n")
        return 2
    code: int = importlib.import_module(f"carrier_operator.{sys.argv[1]}.__main__").main()
    return code


if __name__ == "__main__":
    sys.exit(main())
