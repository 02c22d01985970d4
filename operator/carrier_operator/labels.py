"""Kubernetes label selectors as the bindings have them: does a pod's labels satisfy one, and which requirement
decides.
"""

from __future__ import annotations

from collections.abc import Mapping

from .models import Selector


class Requirement:
    """One requirement of a selector held against a pod's labels."""

    __slots__ = ("found", "satisfied", "text")

    def __init__(self, text: str, satisfied: bool, found: str | None) -> None:
        self.text = text  # such as app=orders or tier In (web, api)
        self.satisfied = satisfied
        self.found = found  # the label's value on the pod; None: the pod has no such label


def requirements(selector: Selector, labels: Mapping[str, str]) -> list[Requirement]:
    """Every requirement with its outcome, in the order of the selector."""
    out = []
    for key, value in (selector.match_labels or {}).items():
        found = labels.get(key)
        out.append(Requirement(f"{key}={value}", found == value, found))
    for expression in selector.match_expressions or ():
        found = labels.get(expression.key)
        values = expression.values or []
        if expression.operator == "In":
            satisfied = found is not None and found in values
        elif expression.operator == "NotIn":
            satisfied = found is None or found not in values
        elif expression.operator == "Exists":
            satisfied = found is not None
        else:
            satisfied = found is None
        text = f"{expression.key} {expression.operator}"
        out.append(Requirement(f"{text} ({', '.join(values)})" if values else text, satisfied, found))
    return out


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Do these labels satisfy the whole selector?"""
    return all(requirement.satisfied for requirement in requirements(selector, labels))
