"""An installation of the chart's roles and settings on a cluster, with controller and injector as processes here.

What runs has the rights and the environment that the chart gives it: ServiceAccounts with tokens, roles and
Deployments are the rendered ones; only addresses are changed, since the processes are not pods. For certificates, a Pod
object stands for each injector process, so that the controller finds it.
"""

from __future__ import annotations

import base64
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes
import yaml

from e2e.cluster import binaries

ROOT = Path(__file__).resolve().parents[3]
LABEL = "carrier-test/release"


def wait_until(condition: Callable[[], bool], timeout_s: float = 30.0, what: str = "it") -> float:
    """Polls until the condition holds; seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout_s, f"{what} never came true"
        time.sleep(0.05)
    return time.monotonic() - began


class Process:
    """`python -m carrier_operator.<what>` with an environment of its own, its log in a file."""

    def __init__(self, what: str, environ: dict[str, str], log: Path) -> None:
        self.log = log
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("CARRIER_", "AWS_", "KUBE"))
        }
        environ = {
            **inherited,
            "PYTHONPATH": os.pathsep.join((str(ROOT / "operator"), str(ROOT / "sidecar"))),
            "PYTHONUNBUFFERED": "1",
            **environ,
        }
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "carrier_operator", what], env=environ, stdout=file, stderr=file
            )
        self.port = 0
        self.identity = ""  # in the Lease
        wait_until(self._serving, what=f"the {what} serving")

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged."""
        found = [yaml.safe_load(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in found if isinstance(line, dict)]

    def said(self, message: str) -> bool:
        return any(line["msg"] == message for line in self.lines())

    def _serving(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        for line in self.lines():
            if line["msg"] == "serving":
                self.port = line["probes"]
                self.reviews = line.get("reviews", 0)
        return bool(self.port)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """The sum of a metric's samples; 0 where there is none."""
        lines = (line for line in self.get("/metrics")[1].splitlines() if line.startswith(name))
        return sum(float(line.rpartition(" ")[2]) for line in lines if line[len(name)] in " {")

    def signal(self, signum: int) -> None:
        self.process.send_signal(signum)

    def stop(self, timeout_s: float = 20.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def rss_mb(self) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0


class Installation:
    """The chart under a release name of its own, in a namespace of its own. Use as a context manager."""

    def __init__(self, cluster: Any, api: Any, folder: Path, *values: str) -> None:
        self.cluster = cluster
        self.api = api
        self.folder = folder
        self.release = f"t{secrets.token_hex(4)}"
        self.namespace = f"carrier-{self.release}"
        self.core = kubernetes.client.CoreV1Api(api)
        self.custom = kubernetes.client.CustomObjectsApi(api)
        self.rbac = kubernetes.client.RbacAuthorizationV1Api(api)
        self.webhooks = kubernetes.client.AdmissionregistrationV1Api(api)
        self.documents = self._render(values)
        self.processes: list[Process] = []
        self.namespaces: list[str] = []
        self.through: str | None = None  # a URL by which processes reach the API server instead of its own

    def _render(self, values: tuple[str, ...]) -> list[dict[str, Any]]:
        command = [str(binaries.helm()), "template", self.release, str(ROOT / "helm/carrier"), "-n", self.namespace,
                   "--kube-version", "1.34", "--set", "nativeSidecars=auto",
                   *(word for value in values for word in ("--set-json", value))]  # fmt: skip
        rendered = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert rendered.returncode == 0, rendered.stderr
        return [document for document in yaml.safe_load_all(rendered.stdout) if document]

    def of_kind(self, *kinds: str) -> list[dict[str, Any]]:
        return [document for document in self.documents if document["kind"] in kinds]

    def named(self, kind: str, ending: str) -> dict[str, Any]:
        return next(it for it in self.of_kind(kind) if it["metadata"]["name"].endswith(ending))

    def __enter__(self) -> Installation:
        self.core.create_namespace({"metadata": {"name": self.namespace}})
        kinds = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
        kubernetes.utils.create_from_yaml(self.api, yaml_objects=self.of_kind(*kinds))
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            if process.process.poll() is None:
                process.process.kill()
                process.process.wait(10)
        for name in self.namespaces:
            self.core.delete_namespace(name)
        self.core.delete_namespace(self.namespace)
        for kind in ("cluster_role_binding", "cluster_role"):
            for document in self.of_kind("".join(part.capitalize() for part in kind.split("_"))):
                getattr(self.rbac, f"delete_{kind}")(document["metadata"]["name"])
        try:
            self.webhooks.delete_mutating_webhook_configuration(self.webhook_name)
        except kubernetes.client.ApiException as error:
            if error.status != 404:
                raise

    # -- processes ---------------------------------------------------------------------------------------------------

    def kubeconfig(self, component: str) -> Path:
        """A kubeconfig of a component's ServiceAccount."""
        path = self.folder / f"{component}.kubeconfig"
        document = yaml.safe_load(Path(self.cluster.kubeconfig).read_text())
        context = next(it for it in document["contexts"] if it["name"] == document["current-context"])["context"]
        account = self.named("ServiceAccount", f"-{component}")["metadata"]["name"]
        token = self.core.create_namespaced_service_account_token(
            account, self.namespace, {"spec": {"expirationSeconds": 7200}}
        )
        context.update(user="us", namespace=self.namespace)
        if self.through is not None:
            cluster = next(it for it in document["clusters"] if it["name"] == context["cluster"])
            cluster["cluster"] = {"server": self.through}
        document["users"] = [{"name": "us", "user": {"token": token.status.token}}]
        path.write_text(yaml.safe_dump(document))
        return path

    def environ(self, component: str) -> dict[str, str]:
        """The environment that the chart gives this component."""
        (container,) = self.named("Deployment", f"-{component}")["spec"]["template"]["spec"]["containers"]
        return {entry["name"]: entry["value"] for entry in container["env"]}

    def controller(self, **environ: str) -> Process:
        """One controller. Keyword arguments are further variables."""
        identity = f"c{len(self.processes)}"
        process = Process(
            "controller",
            {
                **self.environ("controller"),
                "KUBECONFIG": str(self.kubeconfig("controller")),
                "CARRIER_CONTROLLER_PROBES": "127.0.0.1:0",
                "CARRIER_CONTROLLER_IDENTITY": identity,
                "CARRIER_OPERATOR_NATIVE_SIDECARS": "true",
                **environ,
            },
            self.folder / f"{identity}.log",
        )
        process.identity = identity
        self.processes.append(process)
        return process

    def injector(self, address: str, **environ: str) -> Process:
        """One injector, serving on `address`."""
        process = Process(
            "injector",
            {
                **self.environ("injector"),
                "KUBECONFIG": str(self.kubeconfig("injector")),
                "CARRIER_INJECTOR_LISTEN": f"{address}:0",
                "CARRIER_INJECTOR_PROBES": "127.0.0.1:0",
                "CARRIER_INJECTOR_LEAVE": "0.2s",
                "CARRIER_OPERATOR_NATIVE_SIDECARS": "true",
                **environ,
            },
            self.folder / f"i{len(self.processes)}.log",
        )
        self.processes.append(process)
        return process

    def stand_for(self, address: str, port: int) -> str:
        """A Pod object for an injector that serves there: ready, with its address and port."""
        labels = self.named("Deployment", "-injector")["spec"]["template"]["metadata"]["labels"]
        container = {"name": "injector", "image": "x", "ports": [{"name": "reviews", "containerPort": port}]}
        pod = {"metadata": {"generateName": "injector-", "labels": labels}, "spec": {"containers": [container]}}
        name: str = self.core.create_namespaced_pod(self.namespace, pod).metadata.name
        self.pod_status(name, self.namespace, podIP=address, ready=True)
        return name

    # -- objects -----------------------------------------------------------------------------------------------------

    @property
    def webhook_name(self) -> str:
        name: str = self.of_kind("MutatingWebhookConfiguration")[0]["metadata"]["name"]
        return name

    def webhook(self, url: str) -> dict[str, Any]:
        """The chart's configuration, but by URL, and for this installation's namespaces only."""
        (document,) = self.of_kind("MutatingWebhookConfiguration")
        (webhook,) = document["webhooks"]
        return {
            **document,
            "webhooks": [
                {
                    **webhook,
                    "clientConfig": {"url": url},
                    "namespaceSelector": {"matchLabels": {LABEL: self.release}},
                }
            ],
        }

    def ca_bundle(self) -> bytes:
        found = self.webhooks.read_mutating_webhook_configuration(self.webhook_name)
        return base64.b64decode(found.webhooks[0].client_config.ca_bundle or "")

    def lease_holder(self) -> str:
        coordination = kubernetes.client.CoordinationV1Api(self.api)
        try:
            lease = coordination.read_namespaced_lease(
                self.environ("controller")["CARRIER_CONTROLLER_LEASE"], self.namespace
            )
        except kubernetes.client.ApiException as error:
            if error.status == 404:
                return ""
            raise
        return str(lease.spec.holder_identity or "")

    def new_namespace(self) -> str:
        """A namespace that the installation injects in."""
        name = f"shop-{secrets.token_hex(4)}"
        self.core.create_namespace({"metadata": {"name": name, "labels": {LABEL: self.release}}})
        self.namespaces.append(name)
        wait_until(lambda: bool(self.core.list_namespaced_service_account(name).items), what="a ServiceAccount")
        return name

    def bind(self, namespace: str, name: str = "orders", **spec: Any) -> None:
        whole = {
            "selector": {"matchLabels": {"app": "worker"}},
            "queue": {"name": "orders", "region": "us-west-2"},
            **spec,
        }
        body = {
            "apiVersion": "carrier.dev/v1alpha1",
            "kind": "CarrierBinding",
            "metadata": {"name": name},
            "spec": {key: value for key, value in whole.items() if value is not None},
        }
        self.custom.create_namespaced_custom_object("carrier.dev", "v1alpha1", namespace, "carrierbindings", body)

    def change(self, namespace: str, name: str = "orders", **spec: Any) -> None:
        self.custom.patch_namespaced_custom_object(
            "carrier.dev", "v1alpha1", namespace, "carrierbindings", name, {"spec": spec}
        )

    def unbind(self, namespace: str, name: str = "orders") -> None:
        self.custom.delete_namespaced_custom_object("carrier.dev", "v1alpha1", namespace, "carrierbindings", name)

    def read(self, namespace: str, name: str = "orders") -> dict[str, Any]:
        found: dict[str, Any] = self.custom.get_namespaced_custom_object(
            "carrier.dev", "v1alpha1", namespace, "carrierbindings", name
        )
        return found

    def counts(self, namespace: str, name: str = "orders") -> dict[str, Any]:
        counts: dict[str, Any] = (self.read(namespace, name).get("status") or {}).get("pods") or {}
        return counts

    def condition(self, namespace: str, kind: str, name: str = "orders") -> str:
        """Status and reason, as `False PodsMissed`; empty where there is none."""
        for it in (self.read(namespace, name).get("status") or {}).get("conditions") or ():
            if it["type"] == kind:
                return f"{it['status']} {it['reason']}"
        return ""

    def pod(self, namespace: str, name: str, **metadata: Any) -> dict[str, Any]:
        """Creates a pod that never runs, and gives it as the API server keeps it."""
        container = {"name": "app", "image": "example.test/app:1", "ports": [{"name": "http", "containerPort": 9000}]}
        body = {
            "metadata": {"name": name, "labels": {"app": "worker"}, **metadata},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 30},
        }
        made: dict[str, Any] = self.api.sanitize_for_serialization(self.core.create_namespaced_pod(namespace, body))
        return made

    def pod_status(self, name: str, namespace: str, *, ready: bool, **status: Any) -> None:
        """What a kubelet would say."""
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        body = {"status": {"phase": "Running", "conditions": [condition], **status}}
        if "podIP" in status:
            body["status"]["podIPs"] = [{"ip": status["podIP"]}]
        self.core.patch_namespaced_pod_status(name, namespace, body)

    def delete_pod(self, namespace: str, name: str) -> None:
        self.core.delete_namespaced_pod(name, namespace, grace_period_seconds=0)

    def events(self, namespace: str, reason: str) -> list[Any]:
        return [it for it in self.core.list_namespaced_event(namespace).items if it.reason == reason]
