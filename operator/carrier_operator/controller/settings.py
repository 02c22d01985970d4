"""The controller's settings, one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carrier_operator.policy import Policy
from carrier_operator.settings_rows import (
    ADDRESS,
    BOOL,
    DURATION,
    ITEMS,
    SHARED_ROWS,
    BadSettings,
    Row,
    address,
    items,
    maybe_text,
    parse,
    policy_of,
    text,
)
from carrier_sidecar import go_values

from .queue_check import Allowed, BadPattern

LEAVES_PER_CA = 3  # a CA that lives shorter than this many leaves could not be replaced in time


def _pairs(value: str) -> dict[str, str]:
    out = {}
    for item in items(value):
        key, equals, rest = item.partition("=")
        if not (key and equals and rest):
            raise ValueError("no name=value")
        out[key] = rest
    return out


def _pair_list(value: str) -> tuple[tuple[str, str], ...]:
    out = []
    for item in items(value):
        key, equals, rest = item.partition("=")
        if not (key and equals and rest):
            raise ValueError("no name=value")
        out.append((key, rest))
    return tuple(out)


def _lifetime(value: str) -> float:
    found = go_values.parse_duration(value)
    if found < 10:
        raise ValueError("too short")
    return found


ROWS = (
    *SHARED_ROWS,
    Row(
        "CARRIER_CONTROLLER_PROBES", ":9090", address, ADDRESS, "Where /livez, /readyz and /metrics are served (plain)."
    ),
    Row(
        "CARRIER_CONTROLLER_NAMESPACE",
        "",
        maybe_text,
        "a namespace",
        "Where the Lease, the Secrets and the injector are. Empty: the pod's own.",
    ),
    Row("CARRIER_CONTROLLER_LEASE", "carrier-controller", text, "a name", "The Lease by which one replica leads."),
    Row(
        "CARRIER_CONTROLLER_IDENTITY", "", maybe_text, "a name", "Who we are in the Lease. Empty: host name and chance."
    ),
    Row(
        "CARRIER_CONTROLLER_WEBHOOK",
        "",
        maybe_text,
        "a name",
        "The MutatingWebhookConfiguration whose caBundle is kept. Empty: no certificates are made at all.",
    ),
    Row("CARRIER_CONTROLLER_CA_SECRET", "carrier-ca", text, "a name", "Secret of the CA and its key, ours alone."),
    Row(
        "CARRIER_CONTROLLER_LEAF_SECRET",
        "carrier-injector-tls",
        text,
        "a name",
        "Secret of type kubernetes.io/tls that the injectors serve by.",
    ),
    Row(
        "CARRIER_CONTROLLER_CERT_NAMES",
        "",
        items,
        ITEMS,
        "DNS names and addresses that the injectors' certificate is for; the Service's name first.",
    ),
    Row(
        "CARRIER_CONTROLLER_CA_LIFETIME", "8760h", _lifetime, DURATION, "Life of a CA; replaced after two thirds of it."
    ),
    Row(
        "CARRIER_CONTROLLER_LEAF_LIFETIME",
        "720h",
        _lifetime,
        DURATION,
        f"Life of a serving certificate; replaced after two thirds of it. At most 1/{LEAVES_PER_CA} of the CA's.",
    ),
    Row(
        "CARRIER_CONTROLLER_INJECTORS",
        "app.kubernetes.io/component=injector",
        _pairs,
        "label=value, separated by commas",
        "Labels of the injectors' pods. They are asked what they serve before an old CA is dropped, and no workload is "
        "restarted while none of them is ready.",
    ),
    Row(
        "CARRIER_CONTROLLER_ROLLOUT",
        "false",
        go_values.parse_bool,
        BOOL,
        "Whether workloads may be restarted where a binding's rollout says so; needs a role of its own.",
    ),
    Row(
        "CARRIER_CONTROLLER_QUEUE_ENDPOINTS",
        "",
        items,
        ITEMS,
        "SQS endpoints that may be asked about queues, such as https://sqs.us-west-2.amazonaws.com. Empty: none is.",
    ),
    Row(
        "CARRIER_CONTROLLER_QUEUES",
        "",
        _pair_list,
        "namespace=ARN, separated by commas",
        "Queues that bindings of a namespace may learn about; the ARN's name may end in *. Empty: none.",
    ),
    Row(
        "CARRIER_CONTROLLER_QUEUE_INTERVAL",
        "60s",
        go_values.parse_duration,
        DURATION,
        "Time between two looks at a queue.",
    ),
)


class Settings:
    """What the environment says, typed."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.sidecar_image: str = values["CARRIER_OPERATOR_SIDECAR_IMAGE"]
        self.pull_policy: str | None = values["CARRIER_OPERATOR_SIDECAR_PULL_POLICY"]
        self.native: str = values["CARRIER_OPERATOR_NATIVE_SIDECARS"]
        self.policy: Policy = policy_of(values)
        self.log_level: str = values["CARRIER_OPERATOR_LOG_LEVEL"]
        self.probes: tuple[str, int] = values["CARRIER_CONTROLLER_PROBES"]
        self.namespace: str | None = values["CARRIER_CONTROLLER_NAMESPACE"]
        self.lease: str = values["CARRIER_CONTROLLER_LEASE"]
        self.identity: str | None = values["CARRIER_CONTROLLER_IDENTITY"]
        self.webhook: str | None = values["CARRIER_CONTROLLER_WEBHOOK"]
        self.ca_secret: str = values["CARRIER_CONTROLLER_CA_SECRET"]
        self.leaf_secret: str = values["CARRIER_CONTROLLER_LEAF_SECRET"]
        self.cert_names: tuple[str, ...] = values["CARRIER_CONTROLLER_CERT_NAMES"]
        self.ca_lifetime_s: float = values["CARRIER_CONTROLLER_CA_LIFETIME"]
        self.leaf_lifetime_s: float = values["CARRIER_CONTROLLER_LEAF_LIFETIME"]
        self.injectors: dict[str, str] = values["CARRIER_CONTROLLER_INJECTORS"]
        self.rollout: bool = values["CARRIER_CONTROLLER_ROLLOUT"]
        self.queue_endpoints: tuple[str, ...] = values["CARRIER_CONTROLLER_QUEUE_ENDPOINTS"]
        self.queues: tuple[tuple[str, str], ...] = values["CARRIER_CONTROLLER_QUEUES"]
        self.queue_interval_s: float = values["CARRIER_CONTROLLER_QUEUE_INTERVAL"]


def read(environ: Mapping[str, str]) -> Settings:
    """Settings from an environment. BadSettings with every problem."""
    values = parse(ROWS, environ)
    settings = Settings(values)
    problems = []
    if settings.webhook is not None and not settings.cert_names:
        problems.append("CARRIER_CONTROLLER_CERT_NAMES is required with CARRIER_CONTROLLER_WEBHOOK")
    if settings.leaf_lifetime_s * LEAVES_PER_CA > settings.ca_lifetime_s:
        problems.append(
            f"CARRIER_CONTROLLER_LEAF_LIFETIME may be at most 1/{LEAVES_PER_CA} of CARRIER_CONTROLLER_CA_LIFETIME"
        )
    if not all(it.isascii() for it in settings.cert_names):
        problems.append("CARRIER_CONTROLLER_CERT_NAMES: DNS names are written in ASCII (xn--...)")
    for namespace, arn in settings.queues:
        try:
            Allowed(namespace, arn)
        except BadPattern as error:
            problems.append(f"CARRIER_CONTROLLER_QUEUES: {error}")
    if problems:
        raise BadSettings(problems)
    return settings
