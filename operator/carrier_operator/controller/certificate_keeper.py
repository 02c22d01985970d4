"""Keeps the webhook's certificates: looks at the Secrets, the webhook's configuration and the injectors, and does the
one thing that certificate_policy.py says, until there is nothing to do.

The CA and its key are in a Secret that only the controller may read; the leaf in another, for the injectors. caBundle
is set by server-side apply under our own field manager, webhook by webhook, so that whoever applies the configuration
again leaves it alone; when somebody replaces it, it is set again.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from cryptography import x509

from carrier_operator.kube.client import ApiError, Client
from carrier_operator.kube.reflector import Reflector

from . import certificate_policy as policy
from . import certificates
from .census import Census
from .one_object import OneObject
from .served import leaf_served, reviews_port
from .settings import Settings
from .writing import APPLY_PATCH, FIELD_MANAGER, Writer

logger = logging.getLogger(__name__)

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
RETRY_S = 2.0
LONGEST_RETRY_S = 30.0
# Whoever undoes a step sees it done again, soon and then ever more seldom: two that fight must not load the API server.
AGAIN_S = 0.1
LONGEST_AGAIN_S = 5.0
FORGOTTEN_S = 60.0  # a step that was done so long ago is not the same again


class CertificateKeeper:
    """Runs while we lead. `census` says which injectors are ready, and where, once `pods_known`; `clock` is the time of
    day (Unix seconds).
    """

    def __init__(
        self,
        client: Client,
        writer: Writer,
        census: Census,
        namespace: str,
        settings: Settings,
        webhook: str,
        *,
        pods_known: Callable[[], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.leaf_not_after: float | None = None  # Unix seconds, for the metrics
        self.ca_not_after: float | None = None
        self._writer = writer
        self._census = census
        self._namespace = namespace
        self._settings = settings
        self._webhook = webhook
        self._names = frozenset(certificates.canonical(name) for name in settings.cert_names)
        self._pods_known = pods_known
        self._clock = clock
        self._last: tuple[tuple[str, ...], float, int] = ((), 0.0, 0)  # a step, when it was done, and how often
        self._wake = asyncio.Event()
        self._ca = OneObject(self._wake.set)
        self._leaf = OneObject(self._wake.set)
        self._configuration = OneObject(self._wake.set)
        self._published: tuple[str, float] | None = None  # fingerprint of the CA in caBundle, and since when
        secrets = f"/api/v1/namespaces/{namespace}/secrets"
        self._reflectors = [
            Reflector(client, path, store, query={"fieldSelector": f"metadata.name={name}"}, clock=time.monotonic)
            for path, store, name in (
                (secrets, self._ca, settings.ca_secret),
                (secrets, self._leaf, settings.leaf_secret),
                (WEBHOOKS, self._configuration, webhook),
            )
        ]

    async def run(self) -> None:
        """Until cancelled; NotLeading."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run())
            group.create_task(self._keep())

    async def _keep(self) -> None:
        for reflector in self._reflectors:
            await reflector.synced.wait()
        failures = 0
        while True:
            self._wake.clear()
            try:
                wait_s = await self._look()
                failures = 0
            except ApiError as error:
                wait_s = 0.2
                if error.status != 409:
                    failures += 1
                    wait_s = min(RETRY_S * 2 ** (failures - 1), LONGEST_RETRY_S)
                    if failures in (1, 10) or failures % 100 == 0:
                        fields = {"error": str(error), "failures": failures}
                        logger.warning("certificates can't be kept", extra={"fields": fields})
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _look(self) -> float:
        """One look and what follows from it; seconds until the next one."""
        served = await self._served() if self._older() else None
        # From here to the write nothing is waited for: what is decided about is what stands.
        now = self._clock()
        seen = self._observe(now, served)
        self.ca_not_after = seen.ca.not_after if seen.ca else None
        self.leaf_not_after = seen.leaf.not_after if seen.leaf else None
        step = policy.next_step(seen, now, self._names, self._settle_s())
        if step is None:
            return policy.look_again_in_s(seen, now)
        wait_s = self._again_in_s(step)
        if wait_s > 0:
            return wait_s
        fields: dict[str, object] = {"step": step.what, "why": step.why}
        if step.what == policy.PUBLISH and (others := self._others()):
            fields["set_by"] = ", ".join(others)
        logger.info("certificates", extra={"fields": fields})
        if step.what == policy.MAKE_CA:
            await self._make_ca(now)
        elif step.what == policy.PUBLISH:
            await self._publish(step.trust)
        elif step.what == policy.MAKE_LEAF:
            await self._make_leaf(now)
        else:
            await self._write_ca(self._ca.data("ca.crt"), self._ca.data("ca.key"), b"")
        self._done(step)
        return 0.0 if step.what != policy.PUBLISH else policy.SETTLE_S / 10

    def _again_in_s(self, step: policy.Step) -> float:
        """How long to wait with a step; nothing for one that has not just been done."""
        last, done_at, times = self._last
        now = asyncio.get_running_loop().time()
        if last != _key(step) or now - done_at > FORGOTTEN_S:
            return 0.0
        return done_at + min(AGAIN_S * 2.0**times, LONGEST_AGAIN_S) - now

    def _done(self, step: policy.Step) -> None:
        last, done_at, times = self._last
        now = asyncio.get_running_loop().time()
        times = times + 1 if last == _key(step) and now - done_at <= FORGOTTEN_S else 0
        self._last = (_key(step), now, times)
        if times in (3, 30):
            fields = {"step": step.what, "why": step.why, "times": times + 1, "set_by": ", ".join(self._others())}
            logger.warning("somebody undoes what is done for certificates", extra={"fields": fields})

    def _others(self) -> list[str]:
        """Who else has set a caBundle of the configuration, as its managed fields have it."""
        metadata = (self._configuration.document or {}).get("metadata") or {}
        entries = [it for it in metadata.get("managedFields") or () if "f:caBundle" in str(it.get("fieldsV1"))]
        return sorted({str(it.get("manager")) for it in entries} - {FIELD_MANAGER})

    def _settle_s(self) -> float:
        return min(policy.SETTLE_S, self._settings.leaf_lifetime_s / 10)

    # -- looking -----------------------------------------------------------------------------------------------------

    def _older(self) -> set[str]:
        """Authorities besides the present one that somebody may still serve by."""
        ca = self._ca_certificate()
        known = {certificates.fingerprint(it) for it in (*self._previous(), *(self._bundle() or ()))}
        return known - ({certificates.fingerprint(ca)} if ca else set())

    def _observe(self, now: float, served: list[str | None] | None) -> policy.Observed:
        ca, previous, bundle = self._ca_certificate(), self._previous(), self._bundle()
        leaf = self._leaf_certificate()
        if served is None:
            # There is one authority, so nobody was asked.
            served = [certificates.fingerprint(leaf)] if leaf else []
        authorities = [*([ca] if ca else []), *previous, *(bundle or ())]
        return policy.Observed(
            certificates.describe(ca) if ca else None,
            certificates.describe(leaf, authorities) if leaf else None,
            bundle=None if bundle is None else [certificates.describe(it) for it in bundle],
            previous=[certificates.describe(it) for it in previous],
            served=served,
            published_s=self._published_s(ca, bundle or []),
            no_ca=certificates.flaw_of_ca(self._ca.data("ca.crt"), self._ca.data("ca.key")) or "",
            no_leaf=certificates.flaw_of_pair(self._leaf.data("tls.crt"), self._leaf.data("tls.key")) or "",
        )

    def _ca_certificate(self) -> x509.Certificate | None:
        certificate, key = self._ca.data("ca.crt"), self._ca.data("ca.key")
        return certificates.read_all(certificate)[0] if certificates.flaw_of_ca(certificate, key) is None else None

    def _previous(self) -> list[x509.Certificate]:
        return certificates.read_all(self._ca.data("previous.crt"))

    def _leaf_certificate(self) -> x509.Certificate | None:
        certificate, key = self._leaf.data("tls.crt"), self._leaf.data("tls.key")
        return certificates.read_all(certificate)[0] if certificates.flaw_of_pair(certificate, key) is None else None

    def _bundle(self) -> list[x509.Certificate] | None:
        """What every webhook of the configuration trusts; nothing, where they differ; None without a webhook."""
        if not (self._configuration.document or {}).get("webhooks"):
            return None
        assert self._configuration.document is not None
        bundles = set()
        for webhook in self._configuration.document.get("webhooks") or ():
            bundles.add((webhook.get("clientConfig") or {}).get("caBundle") or "")
        if len(bundles) != 1:
            return []
        try:
            return certificates.read_all(base64.b64decode(bundles.pop(), validate=True))
        except (ValueError, binascii.Error):
            return []

    def _published_s(self, ca: x509.Certificate | None, bundle: list[x509.Certificate]) -> float:
        now = asyncio.get_running_loop().time()
        wanted = certificates.fingerprint(ca) if ca else ""
        if not wanted or wanted not in map(certificates.fingerprint, bundle):
            self._published = None
            return 0.0
        if self._published is None or self._published[0] != wanted:
            self._published = (wanted, now)
        return max(1e-3, now - self._published[1])

    async def _served(self) -> list[str | None]:
        """What each ready injector serves: a leaf's fingerprint, None where there was no answer, or could be one of
        which we don't know yet.
        """
        if not self._pods_known():
            return [None]
        ready = self._census.namespace(self._namespace).ready(self._settings.injectors)
        return list(
            await asyncio.gather(*(leaf_served(str(pod.ip), reviews_port(pod.shape.document)) for pod in ready))
        )

    # -- doing -------------------------------------------------------------------------------------------------------

    async def _make_ca(self, now: float) -> None:
        """A new CA, with those beside it that somebody may still serve by."""
        old = self._ca_certificate()
        keep = {certificates.fingerprint(it): it for it in (*([old] if old else []), *self._previous())}
        alive = [it for it in keep.values() if it.not_valid_after_utc.timestamp() > now]
        certificate, key = certificates.make_ca(now, self._settings.ca_lifetime_s)
        await self._write_ca(certificate, key, certificates.pem_of(alive))

    async def _write_ca(self, certificate: bytes, key: bytes, previous: bytes) -> None:
        data = {"ca.crt": certificate, "ca.key": key}
        if previous:
            data["previous.crt"] = previous
        await self._write_secret(self._ca, self._settings.ca_secret, "Opaque", data)

    async def _make_leaf(self, now: float) -> None:
        ca = self._ca.data("ca.crt")
        names = self._settings.cert_names
        certificate, key = certificates.make_leaf(
            ca, self._ca.data("ca.key"), names, now, self._settings.leaf_lifetime_s
        )
        data = {"tls.crt": certificate, "tls.key": key, "ca.crt": ca}
        await self._write_secret(self._leaf, self._settings.leaf_secret, "kubernetes.io/tls", data)

    async def _write_secret(self, store: OneObject, name: str, kind: str, data: Mapping[str, bytes]) -> None:
        """Made, or replaced as it was seen. What is written is what is known from then on."""
        folder = f"/api/v1/namespaces/{self._namespace}/secrets"
        metadata: dict[str, Any] = {"name": name, "labels": {"app.kubernetes.io/part-of": "carrier"}}
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": kind,
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        }
        if store.document is None:
            written = await self._writer.write("secret", "POST", folder, body)
        else:
            # What others have noted on it stays, and its type can't be changed.
            there = store.document["metadata"]
            metadata["labels"] = {**(there.get("labels") or {}), **metadata["labels"]}
            metadata |= {"annotations": there.get("annotations") or {}, "resourceVersion": store.version}
            body["type"] = store.document.get("type") or kind
            written = await self._writer.write("secret", "PUT", f"{folder}/{name}", body)
        store.document = written

    async def _publish(self, trust: tuple[str, ...]) -> None:
        known = {certificates.fingerprint(it): it for it in self._previous()}
        known |= {certificates.fingerprint(it): it for it in self._bundle() or ()}
        ca = self._ca_certificate()
        if ca is not None:
            known[certificates.fingerprint(ca)] = ca
        bundle = base64.b64encode(certificates.pem_of(known[it] for it in trust)).decode()
        names = [it["name"] for it in (self._configuration.document or {}).get("webhooks") or ()]
        body = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            # Without a version, a late write of a former leader could bring an authority back that has gone, or make a
            # configuration that has been deleted.
            "metadata": {"name": self._webhook, "resourceVersion": self._configuration.version},
            "webhooks": [{"name": name, "clientConfig": {"caBundle": bundle}} for name in names],
        }
        path = f"{WEBHOOKS}/{self._webhook}"
        self._configuration.document = await self._writer.write(
            "webhook", "PATCH", path, body, content_type=APPLY_PATCH, force=True
        )


def _key(step: policy.Step) -> tuple[str, ...]:
    return step.what, *step.trust
