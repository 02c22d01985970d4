import re

import pytest

from carrier_sidecar.metrics import HANDLER_BOUNDS_S, LAG_BOUNDS_S, Gauges, Histogram, Metrics, render


def gauges(**changes: object) -> Gauges:
    fields: dict[str, object] = {
        "in_flight": {"waiting": 2, "posting": 3},
        "in_flight_bytes": 4096,
        "slots": 20,
        "gate_reasons": {"offline": False, "draining": False},
        "credentials_s": None,
        "log_dropped": 0,
        "process": {},
        "version": "1.2.3",
    }
    return Gauges(**(fields | changes))  # type: ignore[arg-type]  # each test names what it changes


def samples(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^([^#\n]+) (\S+)$", text, re.M)}


def test_an_observation_on_a_bound_belongs_to_the_bucket_below_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for seconds in (0.5, 1.0, 1.5, 2.0, 3.0):
        histogram.observe(seconds)
    assert histogram.counts == [2, 2, 1]
    assert histogram.sum == 8.0
    assert histogram.count == 5


def test_clocks_that_disagree_do_not_make_sums_fall() -> None:
    histogram = Histogram((1.0,))
    histogram.observe(-5.0)
    assert histogram.counts == [1, 0]
    assert histogram.sum == 0.0


def test_percentiles_are_interpolated() -> None:
    histogram = Histogram((1.0, 2.0, 4.0))
    for _ in range(10):
        histogram.observe(1.5)
    assert histogram.percentiles(0.5, 1.0) == [1.5, 2.0]
    for _ in range(10):
        histogram.observe(9.0)
    assert histogram.percentiles(0.99) == [4.0]


def test_percentiles_are_of_what_came_since_the_mark() -> None:
    histogram = Histogram((1.0, 10.0))
    histogram.observe(9.0)
    histogram.mark()
    assert histogram.percentiles(0.5) is None
    histogram.observe(0.5)
    assert histogram.percentiles(0.5) == [0.5]


@pytest.mark.parametrize("bounds", [HANDLER_BOUNDS_S, LAG_BOUNDS_S])
def test_bounds_rise(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))


def test_every_counter_is_in_the_text() -> None:
    metrics = Metrics()
    numbers = [slot for slot in Metrics.__slots__ if isinstance(getattr(metrics, slot), int) and slot[0] != "_"]
    for value, slot in enumerate(numbers, 101):
        setattr(metrics, slot, value)
    values = samples(render(metrics, gauges())).values()
    assert set(range(101, 101 + len(numbers))) <= set(values)


def test_labelled_counters_have_a_line_per_label() -> None:
    metrics = Metrics()
    metrics.delivered = 7
    metrics.outcomes = {"status 500": 2, "timeout": 1}
    metrics.receive_errors = {"throttled": 4}
    metrics.settle_failures = {("delete", "network"): 3}
    text = samples(render(metrics, gauges()))
    assert text['carrier_outcomes_total{outcome="delivered"}'] == 7
    assert text['carrier_undelivered_total{reason="status 500"}'] == 2
    assert text['carrier_receive_errors_total{kind="throttled"}'] == 4
    assert text['carrier_settle_failures_total{action="delete",kind="network"}'] == 3


def test_states_are_gauges() -> None:
    text = samples(render(Metrics(), gauges(credentials_s=60.5, process={"process_open_fds": 9})))
    assert text['carrier_in_flight{state="posting"}'] == 3
    assert text["carrier_in_flight_bytes"] == 4096
    assert text["carrier_slots"] == 20
    assert text["carrier_credentials_remaining_seconds"] == 60.5
    assert text['carrier_build_info{version="1.2.3"}'] == 1
    assert text["process_open_fds"] == 9


def test_the_gate_is_open_while_no_reason_holds() -> None:
    text = samples(render(Metrics(), gauges()))
    assert text["carrier_gate_open"] == 1
    text = samples(render(Metrics(), gauges(gate_reasons={"offline": True, "draining": False})))
    assert text["carrier_gate_open"] == 0
    assert text['carrier_gate_shut{reason="offline"}'] == 1
    assert text['carrier_gate_shut{reason="draining"}'] == 0


def test_credentials_that_do_not_expire_have_no_remaining_time() -> None:
    assert "carrier_credentials_remaining_seconds" not in render(Metrics(), gauges())


def test_histogram_buckets_are_cumulative() -> None:
    metrics = Metrics()
    for seconds in (0.0005, 0.0015, 0.0015, 1e9):
        metrics.handler_time.observe(seconds)
    text = samples(render(metrics, gauges()))
    assert text['carrier_handler_seconds_bucket{le="0.001"}'] == 1
    assert text['carrier_handler_seconds_bucket{le="0.002"}'] == 3
    assert text['carrier_handler_seconds_bucket{le="43200"}'] == 3
    assert text['carrier_handler_seconds_bucket{le="+Inf"}'] == 4
    assert text["carrier_handler_seconds_count"] == 4
    assert text['carrier_queue_lag_seconds_bucket{le="1209600"}'] == 0
    assert 'le="1.2096e+06"' not in text


def test_labels_are_escaped() -> None:
    metrics = Metrics()
    metrics.outcomes = {'a"b\\c\nd': 1}
    assert r'carrier_undelivered_total{reason="a\"b\\c\nd"} 1' in render(metrics, gauges()).splitlines()


def test_the_text_is_well_formed() -> None:
    metrics = Metrics()
    metrics.settle_failures = {("delete", "kms"): 1}
    text = render(metrics, gauges(process={"process_cpu_seconds_total": 1.5}))
    assert text.endswith("\n")
    seen = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in seen
            seen.add(name)
            assert kind in ("counter", "gauge", "histogram")
            assert name.endswith("_total") == (kind == "counter")
        elif line.startswith("# HELP "):
            assert line.endswith(".")
        else:
            assert re.fullmatch(r'[a-z_]+(\{[a-z]+="[^"\n]*"(,[a-z]+="[^"\n]*")*\})? [0-9.e+]+', line)
            assert line.startswith(name)


def test_the_statistics_line_has_totals_and_the_rate_since_the_last() -> None:
    metrics = Metrics()
    metrics.received, metrics.delivered, metrics.retried, metrics.failed = 12, 10, 1, 1
    first = metrics.stat_fields(100.0, 3)
    assert first == {"received": 12, "delivered": 10, "retried": 1, "failed": 1, "in_flight": 3}
    metrics.delivered = 40
    for _ in range(30):
        metrics.handler_time.observe(0.0015)
    second = metrics.stat_fields(110.0, 0)
    assert second["rate_per_s"] == 3.0
    assert second["delivered"] == 40
    assert second["p50_ms"] == 1.5
    assert second["p99_ms"] == 2.0
    assert "p50_ms" not in metrics.stat_fields(120.0, 0)
