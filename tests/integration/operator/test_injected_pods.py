"""The API server takes what injection makes: pods of every shape, in ordinary and in restricted namespaces (dry
run).
"""

from __future__ import annotations

import copy
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from carrier_operator import pods as reading
from carrier_operator.container import ClusterFacts
from carrier_operator.inject import inject
from carrier_operator.kube.config import from_kubeconfig
from carrier_operator.models import Binding, BindingSpec
from e2e.cluster.fixtures import new_namespace
from tests.property.operator.bindings import SPECS
from tests.property.operator.pods import pods

ANY = {"matchExpressions": [{"key": "never-there", "operator": "DoesNotExist"}]}
NATIVE = ClusterFacts("example.test/carrier/sidecar:1", native=True)
RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}


@pytest.fixture(scope="module")
def restricted(api: Any) -> Iterator[str]:
    with new_namespace(api, RESTRICTED) as name:
        yield name


def bindings_of(specs: list[dict[str, Any]], namespace: str) -> list[Binding]:
    return [
        Binding(f"b{index}", namespace, BindingSpec.model_validate({**spec, "selector": ANY}))
        for index, spec in enumerate(specs)
    ]


Create = Callable[[str, dict[str, Any]], dict[str, Any] | str]


@pytest.fixture(scope="session")
def create(cluster: Any) -> Create:
    """The pod as the API server would keep it, or its message when it refuses it.

    As JSON: the client library would check shapes of its own.
    """
    server = from_kubeconfig(Path(cluster.kubeconfig))

    def call(namespace: str, pod: dict[str, Any]) -> dict[str, Any] | str:
        body = copy.deepcopy(pod)
        body.setdefault("metadata", {}).setdefault("name", "p-1")
        request = urllib.request.Request(
            f"{server.url}/api/v1/namespaces/{namespace}/pods?dryRun=All",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **server.headers()},
        )
        try:
            with urllib.request.urlopen(request, context=server.tls, timeout=30) as answer:
                document: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            return str(json.load(error)["message"])
        return document

    return call


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(pod=pods(), specs=st.lists(SPECS, min_size=1, max_size=3), native=st.booleans())
def test_a_pod_that_is_taken_is_taken_with_its_sidecars(
    create: Create, namespace: str, pod: dict[str, Any], specs: list[dict[str, Any]], native: bool
) -> None:
    pod["spec"].pop("serviceAccountName", None)
    pod.get("metadata", {}).pop("ownerReferences", None)  # the API server wants owners that exist
    assume(not isinstance(create(namespace, pod), str))
    cluster = ClusterFacts("example.test/carrier/sidecar:1", native=native)
    bindings = bindings_of(specs, namespace)
    result = inject(pod, namespace, bindings, cluster, "token-of-the-pod")
    made = create(namespace, result.pod)
    assert not isinstance(made, str), made
    # What the API server filled in is no reason for a second patch.
    assert inject(made, namespace, bindings, cluster, "another-token").patch == []


HARDENED = {
    "metadata": {"name": "p-1"},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "app",
                "image": "example.test/app:1",
                "ports": [{"name": "http", "containerPort": 8080}],
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    },
}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(specs=st.lists(SPECS, min_size=1, max_size=2), native=st.booleans())
def test_a_restricted_namespace_takes_the_sidecars_that_are_made(
    create: Create, restricted: str, specs: list[dict[str, Any]], native: bool
) -> None:
    cluster = ClusterFacts("example.test/carrier/sidecar:1", native=native)
    result = inject(HARDENED, restricted, bindings_of(specs, restricted), cluster, "token-of-the-pod")
    assert result.injected
    made = create(restricted, result.pod)
    assert not isinstance(made, str), made


def test_the_api_token_does_not_reach_the_sidecar(create: Create, namespace: str) -> None:
    result = inject(
        HARDENED, namespace, bindings_of([{"queue": {"url": "http://x/q"}}], namespace), NATIVE, "token-of-it"
    )
    made = create(namespace, result.pod)
    assert not isinstance(made, str), made
    ours = reading.our_containers(made)["carrier-b0"]
    volumes = {volume["name"]: volume for volume in made["spec"]["volumes"]}
    sources = [
        source
        for mount in ours["volumeMounts"]
        for source in volumes[mount["name"]].get("projected", {}).get("sources") or ()
    ]
    assert sources == []
    app = made["spec"]["containers"][0]
    assert any("kube-api-access" in mount["name"] for mount in app["volumeMounts"])
