"""What the caches make of the API server's objects."""

from __future__ import annotations

from typing import Any

import pytest

from carrier_operator.models import Binding
from carrier_operator.policy import Policy, Unaccepted
from carrier_operator.stores import BindingStore, NodeStore, QuotaStore


def node(name: str, version: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"nodeInfo": {"kubeletVersion": version}}}


@pytest.mark.parametrize(
    ("versions", "native"),
    [
        ([], False),
        (["v1.29.0"], True),
        (["v1.28.15"], False),
        (["v1.34.1-eks-113cf36", "v1.30.2+k3s1"], True),
        (["v1.34.1", "v1.28.0"], False),
        (["v2.0.0"], True),
        (["v1.100.0"], True),
        (["unreadable"], False),
        ([None], False),
    ],
)
def test_sidecars_are_native_where_every_kubelet_is_1_29(versions: list[Any], native: bool) -> None:
    store = NodeStore()
    for index, version in enumerate(versions):
        store.put(node(f"n{index}", version))
    assert store.all_native() is native


def test_a_node_that_goes_no_longer_counts() -> None:
    store = NodeStore()
    store.put(node("old", "v1.20.0"))
    store.put(node("new", "v1.34.0"))
    store.drop(node("old", "v1.20.0"))
    assert store.all_native()


def test_a_node_that_a_list_does_not_have_no_longer_counts() -> None:
    store = NodeStore()
    store.put(node("old", "v1.20.0"))
    store.put(node("new", "v1.34.0"))
    store.keep_only({("", "new")})
    assert store.all_native()


def binding(name: str, namespace: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def test_bindings_are_kept_by_namespace_accepted_or_not() -> None:
    store = BindingStore(Policy())
    store.put(binding("a", "one", queue={"url": "http://x/q"}))
    store.put(binding("b", "one"))
    store.put(binding("a", "two", queue={"url": "http://x/q"}))
    assert [type(it) for it in store.of("one")] == [Binding, Unaccepted]
    assert (len(store), len(store.of("two")), store.of("three")) == (3, 1, [])
    store.put(binding("b", "one", queue={"url": "http://x/q"}))
    assert [type(it) for it in store.of("one")] == [Binding, Binding]
    store.drop(binding("a", "one"))
    store.drop(binding("never", "there"))
    assert [it.name for it in store.of("one")] == ["b"]
    store.put(binding("c", "three"))
    store.keep_only({("three", "c")})
    assert (len(store), [it.name for it in store.of("three")]) == (1, ["c"])


def quota(name: str, namespace: str, *hard: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"hard": dict.fromkeys(hard, "10")}}


def test_namespaces_whose_quota_counts_cpu_limits() -> None:
    store = QuotaStore()
    listed = [quota("a", "one", "limits.cpu"), quota("a", "two", "cpu", "memory"), {"metadata": {"name": "x"}}]
    for it in listed:
        store.put(it)
    assert store.namespaces == {"one"}
    store.put(quota("b", "one", "limits.cpu", "pods"))
    store.put(quota("a", "two", "limits.cpu"))
    assert store.namespaces == {"one", "two"}
    store.drop(quota("a", "one", "limits.cpu"))
    store.put(quota("a", "two", "pods"))
    assert store.namespaces == {"one"}
    store.drop(quota("b", "one", "limits.cpu"))
    assert store.namespaces == frozenset()
    store.put(quota("a", "one", "limits.cpu"))
    store.put(quota("a", "two", "limits.cpu"))
    store.keep_only({("two", "a")})
    assert store.namespaces == {"two"}
