"""The CarrierBinding as users write it: the one source of the CRD, the reference page and the validation in the
operator.

Field descriptions are written for `kubectl explain`. Every constraint here has accepted and refused cases in
tests/operator_cases.py, which run against these models and against a real API server.
Not here: what the fields mean for the sidecar's environment (render.py) and what the controller writes back
(status.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field, WithJsonSchema

from .rules import QUANTITY_PATTERN, DurationBetween, Rule, Shape, UniqueBy, quantity, seconds

GROUP = "carrier.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "CarrierBinding"
PLURAL = "carrierbindings"
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
NAME_MAX_LENGTH = 40  # the container is called carrier-<name>; a container's name is a DNS label of at most 63

_LABEL_VALUE = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)"
_PORT = r"(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?"
_TARGET = r"[\x21\x22\x24-\x7e]*"  # printable ASCII but for space and #
_URL = rf"^https?://{_HOST}{_PORT}([/?]{_TARGET})?$"
_QUEUE_URL = rf"^https?://{_HOST}{_PORT}/([\x21\x22\x24-\x3e\x40-\x7e]*/)?[A-Za-z0-9_-]+(\.fifo)?$"
_PATH = rf"^/{_TARGET}$"
_HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
_FILE = r"^/[^\x00-\x1f]*$"
_PORT_NAME = r"^[a-z0-9-]*[a-z][a-z0-9-]*$"
_STATUS = r"^([1-5]xx|[1-5][0-9]{2})$"

LabelValue = Annotated[str, Field(pattern=_LABEL_VALUE, max_length=63)]
FilePath = Annotated[str, Field(pattern=_FILE, max_length=256)]
HttpUrl = Annotated[str, Field(pattern=_URL, max_length=512)]
QueueUrl = Annotated[str, Field(pattern=_QUEUE_URL, max_length=512)]
Quantity = Annotated[str, Field(pattern=QUANTITY_PATTERN, max_length=20)]
StatusRange = Annotated[str, Field(pattern=_STATUS, max_length=3)]
Port = Annotated[
    Annotated[int, Field(ge=1, le=65535)] | Annotated[str, Field(pattern=_PORT_NAME, min_length=1, max_length=15)],
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 1,
            "maximum": 65535,
            "pattern": _PORT_NAME,
            "minLength": 1,
            "maxLength": 15,
        }
    ),
]


class SelectorRequirement(Shape):
    """One expression over a pod's labels."""

    key: str = Field(min_length=1, max_length=317, description="The label's key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How the label is compared.")
    values: list[LabelValue] | None = Field(
        None, max_length=32, description="The values for In and NotIn; empty for Exists and DoesNotExist."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 "
            ": !has(self.values) || size(self.values) == 0",
            "give values with In and NotIn, and none with Exists and DoesNotExist",
            lambda it: bool(it.values) == (it.operator in ("In", "NotIn")),
        ),
    )


class Selector(Shape):
    """Which pods of the binding's namespace get the sidecar without asking for it."""

    match_labels: Annotated[dict[str, LabelValue], Field(max_length=16)] | None = Field(
        None, description="Labels that the pod must carry with these values."
    )
    match_expressions: list[SelectorRequirement] | None = Field(
        None, max_length=16, description="Expressions that the pod's labels must all satisfy."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.matchLabels) && size(self.matchLabels) > 0) || "
            "(has(self.matchExpressions) && size(self.matchExpressions) > 0)",
            "an empty selector would match every pod: name at least one label, "
            "or leave the selector out and let pods ask by annotation",
            lambda it: bool(it.match_labels) or bool(it.match_expressions),
        ),
    )


