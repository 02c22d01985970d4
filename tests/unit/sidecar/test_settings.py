"""Every row of the table: its default, good and bad values; the rules between rows; warnings; origins."""

import re

import pytest

from carrier_sidecar.settings import Settings, SettingsError, nearest_name, parse
from carrier_sidecar.settings_table import PREFIX, ROWS, Row
from carrier_sidecar.settings_values import describe_allowed, parse_value, show_value

NEEDED = {"CARRIER_SQS_ENDPOINT": "http://localhost:9324", "CARRIER_SQS_QUEUE_NAME": "orders"}
BY_NAME = {row.name.removeprefix(PREFIX): row for row in ROWS}

DEFAULTS: dict[str, object] = {
    "SQS_QUEUE_URL": "",
    "SQS_QUEUE_OWNER": "",
    "SQS_REGION": "",
    "SQS_BATCH_SIZE": 1,
    "SQS_RECEIVERS": 1,
    "SQS_RECEIVER_WORKERS": 1,
    "MAX_IN_FLIGHT": 0,
    "MAX_IN_FLIGHT_BYTES": 33_554_432,
    "WEBHOOK_ENDPOINT": "http://localhost:9000",
    "WEBHOOK_TLS_INSECURE_SKIP_VERIFY": False,
    "WEBHOOK_DEFAULT_CONTENT_TYPE": "application/json",
    "WEBHOOK_REQUEST_TIMEOUT": 60.0,
    "WEBHOOK_ATTRIBUTE_HEADERS": (),
    "WEBHOOK_HEALTH_CHECK_ENDPOINT": "",
    "WEBHOOK_HEALTH_CHECK_INTERVAL": 60.0,
    "WEBHOOK_HEALTH_CHECK_TIMEOUT": 10.0,
    "WEBHOOK_OFFLINE_THRESHOLD_COUNT": 5,
    "WEBHOOK_OFFLINE_ACTION": "wait",
    "WEBHOOK_HEADERS": (),
    "WEBHOOK_CA_FILE": "",
    "WEBHOOK_CERT_FILE": "",
    "WEBHOOK_KEY_FILE": "",
    "WEBHOOK_USERNAME": "",
    "WEBHOOK_PASSWORD_FILE": "",
    "WEBHOOK_BEARER_TOKEN_FILE": "",
    "WEBHOOK_TRACE_CONTEXT": "make",
    "RETRY_INITIAL": 0.0,
    "RETRY_FACTOR": 2.0,
    "RETRY_MAX": 900.0,
    "RETRY_BY_STATUS": (),
    "GIVE_UP_RECEIVES": 0,
    "GIVE_UP_AGE": 0.0,
    "DEAD_LETTERS": False,
    "DEAD_LETTER_STATUSES": (),
    "DEAD_LETTER_QUEUE": "",
    "RATE_LIMIT": "",
    "RATE_BURST": 0,
    "BREAKER_FAILURES": 0,
    "BREAKER_RATIO": 0.0,
    "BREAKER_WINDOW": 60.0,
    "BREAKER_PAUSE": 30.0,
    "SUSPENDED": False,
    "START_ERRORS": "exit",
    "SHUTDOWN_TIMEOUT": 25.0,
    "PROBE_ADDRESS": None,
    "DRAIN_TOKEN": "",
    "PAUSE_PEERS": (),
    "LOG_LEVEL": "info",
    "ENABLE_COLORIZED_LOGGING": False,
    "ENABLE_STAT_LOG": False,
    "STAT_LOG_TIMER": 120.0,
}

