"""An API server for tests: lists in pages, watches with bookmarks, and every way of failing that a client must live
through.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from carrier_operator.kube.config import ClusterConfig


class Resource:
    """Objects of one path and the watches on them."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.watchers: list[asyncio.Queue[dict[str, Any] | None]] = []


class FakeApi:
    """What to answer with: `list_status` and `watch_status` other than 200 refuse; `silent` watches say nothing."""

    def __init__(self) -> None:
        self.version = 100
        self.resources: dict[str, Resource] = {}
        self.list_status = 200
        self.watch_status = 200
        self.lists = 0
        self.watches: list[str] = []
        self.silent = False
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._port = 0

    def at(self, path: str) -> Resource:
        return self.resources.setdefault(path, Resource())

    def put(self, path: str, document: dict[str, Any]) -> None:
        self.version += 1
        metadata = document.setdefault("metadata", {})
        metadata["resourceVersion"] = str(self.version)
        key = f"{metadata.get('namespace', '')}/{metadata['name']}"
        resource = self.at(path)
        kind = "MODIFIED" if key in resource.objects else "ADDED"
        resource.objects[key] = document
        self.emit(path, kind, document)

    def delete(self, path: str, namespace: str, name: str) -> None:
        self.version += 1
        document = self.at(path).objects.pop(f"{namespace}/{name}")
        document["metadata"]["resourceVersion"] = str(self.version)
        self.emit(path, "DELETED", document)

    def emit(self, path: str, kind: str, document: dict[str, Any]) -> None:
        for queue in self.at(path).watchers:
            queue.put_nowait({"type": kind, "object": document})

    def error(self, path: str, code: int) -> None:
        status = {"kind": "Status", "code": code, "reason": "Expired" if code == 410 else "Error", "message": "told to"}
        self.emit(path, "ERROR", status)

    def end_watches(self, path: str) -> None:
        for queue in self.at(path).watchers:
            queue.put_nowait(None)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        resource = self.at(request.path)
        if request.query.get("watch"):
            return await self._watch(request, resource)
        self.lists += 1
        if self.list_status != 200:
            return web.json_response(
                {"kind": "Status", "reason": "TestRefusal", "message": "told to"}, status=self.list_status
            )
        begin = int(request.query.get("continue") or 0)
        limit = int(request.query["limit"])
        chosen = list(resource.objects.values())
        if selector := request.query.get("fieldSelector"):
            chosen = [it for it in chosen if it["metadata"]["name"] == selector.partition("=")[2]]
        metadata = {"resourceVersion": str(self.version)}
        if begin + limit < len(chosen):
            metadata["continue"] = str(begin + limit)
        return web.json_response({"metadata": metadata, "items": chosen[begin : begin + limit]})

    async def _watch(self, request: web.Request, resource: Resource) -> web.StreamResponse:
        self.watches.append(request.query["resourceVersion"])
        if self.watch_status != 200:
            return web.json_response({"reason": "TestRefusal", "message": "told to"}, status=self.watch_status)
        response = web.StreamResponse()
        await response.prepare(request)
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        since = int(request.query["resourceVersion"])
        for document in resource.objects.values():
            if int(document["metadata"]["resourceVersion"]) > since:
                queue.put_nowait({"type": "ADDED", "object": document})
        resource.watchers.append(queue)
        try:
            while (event := await queue.get()) is not None:
                if not self.silent:
                    await response.write(json.dumps(event).encode() + b"\n")
        finally:
            resource.watchers.remove(queue)
        return response

    async def start(self) -> None:
        application = web.Application()
        application.router.add_get("/{tail:.*}", self.handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        if self._runner is not None:
            for resource in self.resources.values():
                for queue in resource.watchers:
                    queue.put_nowait(None)
            await self._runner.cleanup()
            self._runner = None

    def config(self) -> ClusterConfig:
        return ClusterConfig(self.url, None)


@asynccontextmanager
async def fake_api() -> AsyncIterator[FakeApi]:
    api = FakeApi()
    await api.start()
    try:
        yield api
    finally:
        await api.stop()


async def until(condition: Any, timeout_s: float = 5.0) -> None:
    """Waits until the condition holds; AssertionError after `timeout_s`."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it never came true"
        await asyncio.sleep(0.005)
