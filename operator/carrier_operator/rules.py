"""The vocabulary in which the binding's models say what they allow: each constraint once, for Python and for the API
server.

A `Rule` carries a CEL expression (for the CRD), the same rule as a Python predicate (for the models) and one sentence
that says what to write. `Shape` is the pydantic base of every part of a binding. Not here: the fields themselves
(models.py) and how the CRD is made of them (schema.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from carrier_sidecar import go_values

DURATION_PATTERN = r"^(0|([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+)$"
DURATION_MAX_LENGTH = 24

QUANTITY_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,6})?(m|k|Ki|M|Mi|G|Gi)?$"
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([a-zA-Z]*)")
_QUANTITY_FACTOR = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "Ki": Decimal(2**10),
    "M": Decimal(10**6),
    "Mi": Decimal(2**20),
    "G": Decimal(10**9),
    "Gi": Decimal(2**30),
}


class Rule:
    """One constraint that needs more than a type and a limit.

    `cel` is evaluated by the API server with `self` bound to the part, `holds` by the models with the part as argument;
    the contract tests run both over the same cases. `message` says what to write, not only what is wrong.
    """

    __slots__ = ("cel", "holds", "message")

    def __init__(self, cel: str, message: str, holds: Callable[[Any], bool]) -> None:
        self.cel = cel
        self.message = message
        self.holds = holds

    def as_schema(self) -> dict[str, str]:
        """The rule as one entry of x-kubernetes-validations."""
        return {"rule": self.cel, "message": self.message}


class Shape(BaseModel):
    """Base of every part of a binding: camelCase outside, strict types, unknown fields dropped as the API server
    prunes them.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, strict=True, extra="ignore", frozen=True)

    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Shape:
        for rule in self.rules:
            if not rule.holds(self):
                raise PydanticCustomError("rule", "{message}", {"message": rule.message})
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        found: dict[str, Any] = handler.resolve_ref_schema(handler(schema))
        if cls.rules:
            found["x-kubernetes-validations"] = [rule.as_schema() for rule in cls.rules]
        return found


def nanoseconds(duration: str) -> int:
    """A Go duration of DURATION_PATTERN's form in nanoseconds. ValueError if it is not one or longer than Go can
    hold.
    """
    if not re.fullmatch(DURATION_PATTERN, duration):
        raise ValueError(f"{duration!r} is not a duration: write it as 250ms, 30s or 1h30m")
    return go_values.parse_duration_ns(duration)


def seconds(duration: str) -> float:
    """A Go duration in seconds; ValueError as `nanoseconds`."""
    return nanoseconds(duration) / 1e9


def quantity(text: str) -> Decimal:
    """A Kubernetes quantity of QUANTITY_PATTERN's form as a number (cores or bytes). ValueError if it is not one."""
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in _QUANTITY_FACTOR:
        raise ValueError(f"{text!r} is not a quantity")
    return Decimal(match[1]) * _QUANTITY_FACTOR[match[2]]


class DurationBetween:
    """Annotation of a string that is a duration within [least, most]; `zero`, when given, says what 0 means and
    allows it too.
    """

    __slots__ = ("cel", "high_ns", "low_ns", "message", "zero")

    def __init__(self, least: str, most: str, *, zero: str | None = None) -> None:
        self.low_ns, self.high_ns, self.zero = nanoseconds(least), nanoseconds(most), zero
        bounds = f"duration(self) >= duration('{least}') && duration(self) <= duration('{most}')"
        self.cel = f"duration(self) == duration('0s') || ({bounds})" if zero is not None else bounds
        self.message = f"write a duration from {least} to {most}, such as 30s or 1h30m"
        if zero is not None:
            self.message += f" (or 0: {zero})"

    def check(self, text: str) -> str:
        """The text itself; PydanticCustomError when it is no duration or out of bounds."""
        try:
            value = nanoseconds(text) if len(text) <= DURATION_MAX_LENGTH else -1
        except ValueError:
            value = -1
        if not (self.low_ns <= value <= self.high_ns or (self.zero is not None and value == 0)):
            raise PydanticCustomError("rule", "{message}", {"message": self.message})
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": DURATION_PATTERN,
            "maxLength": DURATION_MAX_LENGTH,
            "x-kubernetes-validations": [{"rule": self.cel, "message": self.message}],
        }


class UniqueBy:
    """Annotation of a list whose items are told apart by one field (the API server's list type `map`)."""

    __slots__ = ("field",)

    def __init__(self, field: str) -> None:
        self.field = field

    def check(self, items: list[Any]) -> list[Any]:
        """The items themselves; PydanticCustomError when two share the field's value."""
        values = [getattr(item, self.field) for item in items]
        if len(set(values)) != len(values):
            raise PydanticCustomError("rule", "{message}", {"message": f"two entries have the same {self.field}"})
        return items

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        found: dict[str, Any] = dict(handler(schema))
        found["x-kubernetes-list-type"] = "map"
        found["x-kubernetes-list-map-keys"] = [self.field]
        return found
