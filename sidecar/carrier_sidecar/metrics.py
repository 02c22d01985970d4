"""What the sidecar counts: plain attributes to increment, two histograms, and the Prometheus text made from them. Pure.

Whoever sees something happen counts it (`metrics.delivered += 1`); nothing is computed before somebody asks. Figures
that are states, not counts, come in a `Gauges` when the text is made. The statistics line of the log is derived from
the same counters.
"""

from __future__ import annotations

from bisect import bisect_left

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Upper bounds in seconds. Handler time: a local handler answers within milliseconds, and may take minutes.
HANDLER_BOUNDS_S = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0, 900.0, 3600.0,
    43200.0,
)  # fmt: skip
# Queue lag: up to SQS's longest retention, 14 days.
LAG_BOUNDS_S = (
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0, 345600.0,
    1209600.0,
)  # fmt: skip


class Histogram:
    """Observations in seconds, counted in fixed buckets. `counts` has one more entry than `bounds`: what is above."""

    __slots__ = ("_marked", "bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self._marked = list(self.counts)

    def observe(self, seconds: float) -> None:
        """Count one observation; below 0 (clocks that disagree) counts as 0."""
        if seconds < 0.0:
            seconds = 0.0
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    @property
    def count(self) -> int:
        """Observations so far."""
        return sum(self.counts)

    def mark(self) -> None:
        """`percentiles` begins anew from here."""
        self._marked = list(self.counts)

    def percentiles(self, *shares: float) -> list[float] | None:
        """Estimates in seconds for shares in (0, 1] of what was observed since `mark`, interpolated within a bucket;
        what lies above the last bound counts as that bound. None without observations."""
        recent = [count - marked for count, marked in zip(self.counts, self._marked, strict=True)]
        total = sum(recent)
        return [self._percentile(recent, share * total) for share in shares] if total else None

    def _percentile(self, recent: list[int], rank: float) -> float:
        below = 0
        lower = 0.0
        for upper, count in zip(self.bounds, recent, strict=False):
            if count and below + count >= rank:
                return lower + (upper - lower) * (rank - below) / count
            below += count
            lower = upper
        return lower


class Metrics:
    """The counters, from the start of the process. Dictionaries grow by the labels that occur, which are few."""

    __slots__ = (
        "_stat_at",
        "_stat_delivered",
        "bad_messages",
        "cut_off",
        "dead_letter_failures",
        "dead_lettered",
        "delivered",
        "duplicates",
        "failed",
        "given_back",
        "handler_time",
        "heartbeat_failures",
        "heartbeats",
        "lapsed",
        "late_deletes",
        "let_go",
        "outcomes",
        "queue_lag",
        "receive_calls",
        "receive_errors",
        "received",
        "retried",
        "settle_failures",
    )

    def __init__(self) -> None:
        self.receive_calls = 0
        self.receive_errors: dict[str, int] = {}  # by kind
        self.received = 0
        self.duplicates = 0  # received again while in hand, or after they were delivered
        self.bad_messages = 0  # not POSTed: wrong MD5, or what would break the request
        self.delivered = 0
        self.retried = 0  # the handler asked for a later delivery
        self.failed = 0  # every other answer, and none
        self.outcomes: dict[str, int] = {}  # of what was not delivered, by reason
        self.dead_lettered = 0  # of them: sent to the dead-letter queue
        self.dead_letter_failures = 0
        self.given_back = 0  # made visible again without an answer
        self.cut_off = 0  # POSTs that the end of the shutdown timeout cut off
        self.heartbeats = 0  # messages extended
        self.heartbeat_failures = 0
        self.lapsed = 0  # visibility ran out in hand
        self.let_go = 0  # at SQS's limit of 12 hours
        self.settle_failures: dict[tuple[str, str], int] = {}  # by action and kind
        self.late_deletes = 0
        self.handler_time = Histogram(HANDLER_BOUNDS_S)
        self.queue_lag = Histogram(LAG_BOUNDS_S)
        self._stat_at: float | None = None
        self._stat_delivered = 0

    def stat_fields(self, now: float, in_flight: int) -> dict[str, object]:
        """Fields of the statistics line: totals, and rate and percentiles of the handler's time since the last call.

        `now` is in loop seconds. The first call has no rate; without deliveries there are no percentiles.
        """
        fields: dict[str, object] = {
            "received": self.received,
            "delivered": self.delivered,
            "retried": self.retried,
            "failed": self.failed,
            "in_flight": in_flight,
        }
        if self._stat_at is not None and now > self._stat_at:
            fields["rate_per_s"] = round((self.delivered - self._stat_delivered) / (now - self._stat_at), 1)
        percentiles = self.handler_time.percentiles(0.5, 0.9, 0.99)
        if percentiles is not None:
            for name, seconds in zip(("p50_ms", "p90_ms", "p99_ms"), percentiles, strict=True):
                fields[name] = round(seconds * 1000, 1)
        self._stat_at = now
        self._stat_delivered = self.delivered
        self.handler_time.mark()
        return fields


class Gauges:
    """States at the moment of asking.

    `in_flight`: messages in hand by state; `in_flight_bytes`; `slots`: POSTs at once at most; `gate_reasons`: all that
    there are, each with whether it holds the gate shut; `credentials_s`: seconds until the credentials expire, None if
    they don't or there are none; `log_dropped`: log lines that could not be written; `process`: figures of the process
    by metric name (process_*); `version`.
    """

    __slots__ = (
        "credentials_s",
        "gate_reasons",
        "in_flight",
        "in_flight_bytes",
        "log_dropped",
        "process",
        "slots",
        "version",
    )

    def __init__(
        self,
        *,
        in_flight: Mapping[str, int],
        in_flight_bytes: int,
        slots: int,
        gate_reasons: Mapping[str, bool],
        credentials_s: float | None,
        log_dropped: int,
        process: Mapping[str, float],
        version: str,
    ) -> None:
        self.in_flight = in_flight
        self.in_flight_bytes = in_flight_bytes
        self.slots = slots
        self.gate_reasons = gate_reasons
        self.credentials_s = credentials_s
        self.log_dropped = log_dropped
        self.process = process
        self.version = version


# Counters that are one attribute: (attribute, metric name, help).
_COUNTERS = (
    ("receive_calls", "carrier_receive_calls_total", "ReceiveMessage calls sent."),
    ("received", "carrier_messages_received_total", "Messages received, those received again included."),
    ("duplicates", "carrier_duplicates_received_total", "Messages received again while in hand or after delivery."),
    ("bad_messages", "carrier_bad_messages_total", "Messages not POSTed: wrong MD5, or not fit for a request."),
    ("dead_lettered", "carrier_dead_letters_total", "Messages sent to the dead-letter queue."),
    ("dead_letter_failures", "carrier_dead_letter_failures_total", "Sends to the dead-letter queue that failed."),
    ("given_back", "carrier_messages_given_back_total", "Messages made visible again without an answer."),
    ("cut_off", "carrier_messages_cut_off_total", "POSTs cut off at the end of the shutdown timeout."),
    ("heartbeats", "carrier_heartbeats_total", "Extensions of a message's visibility."),
    ("heartbeat_failures", "carrier_heartbeat_failures_total", "Extensions that failed."),
    ("lapsed", "carrier_visibility_lapsed_total", "Messages whose visibility ran out while in hand."),
    ("let_go", "carrier_messages_let_go_total", "Messages no longer extended, at SQS's limit of 12 hours."),
    ("late_deletes", "carrier_late_deletes_total", "Deletes sent after the message's visibility had run out."),
)
# Types of the process_* metrics that are not gauges.
_PROCESS_COUNTERS = ("process_cpu_seconds_total",)
_PROCESS_HELP = {
    "process_cpu_seconds_total": "CPU time of the process.",
    "process_resident_memory_bytes": "Resident memory of the process.",
    "process_open_fds": "Open file descriptors.",
    "process_start_time_seconds": "Start of the process since the epoch.",
}


def render(metrics: Metrics, gauges: Gauges) -> str:
    """Everything in Prometheus' text format, version 0.0.4."""
    lines: list[str] = []
    for attribute, name, text in _COUNTERS:
        _family(lines, name, "counter", text, [("", getattr(metrics, attribute))])
    _family(lines, "carrier_outcomes_total", "counter", "Messages by what came of giving them to the handler.", [
        (_label(outcome=outcome), getattr(metrics, outcome)) for outcome in ("delivered", "retried", "failed")
    ])  # fmt: skip
    _family(lines, "carrier_undelivered_total", "counter", "Messages not delivered, by reason.", [
        (_label(reason=reason), count) for reason, count in sorted(metrics.outcomes.items())
    ])  # fmt: skip
    _family(lines, "carrier_receive_errors_total", "counter", "ReceiveMessage calls that failed, by kind.", [
        (_label(kind=kind), count) for kind, count in sorted(metrics.receive_errors.items())
    ])  # fmt: skip
    _family(lines, "carrier_settle_failures_total", "counter", "Deletes and visibility changes that failed.", [
        (_label(action=action, kind=kind), count) for (action, kind), count in sorted(metrics.settle_failures.items())
    ])  # fmt: skip
    _histogram(lines, "carrier_handler_seconds", "Time from the POST to the handler's answer.", metrics.handler_time)
    _histogram(lines, "carrier_queue_lag_seconds", "Time from a message's send to its receive.", metrics.queue_lag)
    _family(lines, "carrier_in_flight", "gauge", "Messages in hand, by state.", [
        (_label(state=state), count) for state, count in sorted(gauges.in_flight.items())
    ])  # fmt: skip
    _family(lines, "carrier_in_flight_bytes", "gauge", "Bytes of messages in hand.", [("", gauges.in_flight_bytes)])
    _family(lines, "carrier_slots", "gauge", "POSTs at the same time at most.", [("", gauges.slots)])
    is_open = not any(gauges.gate_reasons.values())
    _family(lines, "carrier_gate_open", "gauge", "Whether messages are received.", [("", int(is_open))])
    _family(lines, "carrier_gate_shut", "gauge", "What holds the gate shut.", [
        (_label(reason=reason), int(holds)) for reason, holds in sorted(gauges.gate_reasons.items())
    ])  # fmt: skip
    if gauges.credentials_s is not None:
        text = "Time until the credentials in use expire."
        _family(lines, "carrier_credentials_remaining_seconds", "gauge", text, [("", round(gauges.credentials_s, 3))])
    text = "Log lines lost because standard output could not take them."
    _family(lines, "carrier_log_lines_dropped_total", "counter", text, [("", gauges.log_dropped)])
    _family(lines, "carrier_build_info", "gauge", "The version that runs.", [(_label(version=gauges.version), 1)])
    for name, value in sorted(gauges.process.items()):
        kind = "counter" if name in _PROCESS_COUNTERS else "gauge"
        _family(lines, name, kind, _PROCESS_HELP.get(name, name), [("", value)])
    return "\n".join(lines) + "\n"


def _family(lines: list[str], name: str, kind: str, text: str, samples: Iterable[tuple[str, float]]) -> None:
    lines.append(f"# HELP {name} {text}")
    lines.append(f"# TYPE {name} {kind}")
    for labels, value in samples:
        lines.append(f"{name}{labels} {value}")


def _histogram(lines: list[str], name: str, text: str, histogram: Histogram) -> None:
    lines.append(f"# HELP {name} {text}")
    lines.append(f"# TYPE {name} histogram")
    total = 0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=False):
        total += count
        lines.append(f'{name}_bucket{{le="{bound:.10g}"}} {total}')
    total += histogram.counts[-1]
    lines.append(f'{name}_bucket{{le="+Inf"}} {total}')
    lines.append(f"{name}_sum {histogram.sum!r}")
    lines.append(f"{name}_count {total}")


def _label(**labels: str) -> str:
    escaped = (f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return "{" + ",".join(escaped) + "}"


_ESCAPES = {ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n"}
