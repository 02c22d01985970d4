"""Calls to the API server: JSON in and out, lists by page, watches as a stream of events.

Every failure is an ApiError with the status (0: no answer). Timeouts are given by the caller where they matter.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from .config import ClusterConfig

PAGE = 100  # of a list: decoded, 500 pods are as much memory as 20,000 reduced ones
CONNECT_TIMEOUT_S = 10.0
REQUEST_TIMEOUT_S = 30.0
_LONGEST_EVENT = 4 << 20  # an object is at most 1.5 MiB in etcd


class ApiError(Exception):
    """A call failed. `status` is HTTP's, or 0 when there was no answer; `reason` is Kubernetes' word where it gave
    one.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else f"{reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class Client:
    """One API server. Use as an async context manager."""

    def __init__(self, config: ClusterConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None

    @property
    def namespace(self) -> str:
        """The namespace that is meant when none is said."""
        return self._config.namespace

    async def __aenter__(self) -> Client:
        connector = aiohttp.TCPConnector(ssl=self._config.tls if self._config.tls is not None else False)
        # Lists come faster uncompressed: both sides are short of time here, not of bandwidth.
        headers = {"User-Agent": "carrier-operator", "Accept-Encoding": "identity"}
        self._session = aiohttp.ClientSession(connector=connector, read_bufsize=_LONGEST_EVENT, headers=headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout_s: float = REQUEST_TIMEOUT_S,
        warnings: list[str] | None = None,
    ) -> Any:
        """The decoded answer. ApiError when it is no 2xx, or none comes within `timeout_s`. Warning headers are added
        to `warnings` as they came.
        """
        assert self._session is not None
        headers = {"Accept": "application/json"}
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = json.dumps(body).encode()
        try:
            headers |= self._config.headers()
            async with self._session.request(
                method,
                self._config.url + path,
                params=query,
                data=data,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout_s, connect=CONNECT_TIMEOUT_S),
                allow_redirects=False,
            ) as response:
                payload = await response.read()
                if warnings is not None:
                    warnings += response.headers.getall("Warning", [])
                if response.status // 100 != 2:
                    raise _refused(response.status, payload)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, type(error).__name__, str(error)) from error
        try:
            return json.loads(payload)
        except ValueError as error:
            raise ApiError(0, "BadAnswer", str(error)) from error

    async def pages(self, path: str, query: Mapping[str, str] | None = None) -> AsyncIterator[dict[str, Any]]:
        """The pages of a list, each a list document. ApiError (410 when the list must begin anew)."""
        token = ""
        while True:
            asked = {**(query or {}), "limit": str(PAGE)}
            if token:
                asked["continue"] = token
            page = await self.request("GET", path, query=asked)
            yield page
            token = page.get("metadata", {}).get("continue") or ""
            if not token:
                return

    async def watch(
        self, path: str, resource_version: str, query: Mapping[str, str] | None = None, *, server_timeout_s: int,
        silence_s: float,
    ) -> AsyncIterator[dict[str, Any]]:  # fmt: skip
        """Events as they come, until the server ends the watch. ApiError, also for an ERROR event and for a stream
        that is silent for `silence_s` (bookmarks come once a minute).
        """
        assert self._session is not None
        asked = {
            **(query or {}),
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(server_timeout_s),
        }
        try:
            async with self._session.get(
                self._config.url + path,
                params=asked,
                headers={"Accept": "application/json", **self._config.headers()},
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S, sock_read=silence_s),
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raise _refused(response.status, await response.read())
                async for line in _lines(response):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise _refused(int(event["object"].get("code") or 500), json.dumps(event["object"]).encode())
                    yield event
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, type(error).__name__, str(error)) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ApiError(0, "BadAnswer", str(error)) from error


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    pending = b""
    async for chunk in response.content.iter_any():
        pending += chunk
        *whole, pending = pending.split(b"\n")
        for line in whole:
            if line.strip():
                yield line
        await asyncio.sleep(0)


def _refused(status: int, payload: bytes) -> ApiError:
    try:
        document = json.loads(payload)
        return ApiError(status, str(document.get("reason") or "Error"), str(document.get("message") or ""))
    except (ValueError, AttributeError):
        return ApiError(status, "Error", payload[:200].decode(errors="replace"))