GOOD: dict[str, dict[str, object]] = {
    "SQS_ENDPOINT": {
        "https://sqs.us-west-2.amazonaws.com": "https://sqs.us-west-2.amazonaws.com",
        "http://h:1/p": "http://h:1/p",
    },
    "SQS_QUEUE_NAME": {"orders.fifo": "orders.fifo", "a" * 80: "a" * 80},
    "SQS_QUEUE_URL": {"": "", "http://h/123456789012/orders": "http://h/123456789012/orders"},
    "SQS_QUEUE_OWNER": {"": "", "123456789012": "123456789012", "000000000000": "000000000000"},
    "SQS_REGION": {"": "", "eu-central-1": "eu-central-1", "elasticmq": "elasticmq"},
    "SQS_BATCH_SIZE": {"1": 1, "10": 10, "0xA": 10, "07": 7, "0b11": 3, "+5": 5},
    "SQS_RECEIVERS": {"1": 1, "1_000": 1000},
    "SQS_RECEIVER_WORKERS": {"0": 0, "10000": 10000},
    "MAX_IN_FLIGHT": {"0": 0, "20": 20},
    "MAX_IN_FLIGHT_BYTES": {
        "1048576": 1 << 20,
        "64Mi": 64 << 20,
        "8MiB": 8 << 20,
        "2048KiB": 2 << 20,
        "2048Ki": 2 << 20,
        "1Gi": 1 << 30,
    },
    "WEBHOOK_ENDPOINT": {"http://[::1]:80/x": "http://[::1]:80/x", "https://u:p@h/": "https://u:p@h/"},
    "WEBHOOK_TLS_INSECURE_SKIP_VERIFY": {"T": True, "0": False},
    "WEBHOOK_DEFAULT_CONTENT_TYPE": {"": "", "text/plain; charset=utf-8": "text/plain; charset=utf-8"},
    "WEBHOOK_REQUEST_TIMEOUT": {"0": 0.0, "1h2m3.5s": 3723.5, "250ms": 0.25, "-1s": 0.0},
    "WEBHOOK_ATTRIBUTE_HEADERS": {"": (), "*": ("*",), " a, b.c ,": ("a", "b.c"), "a,*": ("*",), "_-.": ("_-.",)},
    "WEBHOOK_HEALTH_CHECK_ENDPOINT": {"": "", "http://localhost:9000/healthz": "http://localhost:9000/healthz"},
    "WEBHOOK_HEALTH_CHECK_INTERVAL": {"1ms": 0.001, "5m": 300.0},
    "WEBHOOK_HEALTH_CHECK_TIMEOUT": {"0": 0.0, "2s": 2.0, "-5s": 0.0},
    "WEBHOOK_OFFLINE_THRESHOLD_COUNT": {"1": 1, "100": 100, "0": 1, "-3": 1},
    "WEBHOOK_OFFLINE_ACTION": {"wait": "wait", "exit": "exit", "EXIT": "exit"},
    "WEBHOOK_HEADERS": {
        "": (),
        "X-Tenant: shop": (("X-Tenant", "shop"),),
        "A:1\n\n  B:\tx, y: z \r\nC:": (("A", "1"), ("B", "x, y: z"), ("C", "")),
    },
    "WEBHOOK_CA_FILE": {"": "", "/etc/ca.pem": "/etc/ca.pem", "Ärger/ca": "Ärger/ca"},
    "WEBHOOK_CERT_FILE": {"": "", "/c": "/c"},
    "WEBHOOK_KEY_FILE": {"/k": "/k"},
    "WEBHOOK_USERNAME": {"carrier bot": "carrier bot"},
    "WEBHOOK_PASSWORD_FILE": {"/p": "/p"},
    "WEBHOOK_BEARER_TOKEN_FILE": {"": "", "/t": "/t"},
    "WEBHOOK_TRACE_CONTEXT": {"make": "make", "PASS": "pass", "off": "off"},
    "RETRY_INITIAL": {"0": 0.0, "1s": 1.0, "1m30s": 90.0},
    "RETRY_FACTOR": {"1": 1.0, "1.5": 1.5, "100": 100.0},
    "RETRY_MAX": {"1s": 1.0, "12h": 43200.0},
    "RETRY_BY_STATUS": {
        "": (),
        "503=5s": (("503", 5.0, None, None),),
        "429=1m/1.5 , 5xx = 0s,4xx=1s/2/1h": (
            ("429", 60.0, 1.5, None),
            ("5xx", 0.0, None, None),
            ("4xx", 1.0, 2.0, 3600.0),
        ),
    },
    "GIVE_UP_RECEIVES": {"0": 0, "1000": 1000},
    "GIVE_UP_AGE": {"0": 0.0, "336h": 1209600.0},
    "DEAD_LETTERS": {"true": True, "0": False},
    "DEAD_LETTER_STATUSES": {"": (), "400": ("400",), "4xx, 501,": ("4xx", "501")},
    "DEAD_LETTER_QUEUE": {
        "": "",
        "orders-dead.fifo": "orders-dead.fifo",
        "http://h:1/123456789012/q": "http://h:1/123456789012/q",
        "arn:aws:sqs:eu-west-1:123456789012:q": "arn:aws:sqs:eu-west-1:123456789012:q",
    },
    "RATE_LIMIT": {"": "", "100/s": "100/s", "1/h": "1/h", "5/m": "5/m"},
    "RATE_BURST": {"0": 0, "500": 500},
    "BREAKER_FAILURES": {"0": 0, "10": 10},
    "BREAKER_RATIO": {"0": 0.0, "0.5": 0.5, "1": 1.0},
    "BREAKER_WINDOW": {"1s": 1.0, "1h": 3600.0},
    "BREAKER_PAUSE": {"100ms": 0.1, "1m": 60.0},
    "SUSPENDED": {"true": True, "false": False},
    "START_ERRORS": {"exit": "exit", "retry": "retry"},
    "SHUTDOWN_TIMEOUT": {"0": 0.0, "90s": 90.0},
    "PROBE_ADDRESS": {"": None, ":9464": ("", 9464), "127.0.0.1:0": ("127.0.0.1", 0), "[::1]:80": ("::1", 80)},
    "DRAIN_TOKEN": {"": "", "a1b2c3d4": "a1b2c3d4", "A.b_~-12": "A.b_~-12"},
    "PAUSE_PEERS": {"": (), "127.0.0.1:9465, [::1]:1": (("127.0.0.1", 9465), ("::1", 1))},
    "LOG_LEVEL": {"debug": "debug", "WARN": "warn", "error": "error"},
    "ENABLE_COLORIZED_LOGGING": {"true": True, "F": False},
    "ENABLE_STAT_LOG": {"1": True, "False": False},
    "STAT_LOG_TIMER": {"1ms": 0.001, "2m": 120.0},
}

