"""The exposition that Prometheus reads."""

from __future__ import annotations

from carrier_operator.metrics import Counter, Gauge, Histogram, expose


def test_the_text_format() -> None:
    counter = Counter("a_total", "As.", ("reason",))
    counter.inc('x"y\\z\n')
    counter.inc("b", by=2)
    histogram = Histogram("h_seconds", "Hs.", (0.1, 1))
    for value in (0.05, 0.1, 0.5, 5):
        histogram.observe(value)
    text = expose([counter, Gauge("g", "Gs.", lambda: 1.5), Gauge("none", "Ns.", lambda: None), histogram])
    assert text == (
        "# HELP a_total As.\n# TYPE a_total counter\n"
        'a_total{reason="b"} 2\na_total{reason="x\\"y\\\\z\\n"} 1\n'
        "# HELP g Gs.\n# TYPE g gauge\ng 1.5\n"
        "# HELP none Ns.\n# TYPE none gauge\n"
        "# HELP h_seconds Hs.\n# TYPE h_seconds histogram\n"
        'h_seconds_bucket{le="0.1"} 2\nh_seconds_bucket{le="1"} 3\nh_seconds_bucket{le="+Inf"} 4\n'
        "h_seconds_sum 5.65\nh_seconds_count 4\n"
    )
