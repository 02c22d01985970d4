"""Credentials and the refusal to give any: values, and the interface of a source."""

from __future__ import annotations

from carrier_sidecar.sqs.dates import parse_iso8601

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Source(Protocol):
        """Something that may have credentials. `name` is for people."""

        @property
        def name(self) -> str: ...

        def fetch(self, done: Callable[[Credentials | Refusal], None]) -> None:
            """Calls `done` once, at once or later."""

        def cancel(self) -> None:
            """Give up what is under way; `done` is not called any more."""


class Credentials:
    """One set. `token` is "" for long-lived keys; `expires_at` in Unix seconds, None for never; `source` for people."""

    __slots__ = ("access_key", "expires_at", "secret_key", "source", "token")

    def __init__(self, access_key: str, secret_key: str, token: str, expires_at: float | None, source: str) -> None:
        self.access_key = access_key
        self.secret_key = secret_key
        self.token = token
        self.expires_at = expires_at
        self.source = source

    def __repr__(self) -> str:  # the access key's id is no secret; the rest is
        return f"<Credentials {self.access_key} from {self.source}>"


class Refusal:
    """A source gave nothing. `why` for people; `asked_for`: the source was configured, so that falling back to another
    identity would hide a fault."""

    __slots__ = ("asked_for", "why")

    def __init__(self, why: str, *, asked_for: bool) -> None:
        self.why = why
        self.asked_for = asked_for

    def __repr__(self) -> str:
        return f"<Refusal: {self.why}>"


def from_answer(answer: object, source: str, token_name: str = "Token") -> Credentials | Refusal:
    """Credentials from the JSON object that metadata services and the child process answer."""
    if not isinstance(answer, dict):
        return Refusal("its answer is not a JSON object", asked_for=True)
    fields = []
    for name in ("AccessKeyId", "SecretAccessKey", token_name):
        value = answer.get(name)
        if value is None and name == token_name:
            value = ""
        if not isinstance(value, str) or (not value and name != token_name):
            said = answer.get("Message") or answer.get("message")
            return Refusal(f"its answer has no {name}" + (f": {said}" if isinstance(said, str) else ""), asked_for=True)
        if not (value.isascii() and value.isprintable()):
            return Refusal(f"its answer has unprintable characters in {name}", asked_for=True)
        fields.append(value)
    expiration = answer.get("Expiration")
    expires_at = None
    if expiration is not None:
        expires_at = parse_iso8601(expiration) if isinstance(expiration, str) else None
        if expires_at is None:
            return Refusal("its answer has an Expiration that is no date", asked_for=True)
    return Credentials(fields[0], fields[1], fields[2], expires_at, source)
