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
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any

from cryptography import x509

from carrier_operator.kube.client import ApiError, Client
from carrier_operator.kube.reflector import Reflector

from . import certificate_policy as policy
from . import certificates
from .census import Census
from .settings import Settings
from .writing import APPLY_PATCH, Writer

logger = logging.getLogger(__name__)

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
REVIEWS_PORT = "reviews"  # name of the injectors' container port
ASK_TIMEOUT_S = 3.0
RETRY_S = 2.0


class OneObject:
    """A reflector's store for one object, or its absence; tells of every change."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.document: dict[str, Any] | None = None
        self._changed = changed

    def reduce(self, document: dict[str, Any]) -> dict[str, Any]:
        """All of it."""
        return document

    def replace(self, objects: list[Any]) -> None:
        """The object, or none."""
        self.document = objects[0] if objects else None
        self._changed()

    def put(self, document: dict[str, Any]) -> None:
        """It is new or changed."""
        self.document = document
        self._changed()

    def drop(self, document: dict[str, Any]) -> None:
        """It is gone."""
        self.document = None
        self._changed()

    @property
    def version(self) -> str | None:
        """Its resourceVersion; None where it is not there."""
        return None if self.document is None else str(self.document["metadata"]["resourceVersion"])

    def data(self, key: str) -> bytes:
        """A value of a Secret; empty where it is missing or can't be read."""
        data = (self.document or {}).get("data") or {}
        try:
            return base64.b64decode(data.get(key) or "", validate=True)
        except (ValueError, TypeError, binascii.Error):
            return b""


class CertificateKeeper:
    """Runs while we lead. `census` says which injectors are ready, and where."""

    def __init__(
        self, client: Client, writer: Writer, census: Census, namespace: str, settings: Settings, webhook: str
    ) -> None:
        self.leaf_not_after: float | None = None  # Unix seconds, for the metrics
        self.ca_not_after: float | None = None
        self._writer = writer
        self._census = census
        self._namespace = namespace
        self._settings = settings
        self._webhook = webhook
        self._names = frozenset(settings.cert_names)
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
        while True:
            self._wake.clear()
            try:
                wait_s = await self._look()
            except ApiError as error:
                if error.status != 409:
                    logger.warning("certificates can't be kept", extra={"fields": {"error": str(error)}})
                wait_s = RETRY_S if error.status != 409 else 0.2
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _look(self) -> float:
        """One look and what follows from it; seconds until the next one."""
        now = time.time()
        seen = await self._observe(now)
        self.ca_not_after = seen.ca.not_after if seen.ca else None
        self.leaf_not_after = seen.leaf.not_after if seen.leaf else None
        step = policy.next_step(seen, now, self._names, self._settle_s())
        if step is None:
            return policy.look_again_in_s(seen, now)
        logger.info("certificates", extra={"fields": {"step": step.what, "why": step.why}})
        if step.what == policy.MAKE_CA:
            await self._make_ca(now)
        elif step.what == policy.PUBLISH:
            await self._publish(step.trust)
        elif step.what == policy.MAKE_LEAF:
            await self._make_leaf(now)
        else:
            await self._write_ca(self._ca.data("ca.crt"), self._ca.data("ca.key"), b"")
        return 0.0 if step.what != policy.PUBLISH else policy.SETTLE_S / 10

    def _settle_s(self) -> float:
        return min(policy.SETTLE_S, self._settings.leaf_lifetime_s / 10)

    # -- looking -----------------------------------------------------------------------------------------------------

    async def _observe(self, now: float) -> policy.Observed:
        ca, previous, bundle = self._ca_certificate(), self._previous(), self._bundle()
        authorities = [*([ca] if ca else []), *previous, *(bundle or ())]
        leaf = self._leaf_certificate()
        older = {certificates.fingerprint(it) for it in authorities} - ({certificates.fingerprint(ca)} if ca else set())
        if older:
            served = await self._served()
        else:
            served = [certificates.fingerprint(leaf)] if leaf else []
        return policy.Observed(
            certificates.describe(ca) if ca else None,
            certificates.describe(leaf, authorities) if leaf else None,
            bundle=None if bundle is None else [certificates.describe(it) for it in bundle],
            previous=[certificates.describe(it) for it in previous],
            served=served,
            published_s=self._published_s(ca, bundle or [], now),
        )

    def _ca_certificate(self) -> x509.Certificate | None:
        found = certificates.read_all(self._ca.data("ca.crt"))
        return found[0] if found and certificates.key_fits(found[0], self._ca.data("ca.key")) else None

    def _previous(self) -> list[x509.Certificate]:
        return certificates.read_all(self._ca.data("previous.crt"))

    def _leaf_certificate(self) -> x509.Certificate | None:
        found = certificates.read_all(self._leaf.data("tls.crt"))
        return found[0] if found and certificates.key_fits(found[0], self._leaf.data("tls.key")) else None

    def _bundle(self) -> list[x509.Certificate] | None:
        """What every webhook of the configuration trusts; nothing, where they differ; None without a configuration."""
        if self._configuration.document is None:
            return None
        bundles = set()
        for webhook in self._configuration.document.get("webhooks") or ():
            bundles.add((webhook.get("clientConfig") or {}).get("caBundle") or "")
        if len(bundles) != 1:
            return []
        try:
            return certificates.read_all(base64.b64decode(bundles.pop(), validate=True))
        except (ValueError, binascii.Error):
            return []

    def _published_s(self, ca: x509.Certificate | None, bundle: list[x509.Certificate], now: float) -> float:
        wanted = certificates.fingerprint(ca) if ca else ""
        if not wanted or wanted not in map(certificates.fingerprint, bundle):
            self._published = None
            return 0.0
        if self._published is None or self._published[0] != wanted:
            self._published = (wanted, time.monotonic())
        return max(1e-3, time.monotonic() - self._published[1])

    async def _served(self) -> list[str | None]:
        """What each ready injector serves: a leaf's fingerprint, None where there was no answer."""
        asked = []
        for pod in self._census.namespace(self._namespace).pods.values():
            labels = pod.shape.labels
            if (
                pod.ready
                and pod.ip
                and all(labels.get(key) == value for key, value in self._settings.injectors.items())
            ):
                asked.append(_leaf_served(pod.ip, _reviews_port(pod.shape.document)))
        return list(await asyncio.gather(*asked))

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
            metadata |= {"resourceVersion": store.version}
            metadata["labels"] = {**(store.document["metadata"].get("labels") or {}), **metadata["labels"]}
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
            "metadata": {"name": self._webhook},
            "webhooks": [{"name": name, "clientConfig": {"caBundle": bundle}} for name in names],
        }
        path = f"{WEBHOOKS}/{self._webhook}"
        self._configuration.document = await self._writer.write(
            "webhook", "PATCH", path, body, content_type=APPLY_PATCH, force=True
        )


def _reviews_port(document: Mapping[str, Any]) -> int:
    for container in document["spec"]["containers"]:
        for port in container["ports"]:
            if port["name"] == REVIEWS_PORT:
                return int(port["containerPort"])
    return 8443


async def _leaf_served(address: str, port: int) -> str | None:
    """The fingerprint of the certificate that is served there; nothing is believed of who serves it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            _, writer = await asyncio.open_connection(address, port, ssl=context)
            try:
                found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    return certificates.fingerprint(x509.load_der_x509_certificate(found)) if found else None
