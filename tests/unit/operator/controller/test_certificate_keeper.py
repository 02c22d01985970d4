"""The keeper of certificates against an API server in memory, in virtual time: what stands in the Secrets and in the
webhook's configuration heals, whatever anybody puts there, and nothing that is put there ends the process.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from carrier_operator.controller import certificate_keeper, certificates
from carrier_operator.controller import settings as controller_settings
from carrier_operator.controller.certificate_keeper import WEBHOOKS, CertificateKeeper
from carrier_operator.controller.lease import Elector, Record
from carrier_operator.controller.snapshots import snapshot
from carrier_operator.controller.writing import Writer
from tests.unit.operator.controller.api_stub import StubApi
from tests.unit.operator.controller.live import Shop, live_pod
from tests.unit.operator.controller.virtual import play

SECRETS = "/api/v1/namespaces/shop/secrets"
CA, LEAF, WEBHOOK = f"{SECRETS}/carrier-ca", f"{SECRETS}/carrier-injector-tls", f"{WEBHOOKS}/carrier"
BEGAN = 1_800_000_000.0
NAME = "carrier-injector.shop.svc"
Scene = Callable[["Rig"], Awaitable[None]]


class Injector:
    """Serves the Secret's leaf `lag_s` after it has changed, as long as it is any good."""

    def __init__(self, rig: Rig, address: str, lag_s: float = 0.5) -> None:
        self.rig = rig
        self.address = address
        self.lag_s = lag_s
        self.leaf: x509.Certificate | None = None

    async def run(self) -> None:
        while True:
            data = self.rig.data(LEAF)
            await asyncio.sleep(self.lag_s)
            if certificates.flaw_of_pair(data.get("tls.crt", b""), data.get("tls.key", b"")) is None:
                self.leaf = certificates.read_all(data["tls.crt"])[0]
            await asyncio.sleep(0.05)


class Rig:
    """A leader's keeper, one injector or more, and who looks whether reviews would be answered."""

    def __init__(self, **environ: str) -> None:
        self.api = StubApi()
        self.clock_jump_s = 0.0
        self.injectors: list[Injector] = []
        self.missed: list[float] = []
        self.pods_known = True
        self.shop = Shop()
        self._environ = {
            "CARRIER_OPERATOR_SIDECAR_IMAGE": "x",
            "CARRIER_CONTROLLER_WEBHOOK": "carrier",
            "CARRIER_CONTROLLER_CERT_NAMES": NAME,
            **environ,
        }
        self.tasks: list[asyncio.Task[Any]] = []
        self.set_webhook("")

    def now(self) -> float:
        """The API servers' time of day."""
        return BEGAN + asyncio.get_running_loop().time()

    def keeper(self) -> asyncio.Task[None]:
        elector = Elector("me")
        elector.absent()
        elector.wrote(Record("me", "t", 15, 0, "1"), 0)
        writer = Writer(self.api, elector, lambda: 0.0, self)  # type: ignore[arg-type]  # stubs
        keeper = CertificateKeeper(
            self.api,  # type: ignore[arg-type]  # a stub
            writer, self.shop.census, "shop", controller_settings.read(self._environ), "carrier",
            pods_known=lambda: self.pods_known, clock=lambda: self.now() + self.clock_jump_s,
        )  # fmt: skip
        self.tasks.append(asyncio.create_task(keeper.run()))
        return self.tasks[-1]

    def wrote(self, what: str, result: str) -> None:
        """As who counts."""

    def injector(self, lag_s: float = 0.5) -> Injector:
        made = Injector(self, f"10.0.0.{len(self.injectors) + 1}", lag_s)
        self.injectors.append(made)
        labels = {"app.kubernetes.io/component": "injector"}
        pod = live_pod(f"injector-{len(self.injectors)}", labels=labels, status={"podIP": made.address})
        found = snapshot(pod, self.shop.census.shapes)
        assert found is not None
        self.shop.census.put_pod(found)
        self.tasks.append(asyncio.create_task(made.run()))
        return made

    def watch_reviews(self) -> None:
        """From now on, every review that could not be answered is noted."""
        self.tasks.append(asyncio.create_task(self._reviews()))

    async def _reviews(self) -> None:
        while True:
            trusted = self.trusted()
            await asyncio.sleep(0.3)  # API servers see a change late
            for it in self.injectors:
                if it.leaf is not None and not self.would_pass(it.leaf, trusted):
                    self.missed.append(round(asyncio.get_running_loop().time(), 1))

    def would_pass(self, leaf: x509.Certificate, trusted: list[x509.Certificate]) -> bool:
        now = self.now()
        alive = [
            it for it in trusted if it.not_valid_before_utc.timestamp() <= now < it.not_valid_after_utc.timestamp()
        ]
        seen = certificates.describe(leaf, alive)
        return seen.signer is not None and seen.not_before <= now < seen.not_after and NAME in seen.names

    # -- what stands -------------------------------------------------------------------------------------------------

    def data(self, path: str) -> dict[str, bytes]:
        found = self.api.objects.get(path) or {}
        out = {}
        for key, value in (found.get("data") or {}).items():
            try:
                out[key] = base64.b64decode(value)
            except (ValueError, TypeError):
                out[key] = b""
        return out

    def set_data(self, path: str, **data: Any) -> None:
        """As a person may: a Secret with this data, of the type that it has."""
        kind = (self.api.objects.get(path) or {}).get("type", "Opaque")
        coded = {
            key.replace("_", "."): base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for key, value in data.items()
        }
        self.api.put(path, {"type": kind, "data": coded})

    def set_webhook(self, bundle: str, **more: Any) -> None:
        webhooks = [{"name": "inject.carrier.dev", "clientConfig": {"caBundle": bundle}}]
        self.api.put(WEBHOOK, {"webhooks": webhooks, **more})

    def trusted(self) -> list[x509.Certificate]:
        text = self.api.objects[WEBHOOK]["webhooks"][0]["clientConfig"].get("caBundle") or ""
        return certificates.read_all(base64.b64decode(text))

    def healthy(self) -> bool:
        """One authority, which is the Secret's, and every injector serves a leaf of it that passes."""
        ca, trusted = certificates.read_all(self.data(CA).get("ca.crt", b"")), self.trusted()
        return trusted == ca[:1] != [] and all(
            it.leaf is not None and self.would_pass(it.leaf, trusted) for it in self.injectors
        )

    async def settled(self, within_s: float = 30.0) -> None:
        deadline = asyncio.get_running_loop().time() + within_s
        while not self.healthy():
            for task in self.tasks:
                if task.done() and not task.cancelled():
                    task.result()
            assert asyncio.get_running_loop().time() < deadline, "it did not heal"
            await asyncio.sleep(0.1)


