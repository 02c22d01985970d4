"""A list of objects kept up to date by list and watch, through whatever the API server does.

What is known stays known while the API server is away. A watch that ends is taken up where it was; one whose place is
forgotten (410) begins with a new list. Failures are retried for ever with jittered backoff. Nothing here knows what the
objects are: a `Store` takes them.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Set
from typing import Any, Protocol

from .client import ApiError, Client

logger = logging.getLogger(__name__)

SERVER_TIMEOUT_S = 290
SILENCE_S = 75.0
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 15.0
FAILURES_UNTIL_LIST = 5  # a watch that fails so often in a row without an event begins anew with a list


Name = tuple[str, str]  # namespace (empty where there is none) and name


class Store(Protocol):
    """Who keeps the objects."""

    def put(self, document: dict[str, Any]) -> None:
        """One is new or changed."""

    def drop(self, document: dict[str, Any]) -> None:
        """One is gone."""

    def keep_only(self, names: Set[Name]) -> None:
        """A list has ended, and each of its objects was put: these are all there are."""


class Reflector:
    """One resource. `synced` is set after the first list; `heard_at` is when the API server last said something."""

    def __init__(
        self,
        client: Client,
        path: str,
        store: Store,
        *,
        query: Mapping[str, str] | None = None,
        clock: Callable[[], float],
        restarted: Callable[[str], None] = lambda reason: None,
        silence_s: float = SILENCE_S,
        first_delay_s: float = FIRST_DELAY_S,
    ) -> None:
        self.synced = asyncio.Event()
        self.heard_at: float | None = None
        self._client = client
        self._path = path
        self._store = store
        self._query = dict(query or {})
        self._clock = clock
        self._restarted = restarted
        self._silence_s = silence_s
        self._first_delay_s = first_delay_s
        self._failures = 0

    async def run(self) -> None:
        """Until cancelled."""
        resource_version: str | None = None
        while True:
            try:
                if resource_version is None:
                    resource_version = await self._list()
                resource_version = await self._watch(resource_version)
            except ApiError as error:
                if error.status == 410 or self._failures >= FAILURES_UNTIL_LIST:
                    resource_version = None
                self._restarted(str(error.status) if error.status else error.reason)
                await self._pause(error)
            except _Moved as moved:
                resource_version = moved.resource_version
                self._restarted(str(moved.error.status) if moved.error.status else moved.error.reason)
                await self._pause(moved.error)

    async def _list(self) -> str:
        """The list's resource version. Its objects are put as the pages come: a list is as of one moment, later than
        all that was known, so also one that breaks off has told nothing but news.
        """
        names: set[Name] = set()
        version = ""
        async for page in self._client.pages(self._path, self._query):
            try:
                for item in page.get("items") or ():
                    metadata = item["metadata"]
                    names.add((str(metadata.get("namespace") or ""), str(metadata["name"])))
                    self._store.put(item)
                version = str(page["metadata"]["resourceVersion"])
            except (KeyError, TypeError, AttributeError) as error:
                raise ApiError(0, "BadAnswer", f"not a list: {error!r}") from error
            self._heard()
        self._store.keep_only(names)
        self.synced.set()
        return version

    async def _watch(self, version: str) -> str:
        """The resource version reached when the server ended the watch. _Moved when it failed after some events."""
        began = version
        try:
            events = self._client.watch(
                self._path, version, self._query, server_timeout_s=SERVER_TIMEOUT_S, silence_s=self._silence_s
            )
            async for event in events:
                self._heard()
                document = event["object"]
                version = str(document["metadata"]["resourceVersion"])
                if event["type"] in ("ADDED", "MODIFIED"):
                    self._store.put(document)
                elif event["type"] == "DELETED":
                    self._store.drop(document)
        except ApiError as error:
            if error.status == 410 or version == began:
                raise
            raise _Moved(version, error) from error
        # A server that ends watches at once must not be asked in a tight loop.
        await asyncio.sleep(self._first_delay_s * random.uniform(0.1, 1))
        return version

    def _heard(self) -> None:
        self.heard_at = self._clock()
        self._failures = 0

    async def _pause(self, error: ApiError) -> None:
        self._failures += 1
        longest = min(self._first_delay_s * 2 ** (self._failures - 1), LONGEST_DELAY_S)
        delay_s = random.uniform(longest / 2, longest)
        level = logging.WARNING if self._failures in (1, 10) or self._failures % 100 == 0 else logging.DEBUG
        fields = {"path": self._path, "error": str(error), "failures": self._failures, "retry_in_s": round(delay_s, 2)}
        logger.log(level, "list or watch failed; what is known stays in use", extra={"fields": fields})
        await asyncio.sleep(delay_s)


class _Moved(Exception):
    """A watch failed, having come as far as `resource_version`."""

    def __init__(self, resource_version: str, error: ApiError) -> None:
        super().__init__(str(error))
        self.resource_version = resource_version
        self.error = error
