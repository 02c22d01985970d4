"""What is rendered is what the sidecar reads: generated bindings through the sidecar's own settings and back."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from carrier_operator import render
from carrier_operator.models import BindingSpec
from carrier_operator.rules import seconds
from carrier_operator.schema import structural_schema
from carrier_sidecar import settings, settings_table
from tests.property.operator.bindings import SPECS

KNOWN = {row.name for row in settings_table.ROWS}


@given(SPECS)
def test_the_sidecar_reads_back_what_the_binding_says(document: dict[str, Any]) -> None:
    spec = BindingSpec.model_validate(document)
    place = render.Place(webhook_port=8080, health_port=8081, probe_address=":9464", token="t0ken-t0ken")
    environ = render.environment(spec, place)
    read = settings.parse(environ)
    assert not [warning for warning in read.warnings if "not a variable" in warning]

    queue, webhook, limits = spec.queue, spec.webhook, spec.concurrency
    assert read.sqs_endpoint == render.queue_endpoint(spec)
    assert read.sqs_queue_url == (queue.url or "")
    if queue.name is not None:
        assert read.sqs_queue_name == queue.name
    assert (read.sqs_queue_owner, read.sqs_region) == (queue.owner or "", queue.region or "")
    assert (read.sqs_batch_size, read.sqs_receivers, read.sqs_receiver_workers) == (
        limits.batch_size,
        limits.receivers,
        limits.workers,
    )
    assert (read.max_in_flight, read.max_in_flight_bytes) == (limits.max_in_flight or 0, limits.max_in_flight_bytes)
    assert read.webhook_endpoint == render.webhook_endpoint(spec, place)
    assert read.webhook_request_timeout == seconds(webhook.timeout)
    assert read.webhook_default_content_type == webhook.default_content_type
    assert read.webhook_tls_insecure_skip_verify == bool(webhook.tls and webhook.tls.insecure_skip_verify)
    assert read.webhook_offline_action == webhook.offline_action.lower()
    names = webhook.attribute_headers or []
    assert read.webhook_attribute_headers == (("*",) if "*" in names else tuple(names))
    assert read.webhook_health_check_endpoint == (render.health_endpoint(spec, place) or "")
    if webhook.health_check is not None:
        assert read.webhook_health_check_interval == seconds(webhook.health_check.interval)
        assert read.webhook_health_check_timeout == seconds(webhook.health_check.timeout)
        assert read.webhook_offline_threshold_count == webhook.health_check.offline_threshold
    assert read.shutdown_timeout == seconds(spec.sidecar.shutdown_timeout)
    assert (read.log_level, read.enable_colorized_logging) == (spec.logging.level, spec.logging.color)
    assert read.enable_stat_log == (spec.logging.stat_interval is not None)
    if spec.logging.stat_interval is not None:
        assert read.stat_log_timer == seconds(spec.logging.stat_interval)
    assert read.webhook_headers == tuple((it.name, it.value) for it in webhook.headers or ())
    assert read.webhook_trace_context == webhook.trace_context.lower()
    tls, auth = webhook.tls, webhook.auth
    assert (read.webhook_ca_file, read.webhook_cert_file, read.webhook_key_file) == (
        (tls and tls.ca_file) or "",
        (tls and tls.cert_file) or "",
        (tls and tls.key_file) or "",
    )
    assert (read.webhook_username, read.webhook_password_file, read.webhook_bearer_token_file) == (
        (auth and auth.username) or "",
        (auth and auth.password_file) or "",
        (auth and auth.bearer_token_file) or "",
    )
    if spec.retry is not None:
        assert read.retry_initial == seconds(spec.retry.initial)
        assert (read.retry_factor, read.retry_max) == (spec.retry.factor, seconds(spec.retry.max))
        assert read.retry_by_status == tuple(
            (
                status,
                seconds(it.initial),
                it.factor if it.factor is not None else (spec.retry.factor if it.max is not None else None),
                seconds(it.max) if it.max is not None else None,
            )
            for it in spec.retry.by_status or ()
            for status in it.statuses
        )
    dead = spec.dead_letter
    assert read.dead_letters == (dead is not None)
    if dead is not None:
        assert read.dead_letter_queue == (dead.queue or "")
        assert read.dead_letter_statuses == tuple(dead.statuses or ())
        assert (read.give_up_receives, read.give_up_age) == (dead.max_receives or 0, seconds(dead.max_age or "0"))
    rate, breaker = spec.rate_limit, spec.breaker
    assert (read.rate_limit, read.rate_burst) == ((rate.rate, rate.burst or 0) if rate else ("", 0))
    assert (read.breaker_failures, read.breaker_ratio) == (
        (breaker.failures or 0, breaker.ratio or 0) if breaker else (0, 0)
    )
    if breaker is not None:
        assert (read.breaker_window, read.breaker_pause) == (seconds(breaker.window), seconds(breaker.pause))
    assert read.suspended == spec.suspend
    assert (read.start_errors, read.drain_token, read.probe_address) == ("retry", "t0ken-t0ken", ("", 9464))


@given(SPECS)
def test_what_is_the_default_is_not_written(document: dict[str, Any]) -> None:
    environ = render.environment(BindingSpec.model_validate(document), render.Place())
    defaults = settings.parse({"CARRIER_SQS_ENDPOINT": "http://x", "CARRIER_SQS_QUEUE_NAME": "x" * 80})
    read = settings.parse(environ)
    for row in settings_table.ROWS:
        if row.name in environ:
            assert row.default is None or getattr(read, row.attribute) != getattr(defaults, row.attribute), row.name


def test_the_least_binding_is_a_short_environment() -> None:
    spec = BindingSpec.model_validate({"queue": {"name": "orders", "region": "us-west-2"}})
    assert render.environment(spec, render.Place()) == {
        "CARRIER_SQS_ENDPOINT": "https://sqs.us-west-2.amazonaws.com",
        "CARRIER_SQS_QUEUE_NAME": "orders",
        "CARRIER_SQS_REGION": "us-west-2",
        "CARRIER_START_ERRORS": "retry",
    }


def test_every_variable_of_the_sidecar_can_be_said_in_a_binding() -> None:
    said = {field.variable for field in render.FIELDS}
    assert sorted(KNOWN - said) == []
    assert sorted(said - KNOWN) == []


def _leaves(schema: dict[str, Any], path: str) -> list[str]:
    found = []
    for name, child in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        deeper = _leaves(child, here) + _leaves(child.get("items", {}), f"{here}[]")
        found += deeper or [here]
    return found


def test_every_field_of_a_binding_becomes_a_variable_or_shapes_the_container() -> None:
    said = {path for field in render.FIELDS for path in field.paths}
    silent = [
        path
        for path in _leaves(structural_schema(BindingSpec), "")
        if path not in said and path.split(".")[0] not in render.NOT_ENVIRONMENT
    ]
    assert silent == []
