"""The chart's ValidatingAdmissionPolicies on a real API server: where they apply, what they cost, whose rights count,
and what is seen while an injector is there and while it is not.
"""

from __future__ import annotations

import secrets
from typing import Any

import kubernetes
import pytest

from carrier_operator import pods
from carrier_operator.policy import Unaccepted
from e2e.cluster.fixtures import new_namespace
from tests.integration.operator import test_webhook
from tests.integration.operator.conftest import wait_until
from tests.integration.operator.required import (
    LABEL,
    ORDERS,
    a_binding,
    applied,
    bind,
    client_with,
    complete,
    container,
    injected,
    policies,
    policies_of,
    probe,
    refusal,
    settle,
    shop,
    system,
)
from tests.integration.operator.test_webhook import InjectorProcess, ours, registered, rendered

__all__ = ["address", "chart", "injector", "policies", "shop", "system"]

address, chart, injector = test_webhook.address, test_webhook.chart, test_webhook.injector


# -- where it applies --------------------------------------------------------------------------------------------------


def test_without_the_label_nothing_is_refused(api: Any, crd: Any, shop: str) -> None:
    bind(crd, shop, ORDERS)
    settle(api, crd, shop)
    core = kubernetes.client.CoreV1Api(api)
    for label in (None, "disabled", "anything", "required"):
        core.patch_namespace(shop, {"metadata": {"labels": {LABEL: label}}})
        refused = label == "required"
        wait_until(lambda refused=refused: (refusal(api, shop, probe({"app": "worker"})) is not None) == refused)  # type: ignore[misc]
        named = probe(annotations={"carrier.dev/binding": "gone"})
        assert (refusal(api, shop, named) is not None) == refused


def test_where_the_webhook_does_not_look_nothing_is_refused(api: Any, system: str, shop: str, crd: Any) -> None:
    settle(api, crd, shop)
    core = kubernetes.client.CoreV1Api(api)
    named = probe(annotations={"carrier.dev/binding": "gone"})
    assert refusal(api, shop, named) is not None
    assert refusal(api, system, named) is None
    core.patch_namespace("kube-system", {"metadata": {"labels": {LABEL: "required"}}})
    try:
        wait_until(lambda: bool(core.list_namespaced_service_account("kube-system").items))
        assert refusal(api, "kube-system", named) is None
    finally:
        core.patch_namespace("kube-system", {"metadata": {"labels": {LABEL: None}}})


def test_bindings_act_in_their_own_namespace_only(api: Any, crd: Any, shop: str, policies: Any) -> None:
    bind(crd, shop, ORDERS)
    settle(api, crd, shop)
    assert refusal(api, shop, probe({"app": "worker"})) is not None
    with new_namespace(api, {LABEL: "required"}) as elsewhere:
        assert refusal(api, elsewhere, probe({"app": "worker"})) is None


def test_only_new_pods_are_looked_at(api: Any, crd: Any, shop: str) -> None:
    core = kubernetes.client.CoreV1Api(api)
    core.create_namespaced_pod(shop, complete(probe({"app": "worker"}, name="before")))
    bind(crd, shop, ORDERS)
    settle(api, crd, shop)
    changed = core.patch_namespaced_pod("before", shop, {"metadata": {"annotations": {"carrier.dev/inject": "true"}}})
    assert changed.metadata.annotations == {"carrier.dev/inject": "true"}


def test_without_the_crd_pods_are_refused_where_sidecars_are_required_and_nowhere_else(
    api: Any, namespace: str
) -> None:
    # A label of its own: a policy that was deleted is in force for another second.
    label = "example.test/broken"
    documents = policies_of(
        rendered(f"t{secrets.token_hex(4)}", "elsewhere", "--set", f"requireSidecars.label={label}")
    )
    for document in documents:
        if "paramKind" in document["spec"]:
            document["spec"]["paramKind"]["kind"] = "CarrierBound"
    with applied(api, documents), new_namespace(api, {label: "required"}) as strict:
        wait_until(lambda: "CarrierBound" in (refusal(api, strict, probe()) or ""))
        assert refusal(api, namespace, probe()) is None


def test_the_policies_look_where_the_webhook_looks() -> None:
    documents = rendered("carrier", "carrier-system", "--set", "webhook.excludedNamespaces={a,b}")
    (webhook,) = next(it for it in documents if it["kind"] == "MutatingWebhookConfiguration")["webhooks"]
    for policy in policies_of(documents):
        if policy["kind"] == "ValidatingAdmissionPolicy":
            selector = policy["spec"]["matchConstraints"]["namespaceSelector"]
            assert selector == {**webhook["namespaceSelector"], "matchLabels": {LABEL: "required"}}


