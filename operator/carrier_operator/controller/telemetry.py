"""What the controller counts, for /metrics."""

from __future__ import annotations

from collections.abc import Callable

from carrier_operator.metrics import Counter, Gauge, expose


class Telemetry:
    """Metrics of one controller; gauges are read when Prometheus asks. `attach` adds those of the leader."""

    def __init__(self, *, leading: Callable[[], float]) -> None:
        self.writes = Counter("carrier_controller_writes_total", "Calls that change something.", ("what", "result"))
        self.watch_restarts = Counter(
            "carrier_controller_watch_restarts_total", "Lists and watches that failed, by status or error.", ("reason",)
        )
        self._all: list[Counter | Gauge] = [
            self.writes,
            self.watch_restarts,
            Gauge("carrier_controller_leading", "1 for the replica that leads.", leading),
        ]

    def wrote(self, what: str, result: str) -> None:
        """A call was made."""
        self.writes.inc(what, result)

    def attach(self, *gauges: Gauge) -> None:
        """Further gauges."""
        self._all += gauges

    def exposition(self) -> str:
        """The text for /metrics."""
        return expose(self._all)
