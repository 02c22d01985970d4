"""Suspending and resuming running sidecars; in their place answer servers at their probe ports."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from carrier_operator.container import ClusterFacts
from carrier_operator.inject import inject
from carrier_operator.policy import Policy, read_binding
from tests.integration.controller.rig import Installation, Process, wait_until

TOKEN = "t" * 32


class FakeSidecar:
    """Answers at a sidecar's token paths, and knows what it was told last."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.answers = True
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not outer.answers:
                    self.send_response(503)
                elif self.path in (f"/suspend/{TOKEN}", f"/resume/{TOKEN}"):
                    outer.told.append(self.path.split("/")[1])
                    self.send_response(200)
                else:
                    self.send_response(404)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def sidecars() -> Iterator[list[FakeSidecar]]:
    made = [FakeSidecar() for _ in range(3)]
    yield made
    for it in made:
        it.close()


def running(installation: Installation, namespace: str, name: str, sidecar: FakeSidecar, restarts: int = 0) -> None:
    """A pod with the sidecar of the binding as it is now, whose probe port is the fake's."""
    binding = read_binding(installation.read(namespace), Policy())
    container = {"name": "app", "image": "example.test/app:1"}
    pod: dict[str, Any] = {"metadata": {"name": name, "labels": {"app": "worker"}}, "spec": {"containers": [container]}}
    image = installation.environ("controller")["CARRIER_OPERATOR_SIDECAR_IMAGE"]
    made = inject(pod, namespace, [binding], ClusterFacts(image, native=True), TOKEN).pod
    for entry in made["spec"]["initContainers"][0]["env"]:
        if entry["name"] == "CARRIER_PROBE_ADDRESS":
            entry["value"] = f":{sidecar.port}"
            break
    else:
        made["spec"]["initContainers"][0]["env"].append({"name": "CARRIER_PROBE_ADDRESS", "value": f":{sidecar.port}"})
    installation.core.create_namespaced_pod(namespace, made)
    say_running(installation, namespace, name, restarts)


def say_running(installation: Installation, namespace: str, name: str, restarts: int) -> None:
    status = {"name": "carrier-orders", "restartCount": restarts, "ready": True, "image": "x", "imageID": "",
              "state": {"running": {}}}  # fmt: skip
    installation.pod_status(name, namespace, ready=True, podIP="127.0.0.1", initContainerStatuses=[status])


def ready(installation: Installation, namespace: str) -> tuple[str, str]:
    for it in (installation.read(namespace).get("status") or {}).get("conditions") or ():
        if it["type"] == "Ready":
            return f"{it['status']} {it['reason']}", it["message"]
    return "", ""


def test_running_sidecars_are_told_and_those_who_answered_are_counted(
    installation: Installation, controller: Process, shop: str, sidecars: list[FakeSidecar]
) -> None:
    installation.bind(shop)
    for index, sidecar in enumerate(sidecars):
        running(installation, shop, f"p{index}", sidecar)
    wait_until(lambda: ready(installation, shop)[0] == "True MessagesFlow")
    assert [it.told for it in sidecars] == [[], [], []]
    sidecars[2].answers = False
    installation.change(shop, suspend=True)
    wait_until(lambda: "2 of 3 sidecars have answered" in ready(installation, shop)[1])
    assert ready(installation, shop)[0] == "False Suspended"
    assert [it.told for it in sidecars] == [["suspend"], ["suspend"], []]
    assert installation.counts(shop)["stale"] == 0
    sidecars[2].answers = True
    wait_until(lambda: "3 of 3 sidecars have answered" in ready(installation, shop)[1], timeout_s=30)
    installation.change(shop, suspend=False)
    wait_until(lambda: ready(installation, shop)[0] == "True MessagesFlow")
    assert [it.told[-1] for it in sidecars] == ["resume"] * 3


def test_a_container_that_restarted_is_told_again(
    installation: Installation, controller: Process, shop: str, sidecars: list[FakeSidecar]
) -> None:
    installation.bind(shop)
    running(installation, shop, "p", sidecars[0])
    installation.change(shop, suspend=True)
    wait_until(lambda: sidecars[0].told == ["suspend"])
    say_running(installation, shop, "p", restarts=1)
    wait_until(lambda: sidecars[0].told == ["suspend", "suspend"])


def test_a_sidecar_that_starts_suspended_is_told_to_resume(
    installation: Installation, controller: Process, shop: str, sidecars: list[FakeSidecar]
) -> None:
    installation.bind(shop, suspend=True)
    running(installation, shop, "p", sidecars[0])
    wait_until(lambda: "1 of 1 sidecar have answered" in ready(installation, shop)[1].replace("has", "have"))
    installation.change(shop, suspend=False)
    wait_until(lambda: sidecars[0].told[-1:] == ["resume"])
    # Its environment says suspended: after a restart it has to be told once more.
    say_running(installation, shop, "p", restarts=1)
    wait_until(lambda: sidecars[0].told[-2:] == ["resume", "resume"])
