"""One look at one binding: count, tell, write what has changed, say what has turned.

Level-based: only what is known now counts, never which event led here.
"""

from __future__ import annotations

import datetime
import logging
import time
from typing import Protocol

from carrier_operator.kube.client import ApiError
from carrier_operator.models import API_VERSION, GROUP, KIND, PLURAL, VERSION, Binding

from . import suspending
from .census import WORKLOADS, Key
from .conditions import Finding, Json, Standing, merge_patch, status_of, transitions
from .notices import Notices, binding_subject
from .rollouts import Rollouts
from .suspending import Suspender
from .tally import Tally, tally
from .world import BindingRecord, World
from .writing import MERGE_PATCH, Writer

logger = logging.getLogger(__name__)


class QueueLooks(Protocol):
    """Who looks at queues."""

    def latest(self, record: BindingRecord) -> tuple[Finding | None, Json | None]:
        """What was last seen of the binding's queue, for condition and status; None where nobody looks."""


class Reconciler:
    """Looks after bindings. `look` is the queue's work."""

    def __init__(
        self,
        world: World,
        writer: Writer,
        notices: Notices,
        suspender: Suspender,
        rollouts: Rollouts,
        queues: QueueLooks,
    ) -> None:
        self._world = world
        self._writer = writer
        self._notices = notices
        self._suspender = suspender
        self._rollouts = rollouts
        self._queues = queues

    async def look(self, key: Key) -> float | None:
        """One key; seconds after which to look again. ApiError, NotLeading."""
        namespace, name = key
        if name == WORKLOADS:
            await self._notices.left_out(self._world.census.namespace(namespace))
            return None
        record = self._world.bindings.get(key)
        if record is None:
            return None
        again_s: list[float] = []
        standing = await self._standing(record, again_s)
        if self._world.bindings.get(key) is not record:
            return 0.0  # changed while sidecars were told or workloads looked at
        await self._write(record, standing)
        return min(again_s) if again_s else None

    async def _standing(self, record: BindingRecord, again_s: list[float]) -> Standing:
        binding = record.binding
        if not isinstance(binding, Binding):
            return Standing(binding, Tally(), not_allowed=record.not_allowed)
        there = self._world.census.namespace(binding.namespace)
        found = tally(there, binding, record.fresh, record.changed_at, time.time())
        announced = self._suspender.to_announce(record, binding.spec.suspend, found.injected)
        if announced is not None:
            finding, queue_status = self._queues.latest(record)
            await self._write(
                record, Standing(binding, found, queue=finding, queue_status=queue_status, telling=announced)
            )
        telling = await self._suspender.tell(record, binding.spec.suspend, found.injected)
        if telling is not None and telling.unreachable:
            again_s.append(suspending.AGAIN_S)
        advice, rollout_again_s = await self._rollouts.look(record, found)
        if rollout_again_s is not None:
            again_s.append(rollout_again_s)
        # Counted once more where calls were made in between: the status is of now.
        if telling is not None or rollout_again_s is not None:
            found = tally(there, binding, record.fresh, record.changed_at, time.time())
        if found.unproven_s:
            again_s.append(found.unproven_s + 1.0)
        finding, queue_status = self._queues.latest(record)
        return Standing(binding, found, queue=finding, queue_status=queue_status, telling=telling, rollout=advice)

    async def _write(self, record: BindingRecord, standing: Standing) -> None:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        old = record.status
        new = status_of(standing, old, now)
        patch = merge_patch(old, new)
        if not patch:
            return
        namespace, name = record.key
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}/{name}/status"
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            # The version that this was decided on: a late write of a former leader is refused.
            "metadata": {"resourceVersion": record.resource_version},
            "status": patch,
        }
        try:
            document = await self._writer.write("status", "PATCH", path, body, content_type=MERGE_PATCH)
        except ApiError as error:
            if error.status == 404:
                self._world.drop_binding(namespace, name, record.uid)
                return
            raise
        if self._world.bindings.get(record.key) is record:
            record.saw(document)
        subject = binding_subject(namespace, name, record.uid)
        for turned in transitions(old, new):
            await self._notices.transition(subject, turned, record.binding.generation)
