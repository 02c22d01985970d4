"""The HTTP side: POST /inject over TLS; /livez, /readyz and /metrics on a plain port of their own. Nothing else exists.

A handler decodes, asks, answers and counts; what the answer is comes from inject.py.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

from aiohttp import web

from carrier_operator.container import ClusterFacts
from carrier_operator.inject import inject
from carrier_operator.pods import BadPod
from carrier_operator.stores import BindingStore

from .review import BadReview, decode, encode
from .telemetry import Telemetry

LARGEST_REVIEW = 3 << 20  # bytes; an object is at most 1.5 MiB in etcd, and a review may hold it twice
TOKEN_BYTES = 24


class State:
    """Whether this replica takes reviews: `why_not` is empty when it does."""

    __slots__ = ("leaving", "missing")

    def __init__(self, missing: Callable[[], list[str]]) -> None:
        self.leaving = False
        self.missing = missing

    def why_not(self) -> list[str]:
        """Reasons for not being ready."""
        return ["leaving"] if self.leaving else self.missing()


class Webhook:
    """The handler of reviews."""

    def __init__(
        self, bindings: BindingStore, facts: Callable[[], ClusterFacts], state: State, telemetry: Telemetry
    ) -> None:
        self._bindings = bindings
        self._facts = facts
        self._state = state
        self._telemetry = telemetry
        self._under_way = 0
        self._quiet = asyncio.Event()

    def application(self) -> web.Application:
        """The application on the TLS port."""
        application = web.Application(client_max_size=LARGEST_REVIEW)
        application.router.add_post("/inject", self.handle)
        return application

    async def quiet(self) -> None:
        """Returns once no review is being read or answered."""
        while self._under_way:
            self._quiet.clear()
            await self._quiet.wait()

    async def handle(self, request: web.Request) -> web.Response:
        """One review."""
        self._under_way += 1
        try:
            return await self._answer(request)
        finally:
            self._under_way -= 1
            self._quiet.set()

    async def _answer(self, request: web.Request) -> web.Response:
        began = time.perf_counter()
        missing = self._state.missing()
        if missing:
            self._telemetry.refused("NotReady", ", ".join(missing))
            return web.Response(status=503, text=f"not ready: {', '.join(missing)}")
        if request.content_type != "application/json":
            self._telemetry.refused("ContentType", request.content_type)
            return web.Response(status=400, text="the content type must be application/json")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            self._telemetry.refused("TooLarge", f"more than {LARGEST_REVIEW} bytes")
            raise
        try:
            review = decode(body)
        except BadReview as error:
            self._telemetry.refused("BadReview", str(error))
            return web.Response(status=400, text=str(error))
        try:
            bindings = self._bindings.of(review.namespace)
            token = secrets.token_urlsafe(TOKEN_BYTES)
            injection = inject(review.pod, review.namespace, bindings, self._facts(), token)
            answer = encode(review.uid, injection)
        except BadPod as error:
            self._telemetry.refused("BadPod", str(error), review.uid)
            return web.Response(status=400, text=f"not a pod: {error}")
        except Exception:  # noqa: BLE001 - a defect of ours must neither end the server nor allow by accident
            self._telemetry.failed(review.uid)
            return web.Response(status=500, text="internal error")
        self._telemetry.answered(review, injection, time.perf_counter() - began)
        response = web.Response(body=answer, content_type="application/json")
        if self._state.leaving:
            response.force_close()  # the API server's next review goes to another replica
        return response


def probes(state: State, telemetry: Telemetry) -> web.Application:
    """The application on the plain port."""

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        why_not = state.why_not()
        return web.json_response({"ready": not why_not, "reasons": why_not}, status=503 if why_not else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=telemetry.exposition().encode(), headers={"Content-Type": "text/plain; version=0.0.4"})

    application = web.Application()
    application.router.add_get("/livez", live)
    application.router.add_get("/readyz", ready)
    application.router.add_get("/metrics", metrics)
    return application
