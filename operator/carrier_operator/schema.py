"""From pydantic's JSON schema to the structural OpenAPI schema that a CustomResourceDefinition takes.

Pure, and general: it knows nothing of bindings. What it can't express is an error here, not a surprise on the API
server.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

_KEPT = frozenset(
    (
        "type", "description", "default", "enum", "format", "pattern", "minLength", "maxLength", "minimum", "maximum",
        "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "minProperties", "maxProperties", "required",
    )
)  # fmt: skip


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The structural schema of one model, references inlined. ValueError for what a structural schema can't say."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(raw, raw.get("$defs", {}), model.__name__)


def _convert(node: dict[str, Any], definitions: dict[str, Any], where: str) -> dict[str, Any]:
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[1]]
        merged = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
        return _convert(merged, definitions, where)
    if "anyOf" in node:
        choices = [choice for choice in node["anyOf"] if choice.get("type") != "null"]
        if len(choices) != 1:
            raise ValueError(f"{where}: a union other than with null has no structural schema")
        rest = {key: value for key, value in node.items() if key != "anyOf"}
        return _convert({**choices[0], **rest}, definitions, where)
    out: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("title", "$defs", "additionalProperties", "properties", "items", "const"):
            continue
        if key.startswith("x-kubernetes-"):
            out[key] = value
        elif key not in _KEPT:
            raise ValueError(f"{where}: {key} has no place in a structural schema")
        elif key == "default" and value is None:
            continue
        elif key in ("exclusiveMinimum", "exclusiveMaximum"):
            # OpenAPI v3.0 has the bound and the word "exclusive" apart
            out["minimum" if key == "exclusiveMinimum" else "maximum"] = value
            out[key] = True
        else:
            out[key] = value
    if "const" in node:
        out["enum"] = [node["const"]]
    if "properties" in node:
        out["properties"] = {
            name: _convert(child, definitions, f"{where}.{name}") for name, child in node["properties"].items()
        }
    if "items" in node:
        out["items"] = _convert(node["items"], definitions, f"{where}[]")
    extra = node.get("additionalProperties")
    if isinstance(extra, dict):
        out["additionalProperties"] = _convert(extra, definitions, f"{where}{{}}")
    if "type" not in out and "x-kubernetes-int-or-string" not in out:
        raise ValueError(f"{where}: has no type")
    if out.get("type") == "object" and isinstance(out.get("default"), dict):
        out["default"] = {}  # each field's own default fills it in
    return out
