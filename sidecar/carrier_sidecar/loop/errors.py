"""Why a stream died. Values only: what follows from an error is decided by whoever owns the stream."""

from __future__ import annotations

REFUSED = "refused"  # every address answered with a refusal: nobody listens there
UNREACHABLE = "unreachable"  # no route, network down, or no permission to send there
RESOLVE = "resolve"  # the name has no address, or the resolver failed
CONNECT_TIMEOUT = "connect_timeout"  # name, TCP connection and TLS handshake together took too long
TLS = "tls"  # handshake or certificate; a record that does not decrypt
RESET = "reset"  # the peer (or the network) cut an open connection
CLOSED = "closed"  # the peer closed in an orderly way where that was not expected


class StreamError(Exception):
    """`kind` is one of the constants above; `detail` is a sentence for people (addresses, never contents)."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail

    def __repr__(self) -> str:
        return f"StreamError({self.kind}: {self.detail})"