class Queue(Shape):
    """The SQS queue that the sidecar receives from."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.fifo)?$", min_length=1, max_length=80)] | None = Field(
        None, description="The queue's name; resolved by GetQueueUrl. Either name or url."
    )
    url: QueueUrl | None = Field(None, description="The queue's full URL. Either name or url.")
    endpoint: HttpUrl | None = Field(
        None, description="Base URL of the SQS API. Left out: AWS's own for the region (of the queue's url, or region)."
    )
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$", min_length=1, max_length=32)] | None = Field(
        None, description="The region that requests are signed for. Left out: read from the endpoint's host."
    )
    owner: Annotated[str, Field(pattern=r"^[0-9]{12}$", max_length=12)] | None = Field(
        None, description="The AWS account that owns the queue, when it is not the sidecar's own."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.name) != has(self.url)",
            "name the queue by exactly one of name and url",
            lambda it: (it.name is None) != (it.url is None),
        ),
        Rule(
            "has(self.url) || has(self.endpoint) || has(self.region)",
            "with a queue's name, say the endpoint (such as https://sqs.us-west-2.amazonaws.com) or the region",
            lambda it: it.url is not None or it.endpoint is not None or it.region is not None,
        ),
        Rule(
            "!has(self.owner) || has(self.name)",
            "owner belongs to name: a url says the account itself",
            lambda it: it.owner is None or it.name is not None,
        ),
    )


class HealthCheck(Shape):
    """A GET that tells whether the handler is well; 2xx is healthy. While it is not, nothing is received."""

    path: Annotated[str, Field(pattern=_PATH, max_length=256)] = Field(
        description="Path of the check on the handler, such as /healthz."
    )
    port: Port | None = Field(
        None, description="Port (number or the container port's name). Left out: the webhook's own."
    )
    interval: Annotated[str, DurationBetween("1s", "1h")] = Field("60s", description="Time between two checks.")
    timeout: Annotated[str, DurationBetween("100ms", "5m")] = Field("10s", description="Longest time for an answer.")
    offline_threshold: int = Field(
        5, ge=1, le=1000, description="Consecutive failures until the handler counts as offline and receiving stops."
    )


class Header(Shape):
    """One request header with a fixed value."""

    name: Annotated[str, Field(pattern=_HEADER_NAME, min_length=1, max_length=64)] = Field(
        description="The header's name."
    )
    value: Annotated[str, Field(pattern=r"^([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?$", max_length=512)] = Field(
        description="The header's value."
    )


class WebhookTLS(Shape):
    """TLS towards the handler (at least 1.3)."""

    insecure_skip_verify: bool = Field(False, description="Do not verify the handler's certificate.")
    ca_file: FilePath | None = Field(None, description="File in the sidecar with the CA certificates to trust (PEM).")
    cert_file: FilePath | None = Field(None, description="File in the sidecar with the client certificate (PEM).")
    key_file: FilePath | None = Field(
        None,
        description="File in the sidecar with the client certificate's key (PEM). Left out: the key is in certFile.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.keyFile) || has(self.certFile)",
            "keyFile belongs to certFile: write both",
            lambda it: it.key_file is None or it.cert_file is not None,
        ),
    )


class WebhookAuth(Shape):
    """How the sidecar proves itself to the handler; the files are read again when they change."""

    username: Annotated[str, Field(pattern=r"^[\x20-\x39\x3b-\x7e]+$", min_length=1, max_length=128)] | None = Field(
        None, description="User name for HTTP Basic."
    )
    password_file: FilePath | None = Field(None, description="File in the sidecar with the password for HTTP Basic.")
    bearer_token_file: FilePath | None = Field(None, description="File in the sidecar with the bearer token.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.username) == has(self.passwordFile)",
            "HTTP Basic needs both username and passwordFile",
            lambda it: (it.username is None) == (it.password_file is None),
        ),
        Rule(
            "has(self.username) != has(self.bearerTokenFile)",
            "choose one: username with passwordFile, or bearerTokenFile",
            lambda it: (it.username is None) != (it.bearer_token_file is None),
        ),
    )


class Webhook(Shape):
    """The handler: where each message is POSTed."""

    port: Port | None = Field(
        None,
        description="The handler's port on localhost: a number, or a container port's name. Left out (without url): "
        "9000.",
    )
    path: Annotated[str, Field(pattern=_PATH, max_length=512)] | None = Field(
        None, description="Path and query of the POST. Left out: /."
    )
    scheme: Literal["http", "https"] | None = Field(None, description="http or https, for port. Left out: http.")
    url: HttpUrl | None = Field(
        None,
        description="A full address instead of port, path and scheme; on loopback unless the administrator allows "
        "more.",
    )
    timeout: Annotated[str, DurationBetween("1ms", "12h", zero="no limit")] = Field(
        "60s", description="Longest time for the handler's answer to one message; 0 means no limit."
    )
    default_content_type: Annotated[str, Field(pattern=r"^[\x20-\x7e]+$", min_length=1, max_length=256)] = Field(
        "application/json", description="Content-Type of a message that has no Body.ContentType attribute."
    )
    attribute_headers: (
        list[Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9_.-]+)$", min_length=1, max_length=256)]] | None
    ) = Field(
        None,
        max_length=32,
        description="Message attributes to send as X-Carrier-Attribute-<name> headers; ['*'] for all. Left out: none.",
    )
    headers: Annotated[list[Header], Field(max_length=32), UniqueBy("name")] | None = Field(
        None, description="Headers sent with every message."
    )
    trace_context: Literal["Make", "Pass", "Off"] = Field(
        "Make",
        description="W3C trace context of each POST: Pass on the message's, Make one for messages without, or Off.",
    )
    health_check: HealthCheck | None = Field(
        None, description="Left out: no checks; refused connections alone shut the gate."
    )
    offline_action: Literal["Wait", "Exit"] = Field(
        "Wait", description="What the sidecar does while the handler is offline: Wait for it, or Exit (code 4)."
    )
    tls: WebhookTLS | None = Field(None, description="TLS towards the handler.")
    auth: WebhookAuth | None = Field(None, description="Authentication towards the handler.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.url) || !(has(self.port) || has(self.path) || has(self.scheme))",
            "write either url, or port with path and scheme",
            lambda it: it.url is None or (it.port is None and it.path is None and it.scheme is None),
        ),
        Rule(
            "!has(self.headers) || self.headers.all(h, !(h.name.lowerAscii() in "
            "['host', 'content-length', 'content-type', 'transfer-encoding', 'connection', 'expect', 'upgrade', 'te', "
            "'trailer', 'keep-alive', 'traceparent', 'tracestate', 'x-amzn-trace-id']) "
            "&& !h.name.lowerAscii().startsWith('x-carrier-'))",
            "headers may not set Host, Content-*, Connection and their like, nor X-Carrier-*: the sidecar writes those",
            lambda it: all(allowed_header(h.name) for h in it.headers or ()),
        ),
        Rule(
            "!has(self.headers) || self.headers.all(h, "
            "self.headers.exists_one(o, o.name.lowerAscii() == h.name.lowerAscii()))",
            "two headers have the same name (upper and lower case are one)",
            lambda it: len({h.name.lower() for h in it.headers or ()}) == len(it.headers or ()),
        ),
        Rule(
            "!has(self.headers) || !has(self.auth) || self.headers.all(h, h.name.lowerAscii() != 'authorization')",
            "auth writes the Authorization header: leave it out of headers",
            lambda it: it.auth is None or all(h.name.lower() != "authorization" for h in it.headers or ()),
        ),
    )


_RESERVED_HEADERS = frozenset(
    ("host", "content-length", "content-type", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer",
     "keep-alive", "traceparent", "tracestate", "x-amzn-trace-id")
)  # fmt: skip


def allowed_header(name: str) -> bool:
    """May a binding set this request header? Not those that frame the request, and not the sidecar's own."""
    lower = name.lower()
    return lower not in _RESERVED_HEADERS and not lower.startswith("x-carrier-")


