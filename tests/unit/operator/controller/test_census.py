from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carrier_operator.container import ClusterFacts
from carrier_operator.controller.census import WORKLOADS
from carrier_operator.models import Binding, BindingSpec
from carrier_operator.policy import Unaccepted
from tests.unit.operator.controller.live import Shop, fare, live_pod
from tests.unit.operator.pods_for_tests import QUEUE, binding, unaccepted

ORDERS = binding(selector={"app": "worker"})


def test_pods_are_counted_by_how_they_stand() -> None:
    shop = Shop(ORDERS)
    shop.put(live_pod("a", injected_by=ORDERS))
    shop.put(live_pod("b"))
    shop.put(live_pod("c", labels={"app": "other"}))
    shop.put(live_pod("d", annotations={"carrier.dev/inject": "false"}))
    found = shop.tally(ORDERS)
    assert (found.matched, len(found.injected), [it.name for it in found.missing]) == (2, 1, ["b"])


def test_a_changed_binding_makes_pods_stale_and_a_changed_image_outdated() -> None:
    shop = Shop(ORDERS)
    shop.put(live_pod("a", injected_by=ORDERS))
    changed = binding(selector={"app": "worker"}, generation=2, concurrency={"workers": 5})
    shop.census.put_binding(changed)
    assert [it.name for it in shop.tally(changed).stale] == ["a"]
    found = shop.tally(ORDERS)
    assert (found.stale, found.outdated) == ([], 0)
    other_image = binding(selector={"app": "worker"}, sidecar={"image": "carrier/sidecar:2"})
    assert shop.tally(other_image).outdated == 1


def test_a_generation_that_changes_nothing_in_the_sidecar_makes_nothing_stale() -> None:
    shop = Shop(ORDERS)
    shop.put(live_pod("a", injected_by=ORDERS))
    wider = binding(selector={"app": "worker"}, generation=2, rollout="OnChange")
    shop.census.put_binding(wider)
    assert shop.tally(wider).stale == []


def test_pods_older_than_the_binding_are_told_from_pods_that_were_missed() -> None:
    shop = Shop(ORDERS)
    shop.put(live_pod("old", created=1000))
    shop.put(live_pod("new", created=3000))
    found = shop.tally(ORDERS, changed_at=2000)
    assert (len(found.missing), found.predating) == (2, 1)


def test_two_bindings_on_the_same_pods_are_seen() -> None:
    refunds = binding("refunds", selector={"app": "worker"})
    shop = Shop(ORDERS, refunds)
    shop.put(live_pod("a"))
    assert shop.tally(ORDERS).others == {"refunds": 1}


def test_pods_that_name_several_bindings_mean_it() -> None:
    shop = Shop(ORDERS, binding("refunds", selector={"app": "worker"}))
    shop.put(live_pod("a", annotations={"carrier.dev/binding": "orders,refunds"}))
    found = shop.tally(ORDERS)
    assert (found.matched, found.others) == (1, {})


def test_pods_that_cant_have_it_are_counted_by_reason() -> None:
    shop = Shop(ORDERS)
    shop.put(live_pod("a", hostNetwork=True))
    shop.put(live_pod("b", hostNetwork=True))
    (left_out,) = shop.tally(ORDERS).left_out
    assert (left_out.code, left_out.count) == ("HostNetwork", 2)
    assert shop.tally(ORDERS).matched == 0


def test_a_pod_that_can_never_complete_is_left_out_until_kubelets_can() -> None:
    shop = Shop(ORDERS, native=False)
    shop.put(live_pod("a", owner="Job", restartPolicy="Never"))
    assert shop.tally(ORDERS).matched == 0
    touched = shop.census.put_facts(ClusterFacts("carrier/sidecar:1", native=True))
    assert ("shop", "orders") in touched
    assert shop.tally(ORDERS).matched == 1


def test_changes_name_the_bindings_that_they_touch() -> None:
    refunds = binding("refunds", selector={"app": "other"})
    shop = Shop(ORDERS, refunds)
    assert shop.put(live_pod("a")) == {("shop", "orders")}
    assert shop.put(live_pod("a", labels={"app": "other"})) == {("shop", "orders"), ("shop", "refunds")}
    assert shop.census.drop_pod("shop", "a") == {("shop", "refunds")}
    assert shop.census.drop_pod("shop", "a") == set()


def test_pods_that_still_carry_a_sidecar_concern_its_binding() -> None:
    shop = Shop(ORDERS)
    shop.put(live_pod("a", injected_by=ORDERS))
    assert ("shop", "orders") in shop.put(live_pod("a", labels={"app": "moved"}, injected_by=ORDERS))


def test_what_was_left_out_against_expectation_is_told_to_workloads() -> None:
    shop = Shop(ORDERS)
    assert ("shop", WORKLOADS) in shop.put(live_pod("a", annotations={"carrier.dev/inject": "yes"}))
    assert ("shop", WORKLOADS) in shop.put(live_pod("b", annotations={"carrier.dev/binding": "gone"}))
    assert ("shop", WORKLOADS) not in shop.put(live_pod("c", annotations={"carrier.dev/inject": "false"}))


