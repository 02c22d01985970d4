"""Fuzzed reviews: nothing but BadReview and BadPod comes out, and nothing is allowed that is not a pod's creation."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from carrier_operator.container import ClusterFacts
from carrier_operator.inject import inject
from carrier_operator.injector.review import BadReview, decode, encode
from carrier_operator.pods import BadPod
from tests.property.operator.bindings import SPECS, binding
from tests.property.operator.pods import pods

CLUSTER = ClusterFacts("carrier/sidecar:1", native=True)
ANY = {"matchExpressions": [{"key": "never-there", "operator": "DoesNotExist"}]}
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def review(pod: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": "shop",
            "object": pod,
        },
    }


def answer(body: bytes, bindings: list[Any]) -> dict[str, Any] | None:
    """The answer's response, None when the review is refused."""
    try:
        found = decode(body)
        result = inject(found.pod, found.namespace, bindings, CLUSTER, "token-of-the-pod")
    except (BadReview, BadPod):
        return None
    document: dict[str, Any] = json.loads(encode(found.uid, result))
    response: dict[str, Any] = document["response"]
    return response


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, child in inner for found in _paths(child, (*path, key)))]


@given(st.binary(max_size=200) | JUNK.map(lambda it: json.dumps(it).encode()))
def test_junk_is_refused(body: bytes) -> None:
    assert answer(body, []) is None


@given(pods(), SPECS, st.data())
def test_a_review_with_anything_replaced_is_answered_or_refused(
    pod: dict[str, Any], spec: dict[str, Any], data: st.DataObject
) -> None:
    document = review(copy.deepcopy(pod))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(_paths(document)[1:]))
        target: Any = document
        for step in path[:-1]:
            target = target[step]
        if data.draw(st.booleans()):
            target[path[-1]] = data.draw(JUNK)
        else:
            del target[path[-1]]
        if not _paths(document)[1:]:
            break
    response = answer(json.dumps(document).encode(), [binding("orders", {**spec, "selector": ANY})])
    if response is not None:
        request = document["request"]
        assert response["allowed"] is True
        assert (request["operation"], request["resource"]["resource"], request["object"]["kind"]) == (
            "CREATE",
            "pods",
            "Pod",
        )
        if "patch" in response:
            assert isinstance(json.loads(base64.b64decode(response["patch"])), list)
