"""The budgets of the finished sidecar, one row each, and how a row is judged.

A budget is either a share of the baseline's figure in the same run (machines differ, ratios less so) or a number.
"""

from __future__ import annotations

from bench.scenarios import Figures


class Row:
    """One line of the result: which figure of which scenario, what it is called, and its budget if it has one."""

    def __init__(
        self, scenario: str, figure: str, title: str, *, share: float | None = None, most: float | None = None
    ) -> None:
        self.scenario = scenario
        self.figure = figure
        self.title = title
        self.share = share  # of the baseline's figure
        self.most = most  # in the figure's own unit

    def limit(self, baseline: Figures | None) -> float | None:
        """The largest value that meets the budget; None without budget or, for a share, without a baseline."""
        if self.most is not None:
            return self.most
        if self.share is not None and baseline and self.figure in baseline:
            return baseline[self.figure] * self.share
        return None

    def wording(self) -> str:
        if self.share is not None:
            return f"≤ baseline / {1 / self.share:g}"
        return f"≤ {self.most:g}" if self.most is not None else ""


ROWS = (
    Row("256", "cpu_us", "CPU per message, 256 B, 10/2/10 (µs)", share=1 / 8),
    Row("256", "messages_per_s", "  throughput (messages/s)"),
    Row("256", "receives_per_batch", "  receive calls per full batch", most=1.5),
    Row("16k", "cpu_us", "CPU per message, 16 KiB, 10/2/10 (µs)", share=1 / 2.5),
    Row("16k", "receives_per_batch", "  receive calls per full batch", most=1.5),
    Row("single", "cpu_us", "CPU per message, 256 B, 1/1/1 (µs)", share=1 / 15),
    Row("paced", "cpu_us", "CPU per message at 500 messages/s (µs)", share=1 / 4),
    Row("paced", "latency_p50_ms", "  latency p50 (ms)", most=2),
    Row("paced", "latency_p90_ms", "  latency p90 (ms)"),
    Row("paced", "latency_p99_ms", "  latency p99 (ms)", most=8),
    Row("memory", "idle_dirty_mb", "private dirty, TLS, idle (MB)", most=7.5),
    Row("memory", "idle_rss_mb", "RSS, TLS, idle (MB)", most=17.5),
    Row("memory", "loaded_dirty_mb", "private dirty, TLS, after load (MB)", most=7.5),
    Row("memory", "loaded_rss_mb", "RSS, TLS, after load (MB)", most=17.5),
    Row("start", "start_ms", "start to first delivery, TLS (ms)", most=60),
    Row("idle", "idle_cpu_ms_per_minute", "idle CPU (ms a minute)", most=2),
    Row("idle", "idle_wakeups_per_minute", "  wake-ups a minute"),
    Row("idle", "idle_bare_ms_per_minute", "  CPU of a process that does nothing but wake so often (ms)"),
    Row("idle", "idle_receives_per_minute", "idle receive calls a minute, 2 receivers", most=7),
    Row("slow", "times_ideal", "5 % take 2 s, 20 slots (× ideal)", most=1.3),
    Row("flat", "early_dirty_mb", "private dirty after 100,000 messages (MB)", most=7.5),
    Row("flat", "most_dirty_mb", "  the most until 1,000,000 (MB)", most=7.5),
    Row("flat", "end_dirty_mb", "  at the end (MB)", most=7.5),
)
