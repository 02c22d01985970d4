"""`python -m carrier_operator.controller`: settings from the environment, signals, exit codes (0 ended, 1 defect, 2
settings, 3 no longer the leader).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys

from carrier_operator import log
from carrier_operator.kube import config
from carrier_operator.settings_rows import BadSettings

from . import settings as controller_settings


async def _run(settings: controller_settings.Settings, cluster: config.ClusterConfig, in_cluster: bool) -> None:
    # kopf imports this client wherever it is installed, to have one way more to log in. We log in by ourselves: 20 MB.
    sys.modules.setdefault("kubernetes", None)  # type: ignore[arg-type]  # None says that it can't be imported
    from .run import Controller

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    await Controller(settings, cluster, in_cluster=in_cluster).run(stop)


def main() -> int:
    """The process."""
    in_cluster = "KUBECONFIG" not in os.environ and bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
    try:
        settings = controller_settings.read(os.environ)
        cluster = config.load(os.environ)
    except (BadSettings, config.NoCluster) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    log.set_up(settings.log_level)
    # Lists are decoded into hundreds of objects that live for a moment: by the default thresholds, a third of the time
    # of a start is spent looking for cycles in them.
    gc.set_threshold(50_000, 20, 20)
    logging.getLogger("kopf").setLevel(logging.ERROR)  # it has warnings about running as we run it; ours say the rest
    try:
        asyncio.run(_run(settings, cluster, in_cluster))
    except OSError as error:
        sys.stderr.write(f"can't serve: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