BAD: dict[str, list[str]] = {
    "SQS_ENDPOINT": ["", "localhost:9324", "sqs.us-west-2.amazonaws.com", "ftp://h", "http://", "http://h:70000", "http://\n"],
    "SQS_QUEUE_NAME": ["https://sqs/1/orders", "arn:aws:sqs:us-east-1:123456789012:q", "a b", "a" * 81, "a\n"],
    "SQS_QUEUE_URL": ["orders", "http://h", "http://h/"],
    "SQS_QUEUE_OWNER": ["12345678901", "1234567890123", "١23456789012", "me"],
    "SQS_REGION": ["us west", "us-west-2\n", "a" * 65],
    "SQS_BATCH_SIZE": ["", "0", "11", "-1", "1.5", "ten", "08", " 1", "99999999999999999999"],
    "SQS_RECEIVERS": ["", "0", "-1", "1001"],
    "SQS_RECEIVER_WORKERS": ["", "-1", "10001"],
    "MAX_IN_FLIGHT": ["", "-1", "x"],
    "MAX_IN_FLIGHT_BYTES": ["", "1", "1MB", "MiB", "1.5Mi", "-1Mi"],
    "WEBHOOK_ENDPOINT": ["", "localhost:9000", "http://a b/"],
    "WEBHOOK_TLS_INSECURE_SKIP_VERIFY": ["", "yes"],
    "WEBHOOK_DEFAULT_CONTENT_TYPE": ["a\r\nx: y", "a\tb", "\x7f", "\udcff"],
    "WEBHOOK_REQUEST_TIMEOUT": ["", "60", "1d", "forever"],
    "WEBHOOK_ATTRIBUTE_HEADERS": ["a b", "a:b", "a\n", "é", "a" * 257],
    "WEBHOOK_HEALTH_CHECK_ENDPOINT": ["/healthz", "localhost:9000"],
    "WEBHOOK_HEALTH_CHECK_INTERVAL": ["", "10"],
    "WEBHOOK_HEALTH_CHECK_TIMEOUT": ["", "10"],
    "WEBHOOK_OFFLINE_THRESHOLD_COUNT": ["", "five"],
    "WEBHOOK_OFFLINE_ACTION": ["", "stop"],
    "WEBHOOK_HEADERS": ["X-Secret", "a b: hunter", ": hunter", "Host: hunter", "x-carrier-message-id: hunter",
                        "A: hunt\x00er", "A: hünter", "A: hunter\na: hunter", "Content-Length: 1", "Ä: hunter",
                        "traceparent: hunter"],
    "WEBHOOK_CA_FILE": ["a\nb", "\0"],
    "WEBHOOK_CERT_FILE": ["a\nb"],
    "WEBHOOK_KEY_FILE": ["a\nb"],
    "WEBHOOK_USERNAME": ["a:b", "é", "a\n"],
    "WEBHOOK_PASSWORD_FILE": ["a\nb"],
    "WEBHOOK_BEARER_TOKEN_FILE": ["a\nb"],
    "WEBHOOK_TRACE_CONTEXT": ["", "on"],
    "RETRY_INITIAL": ["", "-1s", "13h", "5"],
    "RETRY_FACTOR": ["", "0.5", "101", "-2", "1e1", "nan", "inf", "2.", ".5", "٢"],
    "RETRY_MAX": ["", "0s", "13h"],
    "RETRY_BY_STATUS": ["503", "503=", "503=5", "600=1s", "5x=1s", "6xx=1s", "503=1s/0.5", "503=2s/2/1s", "503=13h",
                        "503=-1s", "503=1s/2/3s/4", "=1s"],
    "GIVE_UP_RECEIVES": ["", "-1", "1001", "many"],
    "GIVE_UP_AGE": ["", "-1s", "337h"],
    "DEAD_LETTERS": ["", "on"],
    "DEAD_LETTER_STATUSES": ["99", "600", "4x", "4XX", "400 401", "٤٠٠"],
    "DEAD_LETTER_QUEUE": ["a b", "http://h", "arn:aws:sns:eu-west-1:123456789012:q", "q\n", "a/b"],
    "RATE_LIMIT": ["100", "0/s", "1/d", "-1/s", "1.5/s", "10000000/s", "1/s\n"],
    "RATE_BURST": ["", "-1", "x"],
    "BREAKER_FAILURES": ["", "-1"],
    "BREAKER_RATIO": ["", "1.1", "50%", "-0.5"],
    "BREAKER_WINDOW": ["", "0s", "2h"],
    "BREAKER_PAUSE": ["", "0s", "2h"],
    "SUSPENDED": ["", "maybe"],
    "START_ERRORS": ["", "ignore"],
    "SHUTDOWN_TIMEOUT": ["", "-1s", "25"],
    "PROBE_ADDRESS": ["9464", "h", "::1:80", "h:x", ":99999"],
    "DRAIN_TOKEN": ["short", "has/slash", "with space1", "a" * 257, "percent%20x"],
    "PAUSE_PEERS": [":9465", "127.0.0.1:0", "127.0.0.1", "127.0.0.1:9465;127.0.0.1:9466"],
    "LOG_LEVEL": ["", "verbose", "warning"],
    "ENABLE_COLORIZED_LOGGING": ["", "on"],
    "ENABLE_STAT_LOG": ["", "2"],
    "STAT_LOG_TIMER": ["", "0", "-1s", "120"],
}  # fmt: skip

