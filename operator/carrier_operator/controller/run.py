"""Wiring and life of the controller: stand by, lead, leave. See __main__ for signals and exit codes.

Every replica takes part in the election; the one that leads runs everything else. A leader that loses the Lease ends
the process at once: nothing that it still has in hand may be finished.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import sys
import time

from aiohttp import web

from carrier_operator.container import ClusterFacts
from carrier_operator.kube.client import ApiError, Client
from carrier_operator.kube.config import ClusterConfig
from carrier_operator.kube.reflector import Reflector
from carrier_operator.metrics import Gauge
from carrier_operator.models import GROUP, PLURAL, VERSION

from .bindings_watch import BindingsWatch
from .census import Key
from .certificate_keeper import CertificateKeeper
from .election import Election, Lost, boot_time
from .lease import Elector
from .notices import Notices, binding_subject
from .queue_looks import QueueLooks
from .reconcile import Reconciler
from .rollouts import Rollouts
from .settings import Settings
from .suspending import Suspender
from .telemetry import Telemetry
from .work_queue import WorkQueue
from .world import BindingRecord, NodeFeed, PodFeed, World
from .writing import NotLeading, Writer

logger = logging.getLogger(__name__)

EXIT_LOST = 3
CRD_PATH = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURAL}.{GROUP}"
CRD_AGAIN_S = 5.0
HEARD_WITHIN_S = 60.0


class Controller:
    """One controller in this process. `port` is that of the probes once `started` is set (the settings may say 0)."""

    def __init__(self, settings: Settings, cluster: ClusterConfig, *, in_cluster: bool) -> None:
        self.started = asyncio.Event()
        self.port = 0
        self._settings = settings
        self._cluster = cluster
        self._in_cluster = in_cluster
        self._namespace = settings.namespace or cluster.namespace
        identity = settings.identity or f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._elector = Elector(identity)
        self._telemetry = Telemetry(leading=lambda: float(self._elector.may_write(boot_time())))
        self._state = "standing by"
        self._election: Election | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. OSError if it can't listen; ends the process when the Lease is lost."""
        runner = web.AppRunner(self._probes(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        host, port = self._settings.probes
        await web.TCPSite(runner, host or None, port).start()
        self.port = runner.addresses[0][1]
        logger.info("serving", extra={"fields": {"probes": self.port, "identity": self._elector.identity}})
        self.started.set()
        try:
            # Two clients: the Lease is never behind other calls.
            async with Client(self._cluster) as lease_client, Client(self._cluster) as client:
                election = Election(lease_client, self._elector, self._namespace, self._settings.lease)
                self._election = election
                await self._live(election, client, stop)
        finally:
            await runner.cleanup()

    async def _live(self, election: Election, client: Client, stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(stop.wait())
        candidate = asyncio.create_task(election.run())
        winning = asyncio.create_task(election.won.wait())
        tasks: list[asyncio.Task[object]] = [stopping, candidate, winning]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if winning.done() and not stopping.done():
                leading = asyncio.create_task(self._lead(client))
                tasks.append(leading)
                await asyncio.wait([stopping, candidate, leading], return_when=asyncio.FIRST_COMPLETED)
                if leading.done():
                    _end_if_lost(leading)
                    # A defect. Somebody else may fare better, and need not wait for it.
                    candidate.cancel()
                    await election.release()
                    leading.result()
                    raise RuntimeError("leading ended")
            if candidate.done():
                _end_if_lost(candidate)
                candidate.result()
            # Told to stop: nothing more is written, then the Lease is handed over.
            logger.info("leaving")
            for task in tasks:
                task.cancel()
            await election.release()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=2.0)

    # -- leading -----------------------------------------------------------------------------------------------------

    async def _lead(self, client: Client) -> None:
        settings = self._settings
        self._state = "waiting for the CRD"
        await self._crd(client)
        self._state = "reading"
        began = time.monotonic()
        writer = Writer(client, self._elector, boot_time, self._telemetry)
        notices = Notices(writer, client, self._elector.identity)
        suspender = Suspender(writer.check)
        facts = ClusterFacts(
            settings.sidecar_image, native=settings.native == "true", image_pull_policy=settings.pull_policy
        )
        gone: list[BindingRecord] = []

        def mark(key: Key) -> None:
            queue.add(key)

        world = World(settings.policy, facts, mark, gone.append, auto_native=settings.native == "auto")
        queues = QueueLooks(settings, mark)

        def injecting() -> bool:
            return bool(world.census.namespace(self._namespace).ready(settings.injectors))

        rollouts = Rollouts(writer, client, notices, injecting, allowed=settings.rollout)
        reconciler = Reconciler(world, writer, notices, suspender, rollouts, queues)
        queue = WorkQueue(reconciler.look)
        restarted = self._telemetry.watch_restarts.inc
        watch = BindingsWatch(client, self._cluster, world, in_cluster=self._in_cluster, restarted=restarted)
        reflectors = [Reflector(client, "/api/v1/pods", PodFeed(world), clock=time.monotonic, restarted=restarted)]
        if settings.native == "auto":
            feed = NodeFeed(world)
            reflectors.append(Reflector(client, "/api/v1/nodes", feed, clock=time.monotonic, restarted=restarted))

        def age_s() -> float | None:
            heard = [*(it.heard_at for it in reflectors), watch.heard_at]
            return max((time.monotonic() - it for it in heard if it is not None), default=None)

        self._telemetry.attach(
            Gauge("carrier_controller_cache_age_seconds", "Since pods, nodes or bindings were last heard of.", age_s),
            Gauge("carrier_controller_bindings", "Bindings known.", lambda: float(len(world.bindings))),
            Gauge("carrier_controller_pods", "Pods known.", lambda: float(world.census.pods)),
            Gauge("carrier_controller_queue", "Bindings waiting for a look.", lambda: float(len(queue))),
            Gauge("carrier_controller_looks_total", "Looks at a binding.", lambda: float(queue.looks)),
            Gauge("carrier_controller_failed_looks_total", "Looks that failed.", lambda: float(queue.failures)),
        )
        self._telemetry.attach_figures(lambda: (record.figures for record in world.bindings.values()))
        try:
            async with asyncio.TaskGroup() as group:
                for reflector in reflectors:
                    group.create_task(reflector.run())
                group.create_task(watch.audits())
                group.create_task(_tell_gone(world, notices, gone))
                if settings.webhook is not None:
                    keeper = CertificateKeeper(
                        client, writer, world.census, self._namespace, settings, settings.webhook,
                        pods_known=reflectors[0].synced.is_set,
                    )  # fmt: skip
                    self._telemetry.attach(
                        Gauge(
                            "carrier_controller_ca_not_after_seconds", "When the CA ends.", lambda: keeper.ca_not_after
                        ),
                        Gauge(
                            "carrier_controller_leaf_not_after_seconds",
                            "When the injectors' certificate ends.",
                            lambda: keeper.leaf_not_after,
                        ),
                    )
                    group.create_task(keeper.run())
                for synced in (*(it.synced for it in reflectors), watch.synced):
                    await synced.wait()
                self._state = "leading"
                fields = {
                    "bindings": len(world.bindings),
                    "pods": world.census.pods,
                    "took_s": round(time.monotonic() - began, 2),
                }
                logger.info("everything is read", extra={"fields": fields})
                group.create_task(queue.run())
                group.create_task(watch.follow())
                group.create_task(queues.run(world))
        finally:
            watch.stop()
            await suspender.close()

    async def _crd(self, client: Client) -> None:
        """Waits until the API server serves our version: kopf would idle for ever without it."""
        said = ""
        while True:
            why = "CarrierBinding has no served version " + VERSION
            try:
                found = await client.request("GET", CRD_PATH)
                served = [it["name"] for it in found["spec"]["versions"] if it.get("served")]
                conditions = {it["type"]: it["status"] for it in (found.get("status") or {}).get("conditions") or ()}
                if VERSION in served and conditions.get("Established") == "True":
                    return
            except ApiError as error:
                why = str(error)
            if why != said:
                logger.warning("waiting for the CRD", extra={"fields": {"error": why}})
            said = why
            await asyncio.sleep(CRD_AGAIN_S)

    # -- probes ------------------------------------------------------------------------------------------------------

    def _probes(self) -> web.Application:
        async def live(_: web.Request) -> web.Response:
            return web.Response(text="ok\n")

        async def ready(_: web.Request) -> web.Response:
            heard = self._election.heard if self._election is not None else None
            well = heard is not None and boot_time() - heard < HEARD_WITHIN_S
            state = self._state if well else "the API server does not answer"
            return web.json_response({"ready": well, "state": state}, status=200 if well else 503)

        async def metrics(_: web.Request) -> web.Response:
            body = self._telemetry.exposition().encode()
            return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})

        application = web.Application()
        application.router.add_get("/livez", live)
        application.router.add_get("/readyz", ready)
        application.router.add_get("/metrics", metrics)
        return application


async def _tell_gone(world: World, notices: Notices, gone: list[BindingRecord]) -> None:
    """Says of deleted bindings that pods keep their sidecars. Best effort: nothing waits for it."""
    while True:
        await asyncio.sleep(0.5)
        while gone:
            record = gone.pop()
            namespace, name = record.key
            if record.key in world.bindings:
                continue
            carriers = len(world.census.namespace(namespace).carriers.get(name, ()))
            if not carriers:
                continue
            try:
                await notices.remaining(binding_subject(namespace, name, record.uid), carriers)
            except ApiError as error:
                logger.warning("an Event could not be written", extra={"fields": {"error": str(error)}})


def _end_if_lost(task: asyncio.Task[None]) -> None:
    """Ends the process when this task ended because we no longer lead. No clean-up: it might write."""
    error = task.exception()
    if error is not None and _contains(error, (Lost, NotLeading)):
        logger.error("no longer the leader")
        sys.stdout.flush()
        os._exit(EXIT_LOST)


def _contains(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_contains(it, kinds) for it in error.exceptions)
    return isinstance(error, kinds)
