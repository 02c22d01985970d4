"""The chart's ValidatingAdmissionPolicies on a real API server: they refuse what selection would inject, where a
namespace asks for it, and nothing else.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from typing import Any

import kubernetes
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carrier_operator import pods, selection
from carrier_operator.container import ClusterFacts
from carrier_operator.inject import inject
from carrier_operator.labels import matches
from carrier_operator.models import Binding, BindingSpec
from carrier_operator.policy import Unaccepted
from e2e.cluster.fixtures import new_namespace
from tests.integration.operator import test_webhook
from tests.integration.operator.conftest import wait_until
from tests.integration.operator.required import (
    LABEL,
    QUEUE,
    applied,
    bind,
    complete,
    policies_of,
    probe,
    refusal,
    release,
    settle,
)
from tests.integration.operator.test_webhook import InjectorProcess, ours, registered, rendered
from tests.unit.operator.test_selection import CASES

__all__ = ["address", "chart", "injector"]

address, chart, injector = test_webhook.address, test_webhook.chart, test_webhook.injector
FACTS = ClusterFacts("example.test/carrier/sidecar:1", native=True)
Bindings = list[Binding | Unaccepted]


@pytest.fixture(scope="module")
def system(api: Any) -> Iterator[str]:
    """The namespace that the chart is rendered for."""
    with new_namespace(api, {LABEL: "required"}) as name:
        yield name


@pytest.fixture(scope="module")
def policies(api: Any, crd: Any, system: str) -> Iterator[list[dict[str, Any]]]:
    documents = policies_of(rendered(f"t{secrets.token_hex(4)}", system, "--set", "webhook.excludedNamespaces={given}"))
    with applied(api, documents):
        yield documents


@pytest.fixture
def shop(api: Any, crd: Any, policies: Any) -> Iterator[str]:
    """A namespace that asks for the policies; bindings are made by the test, which then calls `settle`."""
    with new_namespace(api, {LABEL: "required"}) as name:
        yield name


def a_binding(name: str, selector: dict[str, Any] | None = None, **spec: Any) -> Binding:
    parts = {"queue": QUEUE, **spec, **({} if selector is None else {"selector": selector})}
    return Binding(name, "shop", BindingSpec.model_validate(parts), generation=1)


ORDERS = a_binding("orders", {"matchLabels": {"app": "worker"}})


def injected(pod: dict[str, Any], bindings: Bindings) -> dict[str, Any]:
    return inject(pod, "shop", bindings, FACTS, "a-token-of-a-test").pod


def test_the_api_server_finds_nothing_to_complain_about(api: Any, policies: list[dict[str, Any]]) -> None:
    admission = kubernetes.client.AdmissionregistrationV1Api(api)
    for document in policies:
        if document["kind"] != "ValidatingAdmissionPolicy":
            continue
        name = document["metadata"]["name"]

        def looked_at(name: str = name) -> bool:
            status = admission.read_validating_admission_policy(name).status
            return status is not None and status.observed_generation == 1

        wait_until(looked_at)
        checking = admission.read_validating_admission_policy(name).status.type_checking
        assert checking is None or not checking.expression_warnings, checking


def test_each_row_of_the_table_is_refused_or_taken_as_selection_says(api: Any, crd: Any, policies: Any) -> None:
    groups: dict[tuple[str, ...], tuple[Bindings, list[Any]]] = {}
    for case in CASES:
        key = tuple(sorted(f"{it.name}-{isinstance(it, Unaccepted)}-{it.deleting}" for it in case[2]))
        groups.setdefault(key, (case[2], []))[1].append(case)
    wrong = []
    for bindings, cases in groups.values():
        with new_namespace(api, {LABEL: "required"}) as shop:
            for it in bindings:
                bind(crd, shop, it)
            settle(api, crd, shop)
            for row, pod, _, chosen, skips in cases:
                expected = bool(chosen) or any(it.refused for it in skips)
                said = refusal(api, shop, pod)
                if (said is not None) != expected:
                    wrong.append((row, pod, [it.name for it in bindings], said))
                made = injected(pod, bindings)
                if chosen and not any(it.refused for it in skips) and refusal(api, shop, made) is not None:
                    wrong.append(("injected", made, [it.name for it in bindings], refusal(api, shop, made)))
            for it in bindings:
                if it.deleting:
                    release(crd, shop, it.name)
    assert wrong == []


def on(pod: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {**pod, "spec": {**pod["spec"], **spec}}


WORKER = probe({"app": "worker"})
UNABLE: list[tuple[selection.Skip, dict[str, Any], dict[str, Any]]] = [
    # why the injector can't do it, the pod, what the binding says
    (selection.FOREIGN_CONTAINER, on(WORKER, initContainers=[{"name": "carrier-orders", "image": "x:1"}]), {}),
    (selection.PORT_UNKNOWN, WORKER, {"webhook": {"port": "grpc"}}),
    (selection.VOLUME_UNKNOWN, WORKER, {"sidecar": {"volumeMounts": [{"name": "gone", "mountPath": "/gone"}]}}),
    (selection.NO_FREE_PORT, on(WORKER, containers=[{**WORKER["spec"]["containers"][0],
                                                    "ports": [{"containerPort": 65535}]}]),
     {"sidecar": {"probePort": 65535}}),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "pod", "spec"), UNABLE)
def test_pods_that_their_binding_does_not_fit_are_refused(
    api: Any, crd: Any, shop: str, reason: selection.Skip, pod: dict[str, Any], spec: dict[str, Any]
) -> None:
    binding = a_binding("orders", {"matchLabels": {"app": "worker"}}, **spec)
    made = inject(pod, "shop", [binding], FACTS, "a-token-of-a-test")
    assert [it.skip for it in made.skipped] == [reason]
    assert reason.refused
    bind(crd, shop, binding)
    settle(api, crd, shop)
    assert "carrier-orders" in (refusal(api, shop, made.pod) or "")


# -- agreement with selection over generated pods ----------------------------------------------------------------------

KEYS, VALUES = ("app", "tier", "example.test/team"), ("a", "b", "")
EXPRESSIONS: list[dict[str, Any]] = [
    {"key": "app", "operator": "In", "values": ["a", "b"]},
    {"key": "app", "operator": "NotIn", "values": ["a", ""]},
    {"key": "tier", "operator": "Exists"},
    {"key": "tier", "operator": "DoesNotExist"},
    {"key": "example.test/team", "operator": "NotIn", "values": ["b"]},
    {"key": "example.test/team", "operator": "In", "values": [""]},
]
HOST, ORDINARY, NATIVE = {"allowHostNetwork": True}, {"mode": "Container"}, {"mode": "Native"}
REFUSED = Unaccepted("refused", "shop", ("not allowed",), generation=1)
WORLDS: list[Bindings] = [
    [a_binding(f"e{number}", {"matchExpressions": [it]}) for number, it in enumerate(EXPRESSIONS)],
    [
        a_binding("both", {"matchLabels": {"app": "a"}, "matchExpressions": EXPRESSIONS[2:3]}, sidecar=HOST),
        a_binding("all", {"matchExpressions": [EXPRESSIONS[0], EXPRESSIONS[3], EXPRESSIONS[4]]}, sidecar=ORDINARY),
        a_binding("two", {"matchLabels": {"app": "b", "tier": ""}}),
        a_binding("free", sidecar=HOST),
    ],
    [
        a_binding("free"),
        a_binding("two", {"matchLabels": {"tier": "a"}}, sidecar={**HOST, **ORDINARY}),
        REFUSED,
        Binding("going", "shop", a_binding("x", {"matchLabels": {"app": "a"}}).spec, generation=1, deleting=True),
    ],
    [a_binding("free", sidecar=ORDINARY), a_binding("two", sidecar={**HOST, **NATIVE}), REFUSED],
]
NAMES = ("e0", "e3", "both", "all", "two", "free", "refused", "going", "gone")
SEPARATED = st.lists(st.sampled_from(NAMES), max_size=3).flatmap(
    lambda names: st.sampled_from([",".join(names), " , ".join(names), f" {','.join(names)},"])
)
ANNOTATIONS = st.fixed_dictionaries(
    {},
    optional={
        pods.INJECT: st.sampled_from(["true", "true", "false", "yes", ""]),
        pods.BINDING: SEPARATED,
        "kubernetes.io/config.source": st.sampled_from(["api", "api", "api", "file"]),
    },
)
LABELS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "restartPolicy": st.sampled_from(["Always", "Always", "Never", "OnFailure"]),
        "hostNetwork": st.sampled_from([False, False, True]),
        "os": st.sampled_from([{"name": "linux"}, {"name": "linux"}, {"name": "windows"}]),
        "nodeSelector": st.sampled_from([{}, {"kubernetes.io/os": "linux"}, {"beta.kubernetes.io/os": "windows"}]),
    },
)
OWNERS = st.sampled_from([[], [], [{"kind": "Job", "name": "j"}], [{"kind": "ReplicaSet", "name": "r"}]])
MARK = [{"name": "A", "value": "b"}, {"name": "CARRIER_SQS_ENDPOINT", "value": "http://x"}]


def container(name: str, *, marked: bool) -> dict[str, Any]:
    return {"name": f"carrier-{name}", "image": "x:1", **({"env": MARK} if marked else {})}


CONTAINERS = st.lists(
    st.builds(container, st.sampled_from(NAMES), marked=st.sampled_from([True, True, False])),
    max_size=3,
    unique_by=lambda it: str(it["name"]),
)


@st.composite
def subjects(draw: st.DrawFn) -> dict[str, Any]:
    """Pods of every kind, with sidecars of ours, with containers that only look like them, and with none."""
    pod = probe(draw(LABELS), annotations=draw(ANNOTATIONS), ownerReferences=draw(OWNERS))
    pod["spec"].update(draw(SPECS))
    carried = draw(CONTAINERS)
    inits = [it for it in carried if draw(st.booleans())]
    pod["spec"]["initContainers"] = inits
    pod["spec"]["containers"] += [it for it in carried if it not in inits]
    return pod


def is_refused(pod: dict[str, Any], bindings: Bindings) -> bool:
    """What the policies are to say, from selection's verdict: a chosen sidecar is lacking, or the pod asks in vain."""
    facts = selection.Facts(pod, bindings, native=True)
    verdict = selection.select(facts)
    if verdict.row.name in ("static", "windows", "bad-word", "asked-not-to"):
        return False
    there = pods.our_containers(pod)
    if facts.inject == "true" and not facts.names:
        # Any sidecar will do; whether a pod of these kinds may have one is said by the bindings alone.
        by_rule = facts.host_network or facts.completes
        usable = any(not selection._impossible(only(pod, it)) for it in facts.unselective)
        if not there and (usable or not by_rule):
            return True
        return verdict.row.name == "selected" and lacks(verdict.chosen, there)
    if facts.names and not facts.host_network and not facts.completes:
        return any(pods.container_name(name) not in there for name in facts.names)
    return lacks(verdict.chosen, there)


