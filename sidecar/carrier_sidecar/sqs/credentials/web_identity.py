"""Credentials for a web identity token (IRSA): AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE, traded at STS.

The token file is read anew at each fetch: the kubelet replaces it. The call to STS is not signed; its answer is XML, of
which four elements are wanted.
"""

from __future__ import annotations

from carrier_sidecar.sqs.credentials.fetching import Fetch
from carrier_sidecar.sqs.credentials.files import read_token, why
from carrier_sidecar.sqs.credentials.values import Refusal, from_answer
from carrier_sidecar.sqs.errors import between, tidy
from carrier_sidecar.sqs.signing import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from carrier_sidecar.http1.failures import Failure
    from carrier_sidecar.http1.responses import Response
    from carrier_sidecar.sqs.credentials.values import Credentials
    from carrier_sidecar.sqs.web import Web

TIMEOUT_S = 10.0
# What STS says when the identity provider did not answer in time: worth one more try.
_PASSING = ("IDPCommunicationError", "InternalFailure", "ServiceUnavailable", "Throttling", "RequestThrottled")
_ATTEMPTS = 3
_PAUSE_S = 0.5


class WebIdentitySource:
    """AssumeRoleWithWebIdentity. `region` is where SQS is called; the regional STS endpoint is derived from it."""

    __slots__ = ("_environment", "_fetch", "_region", "_web")

    name = "web identity (IRSA)"

    def __init__(self, web: Web, environment: Mapping[str, str], region: str) -> None:
        self._web = web
        self._environment = environment
        self._region = region
        self._fetch: Fetch | None = None

    def fetch(self, done: Callable[[Credentials | Refusal], None]) -> None:
        get = self._environment.get
        token_file = get("AWS_WEB_IDENTITY_TOKEN_FILE")
        role = get("AWS_ROLE_ARN")
        if not token_file:
            done(Refusal("AWS_WEB_IDENTITY_TOKEN_FILE is not set", asked_for=False))
            return
        if not role:
            done(Refusal("AWS_ROLE_ARN is missing, though AWS_WEB_IDENTITY_TOKEN_FILE is set", asked_for=True))
            return
        try:
            token = read_token(token_file)
        except OSError as error:
            done(Refusal(f"the token file can't be read: {why(error)}", asked_for=True))
            return
        session = get("AWS_ROLE_SESSION_NAME") or f"carrier-{int(self._web.loop.wall())}"
        parameters = (
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", session),
            ("WebIdentityToken", token),
        )
        body = "&".join(f"{name}={quote(value)}" for name, value in parameters).encode()
        endpoint = sts_endpoint(self._environment, self._region)

        def answered(outcome: Response | Failure) -> None:
            self._fetch = None
            done(self._read(outcome, endpoint))

        self._fetch = Fetch(
            self._web,
            "POST",
            endpoint,
            [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"), ("Accept", "application/xml")],
            body,
            answered,
            timeout_s=TIMEOUT_S,
            attempts=_ATTEMPTS,
            pause_s=_PAUSE_S,
            again=_passes,
        )

    def cancel(self) -> None:
        if self._fetch is not None:
            self._fetch.cancel()
            self._fetch = None

    def _read(self, outcome: Response | Failure, endpoint: str) -> Credentials | Refusal:
        status = getattr(outcome, "status", None)
        if status is None:
            return Refusal(f"{endpoint}: {outcome.detail}", asked_for=True)  # type: ignore[union-attr]  # a Failure
        body: bytes = outcome.body  # type: ignore[union-attr]  # a Response
        if status != 200:
            code = between(body, b"<Code>", b"</Code>")
            sentence = tidy(between(body, b"<Message>", b"</Message>"))
            said = f"{code}: {sentence}" if code else f"HTTP status {status}"
            return Refusal(f"{endpoint} refused {self._environment.get('AWS_ROLE_ARN')}: {said}", asked_for=True)
        found = {
            name: between(body, f"<{name}>".encode(), f"</{name}>".encode())
            for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        }
        identity = between(body, b"<Arn>", b"</Arn>") or self._environment.get("AWS_ROLE_ARN")
        return from_answer(found, f"{self.name} as {identity}", token_name="SessionToken")


def _passes(outcome: Response | Failure) -> bool:
    status = getattr(outcome, "status", None)
    if status is None or status >= 500:
        return True
    return status != 200 and between(outcome.body, b"<Code>", b"</Code>") in _PASSING  # type: ignore[union-attr]  # a Response


def sts_endpoint(environment: Mapping[str, str], region: str) -> str:
    """AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL, else the region's (the global one for …REGIONAL_ENDPOINTS=legacy)."""
    configured = environment.get("AWS_ENDPOINT_URL_STS") or environment.get("AWS_ENDPOINT_URL")
    if configured and environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
        return configured
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or region
    if environment.get("AWS_STS_REGIONAL_ENDPOINTS", "").lower() == "legacy" and region in _LEGACY_GLOBAL:
        return "https://sts.amazonaws.com"
    host = "sts-fips" if environment.get("AWS_USE_FIPS_ENDPOINT", "").lower() == "true" else "sts"
    return f"https://{host}.{region}.{_suffix(region)}"


def _suffix(region: str) -> str:
    for prefix, suffix in _SUFFIXES:
        if region.startswith(prefix):
            return suffix
    return "amazonaws.com"


_SUFFIXES = (
    ("cn-", "amazonaws.com.cn"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eusc-", "amazonaws.eu"),
)
# The regions for which "legacy" means the global endpoint; later ones never had it.
_LEGACY_GLOBAL = frozenset(
    (
        "ap-northeast-1",
        "ap-south-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "aws-global",
        "ca-central-1",
        "eu-central-1",
        "eu-north-1",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "sa-east-1",
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
    )
)