# What a variable needs beside it.
COMPANIONS = {
    "WEBHOOK_KEY_FILE": {"CARRIER_WEBHOOK_CERT_FILE": "/c"},
    "WEBHOOK_USERNAME": {"CARRIER_WEBHOOK_PASSWORD_FILE": "/p"},
    "WEBHOOK_PASSWORD_FILE": {"CARRIER_WEBHOOK_USERNAME": "me"},
}


def read(**variables: str) -> Settings:
    return parse(NEEDED | {PREFIX + name: text for name, text in variables.items()})


def problems_of(environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        parse(environ)
    return caught.value.problems


def test_every_row_has_its_cases() -> None:
    assert list(GOOD) == list(BAD) == list(BY_NAME)
    assert ["SQS_ENDPOINT", "SQS_QUEUE_NAME", *DEFAULTS] == list(BY_NAME)


def test_attributes_of_settings_are_those_of_the_table() -> None:
    annotated = list(Settings.__annotations__)
    assert annotated == [row.attribute for row in ROWS] + ["origin", "warnings", "bad"]


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items())
def test_default(name: str, value: object) -> None:
    settings = parse(NEEDED)
    attribute = BY_NAME[name].attribute
    assert getattr(settings, attribute) == value
    assert type(getattr(settings, attribute)) is type(value)
    assert settings.origin[attribute] == "default"
    assert settings.warnings == ()


