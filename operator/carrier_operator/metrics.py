"""Counters, gauges and histograms in Prometheus' text format 0.0.4: as much as the operator's processes need, no
more.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence

LabelValues = tuple[str, ...]


class Counter:
    """Only grows; one value per combination of label values."""

    __slots__ = ("labels", "name", "values", "what")

    def __init__(self, name: str, what: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.what = what
        self.labels = tuple(labels)
        self.values: dict[LabelValues, float] = {} if labels else {(): 0.0}

    def inc(self, *label_values: str, by: float = 1) -> None:
        """Adds to the value of these label values."""
        self.values[label_values] = self.values.get(label_values, 0) + by

    def lines(self) -> list[str]:
        """The samples as text."""
        return [
            f"{self.name}{_labels(self.labels, key)} {_number(value)}" for key, value in sorted(self.values.items())
        ]


class Gauge:
    """A value that is read when it is asked for; None leaves it out."""

    __slots__ = ("name", "read", "what")

    def __init__(self, name: str, what: str, read: Callable[[], float | None]) -> None:
        self.name = name
        self.what = what
        self.read = read

    def lines(self) -> list[str]:
        """The sample as text."""
        value = self.read()
        return [] if value is None else [f"{self.name} {_number(value)}"]


class Histogram:
    """Counts of observations up to each bound."""

    __slots__ = ("bounds", "counts", "name", "total", "what")

    def __init__(self, name: str, what: str, bounds: Sequence[float]) -> None:
        self.name = name
        self.what = what
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Counts one observation."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self) -> list[str]:
        """The samples as text."""
        out, running = [], 0
        for bound, count in zip((*self.bounds, math.inf), self.counts, strict=True):
            running += count
            out.append(f'{self.name}_bucket{{le="{_number(bound)}"}} {running}')
        return [*out, f"{self.name}_sum {_number(self.total)}", f"{self.name}_count {running}"]


def expose(metrics: Sequence[Counter | Gauge | Histogram]) -> str:
    """The text that Prometheus scrapes."""
    kinds = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}
    out = []
    for metric in metrics:
        out += [f"# HELP {metric.name} {metric.what}", f"# TYPE {metric.name} {kinds[type(metric)]}", *metric.lines()]
    return "\n".join(out) + "\n"


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return f"{value:.0f}" if value == int(value) else repr(value)


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    pairs = zip(names, values, strict=True)
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
