"""Rollouts against a model of workloads that roll at their own pace, fail, are mended, paused and changed meanwhile,
and of a binding that changes: restarts are few and one after the other, and in the end all is mended.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from carrier_operator.controller import reasons
from carrier_operator.controller.rollout import Candidate, Step, next_step, read_workload, restart_patch
from carrier_operator.models import Binding
from tests.unit.operator.pods_for_tests import binding

KINDS = ("Deployment", "StatefulSet", "DaemonSet")
UID = "01234567-89ab-cdef"
REPLICAS = 3
WORKLOADS = 3
EVENTS = ("an old pod ends", "a pod is evicted", "deadline", "good template", "bad template", "paused", "injectors")
index = st.integers(0, WORKLOADS - 1)


class Pod:
    """Of a template; `generation` of the binding whose sidecar it carries, None without one."""

    def __init__(self, revision: tuple[int, str], generation: int | None, *, well: bool) -> None:
        self.revision = revision
        self.generation = generation
        self.well = well
        self.available = False


class Model:
    """A workload: its document is what the controller reads and patches, its pods are what a kubelet would run."""

    def __init__(self, kind: str, name: str) -> None:
        self.generation = 1
        self.template = 1
        self.template_is_well = True
        self.annotations: dict[str, str] = {}
        self.restarted_at = ""
        self.paused = False
        self.failed = False
        self.kind = kind
        self.name = name
        self.pods: list[Pod] = []
        self.restarts: list[tuple[int, int]] = []  # generation of the binding, and template
        self.under_way = False  # by the model's own account: restarted, and not available since

    @property
    def revision(self) -> tuple[int, str]:
        return self.template, self.restarted_at

    def changed(self) -> None:
        self.generation += 1
        self.failed = False

    def document(self) -> dict[str, Any]:
        new = [pod for pod in self.pods if pod.revision == self.revision]
        available = sum(pod.available for pod in self.pods)
        done = len(new) == len(self.pods) == REPLICAS and available == REPLICAS
        status: dict[str, Any] = {"observedGeneration": self.generation}
        if self.kind == "DaemonSet":
            status |= {
                "desiredNumberScheduled": REPLICAS,
                "updatedNumberScheduled": len(new),
                "numberAvailable": available,
            }
        else:
            status |= {"replicas": len(self.pods), "updatedReplicas": len(new), "availableReplicas": available}
        if self.kind == "StatefulSet":
            status |= {"updateRevision": "new", "currentRevision": "new" if done else "old"}
        if self.failed:
            status["conditions"] = [{"type": "Progressing", "status": "False"}]
        annotations = {"carrier.dev/restartedAt": self.restarted_at} if self.restarted_at else {}
        template = {"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": str(self.template)}]}}
        metadata = {"name": self.name, "namespace": "shop", "generation": self.generation}
        return {
            "kind": self.kind,
            "metadata": {**metadata, "resourceVersion": str(self.generation), "annotations": self.annotations},
            "spec": {"replicas": REPLICAS, "paused": self.paused, "template": template},
            "status": status,
        }


class Rollout(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = 0
        self.injecting = False
        self.bad_generations: set[int] = set()
        self.binding: Binding = binding()
        self.workloads: list[Model] = []

    @initialize(
        mode=st.sampled_from(["Missing", "OnChange"]),
        kinds=st.lists(st.sampled_from(KINDS), min_size=WORKLOADS, max_size=WORKLOADS),
    )
    def begin(self, mode: str, kinds: list[str]) -> None:
        self.workloads = [Model(kind, f"w{n}") for n, kind in enumerate(kinds)]
        for it in self.workloads:
            self.fill(it)
            for pod in it.pods:
                pod.available = True
        self.binding = binding(rollout=mode)
        self.injecting = True

    def fill(self, it: Model) -> None:
        """Makes the pods that are not there."""
        while len(it.pods) < REPLICAS:
            generation = self.binding.generation if self.injecting else None
            well = it.template_is_well and generation not in self.bad_generations
            it.pods.append(Pod(it.revision, generation, well=well))

    # -- what happens in the cluster ---------------------------------------------------------------------------------

    @rule(at=index, steps=st.integers(1, 3 * REPLICAS))
    def it_rolls(self, at: int, steps: int) -> None:
        """One pod after the other: an old one ends, a new one comes, and is available or never will be."""
        for _ in range(steps):
            self.an_old_pod_ends(self.workloads[at])
            self.fill(self.workloads[at])
            self.available(self.workloads[at])

    @rule(well=st.booleans())
    def the_binding_changes(self, well: bool) -> None:
        spec = self.binding.spec
        self.binding = Binding("orders", "shop", spec, generation=self.binding.generation + 1)
        if not well:
            self.bad_generations.add(self.binding.generation)

    # One rule for all that is rare, so that it does not make up most of what happens.
    @rule(at=index, what=st.sampled_from(EVENTS))
    def something_else(self, at: int, what: str) -> None:
        it = self.workloads[at]
        if what == "an old pod ends":
            self.an_old_pod_ends(it)
        elif what == "a pod is evicted" and len(it.pods) == REPLICAS:
            del it.pods[0]
        elif what == "deadline":
            it.failed = it.kind == "Deployment" and not read_workload(it.document()).complete
        elif what.endswith("template"):
            self.change_template(it, well=what == "good template")
        elif what == "paused":
            it.paused = not it.paused and it.kind == "Deployment"
        elif what == "injectors":
            self.injecting = not self.injecting

    def an_old_pod_ends(self, it: Model) -> None:
        """One that is not available, or while all are."""
        old = [pod for pod in it.pods if pod.revision != it.revision]
        if old and not it.paused and len(it.pods) == REPLICAS:
            pod = next((pod for pod in old if not pod.available), old[0])
            if not pod.available or all(other.available for other in it.pods):
                it.pods.remove(pod)

    def available(self, it: Model) -> None:
        for pod in it.pods:
            pod.available = pod.well
        if read_workload(it.document()).complete:
            it.under_way = it.failed = False

    def change_template(self, it: Model, *, well: bool) -> None:
        it.template += 1
        it.template_is_well = well
        it.changed()

    # -- the controller ----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.workloads)
    @rule()
    def a_look(self) -> None:
        self.look()

    def look(self) -> Step:
        generation = self.binding.generation
        candidates = []
        for it in self.workloads:
            missing = sum(pod.generation is None for pod in it.pods)
            stale = sum(pod.generation not in (None, generation) for pod in it.pods)
            candidates.append(Candidate(read_workload(it.document()), missing, stale))
        step = next_step(self.binding, UID, candidates)
        if step.restart is not None:
            (it,) = (it for it in self.workloads if it.name == step.restart.name)
            self.restart(it, next(found for found in candidates if found.workload is step.restart))
        return step

    def restart(self, it: Model, candidate: Candidate) -> None:
        generation = self.binding.generation
        assert not it.paused
        assert candidate.missing or (self.binding.spec.rollout == "OnChange" and candidate.stale)
        assert (generation, it.template) not in it.restarts, "twice for one generation and template"
        others = [other for other in self.workloads if other is not it and other.under_way]
        for other in others:
            assert other.restarts[-1][0] != generation, f"{other.name} is under way for this generation"
            assert it.restarts, f"{other.name} is under way"
            assert not candidate.workload.complete, f"{other.name} is under way, {it.name} was well"
        patch = restart_patch(candidate.workload, self.binding, UID, f"t{self.clock}")
        self.clock += 1
        assert patch["metadata"]["resourceVersion"] == str(it.generation)
        it.annotations = {**it.annotations, **patch["metadata"]["annotations"]}
        it.restarted_at = patch["spec"]["template"]["metadata"]["annotations"]["carrier.dev/restartedAt"]
        it.restarts.append((generation, it.template))
        it.under_way = True
        it.changed()

    # -- the end -----------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Whatever has happened: with a binding, templates and injectors that are well, all is mended by itself, but
        for what was restarted while no injector was there.
        """
        if not self.workloads:
            return
        self.injecting = True
        self.the_binding_changes(well=True)
        for it in self.workloads:
            it.paused = False
            for pod in it.pods:
                pod.available = pod.available and pod.well
            # Missing does not restart for a change of the binding, so that is not enough there.
            stuck = any(not pod.well for pod in it.pods) and self.binding.spec.rollout == "Missing"
            if stuck or not it.template_is_well:
                self.change_template(it, well=True)
        for _ in range(3 * WORKLOADS * (REPLICAS + 2)):
            step = self.look()
            for at in range(WORKLOADS):
                self.it_rolls(at, 1)
        assert reasons.ROLLOUT_IN_VAIN not in [advice.reason for advice in step.advice]
        for it in self.workloads:
            assert read_workload(it.document()).complete, f"{it.name} is not well"
            assert not any(pod.generation is None for pod in it.pods), f"{it.name} misses sidecars"
            if self.binding.spec.rollout == "OnChange":
                assert {pod.generation for pod in it.pods} == {self.binding.generation}, f"{it.name} is stale"


TestRollout = Rollout.TestCase
TestRollout.settings = settings(max_examples=250, stateful_step_count=30, deadline=None)
