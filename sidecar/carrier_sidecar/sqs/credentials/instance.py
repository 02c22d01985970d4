"""Credentials of the instance's role, from the metadata service in its second version (a session token first)."""

from __future__ import annotations

from carrier_sidecar.json_text import loads
from carrier_sidecar.sqs.credentials.fetching import Fetch
from carrier_sidecar.sqs.credentials.values import Refusal, from_answer
from carrier_sidecar.sqs.errors import tidy
from carrier_sidecar.sqs.signing import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from carrier_sidecar.http1.failures import Failure
    from carrier_sidecar.http1.responses import Response
    from carrier_sidecar.sqs.credentials.values import Credentials
    from carrier_sidecar.sqs.web import Web

IPV4 = "http://169.254.169.254"
IPV6 = "http://[fd00:ec2::254]"
ROLE_PATH = "/latest/meta-data/iam/security-credentials/"
TOKEN_PATH = "/latest/api/token"
TOKEN_LIFE_S = 300  # one set of calls; no token is kept
TIMEOUT_S = 1.0
ATTEMPTS = 2
_PAUSE_S = 0.2


class InstanceSource:
    """Token, role name, credentials: three calls of a second at most each, a second try for each."""

    __slots__ = ("_environment", "_fetch", "_web")

    name = "instance metadata (IMDSv2)"

    def __init__(self, web: Web, environment: Mapping[str, str]) -> None:
        self._web = web
        self._environment = environment
        self._fetch: Fetch | None = None

    def fetch(self, done: Callable[[Credentials | Refusal], None]) -> None:
        if self._environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            done(Refusal("AWS_EC2_METADATA_DISABLED is true", asked_for=False))
            return
        base = endpoint(self._environment)

        def with_token(outcome: Response | Failure) -> None:
            token = self._text(outcome)
            if isinstance(token, Refusal):
                done(token)
                return
            headers = [("x-aws-ec2-metadata-token", token)]

            def with_role(outcome: Response | Failure) -> None:
                role = self._text(outcome)
                if isinstance(role, Refusal):
                    done(role)
                    return
                url = base + ROLE_PATH + quote(role.split("\n", 1)[0].strip())
                self._call("GET", url, headers, lambda outcome: done(self._read(outcome, role)))

            self._call("GET", base + ROLE_PATH, headers, with_role)

        self._call("PUT", base + TOKEN_PATH, [("x-aws-ec2-metadata-token-ttl-seconds", str(TOKEN_LIFE_S))], with_token)

    def cancel(self) -> None:
        if self._fetch is not None:
            self._fetch.cancel()
            self._fetch = None

    def _call(
        self, method: str, url: str, headers: list[tuple[str, str]], answered: Callable[[Response | Failure], None]
    ) -> None:
        def ended(outcome: Response | Failure) -> None:
            self._fetch = None
            answered(outcome)

        self._fetch = Fetch(
            self._web,
            method,
            url,
            headers,
            b"",
            ended,
            timeout_s=_number(self._environment, "AWS_METADATA_SERVICE_TIMEOUT", TIMEOUT_S),
            attempts=int(_number(self._environment, "AWS_METADATA_SERVICE_NUM_ATTEMPTS", ATTEMPTS)),
            pause_s=_PAUSE_S,
            again=lambda outcome: getattr(outcome, "status", 0) not in (200, 400, 403, 404, 405),
            direct=True,
        )

    def _text(self, outcome: Response | Failure) -> str | Refusal:
        """The body of a good answer: a token or a role's name."""
        status = getattr(outcome, "status", None)
        if status is None:
            return Refusal(outcome.detail, asked_for=False)  # type: ignore[union-attr]  # a Failure
        text: str = outcome.body.decode("utf-8", "replace").strip()  # type: ignore[union-attr]  # a Response
        if status == 404:
            return Refusal("the instance has no role", asked_for=False)
        if status != 200:
            return Refusal(f"HTTP status {status}" + (f": {tidy(text)}" if text else ""), asked_for=False)
        if not text or not text.isascii() or "\r" in text:
            return Refusal("its answer is empty or unreadable", asked_for=False)
        return text

    def _read(self, outcome: Response | Failure, role: str) -> Credentials | Refusal:
        text = self._text(outcome)
        if isinstance(text, Refusal):
            return text
        try:
            answer = loads(text)
        except (ValueError, RecursionError):
            return Refusal("its answer is not JSON", asked_for=False)
        if isinstance(answer, dict) and answer.get("Code", "Success") != "Success":
            return Refusal(f"{answer.get('Code')}: {tidy(str(answer.get('Message', '')))}", asked_for=False)
        return from_answer(answer, f"{self.name} as {role}")


def endpoint(environment: Mapping[str, str]) -> str:
    """AWS_EC2_METADATA_SERVICE_ENDPOINT, else the address of the chosen mode; without a slash at its end."""
    configured = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
    if configured:
        return configured.rstrip("/")
    ipv6 = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "").lower() == "ipv6"
    return IPV6 if ipv6 else IPV4


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    return float(text) if text.isascii() and text.isdigit() and 0 < int(text) < 1000 else default