class Concurrency(Shape):
    """How much a sidecar takes on at once."""

    receivers: int = Field(1, ge=1, le=64, description="Concurrent long polls.")
    workers: int = Field(1, ge=0, le=1000, description="POSTs at once per receiver; 0 means the batch size.")
    batch_size: int = Field(1, ge=1, le=10, description="Messages asked for in one receive.")
    max_in_flight: int | None = Field(
        None, ge=1, le=10000, description="POSTs at once in all. Left out: receivers times workers."
    )
    max_in_flight_bytes: int = Field(
        33554432, ge=1048576, le=4294967296, description="Message bytes in hand from which on no more is received."
    )


class RetryDelay(Shape):
    """Another backoff for answers of certain statuses."""

    statuses: list[StatusRange] = Field(
        min_length=1, max_length=16, description="Statuses (503) or classes (5xx); a status goes before its class."
    )
    initial: Annotated[str, DurationBetween("1s", "12h", zero="the visibility timeout decides")] = Field(
        description="Longest delay after the first receive."
    )
    factor: float | None = Field(None, ge=1, le=100, description="Left out: retry.factor.")
    max: Annotated[str, DurationBetween("1s", "12h")] | None = Field(None, description="Left out: retry.max.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.max) || duration(self.initial) <= duration(self.max)",
            "the initial delay may not be longer than max",
            lambda it: it.max is None or seconds(it.initial) <= seconds(it.max),
        ),
    )


