"""Credentials from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN."""

from __future__ import annotations

from carrier_sidecar.sqs.credentials.values import Credentials, Refusal
from carrier_sidecar.sqs.dates import parse_iso8601

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class EnvironmentSource:
    """Reads the environment; no I/O."""

    __slots__ = ("_environment",)

    name = "environment"

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def fetch(self, done: Callable[[Credentials | Refusal], None]) -> None:
        done(self.read())

    def cancel(self) -> None:
        pass

    def read(self) -> Credentials | Refusal:
        get = self._environment.get
        access_key = get("AWS_ACCESS_KEY_ID", "").strip()
        secret_key = get("AWS_SECRET_ACCESS_KEY", "").strip()
        if not access_key and not secret_key:
            return Refusal("AWS_ACCESS_KEY_ID is not set", asked_for=False)
        for name, value in (("AWS_ACCESS_KEY_ID", access_key), ("AWS_SECRET_ACCESS_KEY", secret_key)):
            if not value:
                return Refusal(f"{name} is missing, though its companion is set", asked_for=True)
        token = (get("AWS_SESSION_TOKEN") or get("AWS_SECURITY_TOKEN") or "").strip()
        for name, value in (("AWS_ACCESS_KEY_ID", access_key), ("AWS_SESSION_TOKEN", token)):
            if not (value.isascii() and value.isprintable()):
                return Refusal(f"{name} contains characters that no key has", asked_for=True)
        expiration = get("AWS_CREDENTIAL_EXPIRATION")
        expires_at = None
        if expiration:
            expires_at = parse_iso8601(expiration)
            if expires_at is None:
                return Refusal("AWS_CREDENTIAL_EXPIRATION is no date", asked_for=True)
        return Credentials(access_key, secret_key, token, expires_at, self.name)
