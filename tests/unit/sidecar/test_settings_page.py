import json
import pathlib
import re

import pytest

from carrier_sidecar import settings_page
from carrier_sidecar.settings_table import ROWS

ROOT = pathlib.Path(__file__).parents[3]
ENVIRON = {
    "CARRIER_SQS_ENDPOINT": "http://key:hunter2@localhost:9324",
    "SQS_QUEUE_NAME": "orders",
    "CARRIER_WEBHOOK_REQUEST_TIMEOUT": "90s",
    "CARRIER_WEBHOOK_ENDPOINT": "http://me:hunter2@localhost:9000/events",
    "CARRIER_DRAIN_TOKEN": "hunter2hunter2",
    "CARRIER_PROBE_ADDRESS": ":9464",
    "CARRIER_WEBHOK_ENDPOINT": "hunter2",
}


def run(*arguments: str, environ: dict[str, str] = ENVIRON) -> tuple[int, str]:
    written: list[str] = []
    return settings_page.main(arguments, environ, written.append), "".join(written)


def test_text_shows_values_in_force_and_their_origin() -> None:
    code, text = run()
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.startswith("CARRIER_")}
    assert code == 0
    assert len(lines) == len(ROWS)
    assert lines["CARRIER_WEBHOOK_REQUEST_TIMEOUT"] == ["1m30s", "environment"]
    assert lines["CARRIER_SQS_QUEUE_NAME"] == ["orders", "SQS_QUEUE_NAME"]
    assert lines["CARRIER_SQS_BATCH_SIZE"] == ["1", "default"]
    assert lines["CARRIER_SQS_REGION"] == ["-", "default"]
    assert lines["CARRIER_WEBHOOK_ENDPOINT"] == ["http://***@localhost:9000/events", "environment"]
    assert "warning: CARRIER_WEBHOK_ENDPOINT is not a variable" in text


def test_columns_are_aligned() -> None:
    _, text = run()
    lines = [line for line in text.splitlines() if line.startswith(("CARRIER_", "VARIABLE"))]
    assert len({line.rindex(line.split()[-1]) for line in lines}) == 1


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_are_masked(form: str) -> None:
    _, text = run("-o", form)
    assert "hunter2" not in text
    assert "***" in text


def test_json_has_values_with_their_types() -> None:
    code, text = run("--output=json")
    page = json.loads(text)
    by_name = {row["name"]: row for row in page["settings"]}
    assert code == 0
    assert by_name["CARRIER_WEBHOOK_REQUEST_TIMEOUT"]["value"] == 90.0
    assert by_name["CARRIER_ENABLE_STAT_LOG"]["value"] is False
    assert by_name["CARRIER_PROBE_ADDRESS"]["value"] == ["", 9464]
    assert by_name["CARRIER_SQS_QUEUE_NAME"]["origin"] == "SQS_QUEUE_NAME"
    assert len(page["warnings"]) == 2
    assert page["problems"] == []


@pytest.mark.parametrize("form", ["text", "json"])
def test_bad_settings_are_shown_with_what_is_wrong_and_exit_2(form: str) -> None:
    code, text = run("-o", form, environ={"CARRIER_SQS_BATCH_SIZE": "eleven", "CARRIER_LOG_LEVEL": "warn"})
    assert code == 2
    assert "CARRIER_SQS_BATCH_SIZE='eleven' is not allowed" in text
    assert "CARRIER_SQS_ENDPOINT is required" in text
    if form == "text":
        assert "(missing)" in text
        assert "(not allowed)" in text
        assert "warn " in text


@pytest.mark.parametrize("arguments", [("-o",), ("-o", "yaml"), ("json",), ("-o", "json", "more")])
def test_wrong_arguments_give_the_usage_and_exit_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments) == (2, settings_page.USAGE + "\n")


def test_undecodable_values_are_shown_escaped() -> None:
    _, text = run(environ=ENVIRON | {"CARRIER_LOG_LEVEL": "\udcff"})
    text.encode("utf-8")


def test_the_reference_names_every_variable() -> None:
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    for row in ROWS:
        assert f"| `{row.name}` |" in text


def test_the_reference_names_every_other_variable_that_is_read() -> None:
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    read = set()
    for path in (ROOT / "sidecar/carrier_sidecar").rglob("*.py"):
        read |= set(re.findall(r'"((?:AWS_|SSL_)[A-Z0-9_]+|[A-Z]+_PROXY)"', path.read_text(encoding="utf-8")))
    assert len(read) > 10
    assert {name for name in read if f"`{name}`" not in text} == set()
