"""`python -m carrier_operator.injector`: settings from the environment, signals, exit codes (0 ended, 1 defect, 2
settings).
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys

from carrier_operator import log
from carrier_operator.kube import config
from carrier_operator.settings_rows import BadSettings

from . import settings as injector_settings
from .run import Injector


async def _run(settings: injector_settings.Settings, cluster: config.ClusterConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    await Injector(settings, cluster).run(stop)


def main() -> int:
    """The process."""
    try:
        settings = injector_settings.read(os.environ)
        cluster = config.load(os.environ)
    except (BadSettings, config.NoCluster) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    log.set_up(settings.log_level)
    # Reviews make no cycles to speak of, and a full collection over thousands of bindings would hold one up.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        asyncio.run(_run(settings, cluster))
    except OSError as error:
        sys.stderr.write(f"can't serve: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