def test_a_binding_that_comes_later_or_goes_changes_the_decision() -> None:
    shop = Shop()
    shop.put(live_pod("a", annotations={"carrier.dev/binding": "orders"}))
    assert shop.census.put_binding(ORDERS) >= {("shop", "orders")}
    assert shop.tally(ORDERS).matched == 1
    shop.census.put_binding(unaccepted("orders"))
    assert shop.census.namespace("shop").groups_of["orders"]
    shop.census.drop_binding("shop", "orders")
    assert shop.tally(ORDERS).matched == 0


def test_nothing_is_left_when_everything_is_gone() -> None:
    shop = Shop(ORDERS)
    shop.put(live_pod("a"))
    shop.census.drop_pod("shop", "a")
    shop.census.drop_binding("shop", "orders")
    assert shop.census.namespaces == {}
    assert len(shop.census.shapes) == 0


LABELS = st.sampled_from([{}, {"app": "worker"}, {"app": "other"}, {"app": "worker", "tier": "web"}])
ANNOTATIONS = st.sampled_from(
    [{}, {"carrier.dev/inject": "true"}, {"carrier.dev/binding": "a,b"}, {"carrier.dev/inject": "x"}]
)
SELECTORS = st.sampled_from(
    [
        None,
        {"matchLabels": {"app": "worker"}},
        {"matchLabels": {"app": "worker", "tier": "web"}},
        {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]},
    ]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("binding"), st.sampled_from("abc"), SELECTORS),
        st.tuples(st.just("unaccepted"), st.sampled_from("abc"), st.none()),
        st.tuples(st.just("drop binding"), st.sampled_from("abc"), st.none()),
        st.tuples(st.just("pod"), st.sampled_from("pqr"), st.tuples(LABELS, ANNOTATIONS)),
        st.tuples(st.just("drop pod"), st.sampled_from("pqr"), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_the_census_after_any_changes_is_that_of_a_fresh_start(steps: list[tuple[str, str, Any]]) -> None:
    """What the indices spare must not matter: a census that saw every change agrees with one that sees the end only."""
    bindings: dict[str, Binding | Unaccepted] = {}
    pods: dict[str, dict[str, Any]] = {}
    shop = Shop()
    for what, name, value in steps:
        if what == "binding":
            spec = {"queue": QUEUE} if value is None else {"queue": QUEUE, "selector": value}
            bindings[name] = made = Binding(name, "shop", BindingSpec.model_validate(spec), generation=1)
            shop.census.put_binding(made)
        elif what == "unaccepted":
            bindings[name] = bad = unaccepted(name)
            shop.census.put_binding(bad)
        elif what == "drop binding":
            bindings.pop(name, None)
            shop.census.drop_binding("shop", name)
        elif what == "pod":
            pods[name] = live_pod(name, owner=None, annotations=value[1])
            pods[name]["metadata"]["labels"] = dict(value[0])
            shop.put(pods[name])
        else:
            pods.pop(name, None)
            shop.census.drop_pod("shop", name)
    fresh = Shop(*bindings.values())
    for document in pods.values():
        fresh.put(document)
    assert _decided(shop) == _decided(fresh)


def _decided(shop: Shop) -> dict[str, tuple[list[str], list[tuple[str, str | None]]]]:
    there = shop.census.namespace("shop")
    by_binding = {
        (name, digest) for name, groups in there.groups_of.items() for digest in groups if groups[digest].pods
    }
    found = {}
    for digest, group in there.groups.items():
        assert {(name, digest) for name in group.bindings()} <= by_binding
        for pod in group.pods:
            found[pod] = (list(group.chosen), [(it.skip.code, it.binding) for it in group.skipped])
    return found


@pytest.mark.parametrize(
    ("restarts", "lived", "now", "again_s"),
    [
        (2, (5000, 5001), 5015, 55.0),  # a moment in which a crash loop runs
        (2, (5000, 5001), 5069, 1.0),
        (2, (5000, 5001), 5070, 0.0),  # it has run for a minute
        (1, (5000, 5001), 5015, 0.0),  # once is no loop
        (9, (4000, 5001), 5015, 0.0),  # it had run for long
        (2, (5000, 5001), 1000, 0.0),  # the node's clock is far from ours
    ],
)
def test_a_sidecar_that_just_runs_again_in_a_crash_loop_still_fails(
    restarts: int, lived: tuple[float, float], now: float, again_s: float
) -> None:
    shop = Shop(ORDERS)
    status = fare(restarts, message="no such queue", lived=lived, since=5010)
    shop.put(live_pod("a", injected_by=ORDERS, status=status))
    found = shop.tally(ORDERS, now=now)
    assert found.unproven_s == again_s
    assert [it.message for it in found.failing] == (["exit code 2: no such queue"] if again_s else [])
