"""carrierctl check: are the admission policies there that refuse pods without their sidecar, and who asks for them?

Pure, over what the cluster answered; the policies themselves are the chart's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .checks import FAILED, OK, Json, Result

NAME = "sidecars required"
PART = "carrier.dev/sidecar-required-by"  # the label that the chart's policies and their bindings have
PARTS = ("annotation", "binding")
LABEL = "carrier.dev/injection"  # on namespaces, unless the chart's values say another
REQUIRED = "required"
_WORDS = (REQUIRED, "disabled", "enabled")  # `enabled` says what is so anyway


def check_required(policies: Sequence[Json], bindings: Sequence[Json], namespaces: Sequence[Json]) -> Result:
    """ValidatingAdmissionPolicies and their bindings (those of the chart), and all namespaces. Of namespaces that are
    being deleted nothing is said: no pod is made there any more.
    """
    namespaces = [it for it in namespaces if not it["metadata"].get("deletionTimestamp")]
    in_force = [it for it in policies if any(_denies_by(binding, it) for binding in bindings)]
    missing = sorted(set(PARTS) - {_labels(it).get(PART, "") for it in in_force})
    label = next((key for it in policies for key in _chosen(it).get("matchLabels") or ()), LABEL)
    asking = sorted(_name(it) for it in namespaces if _labels(it).get(label) == REQUIRED)
    if missing and (asking or policies):
        return Result(
            NAME, FAILED, f"{_asked(asking, label)}, but nothing refuses pods by {' or by '.join(missing)}",
            "upgrade the chart's release with requireSidecars.enabled=true (it takes Kubernetes 1.30)",
        )  # fmt: skip
    unknown = {_name(it): word for it in namespaces if (word := _labels(it).get(label)) not in (None, *_WORDS)}
    if unknown:
        few = ", ".join(f"{name} ({label}={word})" for name, word in sorted(unknown.items())[:5])
        return Result(NAME, FAILED, f"words without a meaning: {few}", f"write {REQUIRED}, disabled, or no label")
    left_out = sorted(
        _name(it) for it in namespaces if _name(it) in asking and any(_leaves_out(p, it) for p in policies)
    )
    if left_out:
        return Result(
            NAME, FAILED, f"left out, although labelled {label}={REQUIRED}: {', '.join(left_out[:5])}",
            "pods there get no sidecar: take the label away, or the namespace out of webhook.excludedNamespaces",
        )  # fmt: skip
    if missing:
        return Result(NAME, OK, f"{_asked(asking, label)}, and the policies for it are not installed")
    return Result(NAME, OK, f"the policies are there; {_asked(asking, label)}")


def _asked(asking: Sequence[str], label: str) -> str:
    if not asking:
        return f"no namespace asks for it ({label}={REQUIRED})"
    more = f" and {len(asking) - 5} more" if len(asking) > 5 else ""
    return f"asked for by {', '.join(asking[:5])}{more} ({label}={REQUIRED})"


def _denies_by(binding: Json, policy: Json) -> bool:
    spec = binding.get("spec") or {}
    return spec.get("policyName") == _name(policy) and "Deny" in (spec.get("validationActions") or ())


def _chosen(policy: Json) -> Json:
    """The selector by which a policy chooses namespaces."""
    found: Json = ((policy.get("spec") or {}).get("matchConstraints") or {}).get("namespaceSelector") or {}
    return found


def _leaves_out(policy: Json, namespace: Json) -> bool:
    """Is the namespace one of those that the policy names as left out? (The chart writes nothing but NotIn.)"""
    return any(
        it.get("operator") == "NotIn" and _labels(namespace).get(it.get("key")) in (it.get("values") or ())
        for it in _chosen(policy).get("matchExpressions") or ()
    )


def _labels(document: Json) -> Mapping[str, str]:
    found: Mapping[str, str] = (document.get("metadata") or {}).get("labels") or {}
    return found


def _name(document: Json) -> str:
    return str(document["metadata"]["name"])
