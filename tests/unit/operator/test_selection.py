"""Each row of the selection table, its neighbours, and the facts behind them."""

from __future__ import annotations

from typing import Any

import pytest

from carrier_operator import pods, selection
from carrier_operator.models import Binding, BindingSpec
from carrier_operator.policy import Unaccepted
from tests.unit.operator.pods_for_tests import binding, pod, unaccepted

APP = {"app": "x"}
MATCHING = binding("matching", selector=APP)
OTHER = binding("other", selector={"app": "y"})
BY_NAME = binding("by-name")
BY_NAME_2 = binding("by-name-2")
CONTAINER_MODE = binding("ordinary", selector=APP, sidecar={"mode": "Container"})
ON_HOST = binding("on-host", selector=APP, sidecar={"allowHostNetwork": True})
GOING = Binding("going", "shop", MATCHING.spec, deleting=True)

Bindings = list[Binding | Unaccepted]


def ask(inject: str | None = None, names: str | None = None, **more: Any) -> dict[str, Any]:
    annotations = {}
    if inject is not None:
        annotations[pods.INJECT] = inject
    if names is not None:
        annotations[pods.BINDING] = names
    return pod(annotations=annotations, labels=more.pop("labels", APP), **more)


def mirrored() -> dict[str, Any]:
    found = ask()
    found["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "x"
    return found


def static() -> dict[str, Any]:
    found = ask()
    found["metadata"]["ownerReferences"] = [{"kind": "Node", "name": "n"}]
    return found


def of_a_job() -> dict[str, Any]:
    found = ask()
    found["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "j"}]
    return found


CASES: list[tuple[str, dict[str, Any], Bindings, list[str], list[selection.Skip]]] = [
    # row, pod, bindings, chosen, skipped
    ("static", mirrored(), [MATCHING], [], [selection.STATIC]),
    ("static", static(), [MATCHING], [], [selection.STATIC]),
    ("windows", ask(os={"name": "windows"}), [MATCHING], [], [selection.WINDOWS]),
    ("windows", ask(nodeSelector={"kubernetes.io/os": "windows"}), [MATCHING], [], [selection.WINDOWS]),
    ("windows", ask(os={"name": "windows"}), [OTHER], [], [selection.NOTHING_ASKS]),
    ("selected", ask(os={"name": "linux"}), [MATCHING], ["matching"], []),
    ("impossible", ask(hostNetwork=True), [MATCHING], [], [selection.HOST_NETWORK]),
    ("selected", ask(hostNetwork=True), [MATCHING, ON_HOST], ["on-host"], [selection.HOST_NETWORK]),
    ("nothing-asks", ask(hostNetwork=True), [OTHER], [], [selection.NOTHING_ASKS]),
    ("asked-not-to", ask("false", hostNetwork=True), [MATCHING], [], [selection.ASKED_NOT_TO]),
    ("impossible", ask("yes", hostNetwork=True), [MATCHING], [], [selection.HOST_NETWORK]),
    ("impossible", ask(restartPolicy="Never"), [CONTAINER_MODE], [], [selection.JOB_NOT_NATIVE]),
    ("impossible", of_a_job(), [CONTAINER_MODE], [], [selection.JOB_NOT_NATIVE]),
    ("selected", of_a_job(), [MATCHING], ["matching"], []),
    ("bad-word", ask("yes"), [MATCHING], [], [selection.BAD_WORD]),
    ("bad-word", ask("True"), [MATCHING], [], [selection.BAD_WORD]),
    ("bad-word", ask("", "matching"), [MATCHING], [], [selection.BAD_WORD]),
    ("asked-not-to", ask("false"), [MATCHING], [], [selection.ASKED_NOT_TO]),
    ("asked-not-to", ask("false", "matching"), [MATCHING], [], [selection.ASKED_NOT_TO]),
    ("named", ask(names="other"), [MATCHING, OTHER], ["other"], []),
    ("named", ask("true", "by-name,other"), [MATCHING, OTHER, BY_NAME], ["by-name", "other"], []),
    ("named", ask(names=" other , by-name ,other"), [OTHER, BY_NAME], ["other", "by-name"], []),
    ("named", ask(names="gone,other"), [OTHER], ["other"], [selection.MISSING]),
    ("named", ask(names="bad"), [unaccepted("bad"), MATCHING], [], [selection.UNACCEPTED]),
    ("named", ask(names="going"), [GOING], [], [selection.MISSING]),
    ("selected", ask(), [MATCHING, OTHER, BY_NAME], ["matching"], []),
    ("selected", ask("true"), [OTHER, ON_HOST, MATCHING], ["matching", "on-host"], []),
    ("selected", ask(names=" , "), [MATCHING], ["matching"], []),
    ("the-one", ask("true", labels={}), [MATCHING, BY_NAME], ["by-name"], []),
    ("asked-in-vain", ask("true", labels={}), [MATCHING, BY_NAME, BY_NAME_2], [], [selection.WHICH]),
    ("asked-in-vain", ask("true", labels={}), [MATCHING], [], [selection.NO_BINDING]),
    ("asked-in-vain", ask("true"), [GOING], [], [selection.NO_BINDING]),
    ("asked-in-vain", ask("true"), [unaccepted("bad")], [], [selection.NO_BINDING]),
    ("nothing-asks", ask(), [OTHER, BY_NAME], [], [selection.NOTHING_ASKS]),
    ("nothing-asks", ask(), [GOING], [], [selection.NOTHING_ASKS]),
    ("nothing-asks", pod(), [], [], [selection.NOTHING_ASKS]),
]


@pytest.mark.parametrize(("row", "subject", "bindings", "chosen", "skips"), CASES)
def test_the_first_row_that_fits_decides(
    row: str, subject: dict[str, Any], bindings: Bindings, chosen: list[str], skips: list[selection.Skip]
) -> None:
    verdict = selection.select(selection.Facts(subject, bindings, native=True))
    assert verdict.row.name == row
    assert [it.name for it in verdict.chosen] == chosen
    assert [it.skip for it in verdict.skipped] == skips


def test_every_row_has_a_case() -> None:
    assert {row.name for row in selection.ROWS} == {case[0] for case in CASES}


def test_a_jobs_pod_gets_a_sidecar_only_where_it_can_be_native() -> None:
    facts = selection.Facts(of_a_job(), [MATCHING], native=False)
    assert selection.select(facts).row.name == "impossible"
    insisting = binding("matching", selector=APP, sidecar={"mode": "Native"})
    assert selection.select(selection.Facts(of_a_job(), [insisting], native=False)).chosen == (insisting,)


def test_a_bad_word_is_answered_with_the_accepted_ones() -> None:
    verdict = selection.select(selection.Facts(ask("yes"), [MATCHING], native=True))
    assert '"true" or "false"' in verdict.skipped[0].message


def test_which_binding_is_answered_with_their_names() -> None:
    verdict = selection.select(selection.Facts(ask("true", labels={}), [BY_NAME, BY_NAME_2], native=True))
    assert "by-name, by-name-2" in verdict.skipped[0].message


def test_of_thousands_of_names_the_first_are_answered_and_the_rest_in_one_word() -> None:
    names = ",".join(f"b{number}" for number in range(50_000))
    verdict = selection.select(selection.Facts(ask(names=names), [], native=True))
    assert len(verdict.skipped) == selection.NAMES_LIMIT + 1
    assert verdict.skipped[-1].skip is selection.TOO_MANY
    as_many = ",".join(f"b{number}" for number in range(selection.NAMES_LIMIT))
    assert selection.TOO_MANY not in {
        it.skip for it in selection.select(selection.Facts(ask(names=as_many), [], native=True)).skipped
    }


@pytest.mark.parametrize("word", ["x" * 500, "ü" * 300])
def test_no_message_is_longer_than_a_warning_may_be(word: str) -> None:
    for subject in (ask(word), ask(names=word)):
        verdict = selection.select(selection.Facts(subject, [], native=True))
        assert all(len(it.message) <= selection.MESSAGE_LIMIT for it in verdict.skipped)


@pytest.mark.parametrize(
    ("expression", "labels", "expected"),
    [
        ({"key": "a", "operator": "In", "values": ["1", "2"]}, {"a": "2"}, True),
        ({"key": "a", "operator": "In", "values": ["1"]}, {"a": "2"}, False),
        ({"key": "a", "operator": "In", "values": ["1"]}, {}, False),
        ({"key": "a", "operator": "NotIn", "values": ["1"]}, {}, True),
        ({"key": "a", "operator": "NotIn", "values": ["1"]}, {"a": "1"}, False),
        ({"key": "a", "operator": "Exists"}, {"a": ""}, True),
        ({"key": "a", "operator": "Exists"}, {}, False),
        ({"key": "a", "operator": "DoesNotExist"}, {}, True),
        ({"key": "a", "operator": "DoesNotExist"}, {"a": "1"}, False),
    ],
)
def test_expressions_mean_what_kubernetes_means(
    expression: dict[str, Any], labels: dict[str, str], expected: bool
) -> None:
    spec = {"queue": {"url": "http://x/q"}, "selector": {"matchExpressions": [expression]}}
    by_expression = Binding("b", "shop", BindingSpec.model_validate(spec))
    verdict = selection.select(selection.Facts(pod(labels=labels), [by_expression], native=True))
    assert bool(verdict.chosen) is expected


def test_a_selector_needs_all_its_parts() -> None:
    both = binding("b", selector={"app": "x", "tier": "web"})
    assert not selection.select(selection.Facts(pod(labels=APP), [both], native=True)).chosen
    assert selection.select(selection.Facts(pod(labels={**APP, "tier": "web"}), [both], native=True)).chosen
