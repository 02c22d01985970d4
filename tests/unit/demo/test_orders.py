"""Which queue the demonstration uses, and what it says when that can't be."""

from __future__ import annotations

import pytest

from demo.orders import NoQueue, region_of

NOWHERE = {"HOME": "/nonexistent"}


@pytest.mark.parametrize(
    ("endpoint", "environ", "region"),
    [
        ("http://127.0.0.1:9324", {}, "us-east-1"),
        ("http://127.0.0.1:9324", {"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ("https://sqs.eu-central-1.amazonaws.com", {}, "eu-central-1"),
        ("https://sqs.eu-central-1.amazonaws.com", {"CARRIER_SQS_REGION": "us-west-2"}, "us-west-2"),
    ],
)
def test_the_region_is_the_sidecars(endpoint: str, environ: dict[str, str], region: str) -> None:
    assert region_of(endpoint, NOWHERE | environ) == region


@pytest.mark.parametrize("endpoint", ["localhost:9324", "https://weird.amazonaws.com"])
def test_an_endpoint_that_can_be_none_is_named(endpoint: str) -> None:
    with pytest.raises(NoQueue, match="CARRIER_SQS_ENDPOINT"):
        region_of(endpoint, NOWHERE)
