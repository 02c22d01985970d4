"""The injector, registered with a real API server as the chart registers it (but by URL), and beside another
webhook.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import yaml

from carrier_operator import pods as reading
from e2e.cluster import binaries
from tests.integration.operator.conftest import ROOT, wait_until
from tests.integration.operator.identity_webhook import ENV, TOKEN_DIR, IdentityWebhook
from tests.wire.operator.certificates import Authority

AUTHORITY = Authority()
SPEC = {
    "selector": {"matchLabels": {"app": "worker"}},
    "queue": {"name": "orders", "region": "us-west-2"},
    "webhook": {"port": "http"},
}


@pytest.fixture(scope="module")
def address(cluster: Any) -> str:
    """Where the API server can reach this process."""
    found: str | None = cluster.address_for_pods
    if found is None:
        pytest.skip("no address of this machine is known to lead here from the API server")
    return found


class InjectorProcess:
    """`python -m carrier_operator.injector` against the cluster, and its ports."""

    def __init__(self, cluster: Any, address: str, folder: Path, *, name: str = "localhost", **settings: str) -> None:
        certificate, key = AUTHORITY.leaf(address=address, name=name)
        (folder / "tls.crt").write_bytes(certificate)
        (folder / "tls.key").write_bytes(key)
        self.log = folder / "log"
        environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(ROOT / "operator"), str(ROOT / "sidecar"))),
            "KUBECONFIG": str(cluster.kubeconfig),
            "CARRIER_OPERATOR_SIDECAR_IMAGE": "example.test/carrier/sidecar:1",
            "CARRIER_OPERATOR_NATIVE_SIDECARS": "true",
            "CARRIER_OPERATOR_LOG_LEVEL": "debug",
            "CARRIER_INJECTOR_CERT_DIR": str(folder),
            "CARRIER_INJECTOR_LISTEN": f"{address}:0",
            "CARRIER_INJECTOR_PROBES": "127.0.0.1:0",
            "CARRIER_INJECTOR_LEAVE": "0.2s",
            **settings,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "carrier_operator.injector"], env=environ, stdout=log, stderr=log
            )
        self.ports: dict[str, int] = {}
        try:
            wait_until(self._serving)
            self.url = f"https://{address}:{self.ports['reviews']}/inject"
            wait_until(lambda: self.probe("/readyz") == 200)
        except BaseException:
            self.process.kill()
            raise

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged."""
        found = [yaml.safe_load(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in found if isinstance(line, dict)]

    def _serving(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        for line in self.lines():
            if line["msg"] == "serving":
                self.ports = {"reviews": line["reviews"], "probes": line["probes"]}
        return bool(self.ports)

    def probe(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['probes']}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@pytest.fixture(scope="module")
def injector(
    cluster: Any, address: str, crd: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InjectorProcess]:
    process = InjectorProcess(cluster, address, tmp_path_factory.mktemp("injector"))
    try:
        yield process
    finally:
        code = process.stop()
    assert code == 0, process.log.read_text()
    assert not [line for line in process.lines() if "traceback" in line], process.log.read_text()


def rendered(release: str, namespace: str, *more: str) -> list[dict[str, Any]]:
    """The chart as a release of this name in this namespace."""
    arguments = ["template", release, str(ROOT / "helm/carrier"), "-n", namespace, "--kube-version", "1.34", *more]
    done = subprocess.run([binaries.helm(), *arguments], capture_output=True, text=True, check=True, timeout=120)
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.fixture(scope="module")
def chart() -> list[dict[str, Any]]:
    """The chart, rendered."""
    return rendered("carrier", "carrier-system")


@contextmanager
def registered(api: Any, document: dict[str, Any]) -> Iterator[None]:
    """A webhook configuration for the length of the block."""
    registration = kubernetes.client.AdmissionregistrationV1Api(api)
    name = document["metadata"]["name"]
    registration.create_mutating_webhook_configuration(document)
    try:
        yield
    finally:
        registration.delete_mutating_webhook_configuration(name)


def only_in(namespace: str) -> dict[str, Any]:
    return {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [namespace]}


def ours(chart: list[dict[str, Any]], url: str, namespace: str, name: str = "m-carrier") -> dict[str, Any]:
    """The chart's configuration, but by URL and for one namespace."""
    document = next(it for it in chart if it["kind"] == "MutatingWebhookConfiguration")
    (webhook,) = document["webhooks"]
    selector = {"matchExpressions": [*webhook["namespaceSelector"]["matchExpressions"], only_in(namespace)]}
    return {
        **document,
        "metadata": {"name": f"{name}-{namespace}"},
        "webhooks": [
            {
                **webhook,
                "failurePolicy": "Fail",
                "namespaceSelector": selector,
                "clientConfig": {"url": url, "caBundle": base64.b64encode(AUTHORITY.pem).decode()},
            }
        ],
    }


def identity(url: str, namespace: str, name: str, reinvocation: str) -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": f"{name}-{namespace}"},
        "webhooks": [
            {
                "name": "identity.example.test",
                "clientConfig": {"url": url, "caBundle": base64.b64encode(AUTHORITY.pem).decode()},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "reinvocationPolicy": reinvocation,
                "namespaceSelector": {"matchExpressions": [only_in(namespace)]},
            }
        ],
    }


def pod(**metadata: Any) -> dict[str, Any]:
    container = {"name": "app", "image": "example.test/app:1", "ports": [{"name": "http", "containerPort": 8080}]}
    return {
        "metadata": {"generateName": "worker-", "labels": {"app": "worker"}, **metadata},
        "spec": {"containers": [container]},
    }


def created(api: Any, namespace: str, document: dict[str, Any]) -> dict[str, Any]:
    made = kubernetes.client.CoreV1Api(api).create_namespaced_pod(namespace, document, dry_run="All")
    found: dict[str, Any] = api.sanitize_for_serialization(made)
    return found


def bind(crd: Any, namespace: str, name: str = "orders", **spec: Any) -> None:
    body = {
        "apiVersion": "carrier.dev/v1alpha1",
        "kind": "CarrierBinding",
        "metadata": {"name": name},
        "spec": {**SPEC, **spec},
    }
    crd.create_namespaced_custom_object("carrier.dev", "v1alpha1", namespace, "carrierbindings", body)


def sidecars(made: dict[str, Any]) -> list[str]:
    return sorted(reading.our_containers(made))


def test_matching_pods_carry_the_sidecar_as_soon_as_the_binding_is_there(
    api: Any, crd: Any, namespace: str, injector: InjectorProcess, chart: list[dict[str, Any]]
) -> None:
    with registered(api, ours(chart, injector.url, namespace)):
        assert sidecars(created(api, namespace, pod())) == []
        bind(crd, namespace)
        wait_until(lambda: sidecars(created(api, namespace, pod())) == ["carrier-orders"])
        assert sidecars(created(api, namespace, pod(labels={"app": "other"}))) == []
        assert sidecars(created(api, namespace, pod(annotations={"carrier.dev/inject": "false"}))) == []


def test_pods_of_a_deployment_and_by_annotation(
    api: Any, crd: Any, namespace: str, injector: InjectorProcess, chart: list[dict[str, Any]]
) -> None:
    bind(crd, namespace, selector=None)
    template = pod(annotations={"carrier.dev/inject": "true"})
    template["metadata"].pop("generateName")
    deployment = {
        "metadata": {"name": "worker"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "worker"}}, "template": template},
    }
    core = kubernetes.client.CoreV1Api(api)
    with registered(api, ours(chart, injector.url, namespace)):
        wait_until(lambda: sidecars(created(api, namespace, pod(annotations={"carrier.dev/inject": "true"}))) != [])
        kubernetes.client.AppsV1Api(api).create_namespaced_deployment(namespace, deployment)
        wait_until(lambda: len(core.list_namespaced_pod(namespace).items) == 3)
        for found in core.list_namespaced_pod(namespace).items:
            document = api.sanitize_for_serialization(found)
            assert sidecars(document) == ["carrier-orders"]
            assert document["spec"]["initContainers"][-1]["restartPolicy"] == "Always"