@pytest.mark.parametrize(("name", "text", "value"), [(n, t, v) for n, cases in GOOD.items() for t, v in cases.items()])
def test_good_value(name: str, text: str, value: object) -> None:
    environ = {
        k: v for k, v in NEEDED.items() if name != "SQS_QUEUE_URL" or text == "" or k != "CARRIER_SQS_QUEUE_NAME"
    }
    settings = parse(environ | COMPANIONS.get(name, {}) | {PREFIX + name: text})
    assert getattr(settings, BY_NAME[name].attribute) == value
    assert settings.origin[BY_NAME[name].attribute] == PREFIX + name


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, texts in BAD.items() for t in texts])
def test_bad_value_names_variable_value_and_what_is_allowed(name: str, text: str) -> None:
    environ = NEEDED | COMPANIONS.get(name, {}) | {PREFIX + name: text}
    if name == "SQS_QUEUE_URL":
        del environ["CARRIER_SQS_QUEUE_NAME"]
    (problem,) = problems_of(environ)
    assert problem.startswith(PREFIX + name)
    if BY_NAME[name].secret:
        assert text not in problem
        assert "hunter" not in problem
    elif text and len(text) < 200:
        assert repr(text) in problem
    assert describe_allowed(BY_NAME[name]) in problem or "its path does not end in a queue's name" in problem


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_no_name_can_be_a_service_link(row: Row) -> None:
    assert not row.name.endswith(("_PORT", "_SERVICE_HOST"))
    assert "_SERVICE_PORT_" not in row.name
    assert not re.search(r"_PORT_\d+_(TCP|UDP|SCTP)", row.name)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_shown_values_read_back(row: Row) -> None:
    if row.secret:
        assert show_value(row, "secret-token") == "***"
        return
    for text in GOOD[row.name.removeprefix(PREFIX)]:
        if "@" in text:
            continue
        value = parse_value(row, text)
        assert parse_value(row, show_value(row, value)) == value


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_a_row_does_is_a_sentence(row: Row) -> None:
    assert row.what[0].isupper()
    assert row.what.endswith(".")


def test_all_bad_variables_are_reported_at_once() -> None:
    problems = problems_of({PREFIX + name: texts[-1] for name, texts in BAD.items() if name != "SQS_QUEUE_URL"})
    assert [problem.split("=")[0] for problem in problems] == [
        row.name for row in ROWS if row.attribute != "sqs_queue_url"
    ]


def test_the_bare_environment_names_everything_that_is_required() -> None:
    endpoint, queue = problems_of({})
    assert endpoint.startswith("CARRIER_SQS_ENDPOINT is required")
    assert queue.startswith("CARRIER_SQS_QUEUE_NAME is required")
    assert "CARRIER_SQS_QUEUE_URL" in queue


