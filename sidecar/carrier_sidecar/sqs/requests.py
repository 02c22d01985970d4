"""Whole HTTP requests for SQS actions: head, signature and body as the bytes to send.

The part of the head that is the same for all requests of an action is kept for half a minute: AWS tolerates signatures
that are minutes old, so the date need not be newer than that. What is kept is dropped when the credentials change (or
the clock is corrected: `forget`).
"""

from __future__ import annotations

from carrier_sidecar.sqs.dates import amz_date
from carrier_sidecar.sqs.digests import sha256
from carrier_sidecar.sqs.protocol import CONTENT_TYPE, TARGET_PREFIX
from carrier_sidecar.sqs.signing import Signer, canonical_path, canonical_query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import _Hash as Digest

    from carrier_sidecar.sqs.clock import ServerClock
    from carrier_sidecar.sqs.credentials.values import Credentials
    from carrier_sidecar.url import URL

KEPT_S = 30.0
USER_AGENT = "carrier-sidecar"


class RequestWriter:
    """Writes requests for one endpoint and region."""

    __slots__ = (
        "_canonical_end",
        "_canonical_start",
        "_clock",
        "_credentials",
        "_date",
        "_kept",
        "_kept_until",
        "_lines",
        "_region",
        "_request_line",
        "_signed",
        "_signer",
        "_token_line",
    )

    def __init__(self, endpoint: URL, region: str, clock: ServerClock) -> None:
        path, _, query = endpoint.target.partition("?")
        self._clock = clock
        self._region = region
        self._request_line = (
            f"POST {endpoint.target} HTTP/1.1\r\nHost: {endpoint.authority}\r\nUser-Agent: {USER_AGENT}\r\n"
        )
        self._canonical_start = (
            f"POST\n{canonical_path(path)}\n{canonical_query(query)}\n"
            f"content-type:{CONTENT_TYPE}\nhost:{endpoint.authority}\nx-amz-date:"
        )
        self._canonical_end = ""
        self._signed = ""
        self._token_line = ""
        self._signer: Signer | None = None
        self._credentials: Credentials | None = None
        self._date = ""
        self._kept_until = 0.0
        # By action: the canonical request up to the payload's hash, digested so far, and the head up to Authorization.
        self._kept: dict[str, tuple[Digest, bytes]] = {}

    def forget(self) -> None:
        """Date and signatures anew: the clock has been corrected."""
        self._kept_until = 0.0

    def write(self, action: str, body: bytes, credentials: Credentials) -> bytes:
        """The request, signed."""
        now = self._clock.now()
        if credentials is not self._credentials:
            self._use(credentials)
        # A wall clock that was set back must not keep an old date in force.
        if now >= self._kept_until or now < self._kept_until - KEPT_S:
            self._kept.clear()
            self._date = amz_date(now)
            self._kept_until = now + KEPT_S
        kept = self._kept.get(action) or self._prepare(action)
        signer = self._signer
        assert signer is not None
        canonical = kept[0].copy()
        canonical.update(sha256(body).hexdigest().encode())
        authorization = signer.authorization(self._date, self._signed, canonical.hexdigest())
        return b"%bAuthorization: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            kept[1],
            authorization.encode(),
            len(body),
            body,
        )

    def _use(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._signer = Signer(credentials.access_key, credentials.secret_key, self._region, "sqs")
        token = credentials.token
        self._token_line = f"X-Amz-Security-Token: {token}\r\n" if token else ""
        self._canonical_end = f"\nx-amz-security-token:{token}\n" if token else "\n"
        security = "x-amz-security-token;" if token else ""
        self._signed = f"content-type;host;x-amz-date;{security}x-amz-target;x-amzn-query-mode"
        self._kept_until = 0.0

    def _prepare(self, action: str) -> tuple[Digest, bytes]:
        target = TARGET_PREFIX + action
        canonical = (
            f"{self._canonical_start}{self._date}{self._canonical_end}"
            f"x-amz-target:{target}\nx-amzn-query-mode:true\n\n{self._signed}\n"
        )
        head = (
            f"{self._request_line}Content-Type: {CONTENT_TYPE}\r\nX-Amz-Target: {target}\r\nx-amzn-query-mode: true\r\n"
            f"X-Amz-Date: {self._date}\r\n{self._token_line}"
        )
        kept = self._kept[action] = (sha256(canonical.encode()), head.encode("latin-1"))
        return kept