def test_warnings_reach_the_client(
    api: Any,
    crd: Any,
    namespace: str,
    injector: InjectorProcess,
    chart: list[dict[str, Any]],
    cluster: Any,
    tmp_path: Path,
) -> None:
    document = {**pod(annotations={"carrier.dev/inject": "yes"}), "apiVersion": "v1", "kind": "Pod"}
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(document))
    with registered(api, ours(chart, injector.url, namespace)):
        command = ["create", "--dry-run=server", "-n", namespace, "-f", str(tmp_path / "pod.yaml")]

        def said() -> bool:
            done = subprocess.run(
                [binaries.kubectl(), *command],
                env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            )
            return 'Warning: carrier: carrier.dev/inject must be "true" or "false"' in done.stderr

        wait_until(said)


def test_the_log_carries_the_reviews_uid(
    api: Any, crd: Any, namespace: str, injector: InjectorProcess, chart: list[dict[str, Any]]
) -> None:
    bind(crd, namespace)
    with registered(api, ours(chart, injector.url, namespace)):
        wait_until(lambda: sidecars(created(api, namespace, pod())) == ["carrier-orders"])
    line = next(it for it in injector.lines() if it.get("namespace") == namespace and it.get("result") == "injected")
    assert len(line["uid"]) == 36
    assert line["injected"] == ["orders"]


