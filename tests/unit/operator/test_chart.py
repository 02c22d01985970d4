"""The chart's files against each other: values, their schema, the templates that use them, and the package's version.

What the chart renders is tested with helm, on a real API server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import carrier_sidecar

CHART = Path(__file__).parents[3] / "helm/carrier"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
TEMPLATES = "\n".join(path.read_text() for path in sorted((CHART / "templates").iterdir()))
OF_HELM = "global"  # given to every chart by helm itself


def paths_of_values(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Every value, with dots: what is an object in the schema is gone into."""
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and "properties" in _schema_at(path):
            yield from paths_of_values(value, f"{path}.")
        else:
            yield path


def paths_of_schema(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, child in schema.get("properties", {}).items():
        if "properties" in child:
            yield from paths_of_schema(child, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _schema_at(path: str) -> dict[str, Any]:
    found = SCHEMA
    for key in path.split("."):
        found = found["properties"][key]
    return found


def objects_of_schema(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if "properties" in schema:
        yield path, schema
        for key, child in schema["properties"].items():
            yield from objects_of_schema(child, f"{path}.{key}")
    if isinstance(schema.get("items"), dict):
        yield from objects_of_schema(schema["items"], f"{path}[]")


def test_schema_and_values_have_the_same_names() -> None:
    assert set(paths_of_schema(SCHEMA)) - {OF_HELM} == set(paths_of_values(VALUES))


def test_a_name_that_is_not_known_is_refused_everywhere() -> None:
    open_ones = [path for path, schema in objects_of_schema(SCHEMA) if schema.get("additionalProperties") is not False]
    assert open_ones == []


@pytest.mark.parametrize("path", sorted(paths_of_values(VALUES)))
def test_every_value_is_used_by_a_template(path: str) -> None:
    """By its whole name, or below a `with` of what it is in."""
    parent, _, name = path.rpartition(".")
    within = (
        rf"\.Values\.{re.escape(parent)} }}}}(?:(?!\.Values\.{re.escape(parent)} }}}}).)*\.{name}\b"
        if parent
        else "(?!)"
    )
    assert re.search(rf"\.Values\.{re.escape(path)}\b", TEMPLATES) or re.search(within, TEMPLATES, re.DOTALL)


def test_every_value_that_a_template_uses_exists() -> None:
    used = set(re.findall(r"\.Values\.([A-Za-z.]+[A-Za-z])", TEMPLATES))
    known = set(paths_of_values(VALUES))
    assert {it for it in used if it not in known and not any(path.startswith(f"{it}.") for path in known)} == set()


def test_every_value_is_explained() -> None:
    """A comment above it, or above what it is in."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    bare = []
    for index, line in enumerate(lines):
        key = re.match(r"( *)([A-Za-z]+):", line)
        if key is None or len(key[1]) > 2:
            continue
        above = lines[index - 1].strip() if index else ""
        if not above.startswith("#") and key[2] not in SELF_EXPLAINING:
            bare.append(line.strip())
    assert bare == []


# Known from everywhere else in Kubernetes and Helm.
SELF_EXPLAINING = {
    "pullPolicy", "pullSecrets", "operatorDigest", "sidecarDigest", "logLevel", "webhook", "injector", "controller",
    "replicas", "resources", "podAnnotations", "nodeSelector", "tolerations", "affinity", "priorityClassName",
}  # fmt: skip


def test_the_chart_installs_the_images_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == carrier_sidecar.__version__