def only(pod: dict[str, Any], binding: Binding) -> selection.Facts:
    named = {**pod["metadata"], "annotations": {pods.BINDING: binding.name}}
    return selection.Facts({**pod, "metadata": named}, [binding], native=True)


def lacks(chosen: tuple[Binding, ...], there: dict[str, Any]) -> bool:
    return any(pods.container_name(it.name) not in there for it in chosen)


@pytest.fixture(scope="module")
def worlds(api: Any, crd: Any, policies: Any) -> Iterator[list[tuple[str, Bindings]]]:
    made = []
    names = [f"carrier-test-{secrets.token_hex(4)}" for _ in WORLDS]
    core = kubernetes.client.CoreV1Api(api)
    for name, bindings in zip(names, WORLDS, strict=True):
        core.create_namespace({"metadata": {"name": name, "labels": {LABEL: "required"}}})
        wait_until(lambda name=name: bool(core.list_namespaced_service_account(name).items))  # type: ignore[misc]
        for it in bindings:
            bind(crd, name, it)
        settle(api, crd, name)
        made.append((name, bindings))
    yield made
    for name, bindings in made:
        for it in bindings:
            if it.deleting:
                release(crd, name, it.name)
        core.delete_namespace(name)


def test_every_operator_means_what_it_means_to_the_injector(api: Any, crd: Any, shop: str) -> None:
    selectors = [{"matchLabels": {"which": f"e{n}"}, "matchExpressions": [it]} for n, it in enumerate(EXPRESSIONS)]
    selectors.append({"matchLabels": {"which": "e6", "app": "a"}})
    selectors.append({"matchLabels": {"which": "e7"}, "matchExpressions": [EXPRESSIONS[0], EXPRESSIONS[2]]})
    bindings = [a_binding(f"e{number}", it) for number, it in enumerate(selectors)]
    for it in bindings:
        bind(crd, shop, it)
    settle(api, crd, shop)
    wrong = []
    for binding in bindings:
        for key, value in [("none", "x"), *itertools.product(KEYS, VALUES)]:
            for more in ({}, {"tier": "a"}):
                labels = {"which": binding.name, **more, key: value}
                assert binding.spec.selector is not None
                said = refusal(api, shop, probe(labels))
                if (said is not None) != matches(binding.spec.selector, labels):
                    wrong.append((binding.spec.selector, labels, said))
    assert wrong == []


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(pod=subjects(), world=st.integers(0, len(WORLDS) - 1))
def test_generated_pods_are_refused_just_when_selection_would_inject_them_or_they_ask_in_vain(
    api: Any, worlds: list[tuple[str, Bindings]], pod: dict[str, Any], world: int
) -> None:
    namespace, bindings = worlds[world]
    said = refusal(api, namespace, pod)
    assert (said is not None) == is_refused(pod, bindings), (pod, [it.name for it in bindings], said)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(pod=subjects(), world=st.integers(0, len(WORLDS) - 1))
