"""The injector's settings, one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carrier_operator.policy import Policy
from carrier_operator.settings_rows import (
    ADDRESS,
    DURATION,
    SHARED_ROWS,
    BadSettings,
    Row,
    address,
    maybe_text,
    parse,
    policy_of,
)
from carrier_sidecar import go_values


def _secret(value: str) -> tuple[str, str] | None:
    if not value:
        return None
    namespace, slash, name = value.partition("/")
    if not (slash and namespace and name):
        raise ValueError("no namespace/name")
    return namespace, name


ROWS = (
    *SHARED_ROWS,
    Row("CARRIER_INJECTOR_LISTEN", ":8443", address, ADDRESS, "Where admission reviews are served (TLS)."),
    Row("CARRIER_INJECTOR_PROBES", ":9090", address, ADDRESS, "Where /livez, /readyz and /metrics are served (plain)."),
    Row(
        "CARRIER_INJECTOR_CERT_SECRET",
        "",
        _secret,
        "namespace/name",
        "Secret of type kubernetes.io/tls with the serving certificate, read by watch.",
    ),
    Row(
        "CARRIER_INJECTOR_CERT_DIR",
        "",
        maybe_text,
        "a folder",
        "Folder with tls.crt and tls.key instead of the Secret; looked at every 10 s.",
    ),
    Row(
        "CARRIER_INJECTOR_LEAVE",
        "10s",
        go_values.parse_duration,
        DURATION,
        "Time after SIGTERM in which reviews are still taken while the Service's endpoints forget this pod.",
    ),
    Row(
        "CARRIER_INJECTOR_FINISH",
        "10s",
        go_values.parse_duration,
        DURATION,
        "Longest time after that for reviews that are being answered.",
    ),
)


class Settings:
    """What the environment says, typed."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.sidecar_image: str = values["CARRIER_OPERATOR_SIDECAR_IMAGE"]
        self.pull_policy: str | None = values["CARRIER_OPERATOR_SIDECAR_PULL_POLICY"]
        self.native: str = values["CARRIER_OPERATOR_NATIVE_SIDECARS"]
        self.policy: Policy = policy_of(values)
        self.log_level: str = values["CARRIER_OPERATOR_LOG_LEVEL"]
        self.listen: tuple[str, int] = values["CARRIER_INJECTOR_LISTEN"]
        self.probes: tuple[str, int] = values["CARRIER_INJECTOR_PROBES"]
        self.cert_secret: tuple[str, str] | None = values["CARRIER_INJECTOR_CERT_SECRET"]
        self.cert_dir: str | None = values["CARRIER_INJECTOR_CERT_DIR"]
        self.leave_s: float = values["CARRIER_INJECTOR_LEAVE"]
        self.finish_s: float = values["CARRIER_INJECTOR_FINISH"]


def read(environ: Mapping[str, str]) -> Settings:
    """Settings from an environment. BadSettings with every problem."""
    problems: list[str] = []
    values: dict[str, Any] = {}
    try:
        values = parse(ROWS, environ)
    except BadSettings as error:
        problems += error.problems
    given = [bool(environ.get(f"CARRIER_INJECTOR_CERT_{word}")) for word in ("SECRET", "DIR")]
    if given.count(True) != 1:
        problems.append("set exactly one of CARRIER_INJECTOR_CERT_SECRET and CARRIER_INJECTOR_CERT_DIR")
    if problems:
        raise BadSettings(problems)
    return Settings(values)
