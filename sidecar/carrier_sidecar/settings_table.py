"""Every environment variable of the sidecar, one row each: name, type, default, range, what it does.

The parser, the reference page, the `settings` command and the operator's mapping of a binding to variables are all made
from this table. A new variable is a row here and an annotation in `settings.Settings`; a rule between two variables
belongs to `settings`, how a type is read to `settings_values`. No name may end in _PORT or _SERVICE_HOST or contain
_SERVICE_PORT_: Kubernetes makes such variables for every Service called carrier or carrier-*.
"""

from __future__ import annotations

from carrier_sidecar.text_rules import (
    ALPHANUMERIC,
    DIGITS,
    ascii_without,
    free_of,
    made_of,
    queue_reference,
    rate,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carrier_sidecar.text_rules import Rule

PREFIX = "CARRIER_"

# Types of values.
TEXT = "text"
URL = "URL"
BOOL = "boolean"
INT = "whole number"
SIZE = "size"
DURATION = "duration"
CHOICE = "choice"
ADDRESS = "address"
ADDRESSES = "list of addresses"
NAMES = "list of names"
NUMBER = "number"
STATUSES = "list of statuses"
DELAYS = "delays by status"
HEADERS = "header lines"


class Row:
    """One variable: `name` with prefix, `attribute` of Settings, `kind` (a type above), `what` it does; `default` as
    text (None: required).

    `low` and `high` bound numbers, sizes (bytes) and durations (seconds); `clamp` raises what is below `low` to
    it, with a warning, instead of refusing it (values that the Go program runs with). `choices` for a choice.
    `rule`: what a text must fulfil when it is not empty, and `allowed` says the same to people. `fallback`: the
    unprefixed name that is read when the prefixed one is not set. `go`: the Go program has it, too. `secret`: the value
    is never shown.
    """

    __slots__ = (
        "allowed",
        "attribute",
        "choices",
        "clamp",
        "default",
        "fallback",
        "go",
        "high",
        "kind",
        "low",
        "name",
        "rule",
        "secret",
        "what",
    )

    def __init__(
        self,
        name: str,
        kind: str,
        default: str | None,
        what: str,
        *,
        low: float | None = None,
        high: float | None = None,
        clamp: bool = False,
        choices: tuple[str, ...] = (),
        rule: Rule | None = None,
        allowed: str = "",
        fallback: str = "",
        go: bool = False,
        secret: bool = False,
    ) -> None:
        self.name = PREFIX + name
        self.attribute = name.lower()
        self.kind = kind
        self.default = default
        self.what = what
        self.low = low
        self.high = high
        self.clamp = clamp
        self.choices = choices
        self.rule = rule
        self.allowed = allowed
        self.fallback = fallback
        self.go = go
        self.secret = secret


_FILE = free_of("", 1024)
_FILE_WORDS = "a file's path"

# fmt: off
ROWS = (
    # The queue
    Row("SQS_ENDPOINT", URL, None, "Base URL of the SQS API.", fallback="SQS_ENDPOINT", go=True),
    Row("SQS_QUEUE_NAME", TEXT, "",
        "Name of the queue, looked up by GetQueueUrl. Required, unless CARRIER_SQS_QUEUE_URL is set.",
        rule=free_of(" /:", 80), fallback="SQS_QUEUE_NAME", go=True,
        allowed="a queue's name of at most 80 characters, not its URL (CARRIER_SQS_QUEUE_URL) or ARN"),
    Row("SQS_QUEUE_URL", URL, "", "URL of the queue, instead of its name. Calls still go to CARRIER_SQS_ENDPOINT."),
    Row("SQS_QUEUE_OWNER", TEXT, "", "Account that owns the queue when it is not our own; for the look-up by name.",
        rule=made_of(DIGITS, 12, 12), allowed="an account id of 12 digits"),
    Row("SQS_REGION", TEXT, "",
        "Region that requests are signed for. Empty: from the endpoint's host, else AWS_REGION, AWS_DEFAULT_REGION or "
        "the profile.", rule=made_of(ALPHANUMERIC + "-", 1, 64), allowed="a region, such as us-west-2"),
    Row("SQS_BATCH_SIZE", INT, "1", "Messages asked for in one receive.",
        low=1, high=10, fallback="SQS_BATCH_SIZE", go=True),
    Row("SQS_RECEIVERS", INT, "1", "Long polls (20 s) at the same time.",
        low=1, high=1000, fallback="SQS_RECEIVERS", go=True),
    Row("SQS_RECEIVER_WORKERS", INT, "1", "POSTs at the same time per receiver; 0 means as many as the batch size.",
        low=0, high=10000, fallback="SQS_RECEIVER_WORKERS", go=True),
    Row("MAX_IN_FLIGHT", INT, "0", "POSTs at the same time in all; 0 means receivers × workers.", low=0, high=100000),
    Row("MAX_IN_FLIGHT_BYTES", SIZE, "33554432", "Bytes of messages in hand beyond which nothing more is received.",
        low=1 << 20, high=1 << 40),
    # The handler
    Row("WEBHOOK_ENDPOINT", URL, "http://localhost:9000",
        "Where each message is POSTed to. User and password in it become Basic authentication.", go=True),
    Row("WEBHOOK_TLS_INSECURE_SKIP_VERIFY", BOOL, "false",
        "Accept any certificate of the handler. TLS is 1.3 or newer in any case.",
        fallback="WEBHOOK_TLS_INSECURE_SKIP_VERIFY", go=True),
    Row("WEBHOOK_DEFAULT_CONTENT_TYPE", TEXT, "application/json",
        "Content-Type of messages that have no Body.ContentType attribute. Empty: none is sent.",
        rule=free_of("", 1024), allowed="text without control characters", go=True),
    Row("WEBHOOK_REQUEST_TIMEOUT", DURATION, "60s",
        "Longest time that one POST may take, answer included; 0 means no limit.", low=0, clamp=True, go=True),
    Row("WEBHOOK_ATTRIBUTE_HEADERS", NAMES, "",
        "Message attributes passed on as X-Carrier-Attribute-<name> headers: names separated by commas, or * for all."),
    Row("WEBHOOK_HEALTH_CHECK_ENDPOINT", URL, "",
        "Asked by GET whether the handler is well; 2xx says yes. Empty: no health checks.", go=True),
    Row("WEBHOOK_HEALTH_CHECK_INTERVAL", DURATION, "60s",
        "Time between health checks; while the handler is offline it is tried at least every 5 s.", low=0.001, go=True),
    Row("WEBHOOK_HEALTH_CHECK_TIMEOUT", DURATION, "10s",
        "Longest time that one health check may take; 0 means no limit.", low=0, clamp=True, go=True),
    Row("WEBHOOK_OFFLINE_THRESHOLD_COUNT", INT, "5",
        "Failed health checks in a row until the handler counts as offline.", low=1, clamp=True, go=True),
    Row("WEBHOOK_OFFLINE_ACTION", CHOICE, "wait",
        "When the handler is offline: wait (stop receiving until it is back) or exit (with code 4).",
        choices=("wait", "exit")),
    Row("WEBHOOK_HEADERS", HEADERS, "",
        "Headers sent with every POST, one `Name: value` per line. Not those that frame the request, nor X-Carrier-*.",
        secret=True),
    Row("WEBHOOK_CA_FILE", TEXT, "",
        "PEM file with the certificate authorities that the handler's certificate is verified by. Empty: the system's.",
        rule=_FILE, allowed=_FILE_WORDS),
    Row("WEBHOOK_CERT_FILE", TEXT, "", "PEM file with the client certificate that the handler is shown.",
        rule=_FILE, allowed=_FILE_WORDS),
    Row("WEBHOOK_KEY_FILE", TEXT, "",
        "PEM file with the key of CARRIER_WEBHOOK_CERT_FILE. Empty: the key stands in that file.",
        rule=_FILE, allowed=_FILE_WORDS),
    Row("WEBHOOK_USERNAME", TEXT, "", "User for HTTP Basic, with CARRIER_WEBHOOK_PASSWORD_FILE.",
        rule=ascii_without(":", 128), allowed="at most 128 printable ASCII characters without a colon"),
    Row("WEBHOOK_PASSWORD_FILE", TEXT, "", "File with the password for HTTP Basic; read again when it changes.",
        rule=_FILE, allowed=_FILE_WORDS),
    Row("WEBHOOK_BEARER_TOKEN_FILE", TEXT, "", "File with a bearer token for the handler; read again when it changes.",
        rule=_FILE, allowed=_FILE_WORDS),
    Row("WEBHOOK_TRACE_CONTEXT", CHOICE, "make",
        "W3C trace context of each POST: pass (the message's traceparent or AWSTraceHeader), make (a new one for "
        "messages that bring none) or off.", choices=("make", "pass", "off")),
    # Retries and limits
    Row("RETRY_INITIAL", DURATION, "0s",
        "Longest time that a failed message stays hidden after its first receive, the actual one drawn between 1 s and "
        "it; 0 means that nothing is called and its visibility timeout decides.", low=0, high=43200),
    Row("RETRY_FACTOR", NUMBER, "2", "What each further receive multiplies that time by.", low=1, high=100),
    Row("RETRY_MAX", DURATION, "15m", "What it grows to at most.", low=1, high=43200),
    Row("RETRY_BY_STATUS", DELAYS, "",
        "Other times for certain answers: status=initial, status=initial/factor or status=initial/factor/max, "
        "separated by commas; a status (503) goes before its class (5xx), and 0s leaves it to the visibility timeout."),
    Row("GIVE_UP_RECEIVES", INT, "0",
        "A message that fails on this receive or a later one goes to the dead-letter queue; 0 means never.",
        low=0, high=1000),
    Row("GIVE_UP_AGE", DURATION, "0s",
        "A message that fails this long after it was sent, or later, goes to the dead-letter queue; 0 means never.",
        low=0, high=1209600),
    Row("DEAD_LETTERS", BOOL, "false",
        "Heed the answer header X-Carrier-Dead-Letter: <reason>, which sends the message to the dead-letter queue. Any "
        "other CARRIER_DEAD_LETTER_* or CARRIER_GIVE_UP_* variable switches this on, too."),
    Row("DEAD_LETTER_STATUSES", STATUSES, "",
        "Answers that are final: their messages go to the dead-letter queue at once. Statuses (422) or classes (4xx), "
        "separated by commas; 429 and 503 with Retry-After are not final."),
    Row("DEAD_LETTER_QUEUE", TEXT, "",
        "Name, URL or ARN of the dead-letter queue. Empty: the one of the queue's redrive policy.",
        rule=queue_reference,
        allowed="a queue's name, URL or ARN"),
    Row("RATE_LIMIT", TEXT, "", "Most messages received per second, minute or hour, such as 100/s. Empty: no limit.",
        rule=rate, allowed="messages per s, m or h, such as 100/s"),
    Row("RATE_BURST", INT, "0",
        "Messages that may come at once after a pause; 0 means what comes in one second, at least one.",
        low=0, high=100000),
    Row("BREAKER_FAILURES", INT, "0",
        "Failures of the handler in a row after which receiving pauses, then tries one message; 0 means never.",
        low=0, high=100000),
    Row("BREAKER_RATIO", NUMBER, "0",
        "Share of failures over CARRIER_BREAKER_WINDOW, of at least 10 answers, that does the same; 0 means never.",
        low=0, high=1),
    Row("BREAKER_WINDOW", DURATION, "60s", "Time over which CARRIER_BREAKER_RATIO is taken.", low=1, high=3600),
    Row("BREAKER_PAUSE", DURATION, "30s", "Time until one message is tried.", low=0.1, high=3600),
    Row("SUSPENDED", BOOL, "false",
        "Start suspended: nothing is received until SIGUSR2 or /resume/<token>. SIGUSR1 or /suspend/<token> suspend."),
    # The process
    Row("START_ERRORS", CHOICE, "exit",
        "When the queue or a permission is refused at the start: exit (with code 3) or retry.",
        choices=("exit", "retry")),
    Row("SHUTDOWN_TIMEOUT", DURATION, "25s",
        "Time that the handler is given to finish what it works on after SIGTERM, SIGINT or a drain request.", low=0),
    Row("PROBE_ADDRESS", ADDRESS, "",
        "Where /livez, /readyz, /metrics and the drain hook are served: host:port or :port. Empty: nowhere."),
    Row("DRAIN_TOKEN", TEXT, "",
        "Secret part of the paths /drain/<token>, /pause/<token>, /suspend/<token> and /resume/<token>. Empty: these "
        "paths do not exist.",
        rule=made_of(ALPHANUMERIC + "._~-", 8, 256),
        allowed="8 to 256 characters out of A-Z a-z 0-9 . _ ~ -", secret=True),
    Row("PAUSE_PEERS", ADDRESSES, "",
        "Probe addresses of the other sidecars in the pod, which have the same token: /pause pauses them, too, and "
        "waits for them."),
    Row("LOG_LEVEL", CHOICE, "info", "Least serious level that is logged.", choices=("debug", "info", "warn", "error")),
    Row("ENABLE_COLORIZED_LOGGING", BOOL, "false", "Log coloured text for people instead of JSON.", go=True),
    Row("ENABLE_STAT_LOG", BOOL, "false", "Log a line of statistics regularly.", go=True),
    Row("STAT_LOG_TIMER", DURATION, "120s", "Time between two lines of statistics.", low=0.001, go=True),
)
# fmt: on
