"""CarrierBindings, watched by kopf; and a list of our own that puts right what a watch can't tell.

kopf takes over signals and cancels tasks that it does not know, so it has a thread and a loop to itself; only events
come over. It is run with handlers for events alone: no finalizers, no daemons, no timers, nothing that writes. What it
misses are bindings that went while it had no watch (it lists again and speaks of those that are there). So after the
start, after each list and each end of kopf's, and every five minutes, we list ourselves and drop what is not there.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import kopf

from carrier_operator.kube.client import PAGE, ApiError, Client
from carrier_operator.kube.config import SERVICE_ACCOUNT, ClusterConfig
from carrier_operator.models import GROUP, PLURAL, VERSION

from .world import World, newer

logger = logging.getLogger(__name__)

PATH = f"/apis/{GROUP}/{VERSION}/{PLURAL}"
IDENTITY = "carrier-controller"
AUDIT_EVERY_S = 300.0
AUDIT_AFTER_LIST_S = 2.0
RESTART_S = 2.0
LONGEST_RESTART_S = 30.0


class EndlessBackoff:
    """Delays between kopf's attempts at a failed call: growing, jittered, and never at an end (then kopf would end)."""

    def __iter__(self) -> Iterator[float]:
        delay_s = 0.5
        while True:
            yield random.uniform(delay_s / 2, delay_s)
            delay_s = min(delay_s * 2, 15.0)