@pytest.mark.parametrize("row", [row for row in ROWS if row.fallback], ids=lambda row: row.name)
def test_unprefixed_name_is_a_fallback_with_a_warning(row: Row) -> None:
    text = next(iter(GOOD[row.name.removeprefix(PREFIX)]))
    environ = {name: value for name, value in NEEDED.items() if name != row.name} | {row.fallback: text}
    settings = parse(environ)
    assert getattr(settings, row.attribute) == parse_value(row, text)
    assert settings.origin[row.attribute] == row.fallback
    (warning,) = settings.warnings
    assert warning.startswith(row.fallback + " is read because " + row.name)


def test_the_fallbacks_are_the_six_that_the_go_program_reads() -> None:
    assert [row.fallback for row in ROWS if row.fallback] == [
        "SQS_ENDPOINT",
        "SQS_QUEUE_NAME",
        "SQS_BATCH_SIZE",
        "SQS_RECEIVERS",
        "SQS_RECEIVER_WORKERS",
        "WEBHOOK_TLS_INSECURE_SKIP_VERIFY",
    ]


def test_a_bad_fallback_is_named_itself() -> None:
    (problem,) = problems_of(NEEDED | {"SQS_BATCH_SIZE": ""})
    assert problem.startswith("SQS_BATCH_SIZE=''")


def test_the_prefixed_name_wins_even_if_it_is_empty() -> None:
    settings = parse(NEEDED | {"CARRIER_SQS_BATCH_SIZE": "3", "SQS_BATCH_SIZE": "rubbish"})
    assert settings.sqs_batch_size == 3
    assert settings.warnings == ()
    (problem,) = problems_of({**NEEDED, "CARRIER_SQS_ENDPOINT": "", "SQS_ENDPOINT": "http://h"})
    assert problem.startswith("CARRIER_SQS_ENDPOINT is required and must not be empty")


def test_other_unprefixed_names_are_not_read() -> None:
    settings = parse(NEEDED | {"WEBHOOK_ENDPOINT": "http://elsewhere", "LOG_LEVEL": "debug"})
    assert settings.webhook_endpoint == "http://localhost:9000"
    assert settings.log_level == "info"
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("name", "likely"),
    [
        ("CARRIER_SQS_BATCHSIZE", "CARRIER_SQS_BATCH_SIZE"),
        ("CARRIER_BATCH_SIZE", "CARRIER_SQS_BATCH_SIZE"),
        ("CARRIER_WEBHOOK_TIMEOUT", "CARRIER_WEBHOOK_REQUEST_TIMEOUT"),
        ("CARRIER_WEBHOOK_REQUEST_TIMOEUT", "CARRIER_WEBHOOK_REQUEST_TIMEOUT"),
        ("CARRIER_SQS_QUEUE", "CARRIER_SQS_QUEUE_NAME"),
        ("CARRIER_LOGLEVEL", "CARRIER_LOG_LEVEL"),
        ("CARRIER_SHUTDOWN_TIME", "CARRIER_SHUTDOWN_TIMEOUT"),
        ("CARRIER_ENABLE_COLORISED_LOGGING", "CARRIER_ENABLE_COLORIZED_LOGGING"),
    ],
)
def test_an_unknown_name_is_warned_about_with_the_nearest_known_one(name: str, likely: str) -> None:
    settings = parse(NEEDED | {name: "value-not-to-be-shown"})
    (warning,) = settings.warnings
    assert warning.startswith(name + " ")
    assert warning.endswith(f"did you mean {likely}?")
    assert "value-not-to-be-shown" not in warning


def test_a_name_like_no_other_gets_no_guess() -> None:
    assert nearest_name("CARRIER_XYZ") == ""
    (warning,) = parse(NEEDED | {"CARRIER_XYZ": ""}).warnings
    assert "did you mean" not in warning