class Retry(Shape):
    """When a message whose POST failed comes back: initial * factor^(receives - 1), at most max, with full jitter."""

    initial: Annotated[str, DurationBetween("1s", "12h", zero="the visibility timeout decides")] = Field(
        "0s", description="Longest delay after the first receive."
    )
    factor: float = Field(2.0, ge=1, le=100, description="What each further receive multiplies the delay by.")
    max: Annotated[str, DurationBetween("1s", "12h")] = Field("15m", description="What it grows to at most.")
    by_status: list[RetryDelay] | None = Field(None, max_length=16, description="Other backoffs for certain answers.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "duration(self.initial) <= duration(self.max)",
            "initial may not be longer than max",
            lambda it: seconds(it.initial) <= seconds(it.max),
        ),
    )


class DeadLetter(Shape):
    """Messages that are moved to the dead-letter queue with a reason; its presence also heeds X-Carrier-Dead-Letter."""

    queue: (
        Annotated[
            str,
            Field(
                pattern=rf"{_QUEUE_URL}|^arn:[a-z0-9-]+:sqs:[a-z0-9-]*:[0-9]{{12}}:[A-Za-z0-9_.-]{{1,80}}$|^[A-Za-z0-9_.-]{{1,80}}$",
                max_length=512,
            ),
        ]
        | None
    ) = Field(None, description="Name, URL or ARN of the dead-letter queue. Left out: the one of the redrive policy.")
    statuses: list[StatusRange] | None = Field(
        None, max_length=32, description="Answers (400) or classes (4xx) that are final."
    )
    max_receives: int | None = Field(
        None, ge=1, le=1000, description="Give up on a failure at this receive or a later one."
    )
    max_age: Annotated[str, DurationBetween("1s", "336h")] | None = Field(
        None, description="Give up on failing messages that were sent longer ago than this."
    )


class RateLimit(Shape):
    """How fast a sidecar may take messages; it slows receiving and holds nothing."""

    rate: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,6}/(s|m|h)$", max_length=10)] = Field(
        description="Messages per second, minute or hour, such as 100/s."
    )
    burst: int | None = Field(None, ge=1, le=100000, description="Messages that may come at once after a pause.")


class Breaker(Shape):
    """Stops receiving when the handler fails too often, and tries one message before it goes on."""

    failures: int | None = Field(None, ge=1, le=1000, description="Consecutive failures that open the breaker.")
    ratio: float | None = Field(None, gt=0, le=1, description="Share of failures within window that opens the breaker.")
    window: Annotated[str, DurationBetween("1s", "1h")] = Field("60s", description="Time over which ratio is taken.")
    pause: Annotated[str, DurationBetween("1s", "1h")] = Field("30s", description="Time until one message is tried.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.failures) || has(self.ratio)",
            "say failures (consecutive), ratio (over window), or both",
            lambda it: it.failures is not None or it.ratio is not None,
        ),
    )


class Logging(Shape):
    """What the sidecar writes to stdout."""

    level: Literal["debug", "info", "warn", "error"] = Field("info", description="Least severe level that is written.")
    color: bool = Field(False, description="Coloured lines for people instead of JSON.")
    stat_interval: Annotated[str, DurationBetween("1s", "24h")] | None = Field(
        None, description="Time between two lines of statistics. Left out: none."
    )