def kopf_settings() -> kopf.OperatorSettings:
    """Settings that keep kopf alive through an API server's outage, small, and silent towards the cluster."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True  # no watching of CRDs and namespaces: no such rights are needed
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    settings.networking.error_backoffs = EndlessBackoff()
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.inactivity_timeout = 70
    settings.watching.chunk_size = PAGE
    settings.queueing.idle_timeout = 0.05  # a worker per binding is given up at once: memory
    settings.queueing.worker_limit = 200
    settings.queueing.exit_timeout = 0.1
    settings.posting.enabled = False
    settings.posting.loggers = False
    settings.persistence.finalizer = f"{GROUP}/finalizer"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    settings.process.ultimate_exiting_timeout = None  # it would kill the thread that we own
    return settings


def connection(config: ClusterConfig, *, in_cluster: bool) -> kopf.ConnectionInfo | None:
    """Credentials for kopf, read anew whenever it asks (tokens of service accounts are replaced)."""
    if not in_cluster:
        return kopf.login_with_kubeconfig(settings=kopf.OperatorSettings())
    scheme, _, token = config.headers().get("Authorization", "").partition(" ")
    return kopf.ConnectionInfo(
        server=config.url, ca_path=str(SERVICE_ACCOUNT / "ca.crt"), scheme=scheme or None, token=token or None
    )


class BindingsWatch:
    """Feeds `world` with bindings. `synced` is set when all were seen once; `restarted` is told why kopf has ended."""

    def __init__(
        self,
        client: Client,
        config: ClusterConfig,
        world: World,
        *,
        in_cluster: bool,
        restarted: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self.synced = asyncio.Event()
        self.heard_at: float | None = None  # when bindings were last heard of (monotonic)
        self._restarted = restarted
        self._client = client
        self._config = config
        self._world = world
        self._in_cluster = in_cluster
        self._audit_soon = asyncio.Event()
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ends kopf's thread, soon."""
        self._stop.set()

    # -- kopf --------------------------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Until cancelled: kopf in its thread, and again whenever it has ended (an ERROR event in a watch ends it).

        Begun when `synced`, and everything else is read: it takes its list in faster than it works it off, and
        thousands of bindings as they come are more memory than all that is kept.
        """
        delay_s = RESTART_S
        while True:
            began = asyncio.get_running_loop().time()
            error = await self._one_life()
            lived_s = asyncio.get_running_loop().time() - began
            delay_s = RESTART_S if lived_s > 60 else min(delay_s * 2, LONGEST_RESTART_S)
            self._restarted(error.partition(":")[0])
            self._audit_soon.set()  # whatever keeps kopf from watching, what is known is never old for long
            logger.warning("the watch of bindings begins anew", extra={"fields": {"error": error, "in_s": delay_s}})
            await asyncio.sleep(delay_s)

    async def _one_life(self) -> str:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str] = loop.create_future()
        stop = self._stop = threading.Event()

        async def live() -> None:
            try:
                await kopf.operator(
                    registry=self._registry(loop),
                    settings=kopf_settings(),
                    # Left out, it is made of the user's name, and the images' user is a number without one.
                    identity=IDENTITY,  # type: ignore[arg-type]  # a text; its type is not among what kopf exports
                    standalone=True,
                    clusterwide=True,
                    stop_flag=stop,
                )
            finally:
                stop.set()  # a thread of kopf's own waits for it, and the loop's end for that thread

        def work() -> None:
            said = "ended"
            try:
                asyncio.run(live())
            except Exception as error:  # noqa: BLE001 - whatever ended it, it is begun anew, and said
                said = f"{type(error).__name__}: {error}"
            if not loop.is_closed():
                loop.call_soon_threadsafe(lambda: None if ended.done() else ended.set_result(said))

        threading.Thread(target=work, name="kopf", daemon=True).start()
        try:
            return await ended
        finally:
            stop.set()

    def _registry(self, main: asyncio.AbstractEventLoop) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        def login(**_: Any) -> kopf.ConnectionInfo | None:
            return connection(self._config, in_cluster=self._in_cluster)

        @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
        async def binding(event: kopf.RawEvent, **_: Any) -> None:
            self._pass_on(main, event["type"], dict(event["object"]))

        return registry

    def _pass_on(self, main: asyncio.AbstractEventLoop, kind: str | None, document: dict[str, Any]) -> None:
        """In kopf's thread. What is known, after our own lists and writes nearly all, costs our loop nothing."""
        metadata = document["metadata"]
        known = self._world.bindings.get((str(metadata["namespace"]), str(metadata["name"])))
        if kind == "DELETED" or known is None or known.resource_version != metadata.get("resourceVersion"):
            main.call_soon_threadsafe(self._event, kind, document)
        elif kind is None and not self._audit_soon.is_set():
            main.call_soon_threadsafe(self._audit_soon.set)

    def _event(self, kind: str | None, document: dict[str, Any]) -> None:
        """In our own loop: what kopf has seen. `kind` is None for what it has listed."""
        metadata = document["metadata"]
        self.heard_at = time.monotonic()
        if kind == "DELETED":
            self._world.drop_binding(str(metadata["namespace"]), str(metadata["name"]), str(metadata["uid"]))
            return
        if kind is None and (metadata["namespace"], metadata["name"]) in self._world.bindings:
            self._audit_soon.set()
        self._world.put_binding(document)

    # -- our own list ------------------------------------------------------------------------------------------------

    async def audits(self) -> None:
        """Until cancelled: our own lists."""
        failures = 0
        while True:
            try:
                await self.audit()
                failures = 0
            except ApiError as error:
                failures += 1
                if failures in (1, 10):
                    logger.warning("bindings can't be listed", extra={"fields": {"error": str(error)}})
                await asyncio.sleep(random.uniform(0.5, 1.0) * min(2**failures, 15))
                continue
            try:
                async with asyncio.timeout(AUDIT_EVERY_S):
                    await self._audit_soon.wait()
                await asyncio.sleep(AUDIT_AFTER_LIST_S)  # the rest of kopf's list
            except TimeoutError:
                pass

    async def audit(self) -> None:
        """Lists all bindings: what is new or newer is put, what is not there is dropped. ApiError."""
        listed: set[tuple[str, str, str]] = set()
        version = ""
        async for page in self._client.pages(PATH):
            version = version or str(page["metadata"]["resourceVersion"])
            for document in page.get("items") or ():
                metadata = document["metadata"]
                listed.add((metadata["namespace"], metadata["name"], metadata["uid"]))
                self._world.put_binding(document)
        self._audit_soon.clear()
        self.heard_at = time.monotonic()
        for (namespace, name), record in list(self._world.bindings.items()):
            # One that is newer than the list was made meanwhile.
            if (namespace, name, record.uid) not in listed and not newer(record.resource_version, version):
                logger.info("a binding went unseen", extra={"fields": {"namespace": namespace, "binding": name}})
                self._world.drop_binding(namespace, name, record.uid)
        self.synced.set()
