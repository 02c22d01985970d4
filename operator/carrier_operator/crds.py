"""The CustomResourceDefinition of CarrierBinding, made from the models; `make crds` writes it.

Pure. A test compares what stands under crds/ with what this makes.
"""

from __future__ import annotations

from typing import Any

import yaml

from . import model_types, models
from .schema import structural_schema
from .status import BindingStatus

_HEADER = "# Generated from operator/carrier_operator/models.py by `make crds`; a test holds the two together.\n"

_COLUMNS = (
    ("Queue", "string", ".spec.queue.name", "The queue's name."),
    ("Matched", "integer", ".status.pods.matched", "Pods that the binding applies to."),
    ("Injected", "integer", ".status.pods.injected", "Pods that carry its sidecar."),
    ("Missing", "integer", ".status.pods.missing", "Pods that should carry it and do not."),
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "The summary of all conditions."),
    ("Age", "date", ".metadata.creationTimestamp", "Time since it was created."),
)
# By `kubectl get -o wide` only.
_WIDE_COLUMNS = (
    ("Stale", "integer", ".status.pods.stale", "Pods that carry it as it was before the binding's last change."),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why Ready is what it is."),
)


def custom_resource_definition() -> dict[str, Any]:
    """The CRD as a document."""
    root = {
        "description": "Gives pods a sidecar that delivers an SQS queue's messages to an HTTP handler in the pod.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {
                "type": "object",
                "properties": {
                    "name": {
                        "type": "string",
                        "maxLength": models.NAME_MAX_LENGTH,
                        "pattern": model_types.NAME_PATTERN,
                    }
                },
            },
            "spec": structural_schema(models.BindingSpec),
            "status": structural_schema(BindingStatus),
        },
    }
    version = {
        "name": models.VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": root},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            *(_column(*column) for column in _COLUMNS),
            *({**_column(*column), "priority": 1} for column in _WIDE_COLUMNS),
        ],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{models.PLURAL}.{models.GROUP}"},
        "spec": {
            "group": models.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": models.KIND,
                "listKind": f"{models.KIND}List",
                "plural": models.PLURAL,
                "singular": models.KIND.lower(),
                "shortNames": ["cb"],
            },
            "versions": [version],
        },
    }


def _column(name: str, kind: str, path: str, text: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "jsonPath": path, "description": text}


def crd_yaml() -> str:
    """The text of crds/carrierbindings.yaml."""
    text: str = yaml.safe_dump(custom_resource_definition(), sort_keys=False, width=120, allow_unicode=True)
    return _HEADER + text
