"""Settings of the operator's processes: the mechanism, and the rows that injector and controller share.

A table of rows gives parser and reference alike; all bad values are reported at once. Names never end in _PORT or
_SERVICE_HOST: Kubernetes makes such variables for every Service called carrier-*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from carrier_sidecar import go_values

from .policy import Policy


class BadSettings(Exception):
    """The environment can't be used; `problems` has a sentence for each bad variable."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Row:
    """One variable: name, default as text (None: required), how its text is read, what is allowed in words, what it
    does.
    """

    __slots__ = ("allowed", "default", "name", "read", "what")

    def __init__(self, name: str, default: str | None, read: Callable[[str], Any], allowed: str, what: str) -> None:
        self.name = name
        self.default = default
        self.read = read
        self.allowed = allowed
        self.what = what


def text(value: str) -> str:
    """As it is; ValueError when empty."""
    if not value:
        raise ValueError("empty")
    return value


def maybe_text(value: str) -> str | None:
    """As it is; None when empty."""
    return value or None


def items(value: str) -> tuple[str, ...]:
    """Separated by commas, without the spaces around them."""
    return tuple(item for item in (part.strip() for part in value.split(",")) if item)


def address(value: str) -> tuple[str, int]:
    """host:port or :port. ValueError otherwise."""
    host, colon, digits = value.rpartition(":")
    if not colon or not (digits.isascii() and digits.isdigit()) or int(digits) > 65535:
        raise ValueError("no port")
    return host.strip("[]"), int(digits)


def choice(*words: str) -> Callable[[str], str]:
    """One of these words."""

    def read(value: str) -> str:
        if value not in words:
            raise ValueError("unknown word")
        return value

    return read


ADDRESS = "host:port or :port"
DURATION = "a duration such as 10s"
BOOL = "true or false"
ITEMS = "a list separated by commas"

SHARED_ROWS = (
    Row("CARRIER_OPERATOR_SIDECAR_IMAGE", None, text, "an image", "The sidecar's image."),
    Row(
        "CARRIER_OPERATOR_SIDECAR_PULL_POLICY",
        "",
        maybe_text,
        "Always, IfNotPresent or Never",
        "imagePullPolicy of the sidecar where the binding gives none. Empty: the API server's default.",
    ),
    Row(
        "CARRIER_OPERATOR_NATIVE_SIDECARS",
        "auto",
        choice("auto", "true", "false"),
        "auto, true or false",
        "Whether sidecars of mode Auto are native: auto looks at every node's kubelet (1.29 or newer).",
    ),
    Row(
        "CARRIER_OPERATOR_ALLOWED_IMAGES",
        "",
        items,
        ITEMS,
        "Prefixes that sidecar.image of a binding may begin with. Empty: no image of a binding's own.",
    ),
    Row(
        "CARRIER_OPERATOR_ALLOW_ENV_FROM",
        "false",
        go_values.parse_bool,
        BOOL,
        "Whether sidecar.env may have valueFrom.",
    ),
    Row(
        "CARRIER_OPERATOR_ALLOWED_ENV",
        "",
        items,
        ITEMS,
        "Names allowed in sidecar.env although they begin with AWS_, LD_ or PYTHON; NAME* for a prefix.",
    ),
    Row(
        "CARRIER_OPERATOR_ALLOWED_URLS",
        "",
        items,
        ITEMS,
        "Prefixes of webhook.url that are allowed beside loopback, such as http://gateway.example/hooks.",
    ),
    Row(
        "CARRIER_OPERATOR_ALLOW_VOLUME_MOUNTS",
        "true",
        go_values.parse_bool,
        BOOL,
        "Whether sidecar.volumeMounts may mount volumes of the pod.",
    ),
    Row(
        "CARRIER_OPERATOR_LOG_LEVEL",
        "info",
        choice("debug", "info", "warning", "error"),
        "debug, info, warning or error",
        "Least serious level that is logged.",
    ),
)


def parse(rows: Sequence[Row], environ: Mapping[str, str]) -> dict[str, Any]:
    """Values by variable name; BadSettings lists everything that is wrong."""
    values: dict[str, Any] = {}
    problems = []
    for row in rows:
        given = environ.get(row.name, row.default)
        if given is None:
            problems.append(f"{row.name} is required: {row.allowed}")
            continue
        try:
            values[row.name] = row.read(given)
        except ValueError:
            problems.append(f"{row.name}={given!r} is not allowed; allowed is {row.allowed}")
    if problems:
        raise BadSettings(problems)
    return values


def policy_of(values: Mapping[str, Any]) -> Policy:
    """The administrator's policy that the shared rows say."""
    return Policy(
        image_prefixes=values["CARRIER_OPERATOR_ALLOWED_IMAGES"],
        env_from=values["CARRIER_OPERATOR_ALLOW_ENV_FROM"],
        env_names=values["CARRIER_OPERATOR_ALLOWED_ENV"],
        webhook_urls=values["CARRIER_OPERATOR_ALLOWED_URLS"],
        volume_mounts=values["CARRIER_OPERATOR_ALLOW_VOLUME_MOUNTS"],
    )
