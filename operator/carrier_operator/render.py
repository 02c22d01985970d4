"""A binding as the sidecar's environment: one pure function, read back by the sidecar's own settings in the tests.

FIELDS says which variable each field of a binding becomes. Values equal to the sidecar's default are left out: the
defaults are a contract, and short environments can be read. What depends on the pod (ports behind names, the probe
address, the token) comes in as a `Place`.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from carrier_sidecar import settings_table, settings_values

from .model_webhook import Webhook
from .models import Binding, BindingSpec

DEFAULT_PORT = 9000
_DEFAULTS = {row.name: row for row in settings_table.ROWS}


class Place:
    """What a pod adds to a binding: ports as numbers, where the probes listen, the token of the hooks, the other
    sidecars.

    `probe_address` as the sidecar takes it (`:9464`); `peers` are addresses of the other sidecars in the pod that the
    app's one hook must wait for, too.
    """

    __slots__ = ("health_port", "peers", "probe_address", "token", "webhook_port")

    def __init__(
        self,
        *,
        webhook_port: int = DEFAULT_PORT,
        health_port: int | None = None,
        probe_address: str = "",
        token: str = "",
        peers: tuple[str, ...] = (),
    ) -> None:
        self.webhook_port = webhook_port
        self.health_port = webhook_port if health_port is None else health_port
        self.probe_address = probe_address
        self.token = token
        self.peers = peers

    def key(self) -> tuple[object, ...]:
        """All of it, but of the token only whether there is one."""
        return (bool(self.token), self.webhook_port, self.health_port, self.probe_address, self.peers)


Value = str | int | float | bool | None
Source = Callable[[BindingSpec, Place], Value]


def queue_endpoint(spec: BindingSpec) -> str:
    """Base URL of the SQS API: the one given, else of the queue's URL, else AWS's own in the region."""
    queue = spec.queue
    if queue.endpoint is not None:
        return queue.endpoint
    if queue.url is not None:
        parts = urlsplit(queue.url)
        return f"{parts.scheme}://{parts.netloc}"
    suffix = ".cn" if (queue.region or "").startswith("cn-") else ""
    return f"https://sqs.{queue.region}.amazonaws.com{suffix}"


def webhook_endpoint(spec: BindingSpec, place: Place) -> str:
    """Where messages are POSTed to."""
    webhook = spec.webhook
    if webhook.url is not None:
        return webhook.url
    return f"{webhook.scheme or 'http'}://localhost:{place.webhook_port}{webhook.path or ''}"


def health_endpoint(spec: BindingSpec, place: Place) -> str | None:
    """What is asked for the handler's health; None without checks."""
    webhook = spec.webhook
    if webhook.health_check is None:
        return None
    return _health_origin(webhook, place) + webhook.health_check.path


def _health_origin(webhook: Webhook, place: Place) -> str:
    if webhook.url is None:
        return f"{webhook.scheme or 'http'}://localhost:{place.health_port}"
    parts = urlsplit(webhook.url)
    if webhook.health_check is None or webhook.health_check.port is None:
        return f"{parts.scheme}://{parts.netloc}"
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{place.health_port}"


def _part(name: str, pick: Callable[[object], Value]) -> Source:
    def source(spec: BindingSpec, place: Place) -> Value:
        part: object = spec
        for step in name.split("."):
            part = getattr(part, step)
            if part is None:
                return None
        return pick(part)

    return source


def _get(path: str) -> Source:
    """The field at this path (Python's names), None when it or a part above it is left out."""
    name, _, last = path.rpartition(".")

    def pick(part: object) -> Value:
        value: Value = getattr(part, last)
        return value

    if not name:
        return lambda spec, place: pick(spec)
    return _part(name, pick)


def _joined(path: str) -> Source:
    name, _, last = path.rpartition(".")

    def pick(part: object) -> Value:
        values = getattr(part, last)
        return ",".join(values) if values else None

    return _part(name, pick)


def _headers(spec: BindingSpec, place: Place) -> Value:
    return "\n".join(f"{header.name}: {header.value}" for header in spec.webhook.headers or ()) or None


def _retry_by_status(spec: BindingSpec, place: Place) -> Value:
    retry = spec.retry
    if retry is None:
        return None
    delays = []
    for delay in retry.by_status or ():
        words = [delay.initial]
        if delay.factor is not None or delay.max is not None:
            words.append(_number(delay.factor if delay.factor is not None else retry.factor))
        if delay.max is not None:
            words.append(delay.max)
        delays += [f"{status}={'/'.join(words)}" for status in delay.statuses]
    return ",".join(delays)


