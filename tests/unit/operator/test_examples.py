"""The examples are accepted by the narrowest policy, and their workloads get the sidecars that they show."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from carrier_operator.container import ClusterFacts
from carrier_operator.ctl.offline import inject_all
from carrier_operator.ctl.sources import bindings_of
from carrier_operator.models import Binding
from carrier_operator.policy import Policy, Unaccepted

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_an_example_does_what_it_shows(path: Path) -> None:
    documents = list(yaml.safe_load_all(path.read_text()))
    bindings = bindings_of(documents, Policy(), "default")
    assert [it.reasons for it in bindings if isinstance(it, Unaccepted)] == []
    assert bindings
    _, outcomes = inject_all(documents, lambda _: bindings, "default", ClusterFacts("carrier/sidecar:1", native=True))
    injected = {binding.name for outcome in outcomes for binding in outcome.injection.injected}
    assert injected == {it.name for it in bindings if isinstance(it, Binding)}
    assert [warning for outcome in outcomes for warning in outcome.injection.warnings] == []
