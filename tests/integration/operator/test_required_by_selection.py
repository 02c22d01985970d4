"""The chart's ValidatingAdmissionPolicies refuse what selection would inject, and nothing else: the cases of its table,
and generated pods and bindings, on a real API server.
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
from carrier_operator.inject import inject
from carrier_operator.labels import matches
from carrier_operator.models import Binding
from carrier_operator.policy import Unaccepted
from e2e.cluster.fixtures import new_namespace
from tests.integration.operator.conftest import wait_until
from tests.integration.operator.required import (
    FACTS,
    LABEL,
    ORDERS,
    WORKER,
    Bindings,
    a_binding,
    bind,
    container,
    injected,
    on,
    policies,
    probe,
    refusal,
    release,
    settle,
    shop,
    system,
)
from tests.unit.operator.test_selection import CASES

__all__ = ["policies", "shop", "system"]


def test_the_api_server_finds_nothing_to_complain_about(api: Any, policies: list[dict[str, Any]]) -> None:
    admission = kubernetes.client.AdmissionregistrationV1Api(api)
    for document in policies:
        if document["kind"] != "ValidatingAdmissionPolicy":
            continue
        name = document["metadata"]["name"]

        def looked_at(name: str = name) -> bool:
            status = admission.read_validating_admission_policy(name).status
            return status is not None and status.observed_generation == 1

        wait_until(looked_at, 90)
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


def test_jobs_and_pods_on_the_hosts_network_that_ask_are_refused_by_what_a_binding_shows_only(
    api: Any, crd: Any, shop: str
) -> None:
    asking, naming = ({"carrier.dev/inject": "true"}, {"carrier.dev/binding": "gone"})
    job = {"restartPolicy": "Never"}
    bind(crd, shop, ORDERS)
    settle(api, crd, shop)
    for words in (asking, naming):
        assert refusal(api, shop, probe(annotations=words)) is not None
        assert refusal(api, shop, on(probe(annotations=words), **job)) is None
        assert refusal(api, shop, on(probe(annotations=words), hostNetwork=True)) is None
    bind(crd, shop, a_binding("free"))
    wait_until(lambda: refusal(api, shop, on(probe(annotations=asking), **job)) is not None)
    assert refusal(api, shop, on(probe(annotations=naming), **job)) is None
    assert refusal(api, shop, on(probe(annotations=asking), hostNetwork=True)) is None


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
