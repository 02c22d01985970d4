from __future__ import annotations

from typing import Any

import pytest

from carrier_operator.controller.rollout import (
    RECORDS,
    RESTARTED_AT,
    RESTARTED_FOR,
    Candidate,
    Step,
    Workload,
    next_step,
    read_records,
    read_workload,
    record,
    restart_patch,
    template_digest,
)
from tests.unit.operator.pods_for_tests import binding

MISSING = binding(rollout="Missing")
ON_CHANGE = binding(rollout="OnChange")
UID = "01234567-89ab"


def workload(name: str = "a", *, restarted: bool = False, **more: Any) -> Workload:
    records = {"orders": record(MISSING, UID, "t1")} if restarted else {}
    return Workload("Deployment", "shop", name, "t1", records=records, **more)


def step(*candidates: tuple[Workload, int, int], of: Any = MISSING, left: tuple[str, ...] = ()) -> Step:
    return next_step(of, UID, [Candidate(*it) for it in candidates], left=left)


def advice(subject: Step) -> list[str]:
    return [it.reason.code for it in subject.advice]


def restarted(subject: Step) -> str | None:
    return subject.restart.name if subject.restart else None


def test_a_workload_with_pods_that_miss_the_sidecar_is_restarted() -> None:
    assert restarted(step((workload(), 3, 0))) == "a"


def test_stale_pods_are_a_matter_of_on_change_only() -> None:
    assert restarted(step((workload(), 0, 3))) is None
    assert restarted(step((workload(), 0, 3), of=ON_CHANGE)) == "a"


def test_the_next_waits_until_the_last_is_available() -> None:
    under_way = workload("a", restarted=True, complete=False)
    found = step((under_way, 1, 0), (workload("b"), 1, 0))
    assert (restarted(found), advice(found)) == (None, ["RolloutUnderWay"])
    done = workload("a", restarted=True)
    assert restarted(step((done, 0, 0), (workload("b"), 1, 0))) == "b"


def test_after_a_failure_nothing_more_is_touched() -> None:
    found = step((workload("a", restarted=True, complete=False, failed=True), 0, 0), (workload("b"), 1, 0))
    assert (restarted(found), advice(found)) == (None, ["RolloutStopped"])


def test_one_under_way_counts_though_no_pod_tells_of_it() -> None:
    """Its old pod ends and there is no new one yet, or the new one is ready and not yet available."""
    found = step((workload("b", restarted=True, complete=False), 0, 0), (workload("a"), 1, 0))
    assert (restarted(found), advice(found)) == (None, ["RolloutUnderWay"])


def test_a_template_that_is_mended_rolls_out_by_itself_and_first() -> None:
    mended = workload("a", restarted=True, complete=False)
    mended.template = "t2"
    found = step((mended, 1, 0), (workload("b"), 1, 0))
    assert (restarted(found), advice(found)) == (None, ["RolloutUnderWay"])
    mended.complete = True
    assert restarted(step((mended, 0, 0), (workload("b"), 1, 0))) == "b"
    # Where that was not enough, it is restarted for this template, too.
    assert restarted(step((mended, 1, 0), (workload("b"), 1, 0))) == "a"


@pytest.mark.parametrize(
    ("of", "stale", "failed", "expected"),
    [
        ("OnChange", 1, False, "b"),  # what is being rolled out is of the past
        ("OnChange", 1, True, "b"),
        ("OnChange", 0, False, None),  # the change is none to sidecars: what is under way goes on
        ("Missing", 1, False, None),
        ("Missing", 1, True, "b"),  # the change may be what mends it
    ],
)
def test_one_that_was_restarted_for_an_earlier_generation_is_before_all_that_are_well(
    of: str, stale: int, failed: bool, expected: str | None
) -> None:
    newer = binding(rollout=of, generation=2)
    old = workload("b", restarted=True, complete=False, failed=failed)
    found = next_step(newer, UID, [Candidate(old, 1, stale), Candidate(workload("a"), 1, 1)])
    assert restarted(found) == expected
    assert advice(found) == ["RolloutStopped" if failed else "RolloutUnderWay"]
    # Once it has been, nothing else until it is well.
    old.records["orders"] = record(newer, UID, "t1")
    assert restarted(next_step(newer, UID, [Candidate(old, 1, stale), Candidate(workload("a"), 1, 1)])) is None


def test_a_restart_for_another_binding_is_waited_for_since_it_may_be_enough() -> None:
    refunds = binding("refunds", rollout="Missing")
    shared = workload("a", restarted=True, complete=False)
    found = next_step(refunds, "another uid", [Candidate(shared, 1, 0)])
    assert (restarted(found), advice(found)) == (None, ["RolloutUnderWay"])
    assert advice(next_step(refunds, "another uid", [Candidate(shared, 0, 0)])) == []
    shared.complete = True
    assert restarted(next_step(refunds, "another uid", [Candidate(shared, 1, 0)])) == "a"