@pytest.mark.parametrize("stem", ["CARRIER", "CARRIER_WEBHOOK", "CARRIER_SQS_2"])
@pytest.mark.parametrize(
    "ending",
    ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "SERVICE_PORT_GRPC_WEB", "PORT", "PORT_9000_TCP",
     "PORT_53_UDP", "PORT_9_SCTP", "PORT_9000_TCP_PROTO", "PORT_9000_TCP_PORT", "PORT_9000_TCP_ADDR"],
)  # fmt: skip
def test_service_links_cause_no_warning(stem: str, ending: str) -> None:
    assert parse(NEEDED | {f"{stem}_{ending}": "tcp://10.0.0.1:80"}).warnings == ()


@pytest.mark.parametrize(
    "name", ["CARRIER_PORTS", "CARRIER_PORT_TCP", "CARRIER_PORT_9000_HTTP", "CARRIER_XPORT", "CARRIER_"]
)
def test_what_only_looks_like_a_service_link_is_warned_about(name: str) -> None:
    assert len(parse(NEEDED | {name: "1"}).warnings) == 1


def test_the_queue_by_url_alone_gives_its_name() -> None:
    settings = parse({"CARRIER_SQS_ENDPOINT": "http://h", "CARRIER_SQS_QUEUE_URL": "http://x/123456789012/orders.fifo"})
    assert settings.sqs_queue_name == "orders.fifo"
    assert settings.origin["sqs_queue_name"] == "CARRIER_SQS_QUEUE_URL"


def test_name_and_url_of_one_queue_agree() -> None:
    assert read(SQS_QUEUE_URL="http://x/1/orders").sqs_queue_name == "orders"


def test_name_and_url_of_different_queues_are_refused() -> None:
    (problem,) = problems_of(NEEDED | {"CARRIER_SQS_QUEUE_URL": "http://x/1/refunds"})
    assert "'orders'" in problem
    assert "'refunds'" in problem


def test_an_owner_beside_a_queue_url_has_no_effect() -> None:
    settings = read(SQS_QUEUE_URL="http://x/1/orders", SQS_QUEUE_OWNER="123456789012")
    assert any("CARRIER_SQS_QUEUE_OWNER has no effect" in warning for warning in settings.warnings)


def test_peers_without_a_token_have_no_effect() -> None:
    assert any("CARRIER_PAUSE_PEERS" in warning for warning in read(PAUSE_PEERS="127.0.0.1:9465").warnings)


def test_a_token_without_a_probe_server_has_no_effect() -> None:
    assert any("CARRIER_DRAIN_TOKEN" in warning for warning in read(DRAIN_TOKEN="abcdefgh").warnings)
    assert read(DRAIN_TOKEN="abcdefgh", PROBE_ADDRESS=":1").warnings == ()


@pytest.mark.parametrize("text", ["0", "-1s"])
def test_an_unused_health_check_interval_may_be_anything_that_go_runs_with(text: str) -> None:
    settings = read(WEBHOOK_HEALTH_CHECK_INTERVAL=text)
    assert settings.webhook_health_check_interval == 60.0
    assert len(settings.warnings) == 1


def test_a_used_health_check_interval_must_be_positive() -> None:
    health = {"CARRIER_WEBHOOK_HEALTH_CHECK_ENDPOINT": "http://h", "CARRIER_WEBHOOK_HEALTH_CHECK_INTERVAL": "0"}
    (problem,) = problems_of(NEEDED | health)
    assert problem.startswith("CARRIER_WEBHOOK_HEALTH_CHECK_INTERVAL='0' is not allowed")


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("WEBHOOK_REQUEST_TIMEOUT", "-1s", "0s"),
        ("WEBHOOK_HEALTH_CHECK_TIMEOUT", "-1s", "0s"),
        ("WEBHOOK_OFFLINE_THRESHOLD_COUNT", "0", "1"),
    ],
)
def test_what_go_takes_for_its_limit_is_taken_so_with_a_warning(name: str, text: str, shown: str) -> None:
    (warning,) = read(**{name: text}).warnings
    assert warning == f"CARRIER_{name}={text!r} is taken as {shown}"