# -- bindings that are not, or not yet, used ---------------------------------------------------------------------------


def test_a_binding_that_is_not_accepted_locks_nobody_out_once_its_status_says_so(api: Any, crd: Any, shop: str) -> None:
    refused = Unaccepted("refused", "shop", ("not allowed",), generation=1)
    bind(crd, shop, refused)
    settle(api, crd, shop)
    assert refusal(api, shop, probe({"app": "x"})) is None
    # A new generation is taken for good until the controller has judged it.
    where = ("carrier.dev", "v1alpha1", shop, "carrierbindings", "refused")
    crd.patch_namespaced_custom_object(*where, {"spec": {"suspend": True}})
    wait_until(lambda: refusal(api, shop, probe({"app": "x"})) is not None)


def test_jobs_are_taken_where_the_chart_says_that_no_sidecar_is_native(api: Any, crd: Any, shop: str) -> None:
    arguments = ("--set-string", "nativeSidecars=false", "--set", "requireSidecars.label=example.test/strict")
    documents = policies_of(rendered(f"t{secrets.token_hex(4)}", "elsewhere", *arguments))
    job = {**probe({"app": "worker"}), "spec": {**probe()["spec"], "restartPolicy": "Never"}}
    with applied(api, documents), new_namespace(api, {"example.test/strict": "required"}) as strict:
        bind(crd, strict, ORDERS)
        bind(crd, shop, ORDERS)
        settle(api, crd, strict)
        settle(api, crd, shop)
        assert "example.test/strict=required" in (refusal(api, strict, probe({"app": "worker"})) or "")
        assert refusal(api, strict, job) is None
        assert refusal(api, shop, job) is not None


@pytest.mark.parametrize(
    ("version", "word", "native"),
    [
        ("1.30", "auto", False),
        ("1.31", "auto", False),
        ("1.32", "auto", True),
        ("1.30", "true", True),
        ("1.34", "false", False),
    ],
)
def test_jobs_count_where_every_kubelet_that_can_be_there_knows_native_sidecars(
    version: str, word: str, native: bool
) -> None:
    documents = rendered(
        "carrier", "carrier-system", "--kube-version", version, "--set-string", f"nativeSidecars={word}"
    )
    policy = next(it for it in policies_of(documents) if "paramKind" in it["spec"])
    conditions = {it["name"]: it["expression"] for it in policy["spec"]["matchConditions"]}
    assert ("['Native', 'Auto']" in conditions["pod-stays-or-sidecar-is-native"]) is native


def test_the_chart_leaves_them_out_where_they_are_not_known_or_not_wanted() -> None:
    assert len(policies_of(rendered("carrier", "carrier-system"))) == 4
    assert policies_of(rendered("carrier", "carrier-system", "--kube-version", "1.29")) == []
    assert policies_of(rendered("carrier", "carrier-system", "--set", "requireSidecars.enabled=false")) == []


# -- limits and rights -------------------------------------------------------------------------------------------------


def test_the_largest_bindings_and_pods_stay_within_the_cost_limit(api: Any, crd: Any, shop: str) -> None:
    values = [f"{number:02}" + "v" * 61 for number in range(32)]
    expression = {"operator": "NotIn", "values": values}
    selector = {
        "matchLabels": {f"{number:02}.example.test/{'k' * 50}": "v" * 63 for number in range(16)},
        "matchExpressions": [{"key": f"{number:02}.example.test/{'e' * 50}", **expression} for number in range(16)],
    }
    bind(crd, shop, a_binding("largest", selector))
    settle(api, crd, shop)
    labels = {**selector["matchLabels"], **{it["key"]: "x" for it in selector["matchExpressions"]}}  # type: ignore[dict-item, index]
    labels |= {f"l{number}": "v" * 63 for number in range(1000)}
    pod = probe(labels)
    filler = {"image": "x:1", "env": [{"name": f"A{n}", "value": "x"} for n in range(50)]}
    pod["spec"]["containers"] += [{"name": f"carrier-{number}", **filler} for number in range(200)]
    assert "carrier-largest" in (refusal(api, shop, pod) or "")
    pod["spec"]["initContainers"] = [container("largest", marked=True)]
    assert refusal(api, shop, pod) is None
    pod["metadata"]["annotations"] = {"carrier.dev/binding": "largest," + "x," * 60_000}
    said = refusal(api, shop, pod) or ""
    assert "carrier.dev/binding" in said
    assert "cost" not in said
    assert len(said) < 1024


