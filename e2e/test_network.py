"""Pods reach what a test listens with on this machine: that is where its queue servers are."""

from __future__ import annotations

import http.server
import threading
from typing import Any

import pytest
from kubernetes.client import CoreV1Api

from e2e.cluster import Cluster
from e2e.pods import has_ended, wait_for


class Greeter(http.server.BaseHTTPRequestHandler):
    """Answers every GET in the same way."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"from the test")

    def log_message(self, *_: object) -> None:
        pass


def test_a_pod_reaches_a_server_of_the_test(cluster: Cluster, api: Any, namespace: str) -> None:
    if cluster.address_for_pods is None:
        pytest.skip("CARRIER_E2E_ADDRESS must name an address of this machine that the given cluster's pods reach")
    core = CoreV1Api(api)
    with http.server.HTTPServer((cluster.address_for_pods, 0), Greeter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://{cluster.address_for_pods}:{server.server_port}/"
        program = f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=5).read().decode())"
        one = {"name": "it", "image": cluster.image("python"), "args": ["-c", program]}
        pod = {"metadata": {"name": "it"}, "spec": {"containers": [one], "restartPolicy": "Never"}}
        core.create_namespaced_pod(namespace, pod)
        wait_for(core, namespace, has_ended)
        server.shutdown()
    assert core.read_namespaced_pod_log("it", namespace) == "from the test\n"