def test_no_second_restart_for_one_generation_and_template() -> None:
    found = step((workload("a", restarted=True), 2, 0), (workload("b"), 1, 0))
    assert (restarted(found), advice(found)) == (None, ["RolloutInVain"])


def test_another_generation_template_or_binding_of_that_name_is_restarted_again() -> None:
    newer = binding(rollout="OnChange", generation=2)
    subject = workload(restarted=True)
    assert restarted(next_step(newer, UID, [Candidate(subject, 1, 0)])) == "a"
    assert restarted(next_step(MISSING, "another uid", [Candidate(subject, 1, 0)])) == "a"
    subject.template = "t2"
    assert restarted(step((subject, 1, 0))) == "a"


def test_what_a_restart_would_not_replace_is_reported_only() -> None:
    found = step((workload(obstacle="it is paused"), 1, 0), (workload("b"), 1, 0), left=("bare-1",))
    assert (restarted(found), advice(found)) == ("b", ["RolloutLeft", "RolloutLeft"])


def deployment(**status: Any) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"name": "a", "namespace": "shop", "generation": 3, "resourceVersion": "9"},
        "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": []}}},
        "status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, **status},
    }


@pytest.mark.parametrize(
    ("status", "complete"),
    [
        ({}, True),
        ({"observedGeneration": 2}, False),
        ({"updatedReplicas": 1}, False),
        ({"availableReplicas": 1}, False),
        ({"replicas": 3}, False),
    ],
)
def test_a_deployment_is_complete_when_all_its_pods_are_new_and_available(
    status: dict[str, Any], complete: bool
) -> None:
    assert read_workload(deployment(**status)).complete is complete


def test_stateful_and_daemon_sets_have_their_own_ways_of_saying_so() -> None:
    stateful = {
        "kind": "StatefulSet",
        "metadata": {"generation": 1},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 1, "updatedReplicas": 2, "availableReplicas": 2, "currentRevision": "x",
                   "updateRevision": "x"},
    }  # fmt: skip
    assert read_workload(stateful).complete
    stateful["status"]["updateRevision"] = "y"  # type: ignore[index]  # a document
    assert not read_workload(stateful).complete
    daemons = {
        "kind": "DaemonSet",
        "metadata": {"generation": 1},
        "spec": {},
        "status": {
            "observedGeneration": 1,
            "desiredNumberScheduled": 3,
            "updatedNumberScheduled": 3,
            "numberAvailable": 2,
        },
    }
    assert not read_workload(daemons).complete


@pytest.mark.parametrize(
    "change",
    [
        {"paused": True},
        {"updateStrategy": {"type": "OnDelete"}},
        {"updateStrategy": {"rollingUpdate": {"partition": 1}}},
    ],
)
def test_obstacles(change: dict[str, Any]) -> None:
    document = deployment()
    document["spec"].update(change)
    assert read_workload(document).obstacle


def test_a_deadline_that_passed_is_a_failure() -> None:
    assert read_workload(deployment(conditions=[{"type": "Progressing", "status": "False"}])).failed
    assert not read_workload(deployment(conditions=[{"type": "Progressing", "status": "True"}])).failed
    of_the_past = deployment(observedGeneration=2, conditions=[{"type": "Progressing", "status": "False"}])
    assert not read_workload(of_the_past).failed


def test_the_template_is_the_same_before_and_after_our_restart() -> None:
    document = deployment()
    before = read_workload(document)
    patch = restart_patch(before, MISSING, UID, "now")
    assert patch["metadata"]["resourceVersion"] == "9"
    document["spec"]["template"]["metadata"]["annotations"] = patch["spec"]["template"]["metadata"]["annotations"]
    document["metadata"]["annotations"] = patch["metadata"]["annotations"]
    after = read_workload(document)
    assert after.template == before.template
    assert after.records == {"orders": record(MISSING, UID, before.template)}
    assert restarted(step((after, 1, 0))) is None
    assert template_digest({"spec": {"a": 1}}) != template_digest({"spec": {"a": 2}})


def test_of_too_many_records_the_oldest_goes_and_never_the_own() -> None:
    subject = workload()
    subject.records = {"orders": "of the past", **{f"b{n}": "x" for n in range(RECORDS)}}
    kept = read_records(restart_patch(subject, MISSING, UID, "now")["metadata"]["annotations"][RESTARTED_FOR])
    assert len(kept) == RECORDS
    assert kept["orders"] == record(MISSING, UID, "t1")
    assert "b0" not in kept


def test_records_of_other_bindings_stay_and_rubbish_is_passed_over() -> None:
    subject = workload()
    subject.records = {"refunds": "x"}
    text = restart_patch(subject, MISSING, UID, "now")["metadata"]["annotations"][RESTARTED_FOR]
    assert read_records(text) == {"refunds": "x", "orders": record(MISSING, UID, "t1")}
    assert read_records("a, =b,c=,d=e") == {"d": "e"}
    assert RESTARTED_AT in restart_patch(subject, MISSING, UID, "now")["spec"]["template"]["metadata"]["annotations"]
