"""Certificates that live a minute, under pods made without a pause; and everything that somebody may do to them."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from typing import Any

import kubernetes
import pytest
import yaml

from carrier_operator import pods as reading
from carrier_operator.controller import certificates
from tests.integration.controller.rig import Installation, Process, wait_until

SHORT = {"CARRIER_CONTROLLER_CA_LIFETIME": "90s", "CARRIER_CONTROLLER_LEAF_LIFETIME": "30s"}


class Serving:
    """An installation whose injector serves by what the controller makes."""

    def __init__(self, installation: Installation, address: str, **lifetimes: str) -> None:
        self.installation = installation
        names = f"{installation.environ('controller')['CARRIER_CONTROLLER_CERT_NAMES']},{address}"
        self.environ = {"CARRIER_CONTROLLER_CERT_NAMES": names, **lifetimes}
        self.injector = installation.injector(address)
        installation.webhooks.create_mutating_webhook_configuration(
            installation.webhook(f"https://{address}:{self.injector.reviews}/inject")
        )
        self.stand_in = installation.stand_for(address, self.injector.reviews)
        self.controller = installation.controller(**self.environ)
        self.shop = installation.new_namespace()
        installation.bind(self.shop)
        wait_until(lambda: self.injector.get("/readyz")[0] == 200, what="the injector's certificate")
        wait_until(lambda: self.injected(f"first-{time.monotonic_ns()}"), what="the first sidecar")

    def injected(self, name: str) -> bool:
        """Creates a pod (dry run). Has it a sidecar?"""
        container = {"name": "app", "image": "example.test/app:1"}
        body = {"metadata": {"name": name, "labels": {"app": "worker"}}, "spec": {"containers": [container]}}
        made = self.installation.core.create_namespaced_pod(self.shop, body, dry_run="All")
        return bool(reading.our_containers(self.installation.api.sanitize_for_serialization(made)))

    def secret(self, which: str) -> dict[str, str]:
        name = self.installation.environ("controller")[f"CARRIER_CONTROLLER_{which}_SECRET"]
        try:
            return dict(self.installation.core.read_namespaced_secret(name, self.installation.namespace).data)
        except kubernetes.client.ApiException as error:
            if error.status == 404:
                return {}
            raise

    def delete_secret(self, which: str) -> None:
        name = self.installation.environ("controller")[f"CARRIER_CONTROLLER_{which}_SECRET"]
        self.installation.core.delete_namespaced_secret(name, self.installation.namespace)

    def trusted(self) -> list[str]:
        return [certificates.fingerprint(it) for it in certificates.read_all(self.installation.ca_bundle())]


class Stream:
    """Pods made one after the other in a thread, and how many went without their sidecar."""

    def __init__(self, serving: Serving) -> None:
        self.made = 0
        self.missed: list[float] = []
        self._serving = serving
        self._stop = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._serving.injected(f"p-{self.made}"):
                self.missed.append(round(time.monotonic() - self._began, 1))
            self.made += 1


@pytest.fixture
def serving(cluster: Any, api: Any, crd: Any, address: str, tmp_path: Any) -> Iterator[Serving]:
    with Installation(cluster, api, tmp_path) as installation:
        yield Serving(installation, address)


def test_no_pod_is_missed_while_certificates_and_authorities_are_rotated(
    cluster: Any, api: Any, crd: Any, address: str, tmp_path: Any
) -> None:
    with Installation(cluster, api, tmp_path) as installation:
        serving = Serving(installation, address, **SHORT)
        leaves, authorities = set(), set()
        with Stream(serving) as stream:
            deadline = time.monotonic() + 130
            while time.monotonic() < deadline:
                leaves.add(serving.secret("LEAF").get("tls.crt"))
                authorities.add(serving.secret("CA").get("ca.crt"))
                time.sleep(1)
        assert stream.missed == []
        assert stream.made > 500
        assert len(leaves) >= 5
        assert len(authorities) >= 2
        wait_until(lambda: len(serving.trusted()) == 1, timeout_s=30)
        assert serving.controller.stop() == 0, serving.controller.log.read_text()


def test_ca_bundle_survives_whoever_applies_the_configuration_again(serving: Serving, kubectl: Any) -> None:
    installation = serving.installation
    before = installation.ca_bundle()
    document = installation.webhook(f"https://127.0.0.1:1/{'x'}")
    document["webhooks"][0]["clientConfig"] = {"url": _url(serving)}
    text = yaml.safe_dump(document)
    with Stream(serving) as stream:
        kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=helm", "-f", "-", stdin=text)
        kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=helm", "-f", "-", stdin=text)
        time.sleep(2)
    assert installation.ca_bundle() == before
    assert stream.missed == []
    # A replacement loses it, and it is put back at once.
    kubectl("replace", "-f", "-", stdin=text)
    took_s = wait_until(lambda: installation.ca_bundle() == before)
    assert took_s < 3
    wait_until(lambda: serving.injected("again"))


def _url(serving: Serving) -> str:
    found = serving.installation.webhooks.read_mutating_webhook_configuration(serving.installation.webhook_name)
    return str(found.webhooks[0].client_config.url)


def test_a_strangers_ca_bundle_is_put_right(serving: Serving) -> None:
    installation = serving.installation
    before = installation.ca_bundle()
    stranger, _ = certificates.make_ca(time.time(), 3600)
    patch = [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": _base64(stranger)}]
    installation.webhooks.patch_mutating_webhook_configuration(installation.webhook_name, patch)
    wait_until(lambda: installation.ca_bundle() == before)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_deleted_leaf_is_made_again_and_no_pod_is_missed(serving: Serving) -> None:
    old = serving.secret("LEAF")["tls.crt"]
    with Stream(serving) as stream:
        serving.delete_secret("LEAF")
        wait_until(lambda: serving.secret("LEAF").get("tls.crt") not in (None, old))
        time.sleep(2)
    assert stream.missed == []


def test_a_deleted_authority_is_made_again_and_no_pod_is_missed(serving: Serving) -> None:
    (old,) = serving.trusted()
    with Stream(serving) as stream:
        serving.delete_secret("CA")
        wait_until(lambda: len(serving.trusted()) == 2, what="two authorities")
        wait_until(lambda: len(serving.trusted()) == 1 and serving.trusted() != [old], timeout_s=40)
        time.sleep(1)
    assert stream.missed == []


def test_an_authority_is_trusted_as_long_as_an_injector_does_not_answer(serving: Serving, address: str) -> None:
    serving.installation.stand_for(address, 1)  # ready, says its Pod, and nobody answers there
    (old,) = serving.trusted()
    serving.delete_secret("CA")
    wait_until(lambda: len(serving.trusted()) == 2)
    time.sleep(10)
    assert old in serving.trusted()


def test_two_that_keep_the_same_certificates_come_to_rest(serving: Serving) -> None:
    """As after a mistake: another controller with a Lease of its own."""
    installation = serving.installation
    second = installation.controller(CARRIER_CONTROLLER_LEASE=_other_lease(installation), **serving.environ)
    wait_until(lambda: second.said("everything is read"))
    serving.delete_secret("CA")
    wait_until(lambda: bool(serving.secret("CA")))
    wait_until(lambda: len(serving.trusted()) == 1, timeout_s=60)
    time.sleep(3)
    before = _writes(serving.controller) + _writes(second)
    time.sleep(5)
    assert _writes(serving.controller) + _writes(second) == before
    assert serving.injected("after")


def _writes(process: Process) -> float:
    return process.metric("carrier_controller_writes_total")


def _other_lease(installation: Installation) -> str:
    """A Lease that the role of the test, not the chart's, allows."""
    name = installation.named("Role", "-controller")["metadata"]["name"]
    role = installation.rbac.read_namespaced_role(name, installation.namespace)
    role.rules.append({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "update"]})
    installation.rbac.replace_namespaced_role(name, installation.namespace, role)
    time.sleep(1)
    return "second"
