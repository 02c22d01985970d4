"""How a pod with a native sidecar starts and ends on a real kubelet: what the sidecar's drain is built on."""

from __future__ import annotations

import json
import threading
from typing import Any

from kubernetes.client import CoreV1Api

from e2e.cluster import Cluster
from e2e.pods import is_deleted, is_ready, wait_for

APP_NEEDS_S = 1.0

# Each line of output is {"what", "when"}; SIGTERM is answered after `patience` seconds.
PROGRAM = """
import json, signal, sys, time
def say(what): print(json.dumps({"what": what, "when": time.time()}), flush=True)
def end(*_):
    say("told to end")
    time.sleep(float(sys.argv[1]))
    say("ends")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
say("started")
while True: signal.pause()
"""


def pod(image: str) -> dict[str, Any]:
    def container(name: str, patience_s: float, **more: Any) -> dict[str, Any]:
        arguments = ["-c", PROGRAM, str(patience_s)]
        return {"name": name, "image": image, "imagePullPolicy": "IfNotPresent", "args": arguments, **more}

    return {
        "metadata": {"name": "worker"},
        "spec": {
            "initContainers": [container("sidecar", 0, restartPolicy="Always")],
            "containers": [container("app", APP_NEEDS_S)],
            "terminationGracePeriodSeconds": 15,
        },
    }


class Output:
    """Follows a container's output to its end, in a thread: it is gone with the pod."""

    def __init__(self, core: CoreV1Api, namespace: str, container: str) -> None:
        self._log = core.read_namespaced_pod_log(
            "worker", namespace, container=container, follow=True, _preload_content=False
        )
        self._lines: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def _follow(self) -> None:
        for line in b"".join(self._log.stream()).splitlines():
            self._lines.append(json.loads(line))

    def times(self) -> dict[str, float]:
        """When each thing was said, Unix seconds; waits for the end of the output."""
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()
        return {line["what"]: line["when"] for line in self._lines}


def test_a_sidecar_starts_before_the_app_and_ends_after_it(cluster: Cluster, api: Any, namespace: str) -> None:
    core = CoreV1Api(api)
    core.create_namespaced_pod(namespace, pod(cluster.image("python")))
    wait_for(core, namespace, is_ready)
    sidecar_output, app_output = (Output(core, namespace, name) for name in ("sidecar", "app"))

    core.delete_namespaced_pod("worker", namespace)
    wait_for(core, namespace, is_deleted)

    sidecar, app = sidecar_output.times(), app_output.times()
    assert sidecar["started"] < app["started"]
    assert app["ends"] >= app["told to end"] + APP_NEEDS_S
    assert sidecar["told to end"] >= app["ends"]
