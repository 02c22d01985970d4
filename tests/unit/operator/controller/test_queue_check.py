from __future__ import annotations

import json
from typing import Any

import pytest

from carrier_operator.controller import reasons
from carrier_operator.controller.queue_check import (
    Allowed,
    BadPattern,
    finding_of,
    finding_of_error,
    is_off_limits,
    question,
    status_of_queue,
    unchanged,
)
from carrier_operator.models import BindingSpec

ENDPOINT = "https://sqs.us-west-2.amazonaws.com"
ORDERS = Allowed("shop", "arn:aws:sqs:us-west-2:123456789012:orders*")


def spec(queue: dict[str, Any], **more: Any) -> BindingSpec:
    return BindingSpec.model_validate({"queue": queue, **more})


@pytest.mark.parametrize(
    ("queue", "asked"),
    [
        ({"name": "orders", "endpoint": ENDPOINT}, "arn:aws:sqs:us-west-2:123456789012:orders"),
        ({"name": "orders-eu", "region": "us-west-2"}, "arn:aws:sqs:us-west-2:123456789012:orders-eu"),
        ({"name": "orders", "endpoint": f"{ENDPOINT}:443/"}, "arn:aws:sqs:us-west-2:123456789012:orders"),
        ({"url": f"{ENDPOINT}/123456789012/orders"}, "arn:aws:sqs:us-west-2:123456789012:orders"),
        (
            {"name": "orders", "endpoint": ENDPOINT, "owner": "123456789012"},
            "arn:aws:sqs:us-west-2:123456789012:orders",
        ),
        # Another name, region, account or endpoint is not asked about.
        ({"name": "refunds", "endpoint": ENDPOINT}, None),
        ({"name": "orders", "region": "eu-west-1"}, None),
        ({"name": "orders", "endpoint": ENDPOINT, "region": "eu-west-1"}, None),
        ({"name": "orders", "endpoint": ENDPOINT, "owner": "999999999999"}, None),
        ({"url": f"{ENDPOINT}/999999999999/orders"}, None),
        ({"name": "orders", "endpoint": "https://sqs.us-west-2.amazonaws.com.evil.test"}, None),
        ({"name": "orders", "endpoint": "http://sqs.us-west-2.amazonaws.com"}, None),
        ({"name": "orders", "endpoint": "http://169.254.169.254", "region": "us-west-2"}, None),
    ],
)
def test_only_the_administrators_queues_at_the_administrators_endpoints_are_asked_about(
    queue: dict[str, Any], asked: str | None
) -> None:
    found = question(spec(queue), "shop", [ENDPOINT], [ORDERS])
    assert (found.arn if found else None) == asked


def test_another_namespaces_queue_is_not_asked_about() -> None:
    assert question(spec({"name": "orders", "endpoint": ENDPOINT}), "other", [ENDPOINT], [ORDERS]) is None


def test_nothing_is_asked_where_nothing_is_listed() -> None:
    queue = spec({"name": "orders", "endpoint": ENDPOINT})
    assert question(queue, "shop", [], [ORDERS]) is None
    assert question(queue, "shop", [ENDPOINT], []) is None


@pytest.mark.parametrize(
    "arn", ["orders", "arn:aws:s3:us-west-2:123456789012:x", "arn:aws:sqs:us-west-2:*:orders", "arn:aws:sqs:*:1:x"]
)
def test_patterns_name_service_region_and_account(arn: str) -> None:
    with pytest.raises(BadPattern):
        Allowed("shop", arn)


def attributes(**more: str) -> dict[str, str]:
    policy = {"deadLetterTargetArn": "arn:aws:sqs:us-west-2:123456789012:dead", "maxReceiveCount": 5}
    return {"VisibilityTimeout": "30", "RedrivePolicy": json.dumps(policy), **more}


QUEUE = {"name": "orders", "endpoint": ENDPOINT}


@pytest.mark.parametrize(
    ("given", "more", "code"),
    [
        (attributes(), {}, "Verified"),
        (attributes(RedrivePolicy=""), {}, "NoDeadLetterQueue"),
        (attributes(RedrivePolicy=""), {"deadLetter": {"queue": "dead"}}, "Verified"),
        (attributes(RedrivePolicy='{"maxReceiveCount": "2", "deadLetterTargetArn": "x"}'), {}, "MaxReceiveCountLow"),
        (attributes(VisibilityTimeout="5"), {}, "VisibilityTimeoutShort"),
        (attributes(), {"deadLetter": {"queue": "dead.fifo"}}, "FifoMismatch"),
        (attributes(FifoQueue="true"), {"deadLetter": {"queue": "dead"}}, "FifoMismatch"),
        (attributes(RedrivePolicy="rubbish"), {}, "NoDeadLetterQueue"),
    ],
)
def test_where_settings_and_queue_disagree(given: dict[str, str], more: dict[str, Any], code: str) -> None:
    assert finding_of(spec(QUEUE, **more), given).reason.code == code


def test_the_gravest_is_the_reason_and_the_others_are_said_too() -> None:
    found = finding_of(spec(QUEUE), attributes(RedrivePolicy="", VisibilityTimeout="1"))
    assert found.reason is reasons.NO_DEAD_LETTER_QUEUE
    assert "VisibilityTimeoutShort" in found.message


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AWS.SimpleQueueService.NonExistentQueue", "QueueNotFound"),
        ("QueueDoesNotExist", "QueueNotFound"),
        ("com.amazonaws.sqs#QueueDoesNotExist", "QueueNotFound"),
        ("AccessDenied", "AccessDenied"),
        ("Whatever a server says <script>", "Unreachable"),
        ("", "Unreachable"),
    ],
)
def test_errors_are_of_a_fixed_set(code: str, reason: str) -> None:
    found = finding_of_error(code)
    assert found.reason.code == reason
    assert found.message == found.reason.meaning


def test_what_may_not_be_read_is_unknown_and_not_false() -> None:
    assert finding_of_error("AccessDenied").reason.status == "Unknown"
    assert finding_of_error("").reason.status == "Unknown"


def test_the_time_of_a_look_alone_is_no_change() -> None:
    first = status_of_queue("u", attributes(ApproximateNumberOfMessages="3"), "now")
    assert first["visible"] == 3
    assert first["deadLetterQueue"].endswith(":dead")
    assert unchanged(first, {**first, "checkedAt": "later"})
    assert not unchanged(first, {**first, "visible": 4})
    assert not unchanged(None, first)


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("169.254.169.254", True),
        ("169.254.170.2", True),
        ("fe80::1%eth0", True),
        ("::ffff:169.254.169.254", True),
        ("::ffff:a9fe:a9fe", True),
        ("64:ff9b::169.254.169.254", True),
        ("2002:a9fe:a9fe::1", True),
        ("fd00:ec2::254", True),
        ("fd20:ce::254", True),
        ("0.0.0.0", True),
        ("::", True),
        ("224.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::10.0.0.1", False),
        ("10.0.0.1", False),
        ("127.0.0.1", False),
        ("52.94.1.1", False),
        ("fd00::1", False),
    ],
)
def test_addresses_of_machines_own_services_are_off_limits_in_any_dress(address: str, refused: bool) -> None:
    assert is_off_limits(address) == refused


@pytest.mark.parametrize("text", ["5", "null", "[]", '"x"', "[" * 100_000, '{"maxReceiveCount": {"a": 1}}'])
def test_a_redrive_policy_of_any_shape(text: str) -> None:
    assert finding_of(spec(QUEUE), attributes(RedrivePolicy=text)).reason.status == "True"