class KeyRef(Shape):
    """A key of a Secret or ConfigMap in the binding's namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="Name of the Secret or ConfigMap.")
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", min_length=1, max_length=253)] = Field(
        description="The key."
    )
    optional: bool | None = Field(None, description="Start without the variable when it is missing.")


class FieldRef(Shape):
    """A field of the pod."""

    field_path: Annotated[
        str,
        Field(
            pattern=r"^(metadata\.(name|namespace|uid)|metadata\.(labels|annotations)\['[^'\s]+'\]"
            r"|spec\.(nodeName|serviceAccountName)|status\.(hostIP|podIP))$",
            max_length=384,
        ),
    ] = Field(description="Such as metadata.name.")


class EnvSource(Shape):
    """Where a variable's value comes from."""

    secret_key_ref: KeyRef | None = Field(None, description="A key of a Secret.")
    config_map_key_ref: KeyRef | None = Field(None, description="A key of a ConfigMap.")
    field_ref: FieldRef | None = Field(None, description="A field of the pod.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef)].filter(x, x).size() == 1",
            "name exactly one of secretKeyRef, configMapKeyRef and fieldRef",
            lambda it: [it.secret_key_ref, it.config_map_key_ref, it.field_ref].count(None) == 2,
        ),
    )


class EnvVar(Shape):
    """One more environment variable of the sidecar."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", min_length=1, max_length=128)] = Field(
        description="The variable's name."
    )
    value: Annotated[str, Field(max_length=4096)] | None = Field(None, description="The value, as in a container.")
    value_from: EnvSource | None = Field(
        None, description="Where the value comes from; refused unless the administrator allows it."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.value) && has(self.valueFrom))",
            "write value or valueFrom, not both",
            lambda it: it.value is None or it.value_from is None,
        ),
        Rule(
            "!self.name.startsWith('CARRIER_') && !self.name.startsWith('SQS_') && !self.name.startsWith('WEBHOOK_')",
            "the sidecar's own settings have fields in the binding: use those instead of variables",
            lambda it: not it.name.startswith(("CARRIER_", "SQS_", "WEBHOOK_")),
        ),
    )


class VolumeMount(Shape):
    """A volume of the pod that the sidecar reads files from."""

    name: Annotated[str, Field(pattern=NAME_PATTERN, min_length=1, max_length=63)] = Field(
        description="Name of the volume in the pod's spec; a pod without it is skipped."
    )
    mount_path: Annotated[str, Field(pattern=r"^/[^:\x00-\x1f]+$", max_length=256)] = Field(
        description="Where it is mounted, read-only."
    )
    sub_path: Annotated[str, Field(pattern=r"^[^/\x00-\x1f][^\x00-\x1f]*$", max_length=256)] | None = Field(
        None, description="A path within the volume."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.subPath) || !self.subPath.split('/').exists(p, p == '..')",
            "subPath may not contain ..",
            lambda it: it.sub_path is None or ".." not in it.sub_path.split("/"),
        ),
    )


class Amounts(Shape):
    """Amounts of CPU and memory."""

    cpu: Quantity | None = Field(None, description="Cores, such as 100m.")
    memory: Quantity | None = Field(None, description="Bytes, such as 32Mi.")


def _request_within_limit(what: str) -> Rule:
    both = " && ".join(f"has(self.{part}) && has(self.{part}.{what})" for part in ("requests", "limits"))

    def holds(resources: Resources) -> bool:
        request = getattr(resources.requests, what, None)
        limit = getattr(resources.limits, what, None)
        return request is None or limit is None or quantity(request) <= quantity(limit)

    return Rule(
        f"!({both}) || quantity(self.requests.{what}).compareTo(quantity(self.limits.{what})) <= 0",
        f"the {what} request may not be larger than its limit",
        holds,
    )


class Resources(Shape):
    """CPU and memory of the sidecar."""

    requests: Amounts | None = Field(None, description="What is set aside for it.")
    limits: Amounts | None = Field(None, description="What it may use at most.")

    rules: ClassVar[tuple[Rule, ...]] = tuple(_request_within_limit(what) for what in ("cpu", "memory"))


class Sidecar(Shape):
    """The container that is added to pods."""

    image: Annotated[str, Field(pattern=r"^[^\s]+$", min_length=1, max_length=512)] | None = Field(
        None, description="Another image, from a prefix that the administrator allows. Left out: the operator's."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(None, description="As in a container.")
    mode: Literal["Auto", "Native", "Container"] = Field(
        "Auto",
        description="Native: an init container with restartPolicy Always (Kubernetes 1.29). Container: an ordinary "
        "one. Auto: Native where every node can.",
    )
    resources: Resources | None = Field(None, description="Left out: 10m CPU, 64Mi memory as request and limit.")
    shutdown_timeout: Annotated[str, DurationBetween("1s", "1h")] = Field(
        "25s",
        description="Time for messages in hand to be finished when the pod ends; the pod's grace period must be "
        "longer.",
    )
    probe_port: int = Field(
        9464,
        ge=1024,
        le=65535,
        description="Port for probes, metrics and drain; a further sidecar takes the next free one.",
    )
    env: Annotated[list[EnvVar], Field(max_length=64), UniqueBy("name")] | None = Field(
        None, description="Further environment variables."
    )
    volume_mounts: list[VolumeMount] | None = Field(
        None, max_length=16, description="Volumes of the pod with files that the settings name (CA, token, password)."
    )
    gates_pod_readiness: bool = Field(
        False, description="Give the sidecar a readiness probe: the pod is ready only while messages can flow."
    )
    drain_barrier: bool = Field(
        True, description="Keep the app alive until its last message is answered, by preStop hooks that wait."
    )
    allow_host_network: bool = Field(
        False, description="Also inject into pods on the host's network (no hooks there; probes on loopback)."
    )
    allow_instance_metadata: bool = Field(
        False, description="Allow the node's role (instance metadata) as the source of AWS credentials."
    )


class BindingSpec(Shape):
    """What the sidecar does and which pods get it."""

    selector: Selector | None = Field(
        None, description="Pods that get the sidecar. Left out: only pods that ask for this binding by annotation."
    )
    queue: Queue = Field(description="The queue to receive from.")
    webhook: Webhook = Field(
        default=Webhook.model_validate({}), description="The handler that each message is POSTed to."
    )
    concurrency: Concurrency = Field(
        default=Concurrency.model_validate({}), description="How much is taken on at once."
    )
    retry: Retry | None = Field(
        None, description="Backoff of failed messages. Left out: they return when their visibility runs out."
    )
    dead_letter: DeadLetter | None = Field(
        None, description="What is moved to the dead-letter queue. Left out: SQS's own redrive alone."
    )
    rate_limit: RateLimit | None = Field(None, description="Left out: no limit.")
    breaker: Breaker | None = Field(None, description="Left out: no breaker.")
    logging: Logging = Field(default=Logging.model_validate({}), description="What the sidecar writes to stdout.")
    suspend: bool = Field(False, description="True: sidecars stop receiving; what is in hand is finished.")
    sidecar: Sidecar = Field(default=Sidecar.model_validate({}), description="The container that is added to pods.")
    rollout: Literal["Never", "Missing", "OnChange"] = Field(
        "Never",
        description="Whether workloads are restarted: never, when their pods miss the sidecar, or also when the "
        "binding changed.",
    )


Value = TypeVar("Value")
_MOST_DERIVED = 64


class Binding:
    """An accepted binding: its identity and its validated spec."""

    __slots__ = ("_derived", "deleting", "generation", "name", "namespace", "spec")

    def __init__(
        self, name: str, namespace: str, spec: BindingSpec, *, generation: int = 0, deleting: bool = False
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.spec = spec
        self.generation = generation
        self.deleting = deleting
        self._derived: dict[tuple[object, ...], Any] = {}

    def derived(self, key: tuple[object, ...], make: Callable[[], Value]) -> Value:
        """What `make` gives, kept: bindings never change, and the webhook asks for the same things for every pod."""
        if key not in self._derived:
            if len(self._derived) >= _MOST_DERIVED:
                self._derived.clear()
            self._derived[key] = make()
        found: Value = self._derived[key]
        return found

    def __repr__(self) -> str:
        return f"Binding({self.namespace}/{self.name} generation {self.generation})"
