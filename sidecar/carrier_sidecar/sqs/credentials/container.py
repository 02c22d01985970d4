"""Credentials from the container's agent: EKS Pod Identity (169.254.170.23) and ECS (169.254.170.2)."""

from __future__ import annotations

from carrier_sidecar.json_text import loads
from carrier_sidecar.sqs.credentials.fetching import Fetch
from carrier_sidecar.sqs.credentials.files import read_token, why
from carrier_sidecar.sqs.credentials.values import Refusal, from_answer
from carrier_sidecar.sqs.errors import tidy
from carrier_sidecar.url import parse_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from carrier_sidecar.http1.failures import Failure
    from carrier_sidecar.http1.responses import Response
    from carrier_sidecar.sqs.credentials.values import Credentials
    from carrier_sidecar.sqs.web import Web

ECS_ADDRESS = "http://169.254.170.2"
# Over plain HTTP a token is sent to these and to loopback addresses only (the rule of the AWS SDKs).
ALLOWED_HOSTS = ("169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost")
TIMEOUT_S = 2.0
_ATTEMPTS = 3
_PAUSE_S = 1.0


class ContainerSource:
    """AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, else …_FULL_URI. The token file is read at each fetch: it is replaced."""

    __slots__ = ("_environment", "_fetch", "_web")

    name = "container (Pod Identity, ECS)"

    def __init__(self, web: Web, environment: Mapping[str, str]) -> None:
        self._web = web
        self._environment = environment
        self._fetch: Fetch | None = None

    def fetch(self, done: Callable[[Credentials | Refusal], None]) -> None:
        get = self._environment.get
        relative = get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        full = get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
        if not relative and not full:
            done(Refusal("AWS_CONTAINER_CREDENTIALS_FULL_URI and …_RELATIVE_URI are not set", asked_for=False))
            return
        url = f"{ECS_ADDRESS}{relative}" if relative else str(full)
        problem = refused_url(url)
        if problem:
            done(Refusal(problem, asked_for=True))
            return
        headers = [("Accept", "application/json")]
        try:
            token = self._token()
        except OSError as error:
            done(Refusal(f"the authorization token can't be read: {why(error)}", asked_for=True))
            return
        if token:
            headers.append(("Authorization", token))

        def answered(outcome: Response | Failure) -> None:
            self._fetch = None
            done(read_answer(outcome, self.name))

        self._fetch = Fetch(
            self._web,
            "GET",
            url,
            headers,
            b"",
            answered,
            timeout_s=TIMEOUT_S,
            attempts=_ATTEMPTS,
            pause_s=_PAUSE_S,
            again=lambda outcome: getattr(outcome, "status", None) != 200,
            direct=True,
        )

    def cancel(self) -> None:
        if self._fetch is not None:
            self._fetch.cancel()
            self._fetch = None

    def _token(self) -> str:
        token_file = self._environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        if token_file:
            return read_token(token_file)
        token = self._environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        if not (token.isascii() and (token.isprintable() or not token)):
            raise OSError("AWS_CONTAINER_AUTHORIZATION_TOKEN contains characters that no token has")
        return token


def refused_url(url: str) -> str:
    """Why nothing is asked of this URL; "" when all is well."""
    try:
        parsed = parse_url(url)
    except ValueError as error:
        return f"AWS_CONTAINER_CREDENTIALS_FULL_URI is not a URL: {error}"
    if parsed.scheme == "https" or parsed.host in ALLOWED_HOSTS or is_loopback(parsed.host):
        return ""
    return (
        f"AWS_CONTAINER_CREDENTIALS_FULL_URI names {parsed.host}: over plain HTTP only loopback and AWS's own addresses"
    )


def is_loopback(host: str) -> bool:
    """An address (not a name) of this host: 127.0.0.0/8 or ::1."""
    if host == "::1" or host == "0:0:0:0:0:0:0:1":
        return True
    parts = host.split(".")
    return (
        len(parts) == 4
        and parts[0] == "127"
        and all(part.isascii() and part.isdigit() and len(part) <= 3 and int(part) <= 255 for part in parts)
    )


def read_answer(outcome: Response | Failure, source: str) -> Credentials | Refusal:
    """Credentials from the answer of a metadata service."""
    status = getattr(outcome, "status", None)
    if status is None:
        return Refusal(outcome.detail, asked_for=True)  # type: ignore[union-attr]  # a Failure
    body: bytes = outcome.body  # type: ignore[union-attr]  # a Response
    if status != 200:
        said = tidy(body.decode("utf-8", "replace"))
        return Refusal(f"HTTP status {status}" + (f": {said}" if said else ""), asked_for=True)
    try:
        answer = loads(body)
    except (ValueError, RecursionError):
        return Refusal("its answer is not JSON", asked_for=True)
    return from_answer(answer, source)
