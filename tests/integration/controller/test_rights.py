"""The chart's roles are enough for the controller, and none of their rules is too many."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import Any

import kubernetes
import pytest

from tests.integration.controller.rig import Installation, Process, wait_until

WITHIN_S = 12.0
# What does not work without a rule: by kind of role, and what the rule is about (with the verbs where that is needed).
FAILS = {
    ("ClusterRole", "carrierbindings", "list"): "reads",
    ("ClusterRole", "carrierbindings/status", "patch"): "status",
    ("ClusterRole", "customresourcedefinitions", "get"): "reads",
    ("ClusterRole", "pods", "list"): "reads",
    ("ClusterRole", "nodes", "list"): "reads",
    ("ClusterRole", "replicasets", "get"): "event on the Deployment",
    ("ClusterRole", "events", "create"): "event on the Deployment",
    ("ClusterRole", "mutatingwebhookconfigurations", "list"): "caBundle",
    ("ClusterRole", "deployments", "get"): "restart",
    ("Role", "leases", "create"): "leads",
    ("Role", "leases", "get"): "leads",
    ("Role", "secrets", "create"): "leaf",
    ("Role", "secrets", "list"): "leaf",
}


@pytest.fixture(scope="module")
def whole(cluster: Any, api: Any, crd: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("rights")
    with Installation(cluster, api, folder, "controller.rollout.enabled=true") as made:
        made.webhooks.create_mutating_webhook_configuration(made.webhook("https://127.0.0.1:1/inject"))
        made.stand_for("127.0.0.1", 1)  # nothing is restarted while no injector is ready
        yield made


def rules(installation: Installation) -> list[tuple[dict[str, Any], int]]:
    return [
        (role, index)
        for role in installation.of_kind("ClusterRole", "Role")
        if "-controller" in role["metadata"]["name"]
        for index in range(len(role["rules"]))
    ]


def start_anew(installation: Installation) -> None:
    """As if nothing had run: no Lease, no Secrets, nothing trusted."""
    coordination, core = kubernetes.client.CoordinationV1Api(installation.api), installation.core
    for lease in coordination.list_namespaced_lease(installation.namespace).items:
        coordination.delete_namespaced_lease(lease.metadata.name, installation.namespace)
    for secret in core.list_namespaced_secret(installation.namespace).items:
        core.delete_namespaced_secret(secret.metadata.name, installation.namespace)
    installation.webhooks.delete_mutating_webhook_configuration(installation.webhook_name)
    installation.webhooks.create_mutating_webhook_configuration(installation.webhook("https://127.0.0.1:1/inject"))


def what_works(installation: Installation, process: Process, namespace: str) -> set[str]:
    apps = kubernetes.client.AppsV1Api(installation.api)
    secrets = {it.metadata.name for it in installation.core.list_namespaced_secret(installation.namespace).items}
    template = apps.read_namespaced_deployment("worker", namespace).spec.template
    told = {it.involved_object.kind for it in installation.events(namespace, "SidecarLeftOut")}
    found = {
        "leads": bool(installation.lease_holder()),
        "reads": process.said("everything is read"),
        "status": installation.counts(namespace).get("missing") == 1,
        "event on the Deployment": told == {"Deployment"},
        "caBundle": bool(installation.ca_bundle()),
        "leaf": installation.environ("controller")["CARRIER_CONTROLLER_LEAF_SECRET"] in secrets,
        "restart": "carrier.dev/restartedAt" in (template.metadata.annotations or {}),
    }
    return {what for what, works in found.items() if works}


EVERYTHING = {"leads", "reads", "status", "event on the Deployment", "caBundle", "leaf", "restart"}


def scene(installation: Installation) -> str:
    """A namespace with a binding, a workload that precedes it, and one that asks in vain."""
    namespace = installation.new_namespace()
    apps = kubernetes.client.AppsV1Api(installation.api)
    for name, asks in (("worker", {}), ("other", {"carrier.dev/binding": "typo"})):
        labels = {"app": name}
        template = {
            "metadata": {"labels": labels, "annotations": asks},
            "spec": {"containers": [{"name": "app", "image": "example.test/app:1"}]},
        }
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        apps.create_namespaced_deployment(namespace, {"metadata": {"name": name}, "spec": spec})
    wait_until(lambda: len(installation.core.list_namespaced_pod(namespace).items) == 2)
    installation.bind(namespace, rollout="Missing")
    return namespace


def run(installation: Installation) -> set[str]:
    start_anew(installation)
    process = installation.controller(CARRIER_OPERATOR_NATIVE_SIDECARS="auto")
    namespace = scene(installation)
    deadline = time.monotonic() + WITHIN_S
    works: set[str] = set()
    while works != EVERYTHING and time.monotonic() < deadline:
        works |= what_works(installation, process, namespace)
        time.sleep(0.3)
    process.stop()
    return works


def test_the_charts_roles_are_enough(whole: Installation) -> None:
    assert run(whole) == EVERYTHING


def test_every_rule_is_in_the_table(whole: Installation) -> None:
    assert {_key(role, index) for role, index in rules(whole)} == set(FAILS)


def _key(role: dict[str, Any], index: int) -> tuple[str, str, str]:
    rule = role["rules"][index]
    return role["kind"], rule["resources"][0], rule["verbs"][0]


@pytest.mark.parametrize("key", FAILS, ids=" ".join)
def test_without_a_rule_something_fails(whole: Installation, key: tuple[str, str, str]) -> None:
    role, index = next(it for it in rules(whole) if _key(*it) == key)
    less = copy.deepcopy(role)
    del less["rules"][index]
    _replace(whole, less)
    try:
        works = run(whole)
    finally:
        _replace(whole, role)
    assert FAILS[key] not in works


def _replace(installation: Installation, role: dict[str, Any]) -> None:
    name = role["metadata"]["name"]
    if role["kind"] == "Role":
        installation.rbac.replace_namespaced_role(name, installation.namespace, role)
    else:
        installation.rbac.replace_cluster_role(name, role)
    time.sleep(1.0)  # the authorizer reads roles by watch
