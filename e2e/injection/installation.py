"""The injector on a cluster, as the chart installs it: pods with the operator's image behind a Service.

Three things are the test's: the certificate is made here, the webhook counts for namespaces with LABEL only, and a pod
that can't be reviewed is refused (failurePolicy Fail), so that no test runs without what it tests.
"""

from __future__ import annotations

import base64
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes
import yaml

from e2e.cluster import binaries
from e2e.pods import RESTRICTED_LABELS
from tests.wire.operator.certificates import Authority

from .told import wait_until

CHART = Path(__file__).parents[2] / "helm/carrier"
LABEL = "carrier-test/injected"

_WEBHOOK = "MutatingWebhookConfiguration"
_CRD = "CustomResourceDefinition"  # is left: a cluster that was given may have had it before


@contextmanager
def installed(api: Any, kubectl: Callable[..., str], operator_image: str, sidecar_image: str) -> Iterator[None]:
    """The chart's injector for the length of the block, ready for reviews at its beginning."""
    release = f"e2e-{secrets.token_hex(3)}"
    namespace = f"carrier-{release}"
    documents = _rendered(release, namespace, operator_image, sidecar_image)
    webhooks = [it for it in documents if it["kind"] == _WEBHOOK]
    others = [it for it in documents if it["kind"] != _WEBHOOK]
    service = next(it["metadata"]["name"] for it in others if it["kind"] == "Service" and _component(it) == "injector")
    authority = Authority()
    for configuration in webhooks:
        _complete(configuration, authority)
    core, apps = kubernetes.client.CoreV1Api(api), kubernetes.client.AppsV1Api(api)
    core.create_namespace({"metadata": {"name": namespace, "labels": RESTRICTED_LABELS}})
    try:
        core.create_namespaced_secret(
            namespace, _certificate(f"{service}-tls", f"{service}.{namespace}.svc", authority)
        )
        kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(others))
        wait_until(lambda: _available(apps, namespace), "the chart's Deployments are available", timeout_s=120)
        kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(webhooks))
        yield
    finally:
        removed = yaml.safe_dump_all([*webhooks, *(it for it in others if it["kind"] != _CRD)])
        kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=removed)
        core.delete_namespace(namespace)


def _rendered(release: str, namespace: str, operator_image: str, sidecar_image: str) -> list[dict[str, Any]]:
    prefix, tag = _common(operator_image, sidecar_image)
    values = {
        "images": {"prefix": prefix, "tag": tag},
        "webhook": {"failurePolicy": "Fail"},
        # The pods' AWS identity is the real way (a projected token), but STS is the test's.
        "policy": {"allowedEnv": ["AWS_ENDPOINT_URL_STS"]},
    }
    command: list[str | Path] = [
        binaries.helm(), "template", release, CHART, "-n", namespace,
        "--include-crds", "--kube-version", "1.34", "-f", "-",
    ]  # fmt: skip
    done = subprocess.run(
        command, input=yaml.safe_dump(values), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [it for it in yaml.safe_load_all(done.stdout) if it and _component(it) != "controller"]


def _common(operator_image: str, sidecar_image: str) -> tuple[str, str]:
    """The prefix and the tag of both."""
    prefix, _, tag = operator_image.rpartition(":")
    prefix = prefix.removesuffix("/operator")
    assert sidecar_image == f"{prefix}/sidecar:{tag}", (operator_image, sidecar_image)
    return prefix, tag


def _component(document: dict[str, Any]) -> str | None:
    found: str | None = document["metadata"].get("labels", {}).get("app.kubernetes.io/component")
    return found


def _complete(configuration: dict[str, Any], authority: Authority) -> None:
    (webhook,) = configuration["webhooks"]
    webhook["clientConfig"]["caBundle"] = base64.b64encode(authority.pem).decode()
    webhook["namespaceSelector"]["matchExpressions"].append({"key": LABEL, "operator": "Exists"})


def _certificate(name: str, host: str, authority: Authority) -> dict[str, Any]:
    certificate, key = authority.leaf(name=host)
    data = {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()}
    return {"metadata": {"name": name}, "type": "kubernetes.io/tls", "data": data}


def _available(apps: Any, namespace: str) -> bool:
    deployments = apps.list_namespaced_deployment(namespace).items
    return bool(deployments) and all((it.status.available_replicas or 0) >= it.spec.replicas for it in deployments)