def test_pods_are_judged_whatever_their_creator_may_see(api: Any, crd: Any, shop: str, cluster: Any) -> None:
    bind(crd, shop, ORDERS)
    settle(api, crd, shop)
    with client_with(cluster, api, shop, [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]) as theirs:
        wait_until(lambda: _may_create(theirs, shop))
        assert "carrier-orders" in (refusal(theirs, shop, probe({"app": "worker"})) or "")
        assert refusal(theirs, shop, injected(probe({"app": "worker"}), [ORDERS])) is None


def test_whoever_installs_the_policies_must_be_able_to_read_bindings_everywhere(
    api: Any, crd: Any, shop: str, cluster: Any
) -> None:
    documents = policies_of(
        rendered(f"t{secrets.token_hex(4)}", "elsewhere", "--set", "requireSidecars.label=example.test/installed")
    )
    install = [
        {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]},
    ]
    read = {"apiGroups": ["carrier.dev"], "resources": ["carrierbindings"], "verbs": ["get", "list"]}
    with client_with(cluster, api, shop, install) as theirs:
        wait_until(lambda: _may_create(theirs, shop))
        with pytest.raises(kubernetes.client.ApiException) as refused, applied(theirs, documents):
            pass
        assert 'must have \\"get\\" permission on all objects of the referenced paramKind' in refused.value.body
    with client_with(cluster, api, shop, [*install, read]) as theirs:
        wait_until(lambda: _may_create(theirs, shop))
        with applied(theirs, documents):
            pass


def _may_create(theirs: Any, namespace: str) -> bool:
    try:
        kubernetes.client.CoreV1Api(theirs).create_namespaced_pod(namespace, complete(probe()), dry_run="All")
    except kubernetes.client.ApiException as error:
        if error.status == 403:
            return False
        raise
    return True


# -- with an injector, and without -------------------------------------------------------------------------------------


def test_pods_pass_while_an_injector_serves_and_are_refused_with_the_reason_when_it_is_gone(
    api: Any, crd: Any, shop: str, injector: InjectorProcess, chart: list[dict[str, Any]]
) -> None:
    bind(crd, shop, ORDERS)
    settle(api, crd, shop)
    registration = ours(chart, injector.url, shop)
    registration["webhooks"][0]["failurePolicy"] = "Ignore"
    subject = probe({"app": "worker"})
    with registered(api, registration):
        wait_until(lambda: refusal(api, shop, subject) is None)
        for _ in range(20):
            assert refusal(api, shop, subject) is None
    gone = {**registration, "webhooks": [{**registration["webhooks"][0], "timeoutSeconds": 1}]}
    gone["webhooks"][0]["clientConfig"] = {**gone["webhooks"][0]["clientConfig"], "url": "https://127.0.0.1:1/inject"}
    with registered(api, gone):
        wait_until(lambda: refusal(api, shop, subject) is not None)
        said = refusal(api, shop, subject) or ""
        assert f"has no container carrier-orders, and CarrierBinding {shop}/orders selects it by its labels" in said
        assert f"{LABEL}=required" in said
        assert f"carrierctl check -n {shop}" in said


def test_a_replica_set_shows_the_refusal_and_goes_on_once_the_injector_is_back(
    api: Any, crd: Any, shop: str, injector: InjectorProcess, chart: list[dict[str, Any]]
) -> None:
    bind(crd, shop, ORDERS)
    settle(api, crd, shop)
    core = kubernetes.client.CoreV1Api(api)
    template = {**probe({"app": "worker"})}
    deployment = {
        "metadata": {"name": "worker"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "worker"}}, "template": template},
    }
    kubernetes.client.AppsV1Api(api).create_namespaced_deployment(shop, deployment)

    def told() -> list[str]:
        return [it.message for it in core.list_namespaced_event(shop).items if it.reason == "FailedCreate"]

    wait_until(lambda: bool(told()), 60)
    assert "has no container carrier-orders" in told()[0]
    assert "carrierctl check" in told()[0]
    assert core.list_namespaced_pod(shop).items == []
    apps = kubernetes.client.AppsV1Api(api)

    def stands() -> dict[str, str]:
        return {it.type: it.message for it in apps.read_namespaced_deployment("worker", shop).status.conditions or ()}

    wait_until(lambda: "carrier-orders" in stands().get("ReplicaFailure", ""), 60)
    with registered(api, ours(chart, injector.url, shop)):
        wait_until(lambda: len(core.list_namespaced_pod(shop).items) == 2, 90)
        made = [api.sanitize_for_serialization(it) for it in core.list_namespaced_pod(shop).items]
        assert all("carrier-orders" in pods.our_containers(it) for it in made)
