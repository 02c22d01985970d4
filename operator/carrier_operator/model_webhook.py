"""The part of a binding that says where and how messages are POSTed: spec.webhook."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .model_types import HEADER_NAME, PATH, FilePath, HttpUrl, Port
from .rules import DurationBetween, Rule, Shape, UniqueBy


class HealthCheck(Shape):
    """A GET that tells whether the handler is well; 2xx is healthy. While it is not, nothing is received."""

    path: Annotated[str, Field(pattern=PATH, max_length=256)] = Field(
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

    name: Annotated[str, Field(pattern=HEADER_NAME, min_length=1, max_length=64)] = Field(
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
    path: Annotated[str, Field(pattern=PATH, max_length=512)] | None = Field(
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
