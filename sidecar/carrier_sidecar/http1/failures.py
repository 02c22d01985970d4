"""How a request can end without an answer: a value."""

from __future__ import annotations

from carrier_sidecar.loop.errors import CLOSED, CONNECT_TIMEOUT, REFUSED, RESET, RESOLVE, TLS, UNREACHABLE

TIMEOUT = "timeout"  # connected, but no (whole) answer in time
GARBAGE = "garbage"  # what came is no HTTP/1.1
TOO_LARGE = "too_large"  # the body is longer than the limit
PROXY = "proxy"  # the proxy refused the tunnel

KINDS = (REFUSED, UNREACHABLE, RESOLVE, CONNECT_TIMEOUT, TLS, CLOSED, RESET, TIMEOUT, GARBAGE, TOO_LARGE, PROXY)


class Failure:
    """`kind` is one of KINDS; `maybe_sent`: the server may have seen (some of) the request; `detail` is for people."""

    __slots__ = ("detail", "kind", "maybe_sent")

    def __init__(self, kind: str, maybe_sent: bool, detail: str) -> None:
        self.kind = kind
        self.maybe_sent = maybe_sent
        self.detail = detail

    def __repr__(self) -> str:
        return f"Failure({self.kind}, maybe_sent={self.maybe_sent}: {self.detail})"
