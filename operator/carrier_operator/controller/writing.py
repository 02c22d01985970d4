"""The one way by which the controller changes anything in the cluster: only while it leads, and seen by the metrics.

The deadline is checked before each call, and the call gets no more time than is left. What a call that was under way
when leadership went still does is caught by the object's resourceVersion, which every change of an existing object
carries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from carrier_operator.kube.client import REQUEST_TIMEOUT_S, Client

from .lease import Elector

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
FIELD_MANAGER = "carrier-controller"


class NotLeading(Exception):
    """The Lease's deadline has passed: nothing may be written."""


class Counted(Protocol):
    """Who counts the writes."""

    def wrote(self, what: str, result: str) -> None:
        """A call was made."""


class Writer:
    """Writes through `client` while `elector` may."""

    def __init__(self, client: Client, elector: Elector, clock: Callable[[], float], counted: Counted) -> None:
        self._client = client
        self._elector = elector
        self._clock = clock
        self._counted = counted

    def check(self) -> None:
        """NotLeading, unless something may be changed now."""
        if not self._elector.may_write(self._clock()):
            raise NotLeading

    async def write(
        self,
        what: str,
        method: str,
        path: str,
        body: Any,
        *,
        content_type: str = "application/json",
        force: bool = False,
    ) -> Any:
        """The object as the API server has it afterwards. ApiError, NotLeading. `what` is for the metrics."""
        self.check()
        query = {"fieldManager": FIELD_MANAGER}
        if force:
            query["force"] = "true"
        timeout_s = min(REQUEST_TIMEOUT_S, self._elector.left_s(self._clock()))
        result = "failed"
        try:
            answer = await self._client.request(
                method, path, query=query, body=body, content_type=content_type, timeout_s=timeout_s
            )
            result = "done"
        finally:
            self._counted.wrote(what, result)
        return answer
