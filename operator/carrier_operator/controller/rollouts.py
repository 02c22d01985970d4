"""Restarts workloads as rollout.py says: the calls for it, and which pods they are asked about."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from carrier_operator.kube.client import ApiError, Client
from carrier_operator.models import Binding

from . import reasons
from .conditions import Advice
from .notices import Notices, Subject
from .rollout import KINDS, Candidate, Workload, next_step, read_workload, restart_patch
from .snapshots import Pod
from .tally import Tally
from .world import BindingRecord
from .writing import MERGE_PATCH, Writer

logger = logging.getLogger(__name__)

AGAIN_S = 5.0  # between two looks while something is to be restarted, or was
RARELY_S = 30.0  # where only what can't be restarted is left: it may be one day
WORKLOADS_AT_ONCE = 50  # that are looked at for one binding; the rest come when these are mended
INJECTORS_KNOW_S = 5.0  # so long after a binding's change, every injector's watch has brought it
INJECTORS_ARE_CALLED_S = 2.0  # so long after one is ready, its Service leads to it

_UNDER_WAY = (reasons.ROLLOUT_UNDER_WAY, reasons.ROLLOUT_STOPPED)


class Rollouts:
    """`allowed`: whether the controller has the role for it; `injecting`: whether an injector is ready now."""

    def __init__(
        self, writer: Writer, reader: Client, notices: Notices, injecting: Callable[[], bool], *, allowed: bool
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._notices = notices
        self._injecting = injecting
        self._allowed = allowed
        self._injecting_since: float | None = None

    async def look(self, record: BindingRecord, found: Tally) -> tuple[list[Advice], float | None]:
        """What the status is to say, and when to look again. ApiError."""
        binding = record.binding
        if not isinstance(binding, Binding) or binding.spec.rollout == "Never" or binding.deleting:
            return [], None
        to_mend = [*found.missing, *(found.stale if binding.spec.rollout == "OnChange" else ())]
        if not self._allowed:
            return ([Advice(reasons.ROLLOUT_NOT_ALLOWED, "spec.rollout is without effect.")] if to_mend else []), None
        # A workload that was restarted and has new pods that are not ready yet is under way, though none is missing.
        unready = [pod for pod, _ in found.injected if not pod.ready]
        if not to_mend and not unready:
            return [], None
        candidates, left = await self._candidates(to_mend, unready, {it.name for it in found.missing})
        step = next_step(binding, record.uid, list(candidates.values()), left=left)
        if step.restart is not None:
            # One under way may have no pod that tells of it: the old one ends, or the new one is not available yet.
            others = await self._restarted_before(binding, set(candidates))
            step = next_step(binding, record.uid, [*candidates.values(), *others], left=left)
        advice = list(step.advice)
        injectors_ready = self._injectors_ready()
        if step.restart is not None and not injectors_ready:
            advice.append(Advice(reasons.ROLLOUT_WAITS, "no injector is ready."))
        elif step.restart is not None and time.time() - record.changed_at >= INJECTORS_KNOW_S:
            await self._restart(record, binding, step.restart)
        if step.restart is not None or any(it.reason in _UNDER_WAY for it in advice):
            return advice, AGAIN_S
        return advice, RARELY_S if to_mend else None

    def _injectors_ready(self) -> bool:
        """For long enough that the API server calls them."""
        now = time.monotonic()
        if not self._injecting():
            self._injecting_since = None
        elif self._injecting_since is None:
            self._injecting_since = now
        return self._injecting_since is not None and now - self._injecting_since >= INJECTORS_ARE_CALLED_S

    async def _candidates(
        self, to_mend: Iterable[Pod], unready: Iterable[Pod], missing: set[str]
    ) -> tuple[dict[tuple[str, str], Candidate], list[str]]:
        found: dict[tuple[str, str], Candidate] = {}
        gone: set[tuple[str, str]] = set()
        left: list[str] = []
        for pods, counts in ((to_mend, True), (unready, False)):
            for pod in pods:
                workload = pod.workload
                if workload is None or workload[0] not in KINDS or pod.owner is None or pod.owner.group != "apps":
                    if counts:
                        left.append(pod.name)
                    continue
                if workload not in found and workload not in gone:
                    if len(found) >= WORKLOADS_AT_ONCE:
                        continue
                    document = await self._get(pod.namespace, *workload)
                    if document is None:
                        gone.add(workload)
                    else:
                        found[workload] = Candidate(document, 0, 0)
                if workload in gone:
                    if counts:
                        left.append(pod.name)
                elif counts and pod.name in missing:
                    found[workload].missing += 1
                elif counts:
                    found[workload].stale += 1
        return found, left

    async def _restarted_before(self, binding: Binding, known: set[tuple[str, str]]) -> list[Candidate]:
        """Workloads beside the known ones that were once restarted for a binding of that name."""
        found = []
        for kind in KINDS:
            async for page in self._reader.pages(_path(binding.namespace, kind)):
                for document in page.get("items") or ():
                    # A list's items have no kind.
                    workload = read_workload({**document, "kind": kind})
                    if binding.name in workload.records and (kind, workload.name) not in known:
                        found.append(Candidate(workload, 0, 0))
        return found

    async def _get(self, namespace: str, kind: str, name: str) -> Workload | None:
        try:
            document = await self._reader.request("GET", _path(namespace, kind, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return read_workload({**document, "kind": kind})

    async def _restart(self, record: BindingRecord, binding: Binding, workload: Workload) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        path = _path(workload.namespace, workload.kind, workload.name)
        patch = restart_patch(workload, binding, record.uid, now)
        document = await self._writer.write("restart", "PATCH", path, patch, content_type=MERGE_PATCH)
        logger.info(
            "workload restarted",
            extra={"fields": {"namespace": workload.namespace, "workload": workload.title, "binding": binding.name}},
        )
        metadata = document["metadata"]
        subject = Subject("apps/v1", workload.kind, workload.namespace, workload.name, str(metadata["uid"]))
        await self._notices.restarted(subject, binding.name, binding.generation, workload.template)


def _path(namespace: str, kind: str, name: str = "") -> str:
    """Of one, or of the list."""
    return f"/apis/apps/v1/namespaces/{namespace}/{KINDS[kind]}" + (f"/{name}" if name else "")
