"""One object of the API server, or its absence, for a reflector: what the keeper of certificates looks at."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Set
from typing import Any


class OneObject:
    """A reflector's store for one object, or its absence; tells of every change."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.document: dict[str, Any] | None = None
        self._changed = changed

    def put(self, document: dict[str, Any]) -> None:
        """It is new or changed."""
        self.document = document
        self._changed()

    def drop(self, document: dict[str, Any]) -> None:
        """It is gone."""
        self.document = None
        self._changed()

    def keep_only(self, names: Set[tuple[str, str]]) -> None:
        """It is there, or it is not: that is known now."""
        if not names:
            self.document = None
        self._changed()

    @property
    def version(self) -> str | None:
        """Its resourceVersion; None where it is not there."""
        return None if self.document is None else str(self.document["metadata"]["resourceVersion"])

    def data(self, key: str) -> bytes:
        """A value of a Secret; empty where it is missing or can't be read."""
        data = (self.document or {}).get("data") or {}
        try:
            return base64.b64decode(data.get(key) or "", validate=True)
        except (ValueError, TypeError, binascii.Error):
            return b""
