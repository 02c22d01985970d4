"""A gate between a process and the API server: TLS goes in and out again, so that requests can be refused halfway."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from carrier_operator.kube.config import from_kubeconfig

HOP = {"host", "connection", "transfer-encoding", "content-length", "content-encoding", "accept-encoding"}


class ApiGate:
    """A reverse proxy in a thread of its own. `url` is plain HTTP on loopback. Use as a context manager.

    `shut`: connections are closed without an answer; `cut`: those that stand are closed; `watch_error`: watches are
    answered with an ERROR event of this code; `fail`: what `path` contains is answered with this status; `silent`:
    watches on which something would come go silent for good; `hold`: writes whose path contains this text wait,
    whatever becomes of who sent them, and `late` has what the API server said to each in the end.
    """

    def __init__(self, cluster: Any) -> None:
        self._target = from_kubeconfig(Path(cluster.kubeconfig))
        self.url = ""
        self.watch_error: int | None = None
        self.fail: dict[str, int] = {}
        self.silent = False
        self.hold: str | None = None
        self.held = 0
        self.late: list[int] = []
        self.requests: list[tuple[str, str]] = []
        self._is_shut = False
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.Task[Any]] = set()

    def __enter__(self) -> ApiGate:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)

    def shut(self) -> None:
        self._is_shut = True
        self.cut()

    def open(self) -> None:
        self._is_shut = False

    def cut(self) -> None:
        def cancel() -> None:
            for task in list(self._open):
                task.cancel()

        self._loop.call_soon_threadsafe(cancel)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve(started))

    async def _serve(self, started: threading.Event) -> None:
        self._stopping = asyncio.Event()
        # Only the server's own certificate is checked; who asks is said by the token that is passed on.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        application = web.Application(client_max_size=1 << 24)
        application.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0), read_bufsize=1 << 22, auto_decompress=False
        ) as self._session:
            started.set()
            await self._stopping.wait()
            for task in list(self._open):
                task.cancel()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            return await self._pass(request)
        except (asyncio.CancelledError, aiohttp.ClientError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
            raise
        finally:
            self._open.discard(task)

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        if self._is_shut:
            assert request.transport is not None
            request.transport.abort()
            raise asyncio.CancelledError
        for part, status in self.fail.items():
            if part in request.path_qs:
                return web.json_response(
                    {"kind": "Status", "reason": "Test", "message": "told to", "code": status}, status=status
                )
        body = await request.read() or None
        was_held = False
        while request.method != "GET" and self.hold is not None and self.hold in request.path_qs:
            self.held += not was_held
            was_held = True
            await asyncio.sleep(0.02)
        watching = "watch" in request.query
        headers = {key: value for key, value in request.headers.items() if key.lower() not in HOP}
        headers["Accept-Encoding"] = "identity"
        response = web.StreamResponse()
        if watching and self.watch_error is not None:
            await response.prepare(request)
            expired = {
                "kind": "Status",
                "code": self.watch_error,
                "reason": "Test",
                "message": "told to",
                "metadata": {},
            }
            await response.write(json.dumps({"type": "ERROR", "object": expired}).encode() + b"\n")
            return response
        async with self._session.request(
            request.method, self._target.url + request.path_qs, data=body, headers=headers,
            timeout=aiohttp.ClientTimeout(total=None), allow_redirects=False,
        ) as answer:  # fmt: skip
            if was_held:
                self.late.append(answer.status)
            response.set_status(answer.status)
            response.headers["Content-Type"] = answer.headers.get("Content-Type", "application/json")
            await response.prepare(request)
            lost = False
            async for chunk in answer.content.iter_any():
                lost = lost or (watching and self.silent)
                if lost:
                    continue  # and whatever comes after it
                await response.write(chunk)
        return response
