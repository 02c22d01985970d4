"""Which region is signed for."""

from __future__ import annotations

import pytest

from carrier_sidecar.sqs.region import NoRegion, choose_region, is_aws_host, region_of_host

HOSTS = [
    ("sqs.us-west-2.amazonaws.com", "us-west-2"),
    ("SQS.us-west-2.amazonaws.com.", "us-west-2"),
    ("us-east-2.queue.amazonaws.com", "us-east-2"),
    ("queue.amazonaws.com", "us-east-1"),
    ("sqs-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
    ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
    ("cn-north-1.queue.amazonaws.com.cn", "cn-north-1"),
    ("vpce-0a1b2c3d-4e5f.sqs.ap-southeast-2.vpce.amazonaws.com", "ap-southeast-2"),
    ("vpce-0a1b2c3d-4e5f-us-east-1a.sqs.us-east-1.vpce.amazonaws.com", "us-east-1"),
    ("sqs.eu-central-1.api.aws", "eu-central-1"),
    ("sqs.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
    ("sqs.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
    ("sqs.eu-west-3.localhost.localstack.cloud", "eu-west-3"),
    ("sqs.amazonaws.com", None),
    ("localhost", None),
    ("127.0.0.1", None),
    ("elasticmq", None),
    ("sqs.shop-east-1.svc", "shop-east-1"),
    ("queue.us-east-1.example.org", None),
]


@pytest.mark.parametrize(("host", "region"), HOSTS)
def test_the_endpoints_host_says_the_region(host: str, region: str | None) -> None:
    assert region_of_host(host) == region


@pytest.mark.parametrize(
    ("setting", "host", "environment", "profile", "expected"),
    [
        ("eu-west-1", "sqs.us-west-2.amazonaws.com", {"AWS_REGION": "x"}, "y", "eu-west-1"),
        ("", "sqs.us-west-2.amazonaws.com", {"AWS_REGION": "x"}, "y", "us-west-2"),
        ("", "localhost", {"AWS_REGION": "x", "AWS_DEFAULT_REGION": "z"}, "y", "x"),
        ("", "localhost", {"AWS_REGION": "", "AWS_DEFAULT_REGION": "z"}, "y", "z"),
        ("", "sqs.amazonaws.com", {}, "y", "y"),
        ("", "localhost", {}, None, "us-east-1"),
    ],
)
def test_region_order(setting: str, host: str, environment: dict[str, str], profile: str | None, expected: str) -> None:
    assert choose_region(setting, host, environment, profile) == expected


def test_aws_without_a_region_is_an_error_that_says_what_to_set() -> None:
    with pytest.raises(NoRegion, match=r"CARRIER_SQS_REGION"):
        choose_region("", "sqs.amazonaws.com", {})


def test_only_aws_own_names_are_aws_hosts() -> None:
    assert is_aws_host("sqs.us-west-2.amazonaws.com.")
    assert not is_aws_host("sqs.us-west-2.amazonaws.com.example.org")
    assert not is_aws_host("amazonaws.com.evil")
