"""Accepted and refused bindings for every constraint of the CarrierBinding.

One list for two runs: on the models (unit tests) and on a real API server (integration tests). A constraint without
both an accepted and a refused case fails a test.
"""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]

QUEUE: Spec = {"name": "orders", "endpoint": "https://sqs.us-west-2.amazonaws.com"}


class Case:
    """One spec (or name), what is tried with it, and a part of the message when it is refused (None: accepted)."""

    def __init__(self, about: str, spec: Spec, refused: str | None = None, *, name: str = "orders") -> None:
        self.about = about
        self.spec = spec
        self.refused = refused
        self.name = name

    def __repr__(self) -> str:
        return f"{self.about}: {'accepted' if self.refused is None else 'refused'}"


def spec(**parts: Any) -> Spec:
    """A spec that is fine but for what is given."""
    return {"queue": QUEUE, **parts}


def _webhook(**parts: Any) -> Spec:
    return spec(webhook=parts)


def _health(**parts: Any) -> Spec:
    return spec(webhook={"healthCheck": {"path": "/healthz", **parts}})


def _concurrency(**parts: Any) -> Spec:
    return spec(concurrency=parts)


def _sidecar(**parts: Any) -> Spec:
    return spec(sidecar=parts)


def _env(*entries: Spec) -> Spec:
    return spec(sidecar={"env": list(entries)})


def _queue(**parts: Any) -> Spec:
    return {"queue": parts}


def _selector(**parts: Any) -> Spec:
    return spec(selector=parts)


def _pair(about: str, good: Spec, bad: Spec, refused: str) -> list[Case]:
    return [Case(about, good), Case(about, bad, refused)]


def _bounds(
    about: str, build: Any, low: object, high: object, below: object, above: object, refused: str
) -> list[Case]:
    return [
        Case(f"{about}: {low}", build(low)),
        Case(f"{about}: {high}", build(high)),
        Case(f"{about}: {below}", build(below), refused),
        Case(f"{about}: {above}", build(above), refused),
    ]


EXPRESSION = {"key": "tier", "operator": "In", "values": ["web"]}

