"""Two injectors behind a Service while pods are made without a pause: what happens when one of them ends.

The kubelet's and the endpoint controller's part is played here: a replica that is not ready leaves the EndpointSlice.
"""

from __future__ import annotations

import base64
import json
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes
import pytest

from carrier_operator.kube.config import from_kubeconfig
from carrier_operator.pods import our_containers
from e2e.cluster.given import GivenCluster
from tests.integration.operator.conftest import wait_until
from tests.integration.operator.test_webhook import AUTHORITY, InjectorProcess, bind, chart, ours, registered

__all__ = ["chart"]

READINESS_PERIOD_S = 0.5
NAME = "injectors"
PODS = 50


@pytest.fixture(scope="module")
def own_address(cluster: Any) -> str:
    """An address of this machine that is not loopback (the API server takes no other in an EndpointSlice)."""
    if isinstance(cluster, GivenCluster):
        pytest.skip("no address of this machine is known to lead here from a cluster that was given")
    if cluster.address_for_pods not in (None, "127.0.0.1"):
        return str(cluster.address_for_pods)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent; the kernel says which address it would use
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address: str = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    return address


class Endpoints:
    """A Service without a selector and one EndpointSlice per injector; not ready ones are taken out."""

    def __init__(self, api: Any, namespace: str, address: str, injectors: list[InjectorProcess]) -> None:
        self._discovery = kubernetes.client.DiscoveryV1Api(api)
        self._namespace = namespace
        self._address = address
        self._injectors = injectors
        self._in = dict.fromkeys(range(len(injectors)), False)
        self._stop = threading.Event()
        core = kubernetes.client.CoreV1Api(api)
        spec = {"ports": [{"name": "reviews", "port": 443, "protocol": "TCP"}]}
        core.create_namespaced_service(namespace, {"metadata": {"name": NAME}, "spec": spec})
        self.look()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def look(self) -> None:
        for index, it in enumerate(self._injectors):
            try:
                ready = it.process.poll() is None and it.probe("/readyz") == 200
            except OSError:
                ready = False
            if ready != self._in[index]:
                self._in[index] = ready
                if ready:
                    self._discovery.create_namespaced_endpoint_slice(self._namespace, self._slice(index, it))
                else:
                    self._discovery.delete_namespaced_endpoint_slice(f"{NAME}-{index}", self._namespace)

    def _run(self) -> None:
        while not self._stop.wait(READINESS_PERIOD_S):
            self.look()

    def _slice(self, index: int, it: InjectorProcess) -> dict[str, Any]:
        return {
            "metadata": {"name": f"{NAME}-{index}", "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [self._address], "conditions": {"ready": True}}],
            "ports": [{"name": "reviews", "port": it.ports["reviews"], "protocol": "TCP"}],
        }


class Maker:
    """Makes pods without a pause (dry runs), and counts those that came without a sidecar."""

    def __init__(self, cluster: Any, namespace: str) -> None:
        self._server = from_kubeconfig(Path(cluster.kubeconfig))
        self._namespace = namespace
        self.made = 0
        self.missed = 0
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(4)
        self._work = [self._pool.submit(self._run) for _ in range(4)]

    def one(self) -> bool:
        """Makes one pod: does it carry the sidecar?"""
        container = {"name": "app", "image": "x", "ports": [{"name": "http", "containerPort": 8080}]}
        metadata = {"generateName": "w-", "labels": {"app": "worker"}}
        request = urllib.request.Request(
            f"{self._server.url}/api/v1/namespaces/{self._namespace}/pods?dryRun=All",
            data=json.dumps({"metadata": metadata, "spec": {"containers": [container]}}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, context=self._server.tls, timeout=30) as answer:
            return b"carrier-orders" in answer.read()

    def stop(self) -> None:
        self._stop.set()
        for work in self._work:
            work.result(60)
        self._pool.shutdown()

    def _run(self) -> None:
        while not self._stop.is_set():
            injected = self.one()
            self.made += 1
            self.missed += not injected


@pytest.fixture
def injectors(
    cluster: Any, own_address: str, crd: Any, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[InjectorProcess]]:
    started = [
        InjectorProcess(
            cluster,
            own_address,
            tmp_path_factory.mktemp("injector"),
            name=f"{NAME}.{namespace}.svc",
            CARRIER_INJECTOR_LEAVE="2s",
        )
        for _ in range(2)
    ]
    try:
        yield started
    finally:
        for it in started:
            if it.process.poll() is None:
                it.stop()


@contextmanager
def behind_a_service(
    api: Any, chart: list[dict[str, Any]], namespace: str, address: str, injectors: list[InjectorProcess]
) -> Iterator[None]:
    """The chart's webhook, leading to these injectors; pods pass where none answers (failurePolicy Ignore)."""
    configuration = ours(chart, "", namespace)
    (webhook,) = configuration["webhooks"]
    webhook["failurePolicy"] = "Ignore"
    webhook["clientConfig"] = {
        "service": {"name": NAME, "namespace": namespace, "path": "/inject", "port": 443},
        "caBundle": base64.b64encode(AUTHORITY.pem).decode(),
    }
    endpoints = Endpoints(api, namespace, address, injectors)
    try:
        with registered(api, configuration):
            yield
    finally:
        endpoints.stop()


BOTH = pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])


