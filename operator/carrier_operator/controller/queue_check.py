"""What the controller may ask about a queue, and what an answer means for the binding. Pure.

Off unless the administrator lists endpoints and, per namespace, queues by ARN: the controller has an identity of its
own, and a tenant must learn by it of no queue that the administrator did not mean. So the account is part of the
question (from the list, where the binding leaves it open), and an answer about another queue than the one meant is
dropped.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from carrier_operator import render
from carrier_operator.models import BindingSpec

from . import reasons
from .conditions import Finding, Json
from .reasons import Reason

LEAST_VISIBILITY_S = 10  # to which the sidecar raises a shorter one
LEAST_RECEIVES = 3
_ARN = re.compile(r"arn:(aws[a-z-]*):sqs:([a-z0-9-]+):([0-9]{12}):([A-Za-z0-9_-]{0,80}(?:\.fifo)?\*?)")
_REGION = re.compile(r"(?:^|\.)([a-z]{2}(?:-[a-z]+)+-[0-9])\.")


class BadPattern(ValueError):
    """Not an ARN of a queue, or of queues whose names begin alike."""


class Allowed:
    """One line of the administrator's list."""

    __slots__ = ("account", "name", "namespace", "partition", "region")

    def __init__(self, namespace: str, arn: str) -> None:
        match = _ARN.fullmatch(arn)
        if match is None:
            raise BadPattern(f"{arn} is no ARN such as arn:aws:sqs:us-west-2:123456789012:orders (or ...:orders*)")
        self.namespace = namespace
        self.partition, self.region, self.account, self.name = match.groups()

    def covers(self, namespace: str, region: str, account: str | None, name: str) -> bool:
        """Is this queue on the line?"""
        same_name = name.startswith(self.name[:-1]) if self.name.endswith("*") else name == self.name
        return namespace == self.namespace and region == self.region and account in (None, self.account) and same_name


class Question:
    """What is asked, of whom: exactly one queue."""

    __slots__ = ("account", "arn", "endpoint", "name", "region")

    def __init__(self, endpoint: str, allowed: Allowed, name: str) -> None:
        self.endpoint = endpoint
        self.region = allowed.region
        self.account = allowed.account
        self.name = name
        self.arn = f"arn:{allowed.partition}:sqs:{allowed.region}:{allowed.account}:{name}"


def question(
    spec: BindingSpec, namespace: str, endpoints: Sequence[str], allowed: Sequence[Allowed]
) -> Question | None:
    """The question about a binding's queue; None when it may not be asked."""
    endpoint = _origin(render.queue_endpoint(spec))
    if endpoint is None or endpoint not in {_origin(it) for it in endpoints}:
        return None
    name, account = spec.queue.name, spec.queue.owner
    if spec.queue.url is not None:
        parts = urlsplit(spec.queue.url).path.strip("/").split("/")
        name, account = parts[-1], parts[-2] if len(parts) > 1 else None
    region = spec.queue.region or _region(endpoint)
    if name is None or region is None:
        return None
    line = next((it for it in allowed if it.covers(namespace, region, account, name)), None)
    return None if line is None else Question(endpoint, line, name)


def _origin(url: str) -> str | None:
    """scheme://host:port, so that no spelling of a URL leads elsewhere."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return None
    if not parts.hostname or port is None or parts.username is not None or "\\" in url:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def _region(endpoint: str) -> str | None:
    match = _REGION.search(urlsplit(endpoint).hostname or "")
    return match[1] if match else None


_OFF_LIMITS = (
    ipaddress.ip_network("fd00:ec2::/32"),  # AWS: instance metadata and pod identity over IPv6
    ipaddress.ip_network("fd20:ce::/32"),  # Google Cloud: the same
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: its last 32 bits are an IPv4 address


def is_off_limits(address: str) -> bool:
    """Is this an address of machines' own services (link-local, instance metadata), in whatever dress?"""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None and is_off_limits(str(inner)):
            return True
        if any(found in network for network in _OFF_LIMITS):
            return True
    return found.is_link_local or found.is_unspecified or found.is_multicast


def finding_of(spec: BindingSpec, attributes: Mapping[str, str]) -> Finding:
    """What a queue's attributes mean for a binding: the gravest thing is the reason, the others are in the message."""
    redrive = _redrive(attributes)
    fifo = attributes.get("FifoQueue") == "true"
    dead_letter = spec.dead_letter.queue if spec.dead_letter is not None else None
    found: list[Reason] = []
    if dead_letter is not None and dead_letter.endswith(".fifo") != fifo:
        found.append(reasons.FIFO_MISMATCH)
    if not redrive and dead_letter is None:
        found.append(reasons.NO_DEAD_LETTER_QUEUE)
    receives = _count(str(redrive.get("maxReceiveCount", "")))
    if receives is not None and receives < LEAST_RECEIVES:
        found.append(reasons.FEW_RECEIVES)
    visibility_s = _count(attributes.get("VisibilityTimeout", ""))
    if visibility_s is not None and visibility_s < LEAST_VISIBILITY_S:
        found.append(reasons.SHORT_VISIBILITY)
    if not found:
        return Finding(reasons.VERIFIED)
    others = "".join(f" {it.code}: {it.meaning}" for it in found[1:])
    return Finding(found[0], found[0].meaning + others)


def status_of_queue(url: str, attributes: Mapping[str, str], checked_at: str) -> Json:
    """The status' part about the queue."""
    redrive = _redrive(attributes)
    visibility_s = _count(attributes.get("VisibilityTimeout", ""))
    status: Json = {
        "url": url[:512],
        "visible": _count(attributes.get("ApproximateNumberOfMessages", "")),
        "inFlight": _count(attributes.get("ApproximateNumberOfMessagesNotVisible", "")),
        "delayed": _count(attributes.get("ApproximateNumberOfMessagesDelayed", "")),
        "visibilityTimeout": None if visibility_s is None else f"{visibility_s}s",
        "deadLetterQueue": str(redrive["deadLetterTargetArn"])[:512] if "deadLetterTargetArn" in redrive else None,
        "maxReceiveCount": _count(str(redrive.get("maxReceiveCount", ""))),
        "checkedAt": checked_at,
    }
    return {key: value for key, value in status.items() if value is not None}


def unchanged(old: Mapping[str, object] | None, new: Json) -> bool:
    """Is this the same but for the time of the look?"""
    return {**(old or {}), "checkedAt": ""} == {**new, "checkedAt": ""}


NOT_FOUND = ("QueueDoesNotExist", "NonExistentQueue", "QueueDeletedRecently")
DENIED = (
    "AccessDenied", "AccessDeniedException", "InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken",
    "ExpiredTokenException", "UnrecognizedClientException", "InvalidAccessKeyId", "MissingAuthenticationToken",
    "OptInRequired", "KmsAccessDenied", "NoCredentials",
)  # fmt: skip


def finding_of_error(code: str) -> Finding:
    """An error's code as one of a fixed set: what a server says is not passed on."""
    word = code.rpartition("#")[2].rpartition(".")[2]
    if word in NOT_FOUND:
        return Finding(reasons.QUEUE_NOT_FOUND)
    return Finding(reasons.QUEUE_ACCESS_DENIED if word in DENIED else reasons.QUEUE_UNREACHABLE)


def _redrive(attributes: Mapping[str, str]) -> Json:
    try:
        found = json.loads(attributes.get("RedrivePolicy") or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