@pytest.mark.parametrize(
    ("variables", "slots"),
    [
        ({}, 1),
        ({"SQS_RECEIVERS": "2", "SQS_RECEIVER_WORKERS": "10"}, 20),
        ({"SQS_RECEIVERS": "2", "SQS_RECEIVER_WORKERS": "0", "SQS_BATCH_SIZE": "7"}, 14),
        ({"SQS_RECEIVERS": "2", "SQS_RECEIVER_WORKERS": "10", "MAX_IN_FLIGHT": "3"}, 3),
    ],
)
def test_posts_at_once(variables: dict[str, str], slots: int) -> None:
    assert read(**variables).slots == slots


@pytest.mark.parametrize(
    "name", ["SQS_ENDPOINT", "WEBHOOK_ENDPOINT", "SQS_QUEUE_NAME", "WEBHOOK_HEALTH_CHECK_ENDPOINT"]
)
@pytest.mark.parametrize(
    "url", ["http://me:hunter2@h:x/", "ftp://me:hunter2@h/", "me:hunter2@h", "http://me:hun/ter2@h:1"]
)
def test_a_password_in_a_bad_url_is_not_shown(name: str, url: str) -> None:
    (problem,) = problems_of(NEEDED | {PREFIX + name: url})
    assert "hunter2" not in problem
    assert "ter2" not in problem


def test_a_very_long_value_is_cut_in_the_message() -> None:
    (problem,) = problems_of(NEEDED | {"CARRIER_LOG_LEVEL": "x" * 10_000})
    assert len(problem) < 400


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"WEBHOOK_USERNAME": "me"}, "CARRIER_WEBHOOK_PASSWORD_FILE is required with CARRIER_WEBHOOK_USERNAME"),
        ({"WEBHOOK_PASSWORD_FILE": "/p"}, "CARRIER_WEBHOOK_USERNAME is required with CARRIER_WEBHOOK_PASSWORD_FILE"),
        ({"WEBHOOK_KEY_FILE": "/k"}, "CARRIER_WEBHOOK_CERT_FILE is required with CARRIER_WEBHOOK_KEY_FILE"),
        ({"RETRY_INITIAL": "2m", "RETRY_MAX": "1m"}, "CARRIER_RETRY_MAX is not allowed to be shorter"),
        (
            {"WEBHOOK_ENDPOINT": "http://me:hunter2@h/", "WEBHOOK_BEARER_TOKEN_FILE": "/t"},
            "CARRIER_WEBHOOK_ENDPOINT and CARRIER_WEBHOOK_BEARER_TOKEN_FILE each write the Authorization header",
        ),
        (
            {"WEBHOOK_HEADERS": "authorization: hunter2", "WEBHOOK_BEARER_TOKEN_FILE": "/t"},
            "CARRIER_WEBHOOK_BEARER_TOKEN_FILE and CARRIER_WEBHOOK_HEADERS each write the Authorization header",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(variables: dict[str, str], named: str) -> None:
    (problem,) = problems_of(NEEDED | {PREFIX + name: text for name, text in variables.items()})
    assert problem.startswith(named)
    assert "hunter2" not in problem


def test_an_authority_without_verification_and_a_burst_without_a_rate_have_no_effect() -> None:
    settings = read(WEBHOOK_CA_FILE="/ca", WEBHOOK_TLS_INSECURE_SKIP_VERIFY="true", RATE_BURST="5")
    assert [warning.split(" ")[0] for warning in settings.warnings] == ["CARRIER_WEBHOOK_CA_FILE", "CARRIER_RATE_BURST"]


@pytest.mark.parametrize(
    "variables",
    [
        {"DEAD_LETTERS": "true"},
        {"DEAD_LETTER_QUEUE": "q"},
        {"DEAD_LETTER_STATUSES": "400"},
        {"GIVE_UP_RECEIVES": "3"},
        {"GIVE_UP_AGE": "1h"},
    ],
)
def test_each_way_to_the_dead_letter_queue_switches_dead_letters_on(variables: dict[str, str]) -> None:
    assert not read().sends_dead_letters
    assert read(**variables).sends_dead_letters
