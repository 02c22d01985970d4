"""Wiring and life of the injector: start, serve, leave. See __main__ for signals and exit codes."""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import logging
from pathlib import Path

from aiohttp import web

from carrier_operator.container import ClusterFacts
from carrier_operator.kube.client import Client
from carrier_operator.kube.config import ClusterConfig
from carrier_operator.kube.reflector import Reflector
from carrier_operator.models import GROUP, PLURAL, VERSION
from carrier_operator.stores import BindingStore, NodeStore, QuotaStore

from .certificate import SecretStore, ServingCertificate, follow_files
from .server import State, Webhook, probes
from .settings import Settings
from .telemetry import Telemetry, monotonic

logger = logging.getLogger(__name__)

BINDINGS_PATH = f"/apis/{GROUP}/{VERSION}/{PLURAL}"
NODES_PATH = "/api/v1/nodes"
QUOTAS_PATH = "/api/v1/resourcequotas"
# asyncio sets 256 KiB aside for each TLS connection; reviews are read as well in pieces of this size.
TLS_READ_BYTES = 32 << 10
IDLE_CONNECTION_S = 120.0  # the API server's own idle time is 90 s


class Injector:
    """One injector in this process. `ports` are the ports in use once `started` is set (the settings may say 0)."""

    def __init__(self, settings: Settings, cluster: ClusterConfig) -> None:
        self.started = asyncio.Event()
        self.ports: tuple[int, int] = (0, 0)
        self._settings = settings
        self._client = Client(cluster)
        self._bindings = BindingStore(settings.policy)
        self._nodes = NodeStore()
        self._quotas = QuotaStore()
        self._serving = ServingCertificate()
        self._state = State(self._missing)
        self._telemetry = Telemetry(
            cache_age_s=self._cache_age_s,
            bindings=lambda: float(len(self._bindings)),
            certificate_not_after=lambda: self._serving.not_after,
            ready=lambda: float(not self._state.why_not()),
        )
        self._reflectors = {
            "bindings": self._reflector(BINDINGS_PATH, self._bindings),
            "quotas": self._reflector(QUOTAS_PATH, self._quotas),
        }
        if settings.native == "auto":
            self._reflectors["nodes"] = self._reflector(NODES_PATH, self._nodes)
        self._secret: Reflector | None = None
        if settings.cert_secret is not None:
            namespace, name = settings.cert_secret
            self._secret = Reflector(
                self._client,
                f"/api/v1/namespaces/{namespace}/secrets",
                SecretStore(self._serving),
                query={"fieldSelector": f"metadata.name={name}"},
                clock=monotonic,
                restarted=self._telemetry.watch_restarts.inc,
            )

    def _reflector(self, path: str, store: BindingStore | NodeStore | QuotaStore) -> Reflector:
        return Reflector(
            self._client,
            path,
            store,
            clock=monotonic,
            restarted=self._telemetry.watch_restarts.inc,
        )

    def _facts(self) -> ClusterFacts:
        native = self._nodes.all_native() if self._settings.native == "auto" else self._settings.native == "true"
        return ClusterFacts(
            self._settings.sidecar_image,
            native=native,
            image_pull_policy=self._settings.pull_policy,
            cpu_limited=self._quotas.namespaces,
        )

    def _missing(self) -> list[str]:
        missing = [f"first list of {name}" for name, it in self._reflectors.items() if not it.synced.is_set()]
        return missing if self._serving.loaded.is_set() else [*missing, "certificate"]

    def _cache_age_s(self) -> float | None:
        heard = self._reflectors["bindings"].heard_at
        return None if heard is None else monotonic() - heard

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set; then leaves the endpoints, finishes the reviews and returns. OSError if it can't
        listen.
        """
        asyncio.sslproto.SSLProtocol.max_size = TLS_READ_BYTES
        webhook = Webhook(self._bindings, self._facts, self._state, self._telemetry)
        reviews = web.AppRunner(
            webhook.application(),
            access_log=None,
            keepalive_timeout=IDLE_CONNECTION_S,
            shutdown_timeout=1.0,
        )
        plain = web.AppRunner(probes(self._state, self._telemetry), access_log=None, shutdown_timeout=1.0)
        async with self._client:
            background = [asyncio.create_task(it.run()) for it in self._reflectors.values()]
            if self._secret is not None:
                background.append(asyncio.create_task(self._secret.run()))
            if self._settings.cert_dir is not None:
                background.append(asyncio.create_task(follow_files(self._serving, Path(self._settings.cert_dir))))
            try:
                await self._serve(reviews, plain)
                await _until(stop, background)
                self._state.leaving = True
                logger.info("leaving", extra={"fields": {"for_s": self._settings.leave_s}})
                await _until_timeout(background, self._settings.leave_s)
                await self._finish(webhook, reviews)
            finally:
                await reviews.cleanup()
                await plain.cleanup()
                for task in background:
                    task.cancel()
                await asyncio.gather(*background, return_exceptions=True)

    async def _finish(self, webhook: Webhook, reviews: web.AppRunner) -> None:
        """No new connections; what is being read or answered is finished. Not left to aiohttp's own shutdown, which
        stops reading bodies at once.
        """
        for site in list(reviews.sites):
            await site.stop()
        try:
            await asyncio.wait_for(webhook.quiet(), self._settings.finish_s)
        except TimeoutError:
            logger.warning("reviews were cut off", extra={"fields": {"after_s": self._settings.finish_s}})

    async def _serve(self, reviews: web.AppRunner, plain: web.AppRunner) -> None:
        await reviews.setup()
        await plain.setup()
        host, port = self._settings.listen
        site = web.TCPSite(reviews, host or None, port, ssl_context=self._serving.context, backlog=1024)
        await site.start()
        host, port = self._settings.probes
        await web.TCPSite(plain, host or None, port).start()
        self.ports = (reviews.addresses[0][1], plain.addresses[0][1])
        self.started.set()
        logger.info("serving", extra={"fields": {"reviews": self.ports[0], "probes": self.ports[1]}})


async def _until(stop: asyncio.Event, background: list[asyncio.Task[None]]) -> None:
    """Until `stop` is set. A background task that ends is a defect: its exception is raised."""
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([waiting, *background], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for task in done - {waiting}:
        task.result()
        raise RuntimeError("a background task ended")


async def _until_timeout(background: list[asyncio.Task[None]], timeout_s: float) -> None:
    """For `timeout_s`, with caches kept fresh all the while."""
    await asyncio.wait(background, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
