import json

import pytest

from carrier_sidecar.check_report import (
    FAIL,
    OK,
    SKIP,
    WARN,
    Finding,
    Grants,
    queue_arn,
    render_json,
    render_text,
    succeeded,
)

FINDINGS = [
    Finding("queue", OK, "found"),
    Finding("attributes", WARN, "refused", "grant it"),
    Finding("delete", FAIL, "refused", "or else"),
    Finding("receive", SKIP, "not tried"),
]


@pytest.mark.parametrize(
    ("url", "region", "arn"),
    [
        (
            "https://sqs.us-west-2.amazonaws.com/123456789012/orders",
            "us-west-2",
            "arn:aws:sqs:us-west-2:123456789012:orders",
        ),
        (
            "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/o",
            "cn-north-1",
            "arn:aws-cn:sqs:cn-north-1:123456789012:o",
        ),
        ("https://x/123456789012/o.fifo", "us-gov-east-1", "arn:aws-us-gov:sqs:us-gov-east-1:123456789012:o.fifo"),
        ("http://localhost:9324/queue/orders", "us-east-1", ""),
        ("http://localhost:9324/000000000000/orders", "", ""),
        ("no url", "us-east-1", ""),
    ],
)
def test_the_arn_is_read_from_the_queues_url(url: str, region: str, arn: str) -> None:
    assert queue_arn(url, region) == arn


def test_what_was_refused_becomes_a_statement() -> None:
    grants = Grants()
    assert grants.statements() == []
    grants.queue_arn = "arn:aws:sqs:us-west-2:123456789012:orders"
    for action in ("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:DeleteMessage"):
        grants.add(action)
    (statement,) = grants.statements()
    assert statement == {
        "Effect": "Allow",
        "Action": ["sqs:DeleteMessage", "sqs:GetQueueAttributes"],
        "Resource": "arn:aws:sqs:us-west-2:123456789012:orders",
    }
    grants.add("kms:Decrypt")
    assert grants.statements()[1]["Action"] == ["kms:Decrypt"]


def test_only_a_failure_is_a_failure() -> None:
    assert succeeded([finding for finding in FINDINGS if finding.status != FAIL])
    assert not succeeded(FINDINGS)


def test_text_has_a_line_per_check_its_remedy_and_a_verdict() -> None:
    grants = Grants()
    grants.add("sqs:DeleteMessage")
    text = render_text(FINDINGS, grants)
    assert text.startswith(
        "ok    queue       found\n"
        "warn  attributes  refused\n"
        "                  → grant it\n"
        "FAIL  delete      refused\n"
        "                  → or else\n"
        "skip  receive     not tried\n"
    )
    assert '"sqs:DeleteMessage"' in text
    assert "<the queue's ARN>" in text
    assert text.endswith("\nNot ready: delete failed.\n")
    assert render_text(FINDINGS[:1], Grants()).endswith("\nReady: messages can flow.\n")


def test_what_failed_twice_is_named_once() -> None:
    twice = [Finding("settings", FAIL, "one"), Finding("settings", FAIL, "two"), Finding("queue", FAIL, "three")]
    assert render_text(twice, Grants()).endswith("\nNot ready: settings, queue failed.\n")


def test_json_says_the_same() -> None:
    page = json.loads(render_json(FINDINGS, Grants()))
    assert page["ok"] is False
    assert [check["status"] for check in page["checks"]] == ["ok", "warn", "fail", "skip"]
    assert page["grant"] == []
