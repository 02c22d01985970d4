"""The AWS region that requests are signed for: decided from what is set, in a fixed order. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Endings of host names under which AWS serves SQS, by partition.
_AWS_SUFFIXES = (
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".api.aws",
    ".api.amazonwebservices.com.cn",
    ".amazonaws.eu",
    ".c2s.ic.gov",
    ".sc2s.sgov.gov",
    ".cloud.adc-e.uk",
    ".csp.hci.ic.gov",
)
# Emulators accept any region; this one is what most of them call theirs.
EMULATOR_REGION = "us-east-1"


class NoRegion(Exception):
    """No region could be found; the text says what to set."""


def is_aws_host(host: str) -> bool:
    """Is this a host name of AWS itself, where a wrong region is an error, and not an emulator's?"""
    host = host.rstrip(".").lower()
    return host.endswith(_AWS_SUFFIXES)


def _looks_like_region(label: str) -> bool:
    """us-west-2, us-gov-east-1, ap-southeast-4, eusc-de-east-1, us-iso-east-1."""
    parts = label.split("-")
    return (
        3 <= len(parts) <= 5
        and label.isascii()
        and parts[-1].isdigit()
        and len(parts[-1]) <= 2
        and all(part.isalpha() for part in parts[:-1])
    )


def region_of_host(host: str) -> str | None:
    """The region that an SQS host name says, or None.

    sqs.<region>.amazonaws.com[.cn], sqs-fips.<region>…, sqs.<region>.api.aws, <region>.queue.amazonaws.com,
    queue.amazonaws.com (us-east-1, its oldest name), vpce-….sqs.<region>.vpce.amazonaws.com, and emulators that
    write their names the same way (sqs.us-east-1.localhost.localstack.cloud).
    """
    host = host.rstrip(".").lower()
    labels = host.split(".")
    if is_aws_host(host):
        if host == "queue.amazonaws.com":
            return "us-east-1"
        return next((label for label in labels if _looks_like_region(label)), None)
    if len(labels) > 2 and labels[0] in ("sqs", "sqs-fips") and _looks_like_region(labels[1]):
        return labels[1]
    return None


def choose_region(
    setting: str, endpoint_host: str, environment: Mapping[str, str], profile_region: str | None = None
) -> str:
    """CARRIER_SQS_REGION, else the endpoint's host, else AWS_REGION, AWS_DEFAULT_REGION, the profile's.

    For an emulator, where any region will do, us-east-1 after all these. Raises NoRegion for AWS itself.
    """
    region = (
        setting
        or region_of_host(endpoint_host)
        or environment.get("AWS_REGION")
        or environment.get("AWS_DEFAULT_REGION")
        or profile_region
    )
    if region:
        return region
    if not is_aws_host(endpoint_host):
        return EMULATOR_REGION
    raise NoRegion(
        f"the endpoint's host {endpoint_host} does not say its AWS region: set CARRIER_SQS_REGION (or AWS_REGION)"
    )