def _number(value: float) -> str:
    """Digits with or without a point, no exponent: as the sidecar reads numbers."""
    text = f"{value:.6f}"
    return text.rstrip("0").rstrip(".")


class Field:
    """One variable: which fields of the binding it is made of (paths as users write them) and how."""

    __slots__ = ("paths", "source", "variable")

    def __init__(self, variable: str, paths: tuple[str, ...], source: Source) -> None:
        self.variable = variable
        self.paths = paths
        self.source = source


FIELDS = (
    Field("CARRIER_SQS_ENDPOINT", ("queue.endpoint",), lambda spec, place: queue_endpoint(spec)),
    Field("CARRIER_SQS_QUEUE_NAME", ("queue.name",), _get("queue.name")),
    Field("CARRIER_SQS_QUEUE_URL", ("queue.url",), _get("queue.url")),
    Field("CARRIER_SQS_QUEUE_OWNER", ("queue.owner",), _get("queue.owner")),
    Field("CARRIER_SQS_REGION", ("queue.region",), _get("queue.region")),
    Field("CARRIER_SQS_BATCH_SIZE", ("concurrency.batchSize",), _get("concurrency.batch_size")),
    Field("CARRIER_SQS_RECEIVERS", ("concurrency.receivers",), _get("concurrency.receivers")),
    Field("CARRIER_SQS_RECEIVER_WORKERS", ("concurrency.workers",), _get("concurrency.workers")),
    Field("CARRIER_MAX_IN_FLIGHT", ("concurrency.maxInFlight",), _get("concurrency.max_in_flight")),
    Field("CARRIER_MAX_IN_FLIGHT_BYTES", ("concurrency.maxInFlightBytes",), _get("concurrency.max_in_flight_bytes")),
    Field(
        "CARRIER_WEBHOOK_ENDPOINT", ("webhook.port", "webhook.path", "webhook.scheme", "webhook.url"), webhook_endpoint
    ),
    Field(
        "CARRIER_WEBHOOK_TLS_INSECURE_SKIP_VERIFY",
        ("webhook.tls.insecureSkipVerify",),
        _get("webhook.tls.insecure_skip_verify"),
    ),
    Field("CARRIER_WEBHOOK_CA_FILE", ("webhook.tls.caFile",), _get("webhook.tls.ca_file")),
    Field("CARRIER_WEBHOOK_CERT_FILE", ("webhook.tls.certFile",), _get("webhook.tls.cert_file")),
    Field("CARRIER_WEBHOOK_KEY_FILE", ("webhook.tls.keyFile",), _get("webhook.tls.key_file")),
    Field("CARRIER_WEBHOOK_USERNAME", ("webhook.auth.username",), _get("webhook.auth.username")),
    Field("CARRIER_WEBHOOK_PASSWORD_FILE", ("webhook.auth.passwordFile",), _get("webhook.auth.password_file")),
    Field(
        "CARRIER_WEBHOOK_BEARER_TOKEN_FILE", ("webhook.auth.bearerTokenFile",), _get("webhook.auth.bearer_token_file")
    ),
    Field(
        "CARRIER_WEBHOOK_HEADERS", ("webhook.headers", "webhook.headers[].name", "webhook.headers[].value"), _headers
    ),
    Field(
        "CARRIER_WEBHOOK_DEFAULT_CONTENT_TYPE", ("webhook.defaultContentType",), _get("webhook.default_content_type")
    ),
    Field("CARRIER_WEBHOOK_REQUEST_TIMEOUT", ("webhook.timeout",), _get("webhook.timeout")),
    Field("CARRIER_WEBHOOK_ATTRIBUTE_HEADERS", ("webhook.attributeHeaders",), _joined("webhook.attribute_headers")),
    Field(
        "CARRIER_WEBHOOK_HEALTH_CHECK_ENDPOINT",
        ("webhook.healthCheck.path", "webhook.healthCheck.port"),
        health_endpoint,
    ),
    Field(
        "CARRIER_WEBHOOK_HEALTH_CHECK_INTERVAL",
        ("webhook.healthCheck.interval",),
        _get("webhook.health_check.interval"),
    ),
    Field(
        "CARRIER_WEBHOOK_HEALTH_CHECK_TIMEOUT", ("webhook.healthCheck.timeout",), _get("webhook.health_check.timeout")
    ),
    Field(
        "CARRIER_WEBHOOK_OFFLINE_THRESHOLD_COUNT",
        ("webhook.healthCheck.offlineThreshold",),
        _get("webhook.health_check.offline_threshold"),
    ),
    Field(
        "CARRIER_WEBHOOK_OFFLINE_ACTION",
        ("webhook.offlineAction",),
        lambda spec, place: spec.webhook.offline_action.lower(),
    ),
    Field(
        "CARRIER_WEBHOOK_TRACE_CONTEXT",
        ("webhook.traceContext",),
        lambda spec, place: spec.webhook.trace_context.lower(),
    ),
    Field("CARRIER_RETRY_INITIAL", ("retry.initial",), _get("retry.initial")),
    Field("CARRIER_RETRY_FACTOR", ("retry.factor",), _get("retry.factor")),
    Field("CARRIER_RETRY_MAX", ("retry.max",), _get("retry.max")),
    Field(
        "CARRIER_RETRY_BY_STATUS",
        tuple(f"retry.byStatus{part}" for part in ("", "[].statuses", "[].initial", "[].factor", "[].max")),
        _retry_by_status,
    ),
    Field("CARRIER_DEAD_LETTERS", ("deadLetter",), lambda spec, place: spec.dead_letter is not None),
    Field("CARRIER_DEAD_LETTER_QUEUE", ("deadLetter.queue",), _get("dead_letter.queue")),
    Field("CARRIER_DEAD_LETTER_STATUSES", ("deadLetter.statuses",), _joined("dead_letter.statuses")),
    Field("CARRIER_GIVE_UP_RECEIVES", ("deadLetter.maxReceives",), _get("dead_letter.max_receives")),
    Field("CARRIER_GIVE_UP_AGE", ("deadLetter.maxAge",), _get("dead_letter.max_age")),
    Field("CARRIER_RATE_LIMIT", ("rateLimit.rate",), _get("rate_limit.rate")),
    Field("CARRIER_RATE_BURST", ("rateLimit.burst",), _get("rate_limit.burst")),
    Field("CARRIER_BREAKER_FAILURES", ("breaker.failures",), _get("breaker.failures")),
    Field("CARRIER_BREAKER_RATIO", ("breaker.ratio",), _get("breaker.ratio")),
    Field("CARRIER_BREAKER_WINDOW", ("breaker.window",), _get("breaker.window")),
    Field("CARRIER_BREAKER_PAUSE", ("breaker.pause",), _get("breaker.pause")),
    Field("CARRIER_SUSPENDED", ("suspend",), _get("suspend")),
    Field("CARRIER_SHUTDOWN_TIMEOUT", ("sidecar.shutdownTimeout",), _get("sidecar.shutdown_timeout")),
    Field("CARRIER_LOG_LEVEL", ("logging.level",), _get("logging.level")),
    Field("CARRIER_ENABLE_COLORIZED_LOGGING", ("logging.color",), _get("logging.color")),
    Field(
        "CARRIER_ENABLE_STAT_LOG",
        ("logging.statInterval",),
        lambda spec, place: True if spec.logging.stat_interval is not None else None,
    ),
    Field("CARRIER_STAT_LOG_TIMER", ("logging.statInterval",), _get("logging.stat_interval")),
    # An injected sidecar must not crash-loop over a queue that is not there yet.
    Field("CARRIER_START_ERRORS", (), lambda spec, place: "retry"),
    Field("CARRIER_PROBE_ADDRESS", ("sidecar.probePort",), lambda spec, place: place.probe_address),
    Field("CARRIER_DRAIN_TOKEN", (), lambda spec, place: place.token),
    Field("CARRIER_PAUSE_PEERS", (), lambda spec, place: ",".join(place.peers)),
)

# Fields that shape the container or the selection, not its environment.
NOT_ENVIRONMENT = ("selector", "sidecar", "rollout")


def environment(spec: BindingSpec, place: Place) -> dict[str, str]:
    """The sidecar's variables in the order of FIELDS; what equals the sidecar's default is left out."""
    out = {}
    for field in FIELDS:
        value = field.source(spec, place)
        if value is None or value == "":
            continue
        text = _text(value)
        if not _is_default(field.variable, text):
            out[field.variable] = text
    return out


def _text(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _number(value) if isinstance(value, float) else str(value)


def _is_default(variable: str, text: str) -> bool:
    row = _DEFAULTS.get(variable)
    if row is None:
        return text == "false"
    if row.default is None:
        return False
    try:
        return settings_values.parse_value(row, text) == settings_values.parse_value(row, row.default)
    except ValueError:
        return False


def binding_environment(binding: Binding, place: Place) -> dict[str, str]:
    """`environment` of a binding, rendered once for all pods that differ in nothing but the token."""
    rendered = binding.derived(("environment", *place.key()), lambda: environment(binding.spec, place))
    return {**rendered, _TOKEN: place.token} if _TOKEN in rendered else rendered


_TOKEN = "CARRIER_DRAIN_TOKEN"
