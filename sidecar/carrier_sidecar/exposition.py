"""The /metrics page of a running sidecar: its counters, the state of its parts, and the process's own figures.

Gathers, and lets `metrics` do the writing. Nothing here is kept up to date between two questions.
"""

from __future__ import annotations

import posix

from carrier_sidecar import __version__
from carrier_sidecar.gate import REASONS
from carrier_sidecar.in_flight import ACCEPTED, DEAD, HELD, HIDING, POSTING, RELEASING, WAITING
from carrier_sidecar.metrics import Gauges, render

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carrier_sidecar.engine import Engine
    from carrier_sidecar.metrics import Metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(
    metrics: Metrics,
    engine: Engine,
    *,
    slots: int,
    credentials_s: float | None,
    log_dropped: int,
    started_at: float,
) -> str:
    """The whole page. `credentials_s`: seconds until the credentials expire, None if they don't; `started_at`: the
    process's start in Unix seconds."""
    in_flight = dict.fromkeys((WAITING, POSTING, ACCEPTED, DEAD, HIDING, HELD, RELEASING), 0)
    for message in engine.hand.by_id.values():
        in_flight[message.state] = in_flight.get(message.state, 0) + 1
    gauges = Gauges(
        in_flight=in_flight,
        in_flight_bytes=engine.hand.bytes,
        slots=slots,
        gate_reasons={reason: reason in engine.gate.reasons for reason in REASONS},
        credentials_s=credentials_s,
        log_dropped=log_dropped,
        process=process_figures(started_at),
        version=__version__,
    )
    return render(metrics, gauges)


def process_figures(started_at: float) -> dict[str, float]:
    """By metric name; what the system does not tell (no /proc) is left out."""
    times = posix.times()
    figures = {
        "process_cpu_seconds_total": round(times.user + times.system, 2),
        "process_start_time_seconds": started_at,
    }
    resident = resident_bytes()
    if resident is not None:
        figures["process_resident_memory_bytes"] = resident
    try:
        figures["process_open_fds"] = len(posix.listdir("/proc/self/fd")) - 1  # one is the listing's own
    except OSError:
        pass
    return figures


def resident_bytes() -> int | None:
    """Resident memory of this process; None where there is no /proc."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as statm:
            return int(statm.read().split()[1]) * posix.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return None