@pytest.mark.parametrize(
    ("order", "strips", "reinvocation"),
    [
        ("a-identity", False, "IfNeeded"),
        ("z-identity", False, "IfNeeded"),
        ("a-identity", False, "Never"),
        ("z-identity", False, "Never"),
        ("a-identity", True, "IfNeeded"),
        # One that strips, is called again and comes last has the last word; hence the chart's name for ours.
        ("z-identity", True, "Never"),
    ],
)
def test_the_pods_aws_identity_reaches_the_sidecar_in_either_order(
    api: Any,
    crd: Any,
    namespace: str,
    injector: InjectorProcess,
    chart: list[dict[str, Any]],
    address: str,
    order: str,
    strips: bool,
    reinvocation: str,
) -> None:
    bind(crd, namespace)
    other = IdentityWebhook(address, AUTHORITY.leaf(address=address), strips=strips)
    try:
        with ExitStack() as stack:
            stack.enter_context(registered(api, ours(chart, injector.url, namespace)))
            wait_until(lambda: sidecars(created(api, namespace, pod())) == ["carrier-orders"])
            stack.enter_context(registered(api, identity(other.url, namespace, order, reinvocation)))
            wait_until(lambda: other.calls > 0 or not created(api, namespace, pod()))
            made = created(api, namespace, pod())
    finally:
        other.stop()
    container = reading.our_containers(made)["carrier-orders"]
    variables = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert {entry["name"]: entry["value"] for entry in ENV}.items() <= variables.items()
    assert any(mount["mountPath"] == TOKEN_DIR for mount in container["volumeMounts"])
    assert [it["name"] for it in made["spec"]["containers"]] == ["app"]
    assert container["restartPolicy"] == "Always"


