"""The injector under load: reviews per second, time to answer, memory.

`python -m bench.injector [RATE] [SECONDS]`; PYTHON=path says which interpreter runs the injector.

A whole injector process with TLS, its bindings from a stub API server in this process; reviews are sent at a fixed rate
over a few keep-alive connections, as an API server does. Times are measured here, so they hold the client's own, too.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.wire.operator.certificates import Authority
from tests.wire.operator.fake_api import FakeApi, fake_api

ROOT = Path(__file__).resolve().parent.parent
BINDINGS = "/apis/carrier.dev/v1alpha1/carrierbindings"
NAMESPACES = 100
BINDINGS_EACH = 10


def review(number: int) -> bytes:
    """A pod of a usual size: two containers, probes, volumes, 5 KiB of it."""
    containers = [
        {
            "name": name,
            "image": f"registry.example.test/team/{name}:1.2.3",
            "env": [{"name": f"SETTING_{index}", "value": "some value of a usual length"} for index in range(20)],
            "ports": [{"name": f"http-{name}"[:15], "containerPort": 8080 + place}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }
        for place, name in enumerate(("app", "metrics"))
    ]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "worker-5d4f8c7b9-", "labels": {"app": f"app-{number % BINDINGS_EACH}"}},
        "spec": {"containers": containers, "volumes": [{"name": "data", "emptyDir": {}}]},
    }
    request = {
        "uid": f"705ab4f5-6393-11e8-b7cc-{number:012d}",
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "namespace": f"team-{number % NAMESPACES}",
        "object": pod,
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


def fill(api: FakeApi) -> None:
    api.put("/api/v1/nodes", {"metadata": {"name": "n"}, "status": {"nodeInfo": {"kubeletVersion": "v1.34.0"}}})
    for team in range(NAMESPACES):
        for app in range(BINDINGS_EACH):
            spec = {
                "selector": {"matchLabels": {"app": f"app-{app}"}},
                "queue": {"name": f"queue-{app}", "region": "us-west-2"},
            }
            metadata = {"name": f"b{app}", "namespace": f"team-{team}", "generation": 1}
            api.put(BINDINGS, {"metadata": metadata, "spec": spec})


def memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(rate: int, duration_s: float) -> dict[str, Any]:
    """Figures of one run."""
    authority = Authority()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificate, key = authority.leaf()
        (folder / "tls.crt").write_bytes(certificate)
        (folder / "tls.key").write_bytes(key)
        async with fake_api() as api:
            fill(api)
            kubeconfig = {
                "current-context": "x",
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                "clusters": [{"name": "x", "cluster": {"server": api.url}}],
                "users": [{"name": "x", "user": {}}],
            }
            (folder / "kubeconfig").write_text(json.dumps(kubeconfig))
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen(
                    [os.environ.get("PYTHON", sys.executable), "-m", "carrier_operator.injector"],
                    stdout=log,
                    stderr=log,
                    env={
                        **os.environ,
                        "PYTHONPATH": os.pathsep.join(
                            (str(ROOT / "operator"), str(ROOT / "sidecar"), sysconfig.get_path("purelib"))
                        ),
                        "KUBECONFIG": str(folder / "kubeconfig"),
                        "CARRIER_OPERATOR_SIDECAR_IMAGE": "carrier/sidecar:1",
                        "CARRIER_INJECTOR_CERT_DIR": name,
                        "CARRIER_INJECTOR_LISTEN": "127.0.0.1:0",
                        "CARRIER_INJECTOR_PROBES": "127.0.0.1:0",
                        "CARRIER_INJECTOR_LEAVE": "0s",
                    },
                )
            try:
                return await _load(process.pid, folder / "log", authority.client_context(), rate, duration_s)
            finally:
                process.terminate()
                process.wait(20)


async def _load(pid: int, log: Path, tls: ssl.SSLContext, rate: int, duration_s: float) -> dict[str, Any]:
    for _ in range(500):
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        serving = [line for line in lines if line["msg"] == "serving"]
        if serving:
            break
        await asyncio.sleep(0.02)
    url = f"https://localhost:{serving[0]['reviews']}/inject"
    ready = f"http://127.0.0.1:{serving[0]['probes']}/readyz"
    bodies = [review(number) for number in range(1000)]
    took_s: list[float] = []
    failed = 0
    connector = aiohttp.TCPConnector(ssl=tls, limit=32)
    async with aiohttp.ClientSession(connector=connector, headers={"Content-Type": "application/json"}) as session:
        while (await session.get(ready)).status != web.HTTPOk.status_code:
            await asyncio.sleep(0.02)
        idle_mb = memory_mb(pid)

        async def one(body: bytes) -> None:
            nonlocal failed
            began = time.perf_counter()
            async with session.post(url, data=body) as response:
                answer = await response.read()
            took_s.append(time.perf_counter() - began)
            failed += b'"patch"' not in answer

        await asyncio.gather(*(one(body) for body in bodies[:200]))
        took_s.clear()
        cpu_before, began = cpu_s(pid), time.perf_counter()
        tasks = []
        for number in range(int(rate * duration_s)):
            delay = began + number / rate - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            tasks.append(asyncio.create_task(one(bodies[number % len(bodies)])))
        await asyncio.gather(*tasks)
        elapsed_s, used_s = time.perf_counter() - began, cpu_s(pid) - cpu_before
    took_s.sort()
    return {
        "rate_asked": rate,
        "rate": round(len(took_s) / elapsed_s),
        "p50_ms": round(took_s[len(took_s) // 2] * 1000, 2),
        "p99_ms": round(took_s[int(len(took_s) * 0.99)] * 1000, 2),
        "cpu_us_per_review": round(used_s / len(took_s) * 1e6),
        "rss_idle_mb": round(idle_mb, 1),
        "rss_after_mb": round(memory_mb(pid), 1),
        "without_patch": failed,
        "bindings": NAMESPACES * BINDINGS_EACH,
    }


def main() -> int:
    rate, duration_s = int(sys.argv[1]) if len(sys.argv) > 1 else 1000, float(sys.argv[2]) if len(sys.argv) > 2 else 10
    print(json.dumps(asyncio.run(measure(rate, duration_s)), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
