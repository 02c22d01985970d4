"""The CarrierBinding's status as the controller writes it and people read it. Only the shape; reasons are the
controller's.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .rules import Shape


class Condition(Shape):
    """One condition, as in every Kubernetes status."""

    type: Annotated[str, Field(max_length=64)] = Field(description="Ready, Accepted, QueueVerified or Injected.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: Annotated[str, Field(max_length=128)] = Field(description="One word for machines.")
    message: Annotated[str, Field(max_length=4096)] = Field("", description="A sentence for people.")
    last_transition_time: Annotated[str, Field(max_length=64)] = Field(
        description="When status last changed (RFC 3339)."
    )
    observed_generation: int | None = Field(None, description="The generation that this was said of.")


class PodCounts(Shape):
    """Pods of the binding's namespace."""

    matched: int | None = Field(None, description="Pods that the binding applies to.")
    injected: int | None = Field(None, description="Of these, pods that carry its sidecar.")
    missing: int | None = Field(None, description="Pods that should carry the sidecar and do not.")
    stale: int | None = Field(None, description="Pods injected from an earlier generation of the binding.")
    outdated: int | None = Field(None, description="Pods whose sidecar another version of the operator rendered.")
    missing_names: list[Annotated[str, Field(max_length=253)]] | None = Field(
        None, max_length=10, description="A few of the missing pods."
    )
    stale_names: list[Annotated[str, Field(max_length=253)]] | None = Field(
        None, max_length=10, description="A few of the stale pods."
    )
    failing_names: list[Annotated[str, Field(max_length=253)]] | None = Field(
        None, max_length=10, description="A few of the pods whose sidecar does not run."
    )
    last_failure: Annotated[str, Field(max_length=1024)] | None = Field(
        None, description="What the sidecar of the first of them said when it last ended."
    )
    failing_restarts: int | None = Field(None, description="How often that sidecar was restarted.")


class QueueStatus(Shape):
    """What was last seen of the queue, where the controller may look."""

    url: Annotated[str, Field(max_length=512)] | None = Field(None, description="The queue's URL.")
    visible: int | None = Field(None, description="Messages waiting (approximately).")
    in_flight: int | None = Field(None, description="Messages received and not deleted (approximately).")
    delayed: int | None = Field(None, description="Messages not yet visible (approximately).")
    visibility_timeout: Annotated[str, Field(max_length=24)] | None = Field(None, description="The queue's default.")
    dead_letter_queue: Annotated[str, Field(max_length=512)] | None = Field(
        None, description="ARN of its dead-letter queue."
    )
    max_receive_count: int | None = Field(None, description="Receives until SQS itself moves a message there.")
    checked_at: Annotated[str, Field(max_length=64)] | None = Field(None, description="When this was read (RFC 3339).")


class BindingStatus(Shape):
    """Written by the controller; nobody else relies on it for decisions."""

    observed_generation: int | None = Field(None, description="The generation that this status is of.")
    conditions: list[Condition] | None = Field(
        None,
        max_length=16,
        description="Ready sums up the others.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    pods: PodCounts | None = Field(None, description="Pods by how they stand.")
    queue: QueueStatus | None = Field(None, description="The queue as last seen.")