@pytest.fixture(autouse=True)
def _asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def leaf_served(address: str, port: int) -> str | None:
        await asyncio.sleep(0.2)
        (it,) = [it for it in Rig.current.injectors if it.address == address]  # type: ignore[attr-defined]  # set below
        return certificates.fingerprint(it.leaf) if it.leaf is not None else None

    monkeypatch.setattr(certificate_keeper, "leaf_served", leaf_served)


def scene(test: Scene, **environ: str) -> None:
    async def whole() -> None:
        rig = Rig.current = Rig(**environ)  # type: ignore[attr-defined]  # for the fixture
        try:
            await test(rig)
        finally:
            for task in rig.tasks:
                task.cancel()
            await asyncio.gather(*rig.tasks, return_exceptions=True)

    play(whole)


async def installed(rig: Rig, injectors: int = 1) -> None:
    rig.keeper()
    for _ in range(injectors):
        rig.injector()
    await rig.settled()
    await asyncio.sleep(20)
    rig.watch_reviews()


def steps(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """What was done and why, as it was logged."""
    fields = [it.__dict__["fields"] for it in caplog.records if it.getMessage() == "certificates"]
    return [(it["step"], it["why"]) for it in fields]


# -- what may stand in a Secret ----------------------------------------------------------------------------------------


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: Any) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))


def locked_pem(key: Any) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return bytes(key.private_bytes(encoding, form, serialization.BestAvailableEncryption(b"x")))


