from __future__ import annotations

from typing import Any

import pytest

from carrier_operator.controller import reasons
from carrier_operator.controller.conditions import (
    Finding,
    Standing,
    Telling,
    findings,
    merge_patch,
    status_of,
    transitions,
)
from carrier_operator.controller.tally import Tally
from carrier_operator.policy import Policy, Unaccepted, read_binding
from carrier_operator.status import BindingStatus
from tests.unit.operator.controller.live import Shop, fare, live_pod
from tests.unit.operator.pods_for_tests import binding, unaccepted

ORDERS = binding(selector={"app": "worker"})
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"


def standing(*pods: dict[str, Any], of: Any = ORDERS, changed_at: float = 2000.0, **more: Any) -> Standing:
    shop = Shop(of)
    for document in pods:
        shop.put(document)
    return Standing(of, shop.tally(of, changed_at=changed_at), **more)


def reasons_of(subject: Standing) -> dict[str, str]:
    return {kind: f"{it.reason.status} {it.reason.code}" for kind, it in findings(subject).items()}


def test_every_pod_carries_it() -> None:
    assert reasons_of(standing(live_pod(injected_by=ORDERS))) == {
        "Ready": "True MessagesFlow",
        "Accepted": "True Accepted",
        "QueueVerified": "Unknown NotChecked",
        "Injected": "True AllInjected",
    }


def test_pods_that_are_older_than_the_binding_come_with_the_command_to_run() -> None:
    subject = standing(live_pod("a", created=1000), live_pod("b", created=1000), changed_at=2000)
    assert reasons_of(subject)["Injected"] == "False PodsPredateBinding"
    assert "Run: kubectl -n shop rollout restart deployment/worker." in findings(subject)["Injected"].message
    assert reasons_of(subject)["Ready"] == "False PodsWithoutSidecar"


def test_one_pod_that_was_missed_is_the_graver_word() -> None:
    subject = standing(live_pod("a", created=1000), live_pod("b", created=3000), changed_at=2000)
    assert reasons_of(subject)["Injected"] == "False PodsMissed"


def test_bare_pods_come_with_the_command_for_them() -> None:
    message = findings(standing(live_pod("a", owner=None)))["Injected"].message
    assert "kubectl -n shop delete pod a" in message


def test_a_selector_that_matches_nothing_and_a_binding_that_nobody_asks_for() -> None:
    assert reasons_of(standing())["Injected"] == "Unknown SelectorMatchesNothing"
    assert reasons_of(standing(of=binding()))["Injected"] == "Unknown NoPodAsks"
    assert reasons_of(standing())["Ready"] == "True NoPods"


def test_stale_pods() -> None:
    changed = binding(selector={"app": "worker"}, generation=2, concurrency={"workers": 5})
    subject = standing(live_pod(injected_by=ORDERS), of=changed)
    assert reasons_of(subject)["Injected"] == "True PodsStale"
    assert "rollout restart deployment/worker" in findings(subject)["Injected"].message


def test_failing_sidecars_and_what_they_said() -> None:
    status = fare(4, message="no such queue", waiting="CrashLoopBackOff")
    subject = standing(live_pod(injected_by=ORDERS, status=status))
    assert reasons_of(subject)["Ready"] == "False SidecarsFailing"
    said = "1 sidecar does not keep running. In worker-1 after 4 restarts: exit code 2: no such queue"
    assert findings(subject)["Ready"].message == said


def test_a_sidecar_whose_image_cant_be_pulled_has_no_restarts() -> None:
    subject = standing(live_pod(injected_by=ORDERS, status=fare(waiting="ImagePullBackOff")))
    assert findings(subject)["Ready"].message == "1 sidecar does not keep running. In worker-1: ImagePullBackOff"


def test_where_no_pod_can_have_the_sidecar_all_is_not_well() -> None:
    """They match, so "matches nothing" would be a lie, and a Ready of True would be silence."""
    subject = standing(live_pod("a", hostNetwork=True), live_pod("b", hostNetwork=True))
    assert reasons_of(subject)["Injected"] == "False PodsLeftOut"
    assert reasons_of(subject)["Ready"] == "False PodsWithoutSidecar"
    assert "PodsLeftOut: 2 pods, HostNetwork" in findings(subject)["Ready"].message


def test_a_binding_that_somebody_keeps_from_going_says_so() -> None:
    going = binding(selector={"app": "worker"})
    going.deleting = True
    subject = standing(live_pod(injected_by=ORDERS), of=going)
    assert (reasons_of(subject)["Ready"], reasons_of(subject)["Injected"]) == (
        "False BeingDeleted", "Unknown BeingDeleted",
    )  # fmt: skip
    bad = Unaccepted("orders", "shop", ("x",), deleting=True)
    assert reasons_of(Standing(bad, Tally()))["Ready"] == "False BeingDeleted"


def test_a_name_that_is_too_long_for_a_container_is_not_accepted() -> None:
    """The CRD refuses it; one that was made before the rule stands."""
    metadata = {"name": "x" * 41, "namespace": "shop"}
    bad = read_binding({"metadata": metadata, "spec": {"queue": {"name": "q", "region": "us-west-2"}}}, Policy())
    accepted = findings(Standing(bad, Tally()))["Accepted"]
    assert (accepted.reason, "at most 40" in accepted.message) == (reasons.INVALID, True)


def test_an_unaccepted_binding() -> None:
    bad = unaccepted("orders")
    assert reasons_of(Standing(bad, Tally()))["Accepted"] == "False Invalid"
    not_allowed = reasons_of(Standing(bad, Tally(), not_allowed=True))
    assert not_allowed["Accepted"] == "False NotAllowed"
    assert (not_allowed["Ready"], not_allowed["Injected"]) == ("False NotAccepted", "Unknown NotAccepted")


