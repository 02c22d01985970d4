"""What the operator's tests need of a cluster: the CRD, and our webhooks on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def crd(api: Any) -> Any:
    """The CRD, as it stands under crds/, served by the API server; its custom objects API."""
    document = yaml.safe_load((ROOT / "crds/carrierbindings.yaml").read_text())
    extensions = kubernetes.client.ApiextensionsV1Api(api)
    name = document["metadata"]["name"]
    try:
        extensions.create_custom_resource_definition(document)
    except kubernetes.client.ApiException as error:
        if error.status != 409:
            raise
        # A cluster that was given may hold an older one.
        there = extensions.read_custom_resource_definition(name)
        document["metadata"]["resourceVersion"] = there.metadata.resource_version
        extensions.replace_custom_resource_definition(name, document)
    wait_until(lambda: _established(extensions, name))
    objects = kubernetes.client.CustomObjectsApi(api)
    wait_until(lambda: _served(objects))
    return objects


def _established(extensions: Any, name: str) -> bool:
    conditions = extensions.read_custom_resource_definition(name).status.conditions or []
    return any(it.type == "Established" and it.status == "True" for it in conditions)


def _served(objects: Any) -> bool:
    try:
        objects.list_cluster_custom_object("carrier.dev", "v1alpha1", "carrierbindings")
    except kubernetes.client.ApiException as error:
        if error.status == 404:
            return False
        raise
    return True


def wait_until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Polls until the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)
