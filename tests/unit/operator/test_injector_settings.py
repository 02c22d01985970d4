"""The injector's settings: defaults, ranges, and all problems at once."""

from __future__ import annotations

from typing import Any

import pytest

from carrier_operator.injector import settings
from carrier_operator.settings_rows import BadSettings

LEAST = {"CARRIER_OPERATOR_SIDECAR_IMAGE": "carrier/sidecar:1", "CARRIER_INJECTOR_CERT_DIR": "/certs"}


def test_the_defaults_are_narrow() -> None:
    found = settings.read(LEAST)
    assert (found.policy.image_prefixes, found.policy.env_from, found.policy.env_names, found.policy.webhook_urls) == (
        (),
        False,
        (),
        (),
    )
    assert (found.listen, found.probes, found.native, found.leave_s) == (("", 8443), ("", 9090), "auto", 10.0)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("CARRIER_OPERATOR_SIDECAR_IMAGE", "x:1", ""),
        ("CARRIER_OPERATOR_NATIVE_SIDECARS", "true", "yes"),
        ("CARRIER_OPERATOR_ALLOW_ENV_FROM", "T", "yes"),
        ("CARRIER_OPERATOR_ALLOW_VOLUME_MOUNTS", "false", ""),
        ("CARRIER_OPERATOR_LOG_LEVEL", "debug", "loud"),
        ("CARRIER_INJECTOR_LISTEN", "[::1]:8443", "8443x"),
        ("CARRIER_INJECTOR_PROBES", ":0", "host"),
        ("CARRIER_INJECTOR_LEAVE", "1m", "10"),
        ("CARRIER_INJECTOR_FINISH", "0s", "x"),
    ],
)
def test_each_row_takes_good_values_and_names_bad_ones(name: str, good: str, bad: str) -> None:
    settings.read({**LEAST, name: good})
    with pytest.raises(BadSettings, match=name):
        settings.read({**LEAST, name: bad})


@pytest.mark.parametrize(
    "environ",
    [
        {"CARRIER_INJECTOR_CERT_DIR": ""},
        {"CARRIER_INJECTOR_CERT_SECRET": "a/b"},
        {"CARRIER_INJECTOR_CERT_DIR": "", "CARRIER_INJECTOR_CERT_SECRET": "b"},
    ],
)
def test_the_certificate_comes_from_exactly_one_place(environ: dict[str, str]) -> None:
    with pytest.raises(BadSettings):
        settings.read({**LEAST, **environ})


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(BadSettings) as caught:
        settings.read({"CARRIER_INJECTOR_LISTEN": "x", "CARRIER_INJECTOR_LEAVE": "x"})
    assert len(caught.value.problems) == 4


def test_lists_are_split_at_commas() -> None:
    environ: dict[str, Any] = {**LEAST, "CARRIER_OPERATOR_ALLOWED_IMAGES": " a/ , b/,"}
    assert settings.read(environ).policy.image_prefixes == ("a/", "b/")


def test_no_name_is_one_that_kubernetes_makes_for_services() -> None:
    assert not [
        row.name for row in settings.ROWS if row.name.endswith(("_PORT", "_SERVICE_HOST")) or "_PORT_" in row.name
    ]
