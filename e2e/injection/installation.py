"""The operator on a cluster as its chart installs it: injector and controller with the operator's image.

The controller makes the certificates, and may restart workloads. Two things are the test's: the webhook counts for
namespaces with LABEL only, and a pod that can't be reviewed is refused (failurePolicy Fail), so that no test runs
without what it tests.
"""

from __future__ import annotations

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

from .told import wait_until

CHART = Path(__file__).parents[2] / "helm/carrier"
LABEL = "carrier-test/injected"

READY_WITHIN_S = 120

_CRD = "CustomResourceDefinition"  # is left: a cluster that was given may have had it before


@contextmanager
def installed(api: Any, kubectl: Callable[..., str], operator_image: str, sidecar_image: str) -> Iterator[str]:
    """The operator for the length of the block, ready for reviews at its beginning; the namespace that it is in."""
    release = f"e2e-{secrets.token_hex(3)}"
    namespace = f"carrier-{release}"
    documents = _rendered(release, namespace, operator_image, sidecar_image)
    core, apps = kubernetes.client.CoreV1Api(api), kubernetes.client.AppsV1Api(api)
    core.create_namespace({"metadata": {"name": namespace, "labels": RESTRICTED_LABELS}})
    try:
        kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))
        # An injector is not ready before it has its certificate.
        try:
            wait_until(
                lambda: _available(apps, namespace), "the chart's Deployments are available", timeout_s=READY_WITHIN_S
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{_logs(core, namespace)}") from None
        yield namespace
    finally:
        removed = yaml.safe_dump_all(it for it in documents if it["kind"] != _CRD)
        kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=removed)
        core.delete_namespace(namespace)


def _rendered(release: str, namespace: str, operator_image: str, sidecar_image: str) -> list[dict[str, Any]]:
    prefix, tag = _common(operator_image, sidecar_image)
    values = {
        "images": {"prefix": prefix, "tag": tag},
        "webhook": {"failurePolicy": "Fail"},
        # The pods' AWS identity is the real way (a projected token), but STS is the test's.
        "policy": {"allowedEnv": ["AWS_ENDPOINT_URL_STS"]},
        "controller": {"rollout": {"enabled": True}},
    }
    command: list[str | Path] = [
        binaries.helm(), "template", release, CHART, "-n", namespace,
        "--include-crds", "--kube-version", "1.34", "-f", "-",
    ]  # fmt: skip
    done = subprocess.run(
        command, input=yaml.safe_dump(values), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    documents = [it for it in yaml.safe_load_all(done.stdout) if it]
    (configuration,) = (it for it in documents if it["kind"] == "MutatingWebhookConfiguration")
    for webhook in configuration["webhooks"]:
        webhook["namespaceSelector"]["matchExpressions"].append({"key": LABEL, "operator": "Exists"})
    return documents


def _common(operator_image: str, sidecar_image: str) -> tuple[str, str]:
    """The prefix and the tag of both."""
    prefix, _, tag = operator_image.rpartition(":")
    prefix = prefix.removesuffix("/operator")
    assert sidecar_image == f"{prefix}/sidecar:{tag}", (operator_image, sidecar_image)
    return prefix, tag


def _available(apps: Any, namespace: str) -> bool:
    deployments = apps.list_namespaced_deployment(namespace).items
    return bool(deployments) and all((it.status.available_replicas or 0) >= it.spec.replicas for it in deployments)


def _logs(core: Any, namespace: str) -> str:
    names = [pod.metadata.name for pod in core.list_namespaced_pod(namespace).items]
    return "\n".join(f"{name}:\n{core.read_namespaced_pod_log(name, namespace, tail_lines=20)}" for name in names)