@BOTH
def test_a_replica_that_ends_while_pods_are_made_without_a_pause(
    how: signal.Signals,
    api: Any,
    crd: Any,
    cluster: Any,
    namespace: str,
    own_address: str,
    injectors: list[InjectorProcess],
    chart: list[dict[str, Any]],
    record_property: Any,
) -> None:
    bind(crd, namespace)
    with behind_a_service(api, chart, namespace, own_address, injectors):
        first = Maker(cluster, namespace)
        first.stop()
        wait_until(lambda: all(first.one() for _ in range(20)))
        maker = Maker(cluster, namespace)
        time.sleep(1)
        injectors[0].process.send_signal(how)
        injectors[0].process.wait(20)
        time.sleep(2 * READINESS_PERIOD_S)
        maker.stop()
        assert all(first.one() for _ in range(20))
    record_property("made", maker.made)
    record_property("missed", maker.missed)
    assert maker.made > 50
    if how is signal.SIGTERM:
        assert maker.missed == 0
    else:
        # Killed: until its address is gone, connections to it are refused and the pods pass (failurePolicy Ignore).
        assert maker.missed < maker.made * 0.8


@BOTH
def test_a_replica_that_ends_during_a_rolling_update_of_50_pods(
    how: signal.Signals,
    api: Any,
    crd: Any,
    cluster: Any,
    namespace: str,
    own_address: str,
    injectors: list[InjectorProcess],
    chart: list[dict[str, Any]],
    record_property: Any,
) -> None:
    bind(crd, namespace)
    core, apps = kubernetes.client.CoreV1Api(api), kubernetes.client.AppsV1Api(api)
    container = {"name": "app", "image": "x", "ports": [{"name": "http", "containerPort": 8080}]}
    template: dict[str, Any] = {"metadata": {"labels": {"app": "worker"}}, "spec": {"containers": [container]}}
    deployment = {
        "metadata": {"name": "worker"},
        "spec": {"replicas": PODS, "selector": {"matchLabels": {"app": "worker"}}, "template": template},
    }

    def pods(turn: str) -> list[dict[str, Any]]:
        """The pods of this template; each is made ready here, as a kubelet would."""
        listed = core.list_namespaced_pod(namespace, label_selector=f"turn={turn}").items
        for it in listed:
            if it.status.phase != "Running":
                status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
                core.patch_namespaced_pod_status(it.metadata.name, namespace, {"status": status})
        return [api.sanitize_for_serialization(it) for it in listed]

    with behind_a_service(api, chart, namespace, own_address, injectors):
        first = Maker(cluster, namespace)
        first.stop()
        wait_until(lambda: all(first.one() for _ in range(20)))
        template["metadata"]["labels"]["turn"] = "1"
        apps.create_namespaced_deployment(namespace, deployment)
        wait_until(lambda: len(pods("1")) == PODS)
        assert all(our_containers(it) for it in pods("1"))
        template["metadata"]["labels"]["turn"] = "2"
        apps.patch_namespaced_deployment("worker", namespace, deployment)
        wait_until(lambda: len(pods("2")) >= PODS // 5)
        injectors[0].process.send_signal(how)
        wait_until(lambda: len(pods("2")) == PODS)
        made = pods("2")
    missed = sum(not our_containers(it) for it in made)
    record_property("made", len(made))
    record_property("missed", missed)
    if how is signal.SIGTERM:
        assert missed == 0
    else:
        assert missed < PODS * 0.8
