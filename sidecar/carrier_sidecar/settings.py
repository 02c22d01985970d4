"""The sidecar's settings, read from its environment: pure, all problems at once.

The variables stand in `settings_table`; here are the rules for reading them (which the Go program's envconfig gave:
prefixed name first, then the unprefixed fallback; set but empty is empty for text and an error for the rest), the rules
that involve several variables, and the warnings. Nothing here reads the process's own environment.
"""

from __future__ import annotations

from carrier_sidecar import go_values
from carrier_sidecar.settings_table import BOOL, INT, PREFIX, ROWS, SIZE, URL, Row
from carrier_sidecar.settings_values import describe_allowed, fit, mask_url, read_value, show_value
from carrier_sidecar.url import parse_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class SettingsError(Exception):
    """The environment can't be used. `problems`: a sentence for each bad variable; `warnings` as in Settings;
    `settings`: what could be read, None for attributes in `settings.bad`."""

    def __init__(self, problems: list[str], settings: Settings) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
        self.warnings = settings.warnings
        self.settings = settings


class Settings:
    """One attribute per variable, named as the variable without CARRIER_, in lower case.

    Durations are seconds (float), sizes bytes. `origin` says for each attribute where its value came from ("default" or
    the variable's name); `warnings` are sentences for the log.
    """

    # What mypy and readers know of the attributes; a test compares this with the table.
    sqs_endpoint: str
    sqs_queue_name: str  # set also when only the URL is given
    sqs_queue_url: str
    sqs_queue_owner: str
    sqs_region: str
    sqs_batch_size: int
    sqs_receivers: int
    sqs_receiver_workers: int
    max_in_flight: int
    max_in_flight_bytes: int
    webhook_endpoint: str
    webhook_tls_insecure_skip_verify: bool
    webhook_default_content_type: str
    webhook_request_timeout: float
    webhook_attribute_headers: tuple[str, ...]
    webhook_health_check_endpoint: str
    webhook_health_check_interval: float
    webhook_health_check_timeout: float
    webhook_offline_threshold_count: int
    webhook_offline_action: str
    webhook_headers: tuple[tuple[str, str], ...]
    webhook_ca_file: str
    webhook_cert_file: str
    webhook_key_file: str
    webhook_username: str
    webhook_password_file: str
    webhook_bearer_token_file: str
    webhook_trace_context: str
    retry_initial: float
    retry_factor: float
    retry_max: float
    retry_by_status: tuple[tuple[str, float, float | None, float | None], ...]  # status, initial, factor, max
    give_up_receives: int
    give_up_age: float
    dead_letters: bool
    dead_letter_statuses: tuple[str, ...]
    dead_letter_queue: str
    rate_limit: str
    rate_burst: int
    breaker_failures: int
    breaker_ratio: float
    breaker_window: float
    breaker_pause: float
    suspended: bool
    start_errors: str
    shutdown_timeout: float
    probe_address: tuple[str, int] | None
    drain_token: str
    pause_peers: tuple[tuple[str, int], ...]
    log_level: str
    enable_colorized_logging: bool
    enable_stat_log: bool
    stat_log_timer: float

    origin: Mapping[str, str]
    warnings: tuple[str, ...]
    bad: tuple[str, ...]  # attributes that have no value: empty unless it came with a SettingsError

    __slots__ = (*(row.attribute for row in ROWS), "bad", "origin", "warnings")

    @property
    def slots(self) -> int:
        """POSTs at once: CARRIER_MAX_IN_FLIGHT, or receivers × workers."""
        return self.max_in_flight or self.sqs_receivers * (self.sqs_receiver_workers or self.sqs_batch_size)

    @property
    def sends_dead_letters(self) -> bool:
        """Whether any way leads to the dead-letter queue: then the answer header is heeded and every receive asks for
        all attributes."""
        return bool(
            self.dead_letters
            or self.dead_letter_queue
            or self.dead_letter_statuses
            or self.give_up_receives
            or self.give_up_age
        )


