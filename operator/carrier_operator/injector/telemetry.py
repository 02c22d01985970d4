"""What the injector counts and logs of its reviews, in one place: a review's outcome becomes a metric and a log
line.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from carrier_operator.inject import Injection
from carrier_operator.metrics import Counter, Gauge, Histogram, expose

from .review import Review

logger = logging.getLogger("carrier_operator.injector")

_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Telemetry:
    """Metrics of one injector. Gauges are read when Prometheus asks."""

    def __init__(
        self,
        *,
        cache_age_s: Callable[[], float | None],
        bindings: Callable[[], float | None],
        certificate_not_after: Callable[[], float | None],
        ready: Callable[[], float | None],
    ) -> None:
        self.reviews = Counter(
            "carrier_injector_reviews_total", "Admission reviews by result and deciding row.", ("result", "reason")
        )
        self.skips = Counter("carrier_injector_skips_total", "Sidecars left out, by reason.", ("reason",))
        self.duration = Histogram("carrier_injector_review_seconds", "Time to answer a review.", _BOUNDS_S)
        self.watch_restarts = Counter(
            "carrier_injector_watch_restarts_total", "Lists and watches that failed, by status or error.", ("reason",)
        )
        self._all = (
            self.reviews,
            self.skips,
            self.duration,
            self.watch_restarts,
            Gauge("carrier_injector_cache_age_seconds", "Time since the API server was last heard of.", cache_age_s),
            Gauge("carrier_injector_bindings", "Bindings known.", bindings),
            Gauge(
                "carrier_injector_certificate_not_after_seconds",
                "When the serving certificate expires (Unix time).",
                certificate_not_after,
            ),
            Gauge("carrier_injector_ready", "1 when reviews are taken.", ready),
        )

    def exposition(self) -> str:
        """The text for /metrics."""
        return expose(self._all)

    def answered(self, review: Review, injection: Injection, took_s: float) -> None:
        """A review was answered."""
        result = "injected" if injection.patch else "unchanged" if injection.injected else "skipped"
        self.reviews.inc(result, injection.verdict.row.name)
        self.duration.observe(took_s)
        for skipped in injection.skipped:
            self.skips.inc(skipped.skip.code)
        unexpected = bool(injection.warnings)
        level = logging.WARNING if unexpected else logging.INFO if injection.patch else logging.DEBUG
        if not logger.isEnabledFor(level):
            return
        metadata = review.pod.get("metadata") or {}
        fields = {
            "uid": review.uid,
            "namespace": review.namespace,
            "pod": review.name or metadata.get("name") or f"{metadata.get('generateName') or ''}*",
            "result": result,
            "row": injection.verdict.row.name,
            "injected": [binding.name for binding in injection.injected],
            "skipped": [skipped.skip.code for skipped in injection.skipped],
            "warnings": list(injection.warnings),
            "dry_run": review.dry_run,
            "took_ms": round(took_s * 1000, 3),
        }
        logger.log(level, "review answered", extra={"fields": fields})

    def refused(self, reason: str, message: str, uid: str | None = None) -> None:
        """A review was not answered with a verdict."""
        self.reviews.inc("refused", reason)
        logger.warning("review refused", extra={"fields": {"uid": uid, "reason": reason, "error": message}})

    def failed(self, uid: str) -> None:
        """A defect of ours: to be called while the exception is handled."""
        self.reviews.inc("error", "Exception")
        logger.exception("review failed", extra={"fields": {"uid": uid}})


def monotonic() -> float:
    """Seconds on a clock that does not step."""
    return time.monotonic()
