"""Hypothesis strategies for bindings that the schema accepts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from carrier_operator.models import Binding, BindingSpec

DURATIONS = st.sampled_from(["1s", "1.5s", "1m", "59m59s", "2500ms", "1h"])
STATUSES = st.lists(st.sampled_from(["4xx", "5xx", "429", "503"]), min_size=1, max_size=3, unique=True)
FILES = st.sampled_from(["/etc/carrier/ca.pem", "/a b/c", "/x"])


def some(
    required: Mapping[str, Any] | None = None, **optional: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(dict(required or {}), optional=optional)


QUEUES = st.one_of(
    some(
        {"name": st.from_regex(r"[A-Za-z0-9_-]{1,70}(\.fifo)?", fullmatch=True)},
        endpoint=st.sampled_from(["https://sqs.us-west-2.amazonaws.com", "http://127.0.0.1:5000"]),
        owner=st.just("123456789012"),
    ).map(lambda it: it if "endpoint" in it else {**it, "region": "cn-north-1"}),
    some({"url": st.just("https://sqs.eu-west-1.amazonaws.com/123456789012/orders")}, region=st.just("eu-west-1")),
)
PORTS = st.one_of(st.integers(1, 65535), st.just("http"))
HEALTH = some(
    {"path": st.sampled_from(["/", "/healthz", "/a?b=c"])},
    port=PORTS,
    interval=DURATIONS,
    timeout=DURATIONS.filter(lambda it: "h" not in it and "59m" not in it),
    offlineThreshold=st.integers(1, 1000),
)
_WEBHOOK_COMMON: dict[str, st.SearchStrategy[Any]] = {
    "timeout": st.sampled_from(["0", "0s", "1ms", "60s", "12h"]),
    "defaultContentType": st.from_regex(r"[\x20-\x7e]{1,30}", fullmatch=True),
    "attributeHeaders": st.lists(st.from_regex(r"[A-Za-z0-9_.-]{1,20}|\*", fullmatch=True), max_size=3),
    "headers": st.lists(
        some(
            {
                "name": st.sampled_from(["X-A", "Tenant", "X-B"]),
                "value": st.from_regex(r"[\x20-\x7e]{0,20}", fullmatch=True).map(str.strip),
            }
        ),
        max_size=3,
        unique_by=lambda it: it["name"],
    ),
    "healthCheck": HEALTH,
    "traceContext": st.sampled_from(["Make", "Pass", "Off"]),
    "offlineAction": st.sampled_from(["Wait", "Exit"]),
    "tls": some(insecureSkipVerify=st.booleans(), caFile=FILES),
    "auth": st.one_of(some({"username": st.just("u"), "passwordFile": FILES}), some({"bearerTokenFile": FILES})),
}
WEBHOOKS = st.one_of(
    some(
        {},
        port=PORTS,
        path=st.sampled_from(["/", "/events", "/a?b=c&d"]),
        scheme=st.sampled_from(["http", "https"]),
        **_WEBHOOK_COMMON,
    ),
    some(
        {"url": st.sampled_from(["http://localhost:9000/x", "https://[::1]:9443", "http://127.0.0.1/a"])},
        **_WEBHOOK_COMMON,
    ),
)
SELECTORS = st.one_of(
    some({"matchLabels": st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["a", "b"]), min_size=1)}),
    some(
        {
            "matchExpressions": st.lists(
                st.one_of(
                    some(
                        {"key": st.just("app"), "operator": st.sampled_from(["In", "NotIn"]), "values": st.just(["a"])}
                    ),
                    some({"key": st.just("tier"), "operator": st.sampled_from(["Exists", "DoesNotExist"])}),
                ),
                min_size=1,
                max_size=3,
            )
        }
    ),
)
SIDECARS = some(
    mode=st.sampled_from(["Auto", "Native", "Container"]),
    imagePullPolicy=st.sampled_from(["Always", "IfNotPresent", "Never"]),
    resources=st.sampled_from(
        [{}, {"limits": {"memory": "128Mi"}}, {"requests": {"cpu": "5m"}, "limits": {"cpu": "1"}}]
    ),
    shutdownTimeout=DURATIONS,
    probePort=st.integers(1024, 65535),
    env=st.lists(
        st.sampled_from([{"name": "SSL_CERT_FILE", "value": "/ca.pem"}, {"name": "AWS_REGION", "value": "eu-west-1"}]),
        max_size=2,
        unique_by=lambda it: it["name"],
    ),
    gatesPodReadiness=st.booleans(),
    drainBarrier=st.booleans(),
    allowHostNetwork=st.booleans(),
    allowInstanceMetadata=st.booleans(),
)
SPECS = some(
    {"queue": QUEUES},
    selector=SELECTORS,
    webhook=WEBHOOKS,
    concurrency=some(
        receivers=st.integers(1, 64),
        workers=st.integers(0, 1000),
        batchSize=st.integers(1, 10),
        maxInFlight=st.integers(1, 10000),
        maxInFlightBytes=st.integers(1 << 20, 1 << 32),
    ),
    retry=some(
        initial=st.sampled_from(["0", "0s", "1s", "90s", "15m"]),
        factor=st.one_of(st.integers(1, 100), st.sampled_from([1.5, 2.25])),
        max=st.sampled_from(["15m", "12h"]),
        byStatus=st.lists(
            some(
                {"statuses": STATUSES, "initial": st.sampled_from(["0s", "1s", "5m"])},
                factor=st.sampled_from([1, 1.5, 100]),
                max=st.sampled_from(["5m", "1h"]),
            ),
            max_size=2,
        ),
    ),
    deadLetter=some(
        queue=st.sampled_from(["https://sqs.eu-west-1.amazonaws.com/123456789012/dead", "dead"]),
        statuses=STATUSES,
        maxReceives=st.integers(1, 1000),
        maxAge=DURATIONS,
    ),
    rateLimit=some({"rate": st.sampled_from(["1/s", "100/s", "6000/m", "9999999/h"])}, burst=st.integers(1, 100000)),
    breaker=some(
        {"failures": st.integers(1, 1000)}, ratio=st.sampled_from([0.5, 1]), window=DURATIONS, pause=DURATIONS
    ),
    logging=some(
        level=st.sampled_from(["debug", "info", "warn", "error"]), color=st.booleans(), statInterval=DURATIONS
    ),
    suspend=st.booleans(),
    sidecar=SIDECARS,
    rollout=st.sampled_from(["Never", "Missing", "OnChange"]),
)


def binding(name: str, spec: dict[str, Any], generation: int = 1) -> Binding:
    return Binding(name, "shop", BindingSpec.model_validate(spec), generation=generation)