def test_what_selection_leaves_out_is_taken_unless_the_pod_asks_in_vain(
    api: Any, worlds: list[tuple[str, Bindings]], pod: dict[str, Any], world: int
) -> None:
    namespace, bindings = worlds[world]
    verdict = selection.select(selection.Facts(pod, bindings, native=True))
    asks = pod["metadata"]["annotations"].get(pods.INJECT) == "true"
    if not verdict.chosen and not asks and not any(it.skip.refused for it in verdict.skipped):
        assert refusal(api, namespace, pod) is None


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
    documents = policies_of(rendered(f"t{secrets.token_hex(4)}", "elsewhere"))
    for document in documents:
        if "paramKind" in document["spec"]:
            document["spec"]["paramKind"]["kind"] = "CarrierBound"
    with applied(api, documents), new_namespace(api, {LABEL: "required"}) as strict:
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
    (usable,) = (it["expression"] for it in policy["spec"]["variables"] if it["name"] == "usable")
    assert ("['Native', 'Auto']" in usable) is native


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
    with impersonating(cluster, api, shop, [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]) as theirs:
        wait_until(lambda: _may_create(theirs, shop))
        assert "carrier-orders" in (refusal(theirs, shop, probe({"app": "worker"})) or "")
        assert refusal(theirs, shop, injected(probe({"app": "worker"}), [ORDERS])) is None


