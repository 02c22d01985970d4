"""What the controller counts, for /metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from carrier_operator.metrics import Counter, Gauge, expose

from . import reasons

Figures = tuple[int, int, int]  # of a binding: missing pods, stale pods, 1 where it is not ready


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

    def attach_figures(self, figures: Callable[[], Iterable[Figures]]) -> None:
        """Gauges over the figures of all bindings as they are when Prometheus asks."""
        gauges = (
            ("carrier_controller_missing_pods", "Pods that lack the sidecar of a binding which matches them."),
            ("carrier_controller_stale_pods", "Pods with a sidecar as it was before their binding's last change."),
            (
                "carrier_controller_bindings_not_ready",
                "Bindings whose condition Ready is False (suspended ones among them).",
            ),
        )
        for at, (name, text) in enumerate(gauges):
            self.attach(Gauge(name, text, partial(_total, figures, at)))

    def exposition(self) -> str:
        """The text for /metrics."""
        return expose(self._all)


def _total(figures: Callable[[], Iterable[Figures]], at: int) -> float:
    return float(sum(of_one[at] for of_one in figures()))


def figures_of(status: Mapping[str, Any]) -> Figures:
    """Those of one status; 0 for what is not there, or is not as we write it."""
    pods = status.get("pods")
    counts = [pods.get(key) if isinstance(pods, dict) else 0 for key in ("missing", "stale")]
    missing, stale = (count if isinstance(count, int) else 0 for count in counts)
    conditions = status.get("conditions")
    not_ready = any(
        isinstance(it, dict) and it.get("type") == reasons.READY and it.get("status") == reasons.FALSE
        for it in (conditions if isinstance(conditions, list) else ())
    )
    return missing, stale, int(not_ready)
