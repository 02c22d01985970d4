"""The controller's metrics: what alerts are made from."""

from __future__ import annotations

from typing import Any

from carrier_operator.controller.telemetry import Telemetry, figures_of


def status(ready: str, **pods: Any) -> dict[str, Any]:
    return {"conditions": [{"type": "Accepted", "status": "False"}, {"type": "Ready", "status": ready}], "pods": pods}


def samples(*statuses: dict[str, Any]) -> dict[str, str]:
    telemetry = Telemetry(leading=lambda: 1.0)
    telemetry.attach_figures(lambda: map(figures_of, statuses))
    lines = [line.split() for line in telemetry.exposition().splitlines() if not line.startswith("#")]
    return {name.removeprefix("carrier_controller_"): value for name, value in lines}


def test_missing_and_stale_pods_and_bindings_that_are_not_ready_are_summed_over_all_bindings() -> None:
    found = samples(status("False", missing=2, stale=1), status("True", missing=0, stale=4), status("False", missing=3))
    assert (found["missing_pods"], found["stale_pods"], found["bindings_not_ready"]) == ("5", "5", "2")


def test_a_status_that_is_not_there_yet_or_not_ours_counts_for_nothing() -> None:
    found = samples({}, {"pods": None, "conditions": None}, {"pods": {"missing": "two"}, "conditions": ["?"]})
    assert (found["missing_pods"], found["stale_pods"], found["bindings_not_ready"]) == ("0", "0", "0")
