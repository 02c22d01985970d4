"""carrierctl check: policies that refuse pods without their sidecar, and the namespaces that ask for them."""

from __future__ import annotations

from typing import Any

import pytest

from carrier_operator.ctl.requiring import LABEL, PART, PARTS, check_required


def policies(*parts: str, label: str = LABEL) -> list[dict[str, Any]]:
    expression = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"]}
    left_out = {"matchExpressions": [expression]}
    return [
        {
            "metadata": {"name": f"by-{part}", "labels": {PART: part}},
            "spec": {"matchConstraints": {"namespaceSelector": {"matchLabels": {label: "required"}, **left_out}}},
        }
        for part in parts
    ]


def bound(*parts: str, actions: tuple[str, ...] = ("Deny",)) -> list[dict[str, Any]]:
    return [
        {
            "metadata": {"name": f"by-{part}"},
            "spec": {"policyName": f"by-{part}", "validationActions": list(actions)},
        }
        for part in parts
    ]


def namespace(name: str, word: str | None = None, label: str = LABEL) -> dict[str, Any]:
    labels = {"kubernetes.io/metadata.name": name, **({} if word is None else {label: word})}
    return {"metadata": {"name": name, "labels": labels}}


SHOP = namespace("shop", "required")
GOING = {"metadata": {**SHOP["metadata"], "deletionTimestamp": "2024-01-01T00:00:00Z"}}
CASES: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]], str, str]] = [
    ("all there", policies(*PARTS), bound(*PARTS), [SHOP, namespace("x")], "ok", "asked for by shop"),
    ("nobody asks", policies(*PARTS), bound(*PARTS), [namespace("x", "disabled")], "ok", "no namespace asks for it"),
    ("nothing at all", [], [], [namespace("x")], "ok", "not installed"),
    ("no policies", [], [], [SHOP], "failed", "shop (carrier.dev/injection=required), but nothing refuses pods"),
    ("one is missing", policies("binding"), bound("binding"), [SHOP], "failed", "by annotation"),
    ("half of it, nobody asks", policies("binding"), bound("binding"), [], "failed", "by annotation"),
    ("not bound", policies(*PARTS), bound("annotation"), [SHOP], "failed", "by binding"),
    ("only warns", policies(*PARTS), bound(*PARTS, actions=("Warn",)), [SHOP], "failed", "by annotation or by binding"),
    ("another label", policies(*PARTS, label="strict"), bound(*PARTS),
     [namespace("a", "required", "strict"), SHOP], "ok", "asked for by a (strict=required)"),
    ("a slip", policies(*PARTS), bound(*PARTS), [SHOP, namespace("pay", "require")], "failed", "pay (carrier.dev/inj"),
    ("a word that says what is so", policies(*PARTS), bound(*PARTS), [namespace("a", "enabled")], "ok", "no namespace"),
    ("left out", policies(*PARTS), bound(*PARTS), [namespace("kube-system", "required")], "failed", "kube-system"),
    ("one is going", [], [], [GOING], "ok", "no namespace asks for it"),
    ("many", policies(*PARTS), bound(*PARTS), [namespace(f"n{n}", "required") for n in range(7)], "ok", "and 2 more"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("policies", "bindings", "namespaces", "outcome", "message"),
    [case[1:] for case in CASES],
    ids=[it[0] for it in CASES],
)
def test_policies_and_those_who_ask_for_them(
    policies: list[Any], bindings: list[Any], namespaces: list[Any], outcome: str, message: str
) -> None:
    found = check_required(policies, bindings, namespaces)
    assert found.outcome == outcome
    assert message in found.message
    assert bool(found.remedy) == (outcome == "failed")
