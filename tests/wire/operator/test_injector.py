"""The injector over real sockets: what it answers, what it refuses, and how it starts, lives and leaves."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import jsonpatch
import pytest

from carrier_operator.injector import server
from carrier_operator.injector import settings as injector_settings
from carrier_operator.injector.run import BINDINGS_PATH, NODES_PATH, QUOTAS_PATH, Injector
from tests.wire.operator.certificates import Authority
from tests.wire.operator.fake_api import FakeApi, fake_api, until

AUTHORITY = Authority()
SECRETS = "/api/v1/namespaces/carrier/secrets"


def binding(name: str = "orders", **spec: Any) -> dict[str, Any]:
    base = {"queue": {"name": "orders", "region": "us-west-2"}, "selector": {"matchLabels": {"app": "x"}}}
    return {"metadata": {"name": name, "namespace": "shop", "generation": 1}, "spec": {**base, **spec}}


def node(version: str = "v1.34.4", name: str = "n1") -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"nodeInfo": {"kubeletVersion": version}}}


def review(**more: Any) -> dict[str, Any]:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "w-", "labels": {"app": "x"}},
        "spec": {"containers": [{"name": "app", "image": "x"}]},
    }
    request = {
        "uid": "u-1",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "namespace": "shop",
        "object": pod,
        "dryRun": False,
        **more,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


class Running:
    """An injector in this process, and how to talk to it."""

    def __init__(self, injector: Injector, session: aiohttp.ClientSession, stop: asyncio.Event, task: Any) -> None:
        self.injector = injector
        self.session = session
        self.stop = stop
        self.task = task

    def url(self, path: str) -> str:
        return f"https://localhost:{self.injector.ports[0]}{path}"

    async def post(self, document: Any, path: str = "/inject", **more: Any) -> tuple[int, str]:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        headers = {"Content-Type": "application/json", **more.pop("headers", {})}
        async with self.session.post(self.url(path), data=data, headers=headers, **more) as response:
            return response.status, await response.text()

    async def plain(self, path: str) -> tuple[int, str]:
        async with self.session.get(f"http://127.0.0.1:{self.injector.ports[1]}{path}") as response:
            return response.status, await response.text()

    async def ready(self) -> None:
        for _ in range(500):
            if (await self.plain("/readyz"))[0] == 200:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(await self.plain("/readyz"))


@asynccontextmanager
async def running(api: FakeApi, folder: Path | None, **environ: str) -> AsyncIterator[Running]:
    certificate = (
        {"CARRIER_INJECTOR_CERT_DIR": str(folder)} if folder else {"CARRIER_INJECTOR_CERT_SECRET": "carrier/leaf"}
    )
    settings = injector_settings.read(
        {
            "CARRIER_OPERATOR_SIDECAR_IMAGE": "carrier/sidecar:1",
            "CARRIER_INJECTOR_LISTEN": "127.0.0.1:0",
            "CARRIER_INJECTOR_PROBES": "127.0.0.1:0",
            "CARRIER_INJECTOR_LEAVE": "0.2s",
            **certificate,
            **environ,
        }
    )
    injector, stop = Injector(settings, api.config()), asyncio.Event()
    task = asyncio.create_task(injector.run(stop))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=AUTHORITY.client_context())) as session:
        started = asyncio.create_task(injector.started.wait())
        await asyncio.wait([started, task], timeout=5, return_when=asyncio.FIRST_COMPLETED)
        try:
            yield Running(injector, session, stop, task)
        finally:
            stop.set()
            await asyncio.wait_for(task, 10)


def write(folder: Path, pair: tuple[bytes, bytes]) -> Path:
    (folder / "tls.key").write_bytes(pair[1])
    (folder / "tls.crt").write_bytes(pair[0])
    return folder


def secret(pair: tuple[bytes, bytes]) -> dict[str, Any]:
    data = {key: base64.b64encode(value).decode() for key, value in zip(("tls.crt", "tls.key"), pair, strict=True)}
    return {"metadata": {"name": "leaf", "namespace": "carrier"}, "data": data}


def run(test: Callable[[FakeApi], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with fake_api() as api:
            api.put(NODES_PATH, node())
            await asyncio.wait_for(test(api), 30)

    asyncio.run(whole())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path, AUTHORITY.leaf())


def patched(text: str) -> dict[str, Any]:
    response = json.loads(text)["response"]
    assert response["allowed"] is True
    assert response["patchType"] == "JSONPatch"
    found: dict[str, Any] = jsonpatch.apply_patch(
        review()["request"]["object"], json.loads(base64.b64decode(response["patch"]))
    )
    return found


def test_a_matching_pod_gets_its_sidecar(folder: Path) -> None:
    async def test(api: FakeApi) -> None:
        api.put(BINDINGS_PATH, binding())
        async with running(api, folder) as it:
            await it.ready()
            status, text = await it.post(review())
            assert status == 200
            assert patched(text)["spec"]["initContainers"][0]["name"] == "carrier-orders"
            assert json.loads(text)["response"]["uid"] == "u-1"

    run(test)


def test_every_pod_has_a_token_of_its_own(folder: Path) -> None:
    async def test(api: FakeApi) -> None:
        api.put(BINDINGS_PATH, binding())
        async with running(api, folder) as it:
            await it.ready()
            tokens = set()
            for _ in range(5):
                container = patched((await it.post(review()))[1])["spec"]["initContainers"][0]
                tokens |= {entry["value"] for entry in container["env"] if entry["name"] == "CARRIER_DRAIN_TOKEN"}
            assert len(tokens) == 5
            assert all(len(token) >= 32 for token in tokens)

    run(test)


def test_other_pods_are_allowed_without_a_patch(folder: Path) -> None:
    async def test(api: FakeApi) -> None:
        async with running(api, folder) as it:
            await it.ready()
            status, text = await it.post(review())
            response = json.loads(text)["response"]
            assert (status, response["allowed"]) == (200, True)
            assert "patch" not in response

    run(test)


def test_what_the_owner_would_not_expect_is_a_warning(folder: Path) -> None:
    async def test(api: FakeApi) -> None:
        async with running(api, folder) as it:
            await it.ready()
            document = review()
            document["request"]["object"]["metadata"]["annotations"] = {"carrier.dev/inject": "yes"}
            response = json.loads((await it.post(document))[1])["response"]
            assert '"true" or "false"' in response["warnings"][0]

    run(test)


def without(key: str) -> dict[str, Any]:
    document = review()
    del document["request"][key]
    return document


BAD: list[tuple[str, Any]] = [
    ("no JSON", b"{"),
    ("NaN", json.dumps(review()).replace('"u-1"', "NaN").encode()),
    ("deep", b"[" * 100000),
    ("an array", []),
    ("no review", {"kind": "Pod"}),
    ("v1beta1", {**review(), "apiVersion": "admission.k8s.io/v1beta1"}),
    ("no request", {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}),
    ("no uid", without("uid")),
    ("empty uid", review(uid="")),
    ("uid a number", review(uid=3)),
    ("no object", without("object")),
    ("null object", review(object=None)),
    ("no namespace", without("namespace")),
    ("update", review(operation="UPDATE")),
    ("deployments", review(resource={"group": "apps", "version": "v1", "resource": "deployments"})),
    ("a subresource", review(subResource="ephemeralcontainers")),
    ("another kind", review(object={"apiVersion": "v1", "kind": "Service"})),
    ("a pod of another shape", review(object={"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [1]}})),
    ("not UTF-8", b'{"kind": "\xff"}'),
    ("UTF-16", json.dumps(review()).encode("utf-16")),
    ("a byte order mark", json.dumps(review()).encode("utf-8-sig")),
    ("infinite", json.dumps(review()).replace('"x"}]', '"x", "y": 1e999}]').encode()),
    ("empty", b""),
]


def test_a_bad_review_is_refused_with_the_reason_and_never_allowed(folder: Path) -> None:
    async def test(api: FakeApi) -> None:
        api.put(BINDINGS_PATH, binding())
        async with running(api, folder) as it:
            await it.ready()
            for about, document in BAD:
                status, text = await it.post(document)
                assert (about, status) == (about, 400)
                assert text
                assert "allowed" not in text
            assert (await it.post(review(), headers={"Content-Type": "text/plain"}))[0] == 400
            assert (await it.post(review()))[0] == 200

    run(test)


def test_nothing_else_exists(folder: Path) -> None:
    async def test(api: FakeApi) -> None:
        async with running(api, folder) as it:
            await it.ready()
            for path in ("/", "/inject/", "/mutate", "/inject/x", "/metrics", "/readyz", "//inject"):
                status, text = await it.post(review(), path=path)
                assert (path, status) == (path, 404)
                assert "allowed" not in text
            async with it.session.get(it.url("/inject")) as response:
                assert response.status == 405
            assert (await it.plain("/inject"))[0] == 404

    run(test)


def test_bodies_of_up_to_3_mib(folder: Path) -> None:
    async def test(api: FakeApi) -> None:
        api.put(BINDINGS_PATH, binding())
        async with running(api, folder) as it:
            await it.ready()
            document = review()
            document["request"]["object"]["metadata"]["annotations"] = {"big": "x" * ((3 << 20) - 2000)}
            assert (await it.post(document))[0] == 200
            document["request"]["object"]["metadata"]["annotations"] = {"big": "x" * (3 << 20)}
            assert (await it.post(document))[0] == 413

    run(test)


def test_not_ready_before_the_first_lists_and_a_certificate(tmp_path: Path) -> None:
    async def test(api: FakeApi) -> None:
        api.list_status = 503
        async with running(api, None) as it:
            assert (await it.plain("/livez"))[0] == 200
            status, text = await it.plain("/readyz")
            assert status == 503
            missing = {f"first list of {it}" for it in ("bindings", "nodes", "quotas")} | {"certificate"}
            assert set(json.loads(text)["reasons"]) == missing
            api.put(SECRETS, secret(AUTHORITY.leaf()))
            api.list_status = 200
            await it.ready()
            assert (await it.post(review()))[0] == 200

    run(test)


def test_a_review_before_the_first_list_is_not_answered_with_allowed(folder: Path) -> None:
    async def test(api: FakeApi) -> None:
        api.list_status = 403
        async with running(api, folder) as it:
            status, text = await it.post(review())
            assert status == 503
            assert "allowed" not in text

    run(test)


def test_an_outage_of_the_api_server_does_not_stop_injection(folder: Path) -> None:
    async def test(api: FakeApi) -> None:
        api.put(BINDINGS_PATH, binding())
        async with running(api, folder) as it:
            await it.ready()
            await api.stop()
            assert patched((await it.post(review()))[1])["spec"]["initContainers"]
            assert (await it.plain("/readyz"))[0] == 200
            _, metrics = await it.plain("/metrics")
            age = next(line for line in metrics.splitlines() if line.startswith("carrier_injector_cache_age_seconds "))
            assert float(age.split()[1]) > 0
            await api.start()

    run(test)


def test_a_binding_is_in_force_as_soon_as_it_is_there_and_gone_when_it_is_gone(folder: Path) -> None:
    async def test(api: FakeApi) -> None:
        async with running(api, folder) as it:
            await it.ready()
            await until(lambda: api.at(BINDINGS_PATH).watchers)
            api.put(BINDINGS_PATH, binding())
            await until(lambda: len(it.injector._bindings) == 1)
            assert "patch" in (await it.post(review()))[1]
            api.delete(BINDINGS_PATH, "shop", "orders")
            await until(lambda: len(it.injector._bindings) == 0)
            assert "patch" not in (await it.post(review()))[1]

    run(test)


def test_one_old_kubelet_makes_sidecars_ordinary_containers(folder: Path) -> None:
    async def test(api: FakeApi) -> None:
        api.put(BINDINGS_PATH, binding())
        api.put(NODES_PATH, node("v1.28.9", "old"))
        async with running(api, folder) as it:
            await it.ready()
            pod = patched((await it.post(review()))[1])
            assert [container["name"] for container in pod["spec"]["containers"]] == ["app", "carrier-orders"]
            await until(lambda: api.at(NODES_PATH).watchers)
            api.delete(NODES_PATH, "", "old")
            await until(it.injector._nodes.all_native)
            assert patched((await it.post(review()))[1])["spec"]["initContainers"]

    run(test)


def test_a_quota_over_cpu_limits_gets_what_it_asks_for(folder: Path) -> None:
    async def test(api: FakeApi) -> None:
        api.put(BINDINGS_PATH, binding())
        quota = {"metadata": {"name": "q", "namespace": "shop"}, "spec": {"hard": {"limits.cpu": "4"}}}
        api.put(QUOTAS_PATH, quota)
        async with running(api, folder) as it:
            await it.ready()
            sidecar = patched((await it.post(review()))[1])["spec"]["initContainers"][0]
            assert sidecar["resources"]["limits"] == {"cpu": "100m", "memory": "64Mi"}
            await until(lambda: api.at(QUOTAS_PATH).watchers)
            api.delete(QUOTAS_PATH, "shop", "q")
            await until(lambda: not it.injector._quotas.namespaces)
            sidecar = patched((await it.post(review()))[1])["spec"]["initContainers"][0]
            assert sidecar["resources"]["limits"] == {"memory": "64Mi"}

    run(test)


def test_a_binding_beyond_the_policy_is_not_accepted(folder: Path) -> None:
    async def test(api: FakeApi) -> None:
        api.put(BINDINGS_PATH, binding(sidecar={"image": "evil/x"}))
        async with running(api, folder) as it:
            await it.ready()
            assert "patch" not in (await it.post(review()))[1]
        async with running(api, folder, CARRIER_OPERATOR_ALLOWED_IMAGES="evil/") as it:
            await it.ready()
            assert "patch" in (await it.post(review()))[1]

    run(test)


async def serial(it: Running) -> int:
    """The serial number that a fresh connection is shown."""
    from cryptography import x509

    reader, writer = await asyncio.open_connection("localhost", it.injector.ports[0], ssl=AUTHORITY.client_context())
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    del reader
    return x509.load_der_x509_certificate(certificate).serial_number


def test_a_new_certificate_is_served_without_a_refused_connection(tmp_path: Path) -> None:
    async def test(api: FakeApi) -> None:
        api.put(SECRETS, secret(AUTHORITY.leaf()))
        async with running(api, None) as it:
            await it.ready()
            await until(lambda: api.at(SECRETS).watchers)
            seen = {await serial(it)}
            for _ in range(3):
                api.put(SECRETS, secret(AUTHORITY.leaf()))
                count = len(seen)
                for _ in range(200):
                    seen.add(await serial(it))  # raises when refused
                    if len(seen) > count:
                        break
                assert len(seen) == count + 1
            assert (await it.post(review()))[0] == 200

    run(test)


def test_a_certificate_that_does_not_fit_its_key_is_not_served(tmp_path: Path) -> None:
    async def test(api: FakeApi) -> None:
        good = AUTHORITY.leaf()
        api.put(SECRETS, secret(good))
        async with running(api, None) as it:
            await it.ready()
            before = await serial(it)
            await until(lambda: api.at(SECRETS).watchers)
            api.put(SECRETS, secret((AUTHORITY.leaf()[0], good[1])))
            api.put(
                SECRETS,
                {"metadata": {"name": "leaf", "namespace": "carrier"}, "data": {"tls.crt": "!", "tls.key": "!"}},
            )
            api.put(SECRETS, {"metadata": {"name": "leaf", "namespace": "carrier"}})
            await asyncio.sleep(0.1)
            assert await serial(it) == before
            api.delete(SECRETS, "carrier", "leaf")
            await asyncio.sleep(0.05)
            assert await serial(it) == before

    run(test)


def test_it_leaves_first_and_finishes_its_reviews(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(api: FakeApi) -> None:
        api.put(BINDINGS_PATH, binding())
        async with running(api, folder, CARRIER_INJECTOR_LEAVE="0.5s") as it:
            await it.ready()

            async def slow_body() -> AsyncIterator[bytes]:
                data = json.dumps(review()).encode()
                yield data[:20]
                await asyncio.sleep(0.8)
                yield data[20:]

            async def slow() -> int:
                headers = {"Content-Type": "application/json"}
                async with it.session.post(it.url("/inject"), data=slow_body(), headers=headers) as response:
                    return response.status

            answer = asyncio.create_task(slow())
            await asyncio.sleep(0.1)
            it.stop.set()
            await asyncio.sleep(0.1)
            assert (await it.plain("/readyz"))[0] == 503
            async with it.session.post(it.url("/inject"), json=review()) as response:
                assert response.status == 200
                assert response.headers["Connection"] == "close"
            assert await answer == 200
            began = time.monotonic()
            await it.task
            assert time.monotonic() - began < 3
            with pytest.raises(aiohttp.ClientError):
                await it.post(review())

    run(test)


def test_a_defect_of_ours_is_no_allowed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("defect")

    async def test(api: FakeApi) -> None:
        monkeypatch.setattr(server, "inject", broken)
        async with running(api, folder) as it:
            await it.ready()
            status, text = await it.post(review())
            assert status == 500
            assert "allowed" not in text
            assert (await it.plain("/livez"))[0] == 200

    run(test)


def test_metrics_count_reviews_by_result_and_reason(folder: Path) -> None:
    async def test(api: FakeApi) -> None:
        api.put(BINDINGS_PATH, binding())
        async with running(api, folder) as it:
            await it.ready()
            await it.post(review())
            await it.post(b"{")
            _, text = await it.plain("/metrics")
            assert 'carrier_injector_reviews_total{result="injected",reason="selected"} 1' in text
            assert 'carrier_injector_reviews_total{result="refused",reason="BadReview"} 1' in text
            assert "carrier_injector_review_seconds_count 1" in text
            assert "carrier_injector_bindings 1" in text
            assert "carrier_injector_certificate_not_after_seconds 1" in text

    run(test)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_is_refused(folder: Path) -> None:
    async def test(api: FakeApi) -> None:
        async with running(api, folder) as it:
            context = AUTHORITY.client_context()
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises((ssl.SSLError, OSError)):
                await asyncio.open_connection("localhost", it.injector.ports[0], ssl=context)

    run(test)