def parse(environ: Mapping[str, str]) -> Settings:
    """Settings from an environment; SettingsError lists everything that is wrong with it."""
    problems: dict[str, str] = {}  # by attribute
    warnings: list[str] = []
    origin: dict[str, str] = {}
    settings = Settings()
    for row in ROWS:
        variable, text = _look_up(row, environ, warnings)
        origin[row.attribute] = variable or "default"
        try:
            setattr(settings, row.attribute, _value(row, variable, text, warnings))
        except ValueError as error:
            problems[row.attribute] = str(error)
            setattr(settings, row.attribute, None)
    settings.origin = origin
    _check_queue(settings, origin, problems, warnings)
    _check_health(settings, environ, problems, warnings)
    _check_handler(settings, problems, warnings)
    _check_limits(settings, problems, warnings)
    if settings.drain_token and "probe_address" not in problems and settings.probe_address is None:
        warnings.append("CARRIER_DRAIN_TOKEN has no effect without CARRIER_PROBE_ADDRESS")
    if settings.pause_peers and not settings.drain_token and "drain_token" not in problems:
        warnings.append("CARRIER_PAUSE_PEERS has no effect without CARRIER_DRAIN_TOKEN")
    warnings.extend(_unknown_names(environ))
    settings.warnings = tuple(warnings)
    settings.bad = tuple(problems)
    if problems:
        raise SettingsError(list(problems.values()), settings)
    return settings


def _look_up(row: Row, environ: Mapping[str, str], warnings: list[str]) -> tuple[str, str | None]:
    """The variable that gives this row's value ("" if none) and its text. A prefixed name wins even if it is empty."""
    text = environ.get(row.name)
    if text is not None or not row.fallback:
        return (row.name, text) if text is not None else ("", row.default)
    text = environ.get(row.fallback)
    if text is None:
        return "", row.default
    warnings.append(f"{row.fallback} is read because {row.name} is not set: better use the name with {PREFIX}")
    return row.fallback, text


def _value(row: Row, variable: str, text: str | None, warnings: list[str]) -> object:
    """The row's value; ValueError with the whole sentence when there is none."""
    if text is None or (text == "" and row.default is None):
        raise ValueError(
            f"{row.name} is required{' and must not be empty' if variable else ''}: {describe_allowed(row)}"
        )
    try:
        if text == "" and row.kind == URL and row.default:
            raise ValueError("")
        read = read_value(row, text)
        value = fit(row, read)
    except ValueError as error:
        # "12x is not a whole number; allowed is a whole number": once is enough.
        reason = f": {error}" if str(error) and row.kind not in (INT, SIZE, BOOL) else ""
        raise ValueError(
            f"{variable}={_quoted(row, text)} is not allowed{reason}; allowed is {describe_allowed(row)}"
        ) from None
    if value != read:
        warnings.append(f"{variable}={_quoted(row, text)} is taken as {show_value(row, value)}")
    return value


def _quoted(row: Row, text: str) -> str:
    if row.secret:
        return '"***"'
    shown = mask_url(text)
    return repr(shown if len(shown) <= 200 else shown[:200] + "…")


def _check_queue(settings: Settings, origin: dict[str, str], problems: dict[str, str], warnings: list[str]) -> None:
    """A queue by name or by URL; both only if they mean the same one."""
    if "sqs_queue_name" in problems or "sqs_queue_url" in problems:
        return
    if not settings.sqs_queue_url:
        if not settings.sqs_queue_name:
            problems["sqs_queue_name"] = (
                "CARRIER_SQS_QUEUE_NAME is required and must not be empty (or CARRIER_SQS_QUEUE_URL instead)"
            )
        return
    path = parse_url(settings.sqs_queue_url).path
    name = path.rstrip("/").rpartition("/")[2]
    if not name:
        shown = mask_url(settings.sqs_queue_url)
        problems["sqs_queue_url"] = (
            f"CARRIER_SQS_QUEUE_URL={shown!r} is not allowed: its path does not end in a queue's name"
        )
    elif settings.sqs_queue_name and settings.sqs_queue_name != name:
        problems["sqs_queue_url"] = (
            f"{origin['sqs_queue_name']}={settings.sqs_queue_name!r} and CARRIER_SQS_QUEUE_URL (queue {name!r}) "
            "name different queues: set one of them"
        )
    else:
        if not settings.sqs_queue_name:
            settings.sqs_queue_name = name
            origin["sqs_queue_name"] = "CARRIER_SQS_QUEUE_URL"
    if settings.sqs_queue_owner:
        warnings.append(
            "CARRIER_SQS_QUEUE_OWNER has no effect with CARRIER_SQS_QUEUE_URL, which names the account itself"
        )


