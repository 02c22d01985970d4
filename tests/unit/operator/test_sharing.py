"""What thousands of bindings and pods have in common is kept once: the controller's memory."""

from __future__ import annotations

from typing import Any

from carrier_operator.container import ClusterFacts
from carrier_operator.controller.snapshots import Shapes, snapshot
from carrier_operator.controller.world import BindingRecord
from carrier_operator.models import Binding
from carrier_operator.policy import Policy, read_binding


def binding(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop", "generation": 1},
        "spec": {"queue": {"name": name, "region": "us-west-2"}, **spec},
    }


def accepted(document: dict[str, Any]) -> Binding:
    found = read_binding(document, Policy())
    assert isinstance(found, Binding)
    return found


def pod(name: str, owner: str = "uid-of-set") -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "app-1", "uid": owner, "controller": True}
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": name, "ownerReferences": [reference]},
        "spec": {"containers": [{"name": "app"}]},
    }


def test_equal_parts_of_bindings_are_one_object() -> None:
    one, other = accepted(binding("a")), accepted(binding("b", concurrency={"workers": 3}))
    assert one.spec.webhook is other.spec.webhook
    assert one.spec.sidecar is other.spec.sidecar
    assert (one.spec.concurrency.workers, other.spec.concurrency.workers) == (1, 3)
    assert (one.spec.queue.name, other.spec.queue.name) == ("a", "b")


def test_pods_of_one_owner_and_template_share_what_they_have_in_common() -> None:
    shapes = Shapes()
    found = [snapshot(it, shapes) for it in (pod("a"), pod("b"), pod("c", "another"))]
    one, two, other = (it for it in found if it is not None)
    assert one.shape is two.shape is other.shape
    assert one.owner is two.owner
    assert one.owner != other.owner


def test_a_shape_still_has_the_form_of_a_pod() -> None:
    found = snapshot(pod("a"), Shapes())
    assert found is not None
    assert found.shape.document["spec"]["containers"] == [{"name": "app", "ports": []}]


def test_a_record_gives_the_status_as_it_was_seen() -> None:
    status = {"pods": {"matched": 2}, "conditions": [{"type": "Ready", "message": "é"}]}
    record = BindingRecord({**binding("a"), "status": status}, Policy(), ClusterFacts("carrier/sidecar:1", native=True))
    assert record.status == status
    record.saw(binding("a"))
    assert record.status == {}