def test_whoever_installs_the_policies_must_be_able_to_read_bindings_everywhere(
    api: Any, crd: Any, shop: str, cluster: Any
) -> None:
    documents = policies_of(rendered(f"t{secrets.token_hex(4)}", "elsewhere"))
    install = [
        {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]},
    ]
    read = {"apiGroups": ["carrier.dev"], "resources": ["carrierbindings"], "verbs": ["get", "list"]}
    with impersonating(cluster, api, shop, install) as theirs:
        wait_until(lambda: _may_create(theirs, shop))
        with pytest.raises(kubernetes.client.ApiException) as refused, applied(theirs, documents):
            pass
        assert 'must have \\"get\\" permission on all objects of the referenced paramKind' in refused.value.body
    with impersonating(cluster, api, shop, [*install, read]) as theirs:
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


class impersonating:  # noqa: N801  a context manager that reads like a function
    """A client of a ServiceAccount of `namespace` with these rules everywhere."""

    def __init__(self, cluster: Any, api: Any, namespace: str, rules: list[dict[str, Any]]) -> None:
        self._cluster, self._api, self._namespace, self._rules = cluster, api, namespace, rules
        self._name = f"carrier-test-{secrets.token_hex(4)}"

    def __enter__(self) -> Any:
        core = kubernetes.client.CoreV1Api(self._api)
        rbac = kubernetes.client.RbacAuthorizationV1Api(self._api)
        core.create_namespaced_service_account(self._namespace, {"metadata": {"name": self._name}})
        rbac.create_cluster_role({"metadata": {"name": self._name}, "rules": self._rules})
        rbac.create_cluster_role_binding(
            {
                "metadata": {"name": self._name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": self._name},
                "subjects": [{"kind": "ServiceAccount", "name": self._name, "namespace": self._namespace}],
            }
        )
        token = core.create_namespaced_service_account_token(self._name, self._namespace, {"spec": {}}).status.token
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(config_file=self._cluster.kubeconfig, client_configuration=configuration)
        configuration.cert_file = configuration.key_file = None
        configuration.api_key = {"authorization": f"Bearer {token}"}
        return kubernetes.client.ApiClient(configuration)

    def __exit__(self, *_: object) -> None:
        rbac = kubernetes.client.RbacAuthorizationV1Api(self._api)
        rbac.delete_cluster_role_binding(self._name)
        rbac.delete_cluster_role(self._name)


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
