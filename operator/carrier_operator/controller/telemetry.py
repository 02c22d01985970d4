"""What the controller counts, for /metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from carrier_operator.metrics import Counter, Gauge, expose

from . import reasons


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

    def attach_statuses(self, statuses: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        """Gauges over the statuses of all bindings as they are when Prometheus asks."""
        self.attach(
            Gauge(
                "carrier_controller_missing_pods",
                "Pods that lack the sidecar of a binding which matches them.",
                lambda: float(sum(_count(status, "missing") for status in statuses())),
            ),
            Gauge(
                "carrier_controller_stale_pods",
                "Pods with a sidecar as it was before their binding's last change.",
                lambda: float(sum(_count(status, "stale") for status in statuses())),
            ),
            Gauge(
                "carrier_controller_bindings_not_ready",
                "Bindings whose condition Ready is False (suspended ones among them).",
                lambda: float(sum(_is_not_ready(status) for status in statuses())),
            ),
        )

    def exposition(self) -> str:
        """The text for /metrics."""
        return expose(self._all)


def _count(status: Mapping[str, Any], key: str) -> int:
    """One of the status' numbers of pods; 0 where it is not there, or somebody else wrote something else."""
    pods = status.get("pods")
    count = pods.get(key) if isinstance(pods, dict) else None
    return count if isinstance(count, int) else 0


def _is_not_ready(status: Mapping[str, Any]) -> bool:
    return any(
        isinstance(it, dict) and it.get("type") == reasons.READY and it.get("status") == reasons.FALSE
        for it in status.get("conditions") or ()
    )