CASES: list[Case] = [
    Case("the least", spec()),
    Case("name of 40", spec(), name="a" * 40),
    Case("name of 41", spec(), "metadata.name", name="a" * 41),
    Case("name with a dot", spec(), "metadata.name", name="a.b"),
    Case("no queue", {}, "queue"),
    # selector
    *_pair(
        "empty selector", _selector(matchLabels={"app": "x"}), _selector(), "an empty selector would match every pod"
    ),
    Case("empty labels", _selector(matchLabels={}), "an empty selector"),
    *_pair("label value", _selector(matchLabels={"a": "x.y_z-1"}), _selector(matchLabels={"a": "-x"}), "matchLabels"),
    *_pair(
        "label value length",
        _selector(matchLabels={"a": "x" * 63}),
        _selector(matchLabels={"a": "x" * 64}),
        "matchLabels",
    ),
    *_pair(
        "number of labels",
        _selector(matchLabels={f"l{n}": "x" for n in range(16)}),
        _selector(matchLabels={f"l{n}": "x" for n in range(17)}),
        "matchLabels",
    ),
    *_pair(
        "operator",
        _selector(matchExpressions=[EXPRESSION]),
        _selector(matchExpressions=[{**EXPRESSION, "operator": "Near"}]),
        "operator",
    ),
    *_pair(
        "values with In",
        _selector(matchExpressions=[{"key": "a", "operator": "Exists"}]),
        _selector(matchExpressions=[{"key": "a", "operator": "In"}]),
        "give values with In and NotIn",
    ),
    Case(
        "values with Exists",
        _selector(matchExpressions=[{"key": "a", "operator": "Exists", "values": ["x"]}]),
        "give values with In and NotIn",
    ),
    *_pair(
        "expression key length",
        _selector(matchExpressions=[{"key": "a" * 317, "operator": "Exists"}]),
        _selector(matchExpressions=[{"key": "a" * 318, "operator": "Exists"}]),
        "key",
    ),
    *_pair(
        "number of expressions",
        _selector(matchExpressions=[EXPRESSION] * 16),
        _selector(matchExpressions=[EXPRESSION] * 17),
        "matchExpressions",
    ),
    *_pair(
        "number of values",
        _selector(matchExpressions=[{**EXPRESSION, "values": [f"v{n}" for n in range(32)]}]),
        _selector(matchExpressions=[{**EXPRESSION, "values": [f"v{n}" for n in range(33)]}]),
        "values",
    ),
    # queue
    *_pair(
        "queue name",
        _queue(name="a_b-C.fifo", region="eu-west-1"),
        _queue(name="a b", region="eu-west-1"),
        "queue.name",
    ),
    *_pair("queue name length", _queue(name="a" * 80, region="r"), _queue(name="a" * 81, region="r"), "queue.name"),
    *_pair(
        "name or url",
        _queue(url="https://sqs.us-west-2.amazonaws.com/123456789012/orders"),
        _queue(**QUEUE, url="https://sqs.us-west-2.amazonaws.com/123456789012/orders"),
        "exactly one of name and url",
    ),
    Case("queue url without name", _queue(url="https://sqs.us-west-2.amazonaws.com/"), "url"),
    Case("neither name nor url", _queue(endpoint="https://sqs.us-west-2.amazonaws.com"), "exactly one of name and url"),
    *_pair("endpoint or region", _queue(name="x", region="us-west-2"), _queue(name="x"), "say the endpoint"),
    *_pair(
        "endpoint", _queue(name="x", endpoint="http://moto:5000"), _queue(name="x", endpoint="moto:5000"), "endpoint"
    ),
    Case("endpoint length", _queue(name="x", endpoint="http://" + "a" * 505)),
    Case("endpoint length", _queue(name="x", endpoint="http://" + "a" * 506), "endpoint"),
    *_pair("region", _queue(name="x", region="us-west-2"), _queue(name="x", region="US West"), "region"),
    *_pair("region length", _queue(name="x", region="r" * 32), _queue(name="x", region="r" * 33), "region"),
    *_pair("owner", _queue(**QUEUE, owner="123456789012"), _queue(**QUEUE, owner="12345"), "owner"),
    Case(
        "owner with url", _queue(url="https://sqs.x.amazonaws.com/1/q", owner="123456789012"), "owner belongs to name"
    ),
    # webhook
    *_bounds("port", lambda port: _webhook(port=port), 1, 65535, 0, 65536, "port"),
    *_pair("port name", _webhook(port="http"), _webhook(port="HTTP"), "port"),
    Case("port as text", _webhook(port="9000"), "port"),
    Case("port name of 16", _webhook(port="a" * 16), "port"),
    *_pair("path", _webhook(path="/events?x=1"), _webhook(path="events"), "path"),
    *_pair("path length", _webhook(path="/" * 512), _webhook(path="/" * 513), "path"),
    *_pair("scheme", _webhook(port=9443, scheme="https"), _webhook(scheme="ftp"), "scheme"),
    *_pair("url", _webhook(url="http://localhost:9000/x"), _webhook(url="localhost:9000"), "url"),
    Case("url with a password", _webhook(url="http://u:p@localhost:9000/x"), "url"),
    Case("url with a port too large", _webhook(url="http://localhost:65536/x"), "url"),
    Case("url with IPv6", _webhook(url="https://[::1]:9443/x?y=z")),
    Case("url and port", _webhook(url="http://localhost:9000/x", port=9000), "write either url"),
    Case("url and path", _webhook(url="http://localhost:9000/x", path="/x"), "write either url"),
    Case("url and scheme", _webhook(url="http://localhost:9000/x", scheme="http"), "write either url"),
    *_bounds(
        "timeout", lambda it: _webhook(timeout=it), "1ms", "12h", "999us", "12h1s", "write a duration from 1ms to 12h"
    ),
    Case("no timeout", _webhook(timeout="0")),
    Case("no timeout, written in full", _webhook(timeout="0s")),
    Case("timeout without unit", _webhook(timeout="60"), "timeout"),
    Case("timeout as a number", _webhook(timeout=60), "timeout"),
    Case("timeout in parts", _webhook(timeout="1h2m3.5s")),
    Case("timeout beyond any", _webhook(timeout="9999999999999999999h"), "timeout"),
    *_pair(
        "content type",
        _webhook(defaultContentType="text/plain; charset=x"),
        _webhook(defaultContentType="a\nb"),
        "defaultContentType",
    ),
    Case("empty content type", _webhook(defaultContentType=""), "defaultContentType"),
    *_pair(
        "content type length",
        _webhook(defaultContentType="a" * 256),
        _webhook(defaultContentType="a" * 257),
        "defaultContentType",
    ),
    *_pair(
        "attribute headers",
        _webhook(attributeHeaders=["*", "Tenant.Id"]),
        _webhook(attributeHeaders=["a b"]),
        "attributeHeaders",
    ),
    *_pair(
        "number of attribute headers",
        _webhook(attributeHeaders=["a"] * 32),
        _webhook(attributeHeaders=["a"] * 33),
        "attributeHeaders",
    ),
    *_pair(
        "header",
        _webhook(headers=[{"name": "X-A", "value": "b"}]),
        _webhook(headers=[{"name": "X A", "value": "b"}]),
        "headers",
    ),
    *_pair(
        "header value",
        _webhook(headers=[{"name": "A", "value": ""}]),
        _webhook(headers=[{"name": "A", "value": "\r\n"}]),
        "headers",
    ),
    Case("header without value", _webhook(headers=[{"name": "X-A"}]), "value"),
    Case(
        "header twice in other letters",
        _webhook(headers=[{"name": "A", "value": "1"}, {"name": "a", "value": "2"}]),
        "two headers have the same name",
    ),
    Case("header value with space around it", _webhook(headers=[{"name": "A", "value": " x"}]), "headers"),
    Case("header twice", _webhook(headers=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]), "headers"),
    *_pair(
        "number of headers",
        _webhook(headers=[{"name": f"A{n}", "value": "x"} for n in range(32)]),
        _webhook(headers=[{"name": f"A{n}", "value": "x"} for n in range(33)]),
        "headers",
    ),
    Case("framing header", _webhook(headers=[{"name": "Content-Length", "value": "0"}]), "the sidecar writes those"),
    Case(
        "header of ours", _webhook(headers=[{"name": "x-carrier-Message-Id", "value": "0"}]), "the sidecar writes those"
    ),
    *_pair("health check", _health(path="/h"), spec(webhook={"healthCheck": {}}), "path"),
    Case("health path", _health(path="h"), "path"),
    *_pair("health port", _health(port=8080), _health(port=0), "port"),
    *_bounds("interval", lambda it: _health(interval=it), "1s", "1h", "999ms", "61m", "write a duration from 1s to 1h"),
    *_bounds(
        "health timeout",
        lambda it: _health(timeout=it),
        "100ms",
        "5m",
        "99ms",
        "6m",
        "write a duration from 100ms to 5m",
    ),
    *_bounds("offline threshold", lambda it: _health(offlineThreshold=it), 1, 1000, 0, 1001, "offlineThreshold"),
    *_pair("offline action", _webhook(offlineAction="Exit"), _webhook(offlineAction="exit"), "offlineAction"),
    *_pair(
        "client certificate",
        _webhook(tls={"certFile": "/c", "keyFile": "/k"}),
        _webhook(tls={"keyFile": "/c"}),
        "keyFile belongs to certFile",
    ),
    *_pair("trace context", _webhook(traceContext="Off"), _webhook(traceContext="off"), "traceContext"),
    *_pair("CA file", _webhook(tls={"caFile": "/ca.pem"}), _webhook(tls={"caFile": "ca.pem"}), "caFile"),
    *_pair(
        "skip verify",
        _webhook(tls={"insecureSkipVerify": True}),
        _webhook(tls={"insecureSkipVerify": "true"}),
        "insecureSkipVerify",
    ),
    *_pair(
        "Basic",
        _webhook(auth={"username": "u", "passwordFile": "/p"}),
        _webhook(auth={"username": "u"}),
        "needs both username and passwordFile",
    ),
    Case("user name with a colon", _webhook(auth={"username": "u:v", "passwordFile": "/p"}), "username"),
    *_pair(
        "one authentication",
        _webhook(auth={"bearerTokenFile": "/t"}),
        _webhook(auth={"username": "u", "passwordFile": "/p", "bearerTokenFile": "/t"}),
        "choose one",
    ),
    Case("empty authentication", _webhook(auth={}), "choose one"),
    *_pair(
        "authorization twice",
        _webhook(headers=[{"name": "Authorization", "value": "x"}]),
        _webhook(headers=[{"name": "authorization", "value": "x"}], auth={"bearerTokenFile": "/t"}),
        "leave it out of headers",
    ),
    # concurrency
    *_bounds("receivers", lambda it: _concurrency(receivers=it), 1, 64, 0, 65, "receivers"),
    *_bounds("workers", lambda it: _concurrency(workers=it), 0, 1000, -1, 1001, "workers"),
    *_bounds("batch size", lambda it: _concurrency(batchSize=it), 1, 10, 0, 11, "batchSize"),
    *_bounds("in flight", lambda it: _concurrency(maxInFlight=it), 1, 10000, 0, 10001, "maxInFlight"),
    *_bounds(
        "bytes in flight",
        lambda it: _concurrency(maxInFlightBytes=it),
        1048576,
        4294967296,
        1048575,
        4294967297,
        "maxInFlightBytes",
    ),
    # retry, dead letters, limits
    *_bounds(
        "retry",
        lambda it: spec(retry={"initial": it, "max": "12h"}),
        "1s",
        "12h",
        "1ms",
        "13h",
        "write a duration from 1s to 12h",
    ),
    Case("retry by visibility timeout", spec(retry={"initial": "0s"})),
    Case("retry by default", spec(retry={})),
    *_pair(
        "order of a retry by status",
        spec(retry={"byStatus": [{"statuses": ["5xx"], "initial": "1m", "max": "1m"}]}),
        spec(retry={"byStatus": [{"statuses": ["5xx"], "initial": "1h", "max": "1m"}]}),
        "the initial delay may not be longer than max",
    ),
    *_bounds(
        "factor by status",
        lambda it: spec(retry={"byStatus": [{"statuses": ["5xx"], "initial": "0", "factor": it}]}),
        1,
        100,
        0.5,
        101,
        "factor",
    ),
    *_bounds(
        "retry max",
        lambda it: spec(retry={"initial": "1s", "max": it}),
        "1s",
        "12h",
        "1ms",
        "13h",
        "write a duration from 1s to 12h",
    ),
    *_pair(
        "retry order",
        spec(retry={"initial": "5s", "max": "5s"}),
        spec(retry={"initial": "1h", "max": "1m"}),
        "initial may not be longer than max",
    ),
    *_bounds("factor", lambda it: spec(retry={"initial": "1s", "factor": it}), 1, 100, 0.5, 101, "factor"),
    *_pair(
        "retry by status",
        spec(retry={"initial": "1s", "byStatus": [{"statuses": ["5xx", "429"], "initial": "2s"}]}),
        spec(retry={"initial": "1s", "byStatus": [{"statuses": ["600"], "initial": "2s"}]}),
        "statuses",
    ),
    Case(
        "retry by no status", spec(retry={"initial": "1s", "byStatus": [{"statuses": [], "initial": "2s"}]}), "statuses"
    ),
    *_pair(
        "dead letter statuses",
        spec(deadLetter={"statuses": ["4xx", "500"]}),
        spec(deadLetter={"statuses": ["4XX"]}),
        "statuses",
    ),
    *_pair(
        "dead letter queue",
        spec(deadLetter={"queue": "https://sqs.x.amazonaws.com/1/dead"}),
        spec(deadLetter={"queue": "de ad"}),
        "queue",
    ),
    Case("dead letters by name", spec(deadLetter={"queue": "dead"})),
    Case("dead letters by ARN", spec(deadLetter={"queue": "arn:aws:sqs:us-west-2:123456789012:dead"})),
    Case("dead letters by an answer", spec(deadLetter={})),
    *_bounds("receives", lambda it: spec(deadLetter={"maxReceives": it}), 1, 1000, 0, 1001, "maxReceives"),
    *_bounds(
        "age",
        lambda it: spec(deadLetter={"maxAge": it}),
        "1s",
        "336h",
        "1ms",
        "337h",
        "write a duration from 1s to 336h",
    ),
    *_pair("rate", spec(rateLimit={"rate": "100/s"}), spec(rateLimit={"rate": "100"}), "rate"),
    Case("no rate", spec(rateLimit={"rate": "0/s"}), "rate"),
    *_bounds("burst", lambda it: spec(rateLimit={"rate": "1/m", "burst": it}), 1, 100000, 0, 100001, "burst"),
    *_pair("breaker", spec(breaker={"failures": 5}), spec(breaker={}), "say failures"),
    *_bounds("breaker failures", lambda it: spec(breaker={"failures": it}), 1, 1000, 0, 1001, "failures"),
    *_bounds("breaker ratio", lambda it: spec(breaker={"ratio": it}), 0.01, 1, 0, 1.1, "ratio"),
    *_bounds(
        "breaker window",
        lambda it: spec(breaker={"failures": 1, "window": it}),
        "1s",
        "1h",
        "1ms",
        "2h",
        "write a duration from 1s to 1h",
    ),
    *_bounds(
        "breaker pause",
        lambda it: spec(breaker={"failures": 1, "pause": it}),
        "1s",
        "1h",
        "1ms",
        "2h",
        "write a duration from 1s to 1h",
    ),
    # logging and the rest
    *_pair("level", spec(logging={"level": "warn"}), spec(logging={"level": "WARN"}), "level"),
    *_bounds(
        "statistics",
        lambda it: spec(logging={"statInterval": it}),
        "1s",
        "24h",
        "1ms",
        "25h",
        "write a duration from 1s to 24h",
    ),
    *_pair("suspend", spec(suspend=True), spec(suspend="yes"), "suspend"),
    *_pair("rollout", spec(rollout="OnChange"), spec(rollout="Always"), "rollout"),
    # sidecar
    *_pair("image", _sidecar(image="registry:5000/carrier@sha256:0"), _sidecar(image="a b"), "image"),
    *_pair("pull policy", _sidecar(imagePullPolicy="Always"), _sidecar(imagePullPolicy="always"), "imagePullPolicy"),
    *_pair("mode", _sidecar(mode="Native"), _sidecar(mode="Init"), "mode"),
    *_bounds(
        "shutdown", lambda it: _sidecar(shutdownTimeout=it), "1s", "1h", "0s", "61m", "write a duration from 1s to 1h"
    ),
    *_bounds("probe port", lambda it: _sidecar(probePort=it), 1024, 65535, 1023, 65536, "probePort"),
    *_pair(
        "quantity",
        _sidecar(resources={"limits": {"memory": "64Mi", "cpu": "0.5"}}),
        _sidecar(resources={"limits": {"memory": "lots"}}),
        "memory",
    ),
    *_pair(
        "memory request",
        _sidecar(resources={"requests": {"memory": "1Gi"}, "limits": {"memory": "1024Mi"}}),
        _sidecar(resources={"requests": {"memory": "2Gi"}, "limits": {"memory": "1G"}}),
        "the memory request may not",
    ),
    *_pair(
        "cpu request",
        _sidecar(resources={"requests": {"cpu": "500m"}, "limits": {"cpu": "0.5"}}),
        _sidecar(resources={"requests": {"cpu": "1"}, "limits": {"cpu": "999m"}}),
        "the cpu request may not",
    ),
    *_pair("env name", _env({"name": "A_1", "value": "x"}), _env({"name": "1A", "value": "x"}), "env"),
    *_pair(
        "env twice",
        _env({"name": "A", "value": "x"}, {"name": "B", "value": "x"}),
        _env({"name": "A", "value": "x"}, {"name": "A", "value": "y"}),
        "env",
    ),
    *_pair(
        "env value length", _env({"name": "A", "value": "x" * 4096}), _env({"name": "A", "value": "x" * 4097}), "value"
    ),
    *_pair(
        "number of env",
        _env(*({"name": f"A{n}"} for n in range(64))),
        _env(*({"name": f"A{n}"} for n in range(65))),
        "env",
    ),
    Case("env of ours", _env({"name": "CARRIER_LOG_LEVEL", "value": "debug"}), "have fields in the binding"),
    Case("env of ours by its old name", _env({"name": "SQS_ENDPOINT", "value": "x"}), "have fields in the binding"),
    *_pair(
        "env source",
        _env({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
        _env({"name": "A", "valueFrom": {}}),
        "name exactly one of",
    ),
    Case(
        "env source twice",
        _env(
            {
                "name": "A",
                "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}, "configMapKeyRef": {"name": "s", "key": "k"}},
            }
        ),
        "name exactly one of",
    ),
    *_pair(
        "env field",
        _env({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
        _env({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.containers"}}}),
        "fieldPath",
    ),
    Case(
        "env value and source",
        _env({"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
        "not both",
    ),
    *_pair(
        "mount",
        _sidecar(volumeMounts=[{"name": "tokens", "mountPath": "/tokens", "subPath": "a"}]),
        _sidecar(volumeMounts=[{"name": "tokens", "mountPath": "tokens"}]),
        "mountPath",
    ),
    Case(
        "mount above",
        _sidecar(volumeMounts=[{"name": "tokens", "mountPath": "/t", "subPath": "a/../b"}]),
        "may not contain ..",
    ),
    *_pair(
        "number of mounts",
        _sidecar(volumeMounts=[{"name": "t", "mountPath": f"/t{n}"} for n in range(16)]),
        _sidecar(volumeMounts=[{"name": "t", "mountPath": f"/t{n}"} for n in range(17)]),
        "volumeMounts",
    ),
]
