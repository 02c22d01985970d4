"""The models take and refuse what tests/operator_cases.py says; integration tests say the same of a real API server."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from carrier_operator import crds
from carrier_operator.models import BindingSpec
from carrier_operator.policy import Policy, Unaccepted, read_binding
from carrier_operator.schema import structural_schema
from tests.operator_cases import CASES, Case, spec

# Everything that policy alone would refuse, allowed: here the schema is looked at.
OPEN = Policy(
    image_prefixes=("registry:5000/",),
    env_from=True,
    env_names=("AWS_*", "LD_*", "PYTHON*"),
    webhook_urls=("http://example/",),
)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_the_models_agree_with_the_case(case: Case) -> None:
    found = read_binding({"metadata": {"name": case.name, "namespace": "shop"}, "spec": case.spec}, OPEN)
    if case.refused is None:
        assert not isinstance(found, Unaccepted), found.reasons
    else:
        assert isinstance(found, Unaccepted)
        # The path is in Python's names or in YAML's: compare without case and underscores.
        said = " ".join(found.reasons).replace("_", "").lower()
        assert case.refused.replace("_", "").lower().split(".")[-1] in said


def _rule_messages(schema: dict[str, Any]) -> list[str]:
    found = [rule["message"] for rule in schema.get("x-kubernetes-validations", ())]
    inner = (schema[word] for word in ("items", "additionalProperties") if word in schema)
    for child in (*schema.get("properties", {}).values(), *inner):
        found += _rule_messages(child)
    return found


def test_every_rule_of_the_schema_has_a_refused_case() -> None:
    refusals = [case.refused for case in CASES if case.refused]
    untested = [
        message
        for message in _rule_messages(structural_schema(BindingSpec))
        if not any(refused in message for refused in refusals)
    ]
    assert untested == []


def _limits(schema: dict[str, Any], path: str) -> list[str]:
    bounded = ("maxLength", "maximum", "maxItems", "maxProperties", "enum")
    if schema.get("type") in ("boolean", "object") and "additionalProperties" not in schema:
        here = []
    else:
        here = [] if any(word in schema for word in bounded) else [path]
    for name, child in schema.get("properties", {}).items():
        here += _limits(child, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            here += _limits(schema[word], f"{path}[]")
    return here


def test_everything_that_a_user_writes_is_bounded() -> None:
    assert _limits(structural_schema(BindingSpec), "spec") == []


def test_every_field_says_what_it_is() -> None:
    def silent(schema: dict[str, Any], path: str) -> list[str]:
        found = [] if schema.get("description") else [path]
        for name, child in schema.get("properties", {}).items():
            found += silent(child, f"{path}.{name}")
        return found

    assert silent(structural_schema(BindingSpec), "spec") == []


def test_the_crd_has_columns_status_and_short_name() -> None:
    crd = yaml.safe_load(crds.crd_yaml())
    version = crd["spec"]["versions"][0]
    columns = version["additionalPrinterColumns"]
    assert [column["name"] for column in columns if column.get("priority")] == ["Stale", "Reason"]  # -o wide
    assert [column["name"] for column in columns if not column.get("priority")] == [
        "Queue",
        "Matched",
        "Injected",
        "Missing",
        "Ready",
        "Age",
    ]
    assert version["subresources"] == {"status": {}}
    assert crd["spec"]["names"]["shortNames"] == ["cb"]


def test_unknown_fields_are_dropped_as_the_api_server_prunes_them() -> None:
    assert BindingSpec.model_validate(spec(nonsense=1)) == BindingSpec.model_validate(spec())


def test_a_refusal_never_repeats_the_value() -> None:
    found = read_binding({"metadata": {"name": "x"}, "spec": spec(webhook={"url": "hunter2:secret"})}, OPEN)
    assert isinstance(found, Unaccepted)
    assert "hunter2" not in " ".join(found.reasons)
