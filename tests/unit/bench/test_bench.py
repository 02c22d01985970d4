"""The benchmark's own figures and fakes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bench import report
from bench.budgets import Row
from bench.scenarios import ideal_slow_s, percentile
from bench.stub_sqs import Bodies
from bench.wire import content_length


@pytest.mark.parametrize("size", [256, 1000, 16_384])
@pytest.mark.parametrize("number", [0, 123_456])
def test_a_prepared_message_is_what_sqs_would_send(size: int, number: int) -> None:
    message = json.loads(Bodies(size).message(number))
    body = message["Body"].encode()
    assert len(body) == size
    assert hashlib.md5(body).hexdigest() == message["MD5OfBody"]
    assert json.loads(body)["n"] == f"{number:012d}"


def test_handles_and_ids_differ_between_messages() -> None:
    bodies = Bodies(256)
    messages = [json.loads(bodies.message(number)) for number in range(50)]
    for field in ("MessageId", "ReceiptHandle", "Body"):
        assert len({message[field] for message in messages}) == 50


def test_the_ideal_schedule_fills_the_slots() -> None:
    assert ideal_slow_s(20, 20) == 2.0  # one slow message
    assert ideal_slow_s(400, 20) == 2.0  # twenty, one in each slot
    assert ideal_slow_s(420, 20) == 4.0  # one more


def test_percentiles_are_nearest_ranks() -> None:
    values = [float(number) for number in range(100)]
    assert [percentile(values, percent) for percent in (0, 50, 99, 100)] == [0.0, 50.0, 99.0, 99.0]


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 12\r\nA: b", 12),
        (b"POST / HTTP/1.1\r\ncontent-length: 7", 7),
        (b"GET / HTTP/1.1", 0),
    ],
)
def test_content_length_is_found(head: bytes, length: int) -> None:
    assert content_length(head) == length


def test_a_share_is_judged_by_the_baseline_of_the_same_run() -> None:
    results: report.Results = {"256": {"ours": {"cpu_us": 30.0}, "baseline": {"cpu_us": 250.0}}}
    rows, met = report.table(results, "ours", "baseline", [])
    assert met
    assert rows[1][1:] == ["30", "250", "1/8.3", "≤ baseline / 8", "met"]
    results["256"]["ours"]["cpu_us"] = 32.0
    rows, met = report.table(results, "ours", "baseline", [])
    assert not met
    assert rows[1][-1] == "MISSED"


def test_a_share_without_a_baseline_is_not_judged() -> None:
    assert Row("256", "cpu_us", "CPU", share=1 / 8).limit(None) is None


def test_the_page_keeps_what_stands_around_the_figures(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Title\n\n{report.BEGIN}\nold\n{report.END}\n\nafter\n")
    report.write_page(page, "new")
    report.write_page(page, "newer")
    assert page.read_text() == f"# Title\n\n{report.BEGIN}\n\nnewer\n\n{report.END}\n\nafter\n"