def test_a_queue_that_is_not_there_and_one_that_could_not_be_looked_at() -> None:
    pod = live_pod(injected_by=ORDERS)
    assert reasons_of(standing(pod, queue=Finding(reasons.QUEUE_NOT_FOUND)))["Ready"] == "False QueueTrouble"
    assert reasons_of(standing(pod, queue=Finding(reasons.QUEUE_UNREACHABLE)))["Ready"] == "True MessagesFlow"


@pytest.mark.parametrize(
    ("suspend", "answered", "expected"),
    [
        (True, 1, "False Suspended"),
        (True, 2, "False Suspended"),
        (False, 1, "False Resuming"),
        (False, 2, "True MessagesFlow"),
    ],
)
def test_suspended_and_resuming_bindings_count_who_answered(suspend: bool, answered: int, expected: str) -> None:
    orders = binding(selector={"app": "worker"}, suspend=suspend)
    telling = Telling(suspended=suspend, answered=answered, of=2, unreachable=2 - answered)
    subject = standing(live_pod("a", injected_by=orders), live_pod("b", injected_by=orders), of=orders, telling=telling)
    ready = findings(subject)["Ready"]
    assert f"{ready.reason.status} {ready.reason.code}" == expected
    if ready.reason.status == "False":
        assert f"{answered} of 2 sidecars have answered" in ready.message
    assert ("SidecarsNotTold" in findings(subject)["Injected"].message) == (answered < 2)


def test_advice_stands_in_the_message() -> None:
    refunds = binding("refunds", selector={"app": "worker"})
    shop = Shop(ORDERS, refunds)
    shop.put(live_pod("a", injected_by=ORDERS, terminationGracePeriodSeconds=10))
    shop.put(live_pod("b", hostNetwork=True))
    message = findings(Standing(ORDERS, shop.tally(ORDERS)))["Injected"].message
    assert "OverlappingBindings: Selected by refunds, too: 1 pod." in message
    assert "GracePeriodShort: 1 pod" in message
    assert "PodsLeftOut: 1 pod, HostNetwork" in message


def test_the_status_is_one_that_the_crd_takes() -> None:
    subject = standing(
        live_pod("a", injected_by=ORDERS, status=fare(9, message="x" * 5000, waiting="CrashLoopBackOff")),
        live_pod("b"),
        queue_status={"visible": 3},
    )
    status = status_of(subject, {}, NOW)
    parsed = BindingStatus.model_validate(status)
    assert parsed.pods is not None
    assert (parsed.pods.matched, parsed.pods.injected, parsed.pods.missing_names) == (2, 1, ["b"])
    assert (parsed.pods.failing_names, parsed.pods.failing_restarts) == (["a"], 9)
    assert {it.type: it.observed_generation for it in parsed.conditions or ()} == dict.fromkeys(reasons.TYPES, 1)


def test_the_same_again_is_nothing_to_write() -> None:
    subject = standing(live_pod("a"), live_pod("b", injected_by=ORDERS))
    first = status_of(subject, {}, NOW)
    assert merge_patch(first, status_of(subject, first, LATER)) == {}


def test_the_time_of_a_transition_moves_with_the_status_only() -> None:
    first = status_of(standing(live_pod("a", created=1000)), {}, NOW)
    other_reason = status_of(standing(live_pod("a", created=9000)), first, LATER)
    mended = status_of(standing(live_pod("a", injected_by=ORDERS)), other_reason, LATER)
    times = [
        next(it["lastTransitionTime"] for it in status["conditions"] if it["type"] == "Injected")
        for status in (first, other_reason, mended)
    ]
    assert times == [NOW, NOW, LATER]


def test_conditions_of_others_stay() -> None:
    foreign = {"type": "Synced", "status": "True"}
    status = status_of(standing(), {"conditions": [foreign]}, NOW)
    assert foreign in status["conditions"]
    assert len(status["conditions"]) == 5


def test_so_many_conditions_of_others_as_the_crd_takes() -> None:
    foreign = [{"type": f"X{number}", "status": "True"} for number in range(16)]
    status = status_of(standing(), {"conditions": foreign}, NOW)
    assert len(status["conditions"]) == 16
    assert {it["type"] for it in status["conditions"]} >= set(reasons.TYPES)


@pytest.mark.parametrize(
    "old", [{}, {"conditions": None}, {"conditions": []}, {"conditions": [None, 5, {}]}, {"pods": None, "queue": None}]
)
def test_a_status_of_any_shape_becomes_one_of_ours(old: dict[str, Any]) -> None:
    new = status_of(standing(live_pod()), old, NOW)
    assert {it.get("type") for it in new["conditions"]} >= set(reasons.TYPES)
    assert transitions(old, new)
    assert merge_patch(old, new)


def test_what_is_no_longer_so_is_taken_out() -> None:
    old = status_of(standing(live_pod("a")), {}, NOW)
    new = status_of(standing(live_pod("a", injected_by=ORDERS)), old, LATER)
    assert merge_patch(old, new)["pods"] == {"injected": 1, "missing": 0, "missingNames": None}


def test_transitions_are_changes_of_status_and_of_what_is_wrong() -> None:
    first = status_of(standing(live_pod("a", created=1000)), {}, NOW)
    assert {(it.kind, it.was, it.is_) for it in transitions({}, first)} >= {("Ready", None, "False")}
    assert transitions(first, first) == []
    worse = status_of(standing(live_pod("a", created=9000)), first, LATER)
    assert [(it.kind, it.reason) for it in transitions(first, worse)] == [("Injected", "PodsMissed")]