def authority(key: Any, *, ca: bool | None = True, days: int = 365, extensions: Any = ()) -> bytes:
    """A self-signed certificate of this key, as another tool would make it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody's")])
    now = datetime.datetime.fromtimestamp(BEGAN, datetime.UTC)
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(5).not_valid_before(now - datetime.timedelta(days=400))
        .not_valid_after(now + datetime.timedelta(days=days))
    )  # fmt: skip
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    for it in extensions:
        builder = builder.add_extension(it, critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return pem(builder.sign(key, algorithm))


ELLIPTIC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
EDWARDS = ed25519.Ed25519PrivateKey.generate()
BAD_NAMES = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x30\x03\x82\x05\xff")
UNREAD, UNFIT, ALIEN = "its certificate can't be read", "its key is not that of its certificate", "of another kind"

CA_TROUBLE: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({}, "there is none"),
    "garbage": ({"ca_crt": b"garbage", "ca_key": b"garbage"}, UNREAD),
    "not base64": ({"ca_crt": "%%%", "ca_key": "%%%"}, "there is none"),
    "a broken PEM": (
        {"ca_crt": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "ca_key": key_pem(ELLIPTIC)},
        UNREAD,
    ),
    "bytes of a picture": ({"ca_crt": bytes(range(256)) * 400, "ca_key": b"\x00"}, UNREAD),
    "another's key": ({"ca_crt": authority(ELLIPTIC), "ca_key": key_pem(RSA)}, UNFIT),
    "a key with a password": ({"ca_crt": authority(ELLIPTIC), "ca_key": locked_pem(ELLIPTIC)}, UNFIT),
    "no key": ({"ca_crt": authority(ELLIPTIC)}, UNFIT),
    "an RSA authority": ({"ca_crt": authority(RSA), "ca_key": key_pem(RSA)}, ALIEN),
    "an Ed25519 authority": ({"ca_crt": authority(EDWARDS), "ca_key": key_pem(EDWARDS)}, ALIEN),
    "no authority": ({"ca_crt": authority(ELLIPTIC, ca=False), "ca_key": key_pem(ELLIPTIC)}, "it is no authority"),
    "no constraints": ({"ca_crt": authority(ELLIPTIC, ca=None), "ca_key": key_pem(ELLIPTIC)}, "it is no authority"),
    "unreadable names": (
        {"ca_crt": authority(ELLIPTIC, extensions=[BAD_NAMES]), "ca_key": key_pem(ELLIPTIC)},
        UNREAD,
    ),
    "an expired one": (
        {"ca_crt": authority(ELLIPTIC, days=-10), "ca_key": key_pem(ELLIPTIC)},
        "two thirds of its life are over",
    ),
    "an unreadable one before": ({"ca_crt": b"", "ca_key": b"", "previous_crt": b"\xff\xfe"}, "there is none"),
}


@pytest.mark.parametrize("trouble", CA_TROUBLE)
def test_whatever_stands_in_the_authoritys_secret_is_replaced_said_and_missed_by_nobody(
    trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    data, why = CA_TROUBLE[trouble]

    async def test(rig: Rig) -> None:
        await installed(rig, 2)
        caplog.clear()
        rig.set_data(CA, **data)
        await asyncio.sleep(1)
        await rig.settled()
        assert rig.missed == []
        first = steps(caplog)[0]
        assert first[0] == "MAKE_CA"
        assert why in first[1]

    scene(test)


LEAF_TROUBLE: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({}, "there is none"),
    "garbage": ({"tls_crt": b"garbage", "tls_key": b"garbage"}, UNREAD),
    "another's key": ({"tls_crt": authority(ELLIPTIC, ca=False), "tls_key": key_pem(RSA)}, UNFIT),
    "a stranger's": ({"tls_crt": authority(ELLIPTIC, ca=False), "tls_key": key_pem(ELLIPTIC)}, "another CA signed it"),
    "unreadable names": (
        {"tls_crt": authority(ELLIPTIC, ca=False, extensions=[BAD_NAMES]), "tls_key": key_pem(ELLIPTIC)},
        UNREAD,
    ),
}


@pytest.mark.parametrize("trouble", LEAF_TROUBLE)
def test_whatever_stands_in_the_leafs_secret_is_replaced_and_said(
    trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    data, why = LEAF_TROUBLE[trouble]

    async def test(rig: Rig) -> None:
        await installed(rig)
        caplog.clear()
        rig.set_data(LEAF, **data)
        await asyncio.sleep(1)
        await rig.settled()
        assert steps(caplog)[0] == ("MAKE_LEAF", why)
        # Injectors load nothing that is no pair, so only a stranger's whole certificate is served for a moment.
        assert len(rig.missed) <= (3 if trouble == "a stranger's" else 0)

    scene(test)


def test_a_leaf_for_other_names_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def test(rig: Rig) -> None:
        await installed(rig)
        ca = rig.data(CA)
        certificate, key = certificates.make_leaf(ca["ca.crt"], ca["ca.key"], ["wrong.example"], rig.now(), 3600)
        rig.set_data(LEAF, tls_crt=certificate, tls_key=key)
        await asyncio.sleep(1)
        await rig.settled()
        assert ("MAKE_LEAF", "it lacks a name") in steps(caplog)

    scene(test)


@pytest.mark.parametrize("name", ["fd00:0:0::1", "10.0.0.1", NAME])
def test_a_name_in_whatever_spelling_is_made_once(name: str) -> None:
    async def test(rig: Rig) -> None:
        await installed(rig)
        before = len(rig.api.writes)
        await asyncio.sleep(300)
        assert len(rig.api.writes) == before

    scene(test, CARRIER_CONTROLLER_CERT_NAMES=f"{NAME},{name}")


def test_a_secret_of_another_type_and_with_notes_of_others_is_used_and_keeps_them() -> None:
    async def test(rig: Rig) -> None:
        metadata = {"annotations": {"reflector": "yes"}, "labels": {"team": "x"}}
        rig.api.put(LEAF, {"type": "Opaque", "metadata": metadata, "data": {}})
        rig.keeper()
        rig.injector()
        await rig.settled()
        there = rig.api.objects[LEAF]
        assert there["type"] == "Opaque"
        assert there["metadata"]["annotations"] == {"reflector": "yes"}
        assert there["metadata"]["labels"]["team"] == "x"

    scene(test)


def test_a_secret_that_cant_be_written_is_tried_ever_more_seldom_and_not_logged_every_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(rig: Rig) -> None:
        rig.api.refuse = {"/secrets": 422}
        rig.keeper()
        await asyncio.sleep(600)
        assert 15 < len(rig.api.writes) < 40
        said = [it for it in caplog.records if it.getMessage() == "certificates can't be kept"]
        assert 1 <= len(said) <= 3
        rig.api.refuse = {}
        rig.injector()
        await rig.settled(60)

    caplog.set_level(logging.WARNING)
    scene(test)


# -- rotation, leaders, injectors --------------------------------------------------------------------------------------

SHORT = {"CARRIER_CONTROLLER_CA_LIFETIME": "90s", "CARRIER_CONTROLLER_LEAF_LIFETIME": "30s"}


def test_rotations_miss_nobody_for_ten_minutes() -> None:
    async def test(rig: Rig) -> None:
        rig.keeper()
        rig.injector(0.3)
        rig.injector(2.0)
        await rig.settled()
        await asyncio.sleep(5)
        rig.watch_reviews()
        await asyncio.sleep(600)
        assert rig.missed == []

    scene(test, **SHORT)


def test_a_new_leader_drops_no_authority_before_it_knows_the_injectors() -> None:
    """Between a new leaf and the last injector that serves it the leader changes; the next one begins without pods."""

    async def test(rig: Rig) -> None:
        keeper = rig.keeper()
        rig.injector(lag_s=0.2)
        slow = rig.injector(lag_s=20)
        slow.leaf = None
        await rig.settled(60)
        await asyncio.sleep(30)
        rig.watch_reviews()
        old = rig.trusted()
        rig.api.delete(CA)
        while rig.data(LEAF)["tls.crt"] == pem(slow.leaf):  # type: ignore[arg-type]  # it serves one by now
            await asyncio.sleep(0.1)
        keeper.cancel()
        rig.pods_known = False
        known, rig.shop.census.namespaces = dict(rig.shop.census.namespaces), {}
        rig.keeper()
        await asyncio.sleep(8)
        assert old[0] in rig.trusted()
        rig.shop.census.namespaces.update(known)
        rig.pods_known = True
        await rig.settled(120)
        assert rig.missed == []

    scene(test)


def test_a_secret_deleted_while_injectors_are_asked_ends_nothing() -> None:
    async def test(rig: Rig) -> None:
        await installed(rig)
        for _ in range(40):
            # In the midst of a rotation, at every moment of its looks.
            if CA in rig.api.objects:
                rig.api.delete(CA)
            await asyncio.sleep(0.13)
            if LEAF in rig.api.objects:
                rig.api.delete(LEAF)
            await asyncio.sleep(0.17)
        await rig.settled(60)

    scene(test)


def test_a_configuration_that_changes_while_injectors_are_asked_ends_nothing() -> None:
    async def test(rig: Rig) -> None:
        await installed(rig)
        rig.api.delete(CA)
        stranger = certificates.make_ca(rig.now(), 3600)[0]
        for count in range(60):
            rig.set_webhook("" if count % 2 else base64.b64encode(stranger).decode())
            await asyncio.sleep(0.11)
        await rig.settled(60)

    scene(test)


# -- the webhook's configuration ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("bundle", ["", "%%%", "Z2FyYmFnZQ==", "stranger", "RSA", "unreadable"])
def test_whatever_stands_in_ca_bundle_is_put_right_within_a_second(bundle: str) -> None:
    async def test(rig: Rig) -> None:
        await installed(rig)
        before = rig.trusted()
        texts = {
            "stranger": certificates.make_ca(rig.now(), 3600)[0],
            "RSA": authority(RSA),
            "unreadable": authority(ELLIPTIC, extensions=[BAD_NAMES]),
        }
        text = base64.b64encode(texts[bundle]).decode() if bundle in texts else bundle
        rig.set_webhook(text)
        await asyncio.sleep(1)
        assert rig.trusted() == before
        await rig.settled()

    scene(test)


def test_a_configuration_that_goes_and_comes_back_is_filled_again() -> None:
    async def test(rig: Rig) -> None:
        await installed(rig)
        before = rig.trusted()
        rig.tasks.pop().cancel()  # nobody looks at reviews: there are none
        rig.api.delete(WEBHOOK)
        await asyncio.sleep(70)
        assert WEBHOOK not in rig.api.objects
        writes = len(rig.api.writes)
        rig.api.put(WEBHOOK, {"webhooks": []})
        await asyncio.sleep(70)
        assert len(rig.api.writes) == writes
        rig.set_webhook("")
        await asyncio.sleep(1)
        assert rig.trusted() == before

    scene(test)


def test_a_late_write_of_a_former_leader_brings_no_authority_back() -> None:
    """What caBundle is set to carries the version that it was decided on."""

    async def test(rig: Rig) -> None:
        await installed(rig)
        late = [body for method, path, body in rig.api.writes if path == WEBHOOK and method == "PATCH"][-1]
        rig.set_webhook(base64.b64encode(pem(rig.trusted()[0])).decode())
        before = rig.api.objects[WEBHOOK]
        with pytest.raises(Exception, match="409"):
            await rig.api.request("PATCH", WEBHOOK, body=late, content_type="apply")
        assert rig.api.objects[WEBHOOK] == before

    scene(test)


def test_who_fights_over_ca_bundle_costs_little_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def test(rig: Rig) -> None:
        await installed(rig)
        stranger = base64.b64encode(certificates.make_ca(rig.now(), 3600)[0]).decode()
        managed = {
            "metadata": {"managedFields": [{"manager": "cainjector", "fieldsV1": {"f:webhooks": {"f:caBundle": {}}}}]}
        }
        before = len(rig.api.writes)
        ours = rig.trusted()
        for _ in range(3000):  # five minutes, at once whenever we have set it
            if rig.trusted() == ours:
                rig.set_webhook(stranger, **managed)
            await asyncio.sleep(0.1)
        assert len(rig.api.writes) - before < 100
        warned = [it.__dict__["fields"] for it in caplog.records if "undoes" in it.getMessage()]
        assert 1 <= len(warned) <= 2
        assert warned[0]["set_by"] == "cainjector"
        await asyncio.sleep(10)
        assert rig.trusted() == ours

    scene(test)


# -- clocks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [-86400.0, -600.0, -60.0, 60.0, 240.0])
def test_a_clock_that_jumps_misses_nobody(jump_s: float) -> None:
    """Backwards by any amount, and forwards by less than certificates are dated back: API servers accept them all."""

    async def test(rig: Rig) -> None:
        await installed(rig)
        rig.clock_jump_s = jump_s
        rig.api.delete(CA)
        await asyncio.sleep(60)
        rig.clock_jump_s = 0.0
        await asyncio.sleep(60)
        await rig.settled()
        assert rig.missed == []

    scene(test)


def test_what_was_made_by_a_clock_far_ahead_is_replaced_once_the_clock_is_right(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    async def test(rig: Rig) -> None:
        rig.clock_jump_s = 86400.0
        rig.keeper()
        rig.injector()
        await asyncio.sleep(30)
        assert not rig.healthy()  # made a day ahead, it is not valid yet
        rig.clock_jump_s = 0.0
        await rig.settled(70)
        assert any("not valid yet" in why for _, why in steps(caplog))

    scene(test)