def _check_health(
    settings: Settings, environ: Mapping[str, str], problems: dict[str, str], warnings: list[str]
) -> None:
    """The Go program runs with an interval that is not positive as long as it is not used: so do we, by the default."""
    row = next(row for row in ROWS if row.attribute == "webhook_health_check_interval")
    if row.attribute not in problems or settings.webhook_health_check_endpoint != "":
        return
    text = environ[row.name]
    try:
        read_value(row, text)
    except ValueError:
        return
    del problems[row.attribute]
    settings.webhook_health_check_interval = go_values.parse_duration(row.default or "")
    warnings.append(f"{row.name}={text!r} is taken as {row.default}: no health check endpoint is set")


def _check_handler(settings: Settings, problems: dict[str, str], warnings: list[str]) -> None:
    """One way to authenticate, both parts of it; a key only with its certificate."""
    basic = bool(settings.webhook_username), bool(settings.webhook_password_file)
    if basic[0] != basic[1] and not ("webhook_username" in problems or "webhook_password_file" in problems):
        missing, given = ("PASSWORD_FILE", "USERNAME") if basic[0] else ("USERNAME", "PASSWORD_FILE")
        problems[f"webhook_{missing.lower()}"] = (
            f"CARRIER_WEBHOOK_{missing} is required with CARRIER_WEBHOOK_{given}: HTTP Basic needs both"
        )
    ways = {
        "webhook_endpoint": "@" in (settings.webhook_endpoint or "").partition("?")[0],
        "webhook_username": all(basic),
        "webhook_bearer_token_file": bool(settings.webhook_bearer_token_file),
        "webhook_headers": any(name.lower() == "authorization" for name, _ in settings.webhook_headers or ()),
    }
    used = [attribute for attribute, is_used in ways.items() if is_used]
    if len(used) > 1:
        names = " and ".join(PREFIX + attribute.upper() for attribute in used)
        problems[used[-1]] = f"{names} each write the Authorization header: set one of them"
    if settings.webhook_key_file and not settings.webhook_cert_file and "webhook_cert_file" not in problems:
        problems["webhook_cert_file"] = "CARRIER_WEBHOOK_CERT_FILE is required with CARRIER_WEBHOOK_KEY_FILE"
    if settings.webhook_ca_file and settings.webhook_tls_insecure_skip_verify:
        warnings.append("CARRIER_WEBHOOK_CA_FILE has no effect with CARRIER_WEBHOOK_TLS_INSECURE_SKIP_VERIFY=true")


def _check_limits(settings: Settings, problems: dict[str, str], warnings: list[str]) -> None:
    """Retries that shrink, limits without what they limit."""
    known = "retry_initial" not in problems and "retry_max" not in problems
    if known and settings.retry_initial > settings.retry_max:
        problems["retry_max"] = "CARRIER_RETRY_MAX is not allowed to be shorter than CARRIER_RETRY_INITIAL"
    if settings.rate_burst and settings.rate_limit == "":
        warnings.append("CARRIER_RATE_BURST has no effect without CARRIER_RATE_LIMIT")


def _unknown_names(environ: Iterable[str]) -> list[str]:
    known = {row.name for row in ROWS}
    sentences = []
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known and not _is_service_link(name):
            likely = nearest_name(name)
            hint = f": did you mean {likely}?" if likely else ""
            sentences.append(f"{name} is not a variable of this program and has no effect{hint}")
    return sentences


def _is_service_link(name: str) -> bool:
    """What the kubelet sets for a Service called carrier or carrier-*."""
    import re

    return bool(
        re.fullmatch(
            r"CARRIER_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)",
            name,
            re.S,
        )
    )


def nearest_name(name: str) -> str:
    """The known variable that was probably meant, or "": the one with the fewest edits or missing words."""
    wanted = name[len(PREFIX) :].upper()
    best, best_distance = "", max(2, len(wanted) // 3) + 1
    for row in ROWS:
        candidate = row.name[len(PREFIX) :]
        distance = _edits(wanted, candidate)
        words = iter(candidate.split("_"))
        if all(word in words for word in wanted.split("_")):  # the same words in the same order, some missing
            distance = candidate.count("_") - wanted.count("_")
        if distance < best_distance:
            best, best_distance = row.name, distance
    return best


def _edits(left: str, right: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment)."""
    before_last: list[int] = []
    last = list(range(len(right) + 1))
    for i, char in enumerate(left, 1):
        row = [i]
        for j, other in enumerate(right, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (char != other))
            if i > 1 and j > 1 and char == right[j - 2] and left[i - 2] == other:
                cost = min(cost, before_last[j - 2] + 1)
            row.append(cost)
        before_last, last = last, row
    return last[-1]