def test_a_pod_under_a_quota_over_cpu_limits_is_taken_with_its_sidecar(
    api: Any, crd: Any, namespace: str, injector: InjectorProcess, chart: list[dict[str, Any]]
) -> None:
    bind(crd, namespace)
    limited = pod()
    limited["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "1", "memory": "64Mi"}}
    core = kubernetes.client.CoreV1Api(api)
    with registered(api, ours(chart, injector.url, namespace)):
        wait_until(lambda: sidecars(created(api, namespace, pod())) == ["carrier-orders"])
        quota = {"metadata": {"name": "cpu"}, "spec": {"hard": {"limits.cpu": "4", "limits.memory": "4Gi"}}}
        core.create_namespaced_resource_quota(namespace, quota)
        wait_until(lambda: core.read_namespaced_resource_quota("cpu", namespace).status.hard is not None)

        def taken() -> bool:
            try:
                made = created(api, namespace, limited)
            except kubernetes.client.ApiException as error:
                if "must specify limits.cpu for: carrier-orders" not in error.body:
                    raise
                return False  # the injector's watch has not brought the quota yet
            container = reading.our_containers(made)["carrier-orders"]
            return bool(container["resources"]["limits"] == {"cpu": "100m", "memory": "64Mi"})

        wait_until(taken)


def test_the_rights_that_the_chart_gives_are_enough_and_no_more(
    api: Any, crd: Any, namespace: str, address: str, cluster: Any, kubectl: Callable[..., str], tmp_path: Path
) -> None:
    """The injector as its ServiceAccount, with its certificate in the Secret."""
    release = namespace.removeprefix("carrier-")
    documents = rendered(release, namespace, "--show-only", "templates/injector-rbac.yaml")
    account = next(it for it in documents if it["kind"] == "RoleBinding")["subjects"][0]["name"]
    core = kubernetes.client.CoreV1Api(api)
    core.create_namespaced_service_account(namespace, {"metadata": {"name": account}})
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))
    (role,) = (it for it in documents if it["kind"] == "Role")
    (secret,) = role["rules"][0]["resourceNames"]
    certificate, key = AUTHORITY.leaf(address=address)
    data = {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()}
    core.create_namespaced_secret(namespace, {"metadata": {"name": secret}, "type": "kubernetes.io/tls", "data": data})
    request = {"spec": {"expirationSeconds": 600}}
    token = core.create_namespaced_service_account_token(account, namespace, request).status.token
    document = yaml.safe_load(Path(cluster.kubeconfig).read_text())
    for user in document["users"]:
        user["user"] = {"token": token}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(document))
    process = InjectorProcess(
        cluster,
        address,
        tmp_path,
        KUBECONFIG=str(tmp_path / "kubeconfig"),
        CARRIER_INJECTOR_CERT_DIR="",
        CARRIER_INJECTOR_CERT_SECRET=f"{namespace}/{secret}",
        CARRIER_OPERATOR_NATIVE_SIDECARS="auto",
    )
    try:
        who = f"--as=system:serviceaccount:{namespace}:{account}"
        for may, words in (
            (True, f"list secrets/{secret} -n {namespace}"),
            (False, f"list secrets -n {namespace}"),
            (False, "get secrets -n kube-system"),
            (True, "watch carrierbindings.carrier.dev -A"),
            (False, "update carrierbindings.carrier.dev -n default"),
            (False, "create pods -n default"),
            (False, "list pods -A"),
        ):
            asked = subprocess.run(
                [binaries.kubectl(), "auth", "can-i", *words.split(), who],
                env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert (words, asked.stdout.strip()) == (words, "yes" if may else "no")
        assert not [line for line in process.lines() if "403" in str(line.get("error"))]
    finally:
        assert process.stop() == 0
        kubectl("delete", "--ignore-not-found", "-f", "-", stdin=yaml.safe_dump_all(documents))


def test_the_chart_registers_the_webhook_so_that_nothing_is_held_up(chart: list[dict[str, Any]]) -> None:
    document = next(it for it in chart if it["kind"] == "MutatingWebhookConfiguration")
    assert document["metadata"]["name"] > "pod-identity-webhook"  # called behind the others, in the order of names
    (webhook,) = document["webhooks"]
    assert (webhook["failurePolicy"], webhook["reinvocationPolicy"]) == ("Ignore", "IfNeeded")
    assert (webhook["sideEffects"], webhook["admissionReviewVersions"]) == ("None", ["v1"])
    assert webhook["timeoutSeconds"] <= 5
    assert "caBundle" not in webhook["clientConfig"]  # the controller's, so that upgrades leave it alone
    (rule,) = webhook["rules"]
    assert (rule["resources"], rule["operations"]) == (["pods"], ["CREATE"])
    names, labels = webhook["namespaceSelector"]["matchExpressions"]
    assert {"kube-system", "carrier-system"} <= set(names["values"])
    assert (labels["key"], labels["operator"], labels["values"]) == ("carrier.dev/injection", "NotIn", ["disabled"])


def test_bodies_beyond_a_mebibyte_are_reviewed(
    api: Any, crd: Any, namespace: str, injector: InjectorProcess, chart: list[dict[str, Any]]
) -> None:
    bind(crd, namespace)
    big = pod()
    # Annotations are limited to 256 KiB; arguments are not.
    big["spec"]["containers"][0]["args"] = ["x" * 1000] * 1100
    with registered(api, ours(chart, injector.url, namespace)):
        wait_until(lambda: sidecars(created(api, namespace, pod())) == ["carrier-orders"])
        assert sidecars(created(api, namespace, big)) == ["carrier-orders"]


def test_the_chart_is_taken_by_the_api_server(
    api: Any, namespace: str, chart: list[dict[str, Any]], kubectl: Callable[..., str]
) -> None:
    documents = []
    for document in chart:
        if "namespace" in document["metadata"]:
            document = {**document, "metadata": {**document["metadata"], "namespace": namespace}}
        documents.append(document)
    output = kubectl("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump_all(documents))
    assert output.count("dry run") == len(documents)
