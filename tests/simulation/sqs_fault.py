"""What the in-memory SQS refuses, as the wire shows it."""

from __future__ import annotations


class SqsFault(Exception):
    """A refused call or entry: `code` (without namespace), `message`, HTTP `status`, `query_code` (the older name)."""

    def __init__(self, code: str, message: str, *, status: int = 400, query_code: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.query_code = query_code or code


def invalid(message: str) -> SqsFault:
    return SqsFault("InvalidParameterValue", message)
