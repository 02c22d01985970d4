"""The controller with many bindings and pods on a real API server: `python -m bench.controller [BINDINGS PODS]`.

5,000 bindings and 20,000 pods unless said otherwise, in namespaces of 50 bindings; three of four pods carry their
sidecar. Pods are objects only (no node, and a scheduler's name that nobody answers to). Measured are the controller's
memory, the time until it has read everything and written what there is to write, the same after a restart (when nothing
is to be written), writes per change, the time of a handover, and what faults of lists and watches do at this size. With
KUBECONFIG set on that cluster, which should be an empty one.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import kubernetes

from carrier_operator.container import ClusterFacts
from carrier_operator.inject import inject
from carrier_operator.kube.client import ApiError, Client
from carrier_operator.kube.config import from_kubeconfig
from carrier_operator.policy import Policy, read_binding
from e2e.cluster.choice import running
from tests.integration.controller.rig import Installation, Process, wait_until
from tests.integration.controller.throttle import ApiGate

BINDINGS_PER_NAMESPACE = 50
AT_ONCE = 32
LISTS = ("/api/v1/pods", "/carrierbindings?")  # parts of their addresses
PATH = "/apis/carrier.dev/v1alpha1"


def binding(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "carrier.dev/v1alpha1",
        "kind": "CarrierBinding",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "queue": {"name": name, "region": "us-west-2"},
            "webhook": {"port": 8080, "path": "/events", "healthCheck": {"path": "/healthz"}},
        },
    }


def pod(name: str, of: str, owner: str) -> dict[str, Any]:
    """A pod of a usual size: two containers with some variables, probes, mounts."""
    env = [{"name": f"SETTING_{number}", "value": "x" * 40} for number in range(20)]
    probe = {"httpGet": {"path": "/healthz", "port": 8080}}
    app = {
        "name": "app", "image": "example.test/app:1", "ports": [{"name": "http", "containerPort": 8080}], "env": env,
        "livenessProbe": probe, "readinessProbe": probe,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
    }  # fmt: skip
    helper = {"name": "helper", "image": "example.test/helper:1", "env": env[:10]}
    # An owner that exists and does nothing: without one the pods would be collected, a ReplicaSet would count them.
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "kube-root-ca.crt", "uid": owner, "controller": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": of, "pod-template-hash": "abc12"}, "ownerReferences": [reference]},
        "spec": {"schedulerName": "nobody", "containers": [app, helper], "automountServiceAccountToken": False},
    }


async def all_of(calls: list[Callable[[], Coroutine[Any, Any, Any]]]) -> None:
    """Runs these, so many at once; a busy server is asked again."""
    todo = iter(calls)

    async def worker() -> None:
        for call in todo:
            for attempt in range(8):
                try:
                    await call()
                    break
                except ApiError as error:
                    if error.status == 409:
                        break
                    if attempt == 7:
                        raise
                    await asyncio.sleep(0.2 * 2**attempt)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


async def fill(kubeconfig: Path, prefix: str, bindings: int, pods: int, image: str) -> list[str]:
    """Makes everything; the namespaces' names."""
    namespaces = [f"{prefix}-{number}" for number in range(max(1, bindings // BINDINGS_PER_NAMESPACE))]
    each = pods // bindings
    facts = ClusterFacts(image, native=True)
    async with Client(from_kubeconfig(kubeconfig)) as client:

        def post(path: str, body: dict[str, Any]) -> Callable[[], Coroutine[Any, Any, Any]]:
            return lambda: client.request("POST", path, body=body)

        await all_of([post("/api/v1/namespaces", {"metadata": {"name": name}}) for name in namespaces])
        owners = {name: await _ready(client, name) for name in namespaces}
        names = [(namespaces[number % len(namespaces)], f"b{number}") for number in range(bindings)]
        await all_of([post(f"{PATH}/namespaces/{space}/carrierbindings", binding(name)) for space, name in names])
        made: list[Callable[[], Coroutine[Any, Any, Any]]] = []
        for space, name in names:
            found = read_binding(
                {**binding(name), "metadata": {"name": name, "namespace": space, "generation": 1}}, Policy()
            )
            for number in range(each):
                document = pod(f"{name}-{number}", name, owners[space])
                if number:
                    document = inject(document, space, [found], facts, f"token-of-{name}-{number}").pod
                made.append(post(f"/api/v1/namespaces/{space}/pods", document))
        await all_of(made)
    return namespaces


async def _ready(client: Client, namespace: str) -> str:
    """Waits until pods can be made; the uid of something that may own them."""
    while True:
        try:
            await client.request("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
            found = await client.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/kube-root-ca.crt")
            return str(found["metadata"]["uid"])
        except ApiError as error:
            if error.status != 404:
                raise
            await asyncio.sleep(0.1)


def settled(process: Process) -> bool:
    """Is nothing waiting for a look, and has nothing been written for a second?"""
    before = process.metric("carrier_controller_writes_total")
    if process.metric("carrier_controller_queue"):
        return False
    time.sleep(1)
    return process.metric("carrier_controller_writes_total") == before


def cpu_s(process: Process) -> float:
    fields = Path(f"/proc/{process.process.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def peak_mb(process: Process) -> float:
    for line in Path(f"/proc/{process.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def said_took(process: Process) -> float:
    return float(next(line["took_s"] for line in process.lines() if line["msg"] == "everything is read"))


def writes(process: Process) -> float:
    return process.metric("carrier_controller_writes_total")


def measure(installation: Installation, bindings: int, pods: int, say: Callable[[str, object], None]) -> None:
    began = time.monotonic()
    image = installation.environ("controller")["CARRIER_OPERATOR_SIDECAR_IMAGE"]
    kubeconfig = Path(installation.cluster.kubeconfig)
    spaces = asyncio.run(fill(kubeconfig, f"scale-{installation.release}", bindings, pods, image))
    installation.namespaces += spaces
    say("made in (s)", round(time.monotonic() - began))
    time.sleep(5)
    begun("first start", installation, bindings, say, least_writes=bindings).stop()
    leader = begun("restart", installation, bindings, say)
    for what, change in changes(installation, spaces[0]).items():
        before = status_writes(leader)
        change()
        time.sleep(4)
        say(f"status writes for {what}", status_writes(leader) - before)
    before_s = cpu_s(leader)
    time.sleep(20)
    say("idle: CPU per minute (s)", round((cpu_s(leader) - before_s) * 3, 2))
    last = hand_over(installation, leader, bindings, say)
    assert last.stop() == 0
    with ApiGate(installation.cluster) as gate:
        installation.through = gate.url
        faults(installation, gate, spaces[0], bindings, say)


def begun(
    what: str, installation: Installation, bindings: int, say: Callable[[str, object], None], least_writes: int = 0
) -> Process:
    """A controller that has looked at every binding and written what there was to write."""
    began = time.monotonic()
    process = installation.controller()
    wait_until(lambda: process.said("everything is read"), 300)
    say(f"{what}: read everything in (s)", said_took(process))
    wait_until(lambda: process.metric("carrier_controller_looks_total") >= bindings and settled(process), 600)
    say(f"{what}: converged after (s)", round(time.monotonic() - began - 1, 1))  # a second of it to see that it is
    wait_until(lambda: writes(process) >= least_writes, 600)
    say(f"{what}: writes", writes(process))
    say(f"{what}: CPU (s)", cpu_s(process))
    say(f"{what}: RSS, peak (MB)", f"{process.rss_mb():.0f}, {peak_mb(process):.0f}")
    return process


def changes(installation: Installation, namespace: str) -> dict[str, Callable[[], object]]:
    """What may cost a write, and what may not."""
    core = kubernetes.client.CoreV1Api(installation.api)
    unrelated = {"metadata": {"annotations": {"x": "y"}}}
    return {
        "a binding's change": lambda: installation.change(namespace, "b0", concurrency={"workers": 3}),
        "a pod's end": lambda: core.delete_namespaced_pod("b0-0", namespace, grace_period_seconds=0),
        "an annotation that nothing looks at": lambda: core.patch_namespaced_pod("b0-1", namespace, unrelated),
    }


def hand_over(
    installation: Installation, leader: Process, bindings: int, say: Callable[[str, object], None]
) -> Process:
    """The next leader, after this one was told to end."""
    following = installation.controller()
    wait_until(lambda: following.get("/readyz")[0] == 200)
    began = time.monotonic()
    leader.signal(signal.SIGTERM)
    took_s = wait_until(lambda: installation.lease_holder() == following.identity)
    say("handover: the Lease after (s)", round(took_s, 2))
    wait_until(lambda: following.metric("carrier_controller_looks_total") >= bindings and settled(following), 300)
    say("handover: the next has converged after (s)", round(time.monotonic() - began - 1, 1))
    say("handover: writes of the next", writes(following))
    assert leader.process.wait(20) == 0
    return following


def faults(
    installation: Installation, gate: ApiGate, namespace: str, bindings: int, say: Callable[[str, object], None]
) -> None:
    """Faults of lists and watches while everything is known: how soon afterwards a pod made meanwhile is counted."""
    process = begun("behind a proxy", installation, bindings, say)
    for what, error, refused, silent, length_s in (
        ("watch ERROR 410", 410, None, False, 5),
        ("watch ERROR 429", 429, None, False, 5),
        ("watch ERROR 500", 500, None, False, 5),
        ("lists and watches 403", None, 403, False, 20),
        ("lists and watches 503", None, 503, False, 120),
        ("silent watches", None, None, True, 10),
    ):
        before = status_writes(process)
        gate.watch_error, gate.silent = error, silent
        gate.fail = dict.fromkeys(LISTS, refused) if refused is not None else {}
        if not silent:
            gate.cut()
        name = "-".join(what.lower().split())
        pods = int(installation.counts(namespace, "b0").get("missing", 0)) + 1
        time.sleep(1)
        installation.pod(namespace, name, labels={"app": "b0"})
        time.sleep(length_s)
        gate.watch_error, gate.fail, gate.silent = None, {}, False
        took_s = wait_until(partial(_missing, installation, namespace, pods), 180)
        say(f"{what} for {length_s} s: true again after (s)", round(took_s, 1))
        wait_until(lambda: settled(process), 120)
        say(f"{what}: status writes", status_writes(process) - before)
    say("after all faults: RSS, peak (MB)", f"{process.rss_mb():.0f}, {peak_mb(process):.0f}")
    assert process.stop() == 0


def _missing(installation: Installation, namespace: str, count: int) -> bool:
    return bool(installation.counts(namespace, "b0").get("missing") == count)


def status_writes(process: Process) -> float:
    return sum(
        float(line.rpartition(" ")[2])
        for line in process.get("/metrics")[1].splitlines()
        if line.startswith('carrier_controller_writes_total{what="status"')
    )


def main(argv: list[str]) -> int:
    bindings, pods = (int(argv[0]), int(argv[1])) if len(argv) > 1 else (5000, 20000)
    found: dict[str, object] = {"bindings": bindings, "pods": pods}

    def say(what: str, value: object) -> None:
        found[what] = value
        print(f"{what:<55} {value}", flush=True)

    with running(with_node=False) as cluster, tempfile.TemporaryDirectory() as folder:
        api = kubernetes.config.new_client_from_config(config_file=str(cluster.kubeconfig))
        _crd(api)
        with Installation(cluster, api, Path(folder), "controller.certificates=false") as installation:
            measure(installation, bindings, pods, say)
    print(json.dumps(found))
    return 0


def _crd(api: Any) -> None:
    import yaml

    document = yaml.safe_load((Path(__file__).resolve().parent.parent / "crds/carrierbindings.yaml").read_text())
    try:
        kubernetes.client.ApiextensionsV1Api(api).create_custom_resource_definition(document)
    except kubernetes.client.ApiException as error:
        if error.status != 409:
            raise
    objects = kubernetes.client.CustomObjectsApi(api)

    def served() -> bool:
        try:
            objects.list_cluster_custom_object("carrier.dev", "v1alpha1", "carrierbindings")
        except kubernetes.client.ApiException:
            return False
        return True

    wait_until(served)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
