"""Which bindings a pod gets, and why not: the table ROWS, first row that fits.

Facts (what is so) are gathered first, the verdict (what follows) is a row of the table and what it gives. The reference
page is made from ROWS and SKIPS, each row has its test. Pure; what the chosen bindings make of the pod is inject.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import labels, pods
from .models import Binding
from .policy import Unaccepted

NAMES_LIMIT = 32  # of bindings that a pod may name: an annotation has room for a hundred thousand, each an answer
MESSAGE_LIMIT = 120  # characters of an admission warning; the API server cuts longer ones


class Skip:
    """A reason for leaving something out.

    `unexpected`: the pod's owner would not expect it, so it is warned about. `refused`: in a namespace that requires
    sidecars the chart's admission policies refuse the pod: it was to have one, and it is somebody's mistake that it
    can't.
    """

    __slots__ = ("code", "meaning", "refused", "unexpected")

    def __init__(self, code: str, meaning: str, *, unexpected: bool, refused: bool = False) -> None:
        self.code = code
        self.meaning = meaning
        self.unexpected = unexpected
        self.refused = refused


STATIC = Skip("StaticPod", "A kubelet made this pod; what is added on the API server would not run.", unexpected=False)
WINDOWS = Skip("Windows", "The sidecar runs on Linux only.", unexpected=True)
HOST_NETWORK = Skip(
    "HostNetwork",
    "The pod is on its node's network and the binding does not set sidecar.allowHostNetwork.",
    unexpected=True,
)
JOB_NOT_NATIVE = Skip(
    "JobWithoutNativeSidecars", "The pod is to complete, and an ordinary container as sidecar would keep it from that.",
    unexpected=True,
)  # fmt: skip
BAD_WORD = Skip("BadInjectAnnotation", "carrier.dev/inject is neither true nor false.", unexpected=True)
ASKED_NOT_TO = Skip("AskedNotTo", "carrier.dev/inject is false.", unexpected=False)
MISSING = Skip(
    "BindingMissing", "The pod names a binding that is not there, or is being deleted.", unexpected=True, refused=True
)
UNACCEPTED = Skip(
    "BindingNotAccepted", "The pod names a binding that is not valid or not allowed.", unexpected=True, refused=True
)
TOO_MANY = Skip("TooManyBindings", "The pod names more bindings than are looked at (32).", unexpected=True)
NO_BINDING = Skip(
    "NoBinding", "The pod asks for a sidecar, and no binding in its namespace fits.", unexpected=True, refused=True
)
WHICH = Skip(
    "WhichBinding", "The pod asks for a sidecar without saying by which binding.", unexpected=True, refused=True
)
NOTHING_ASKS = Skip("NothingAsksForIt", "No annotation and no selector asks for a sidecar.", unexpected=False)
# Found while the pod is changed (inject.py), by binding:
FOREIGN_CONTAINER = Skip(
    "ForeignContainer", "The pod has another container of the sidecar's name.", unexpected=True, refused=True
)
PORT_UNKNOWN = Skip(
    "PortNameUnknown",
    "No container of the pod has a port of the name that the binding gives.",
    unexpected=True,
    refused=True,
)
VOLUME_UNKNOWN = Skip(
    "VolumeUnknown", "The pod has no volume of the name that the binding mounts.", unexpected=True, refused=True
)
MOUNT_TAKEN = Skip(
    "MountPathTaken", "Two mounts of the sidecar would have the same path.", unexpected=True, refused=True
)
NO_FREE_PORT = Skip("NoFreePort", "No port is left for the sidecar's probes.", unexpected=True, refused=True)

SKIPS = (
    STATIC, WINDOWS, HOST_NETWORK, JOB_NOT_NATIVE, BAD_WORD, ASKED_NOT_TO, MISSING, UNACCEPTED, TOO_MANY, NO_BINDING,
    WHICH, NOTHING_ASKS, FOREIGN_CONTAINER, PORT_UNKNOWN, VOLUME_UNKNOWN, MOUNT_TAKEN, NO_FREE_PORT,
)  # fmt: skip


class Skipped:
    """One thing left out of one pod: the reason, the binding if it is about one, and a sentence for the pod's owner."""

    __slots__ = ("binding", "message", "skip")

    def __init__(self, skip: Skip, message: str, binding: str | None = None) -> None:
        self.skip = skip
        self.message = message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
        self.binding = binding

    def __repr__(self) -> str:
        return f"Skipped({self.skip.code}: {self.message})"


class Facts:
    """What is so about a pod and the bindings of its namespace, before anything is decided."""

    __slots__ = (
        "by_name",
        "completes",
        "host_network",
        "inject",
        "matching",
        "names",
        "names_too_many",
        "native",
        "static",
        "unselective",
        "windows",
    )

    def __init__(
        self,
        pod: Mapping[str, Any],
        bindings: Sequence[Binding | Unaccepted],
        *,
        native: bool,
        completes: bool | None = None,
    ) -> None:
        """`native`: can sidecars be native where mode is Auto; `completes`: given when the caller knows (a Job's
        template).
        """
        metadata = pods.mapping(pod, "metadata")
        annotations = pods.texts(metadata, "annotations")
        pod_labels = pods.texts(metadata, "labels")
        self.static = pods.is_static(pod)
        self.windows = pods.is_windows(pod)
        self.host_network = pods.host_network(pod)
        self.completes = pods.runs_to_completion(pod) if completes is None else completes
        self.native = native
        self.inject = annotations.get(pods.INJECT)
        names = _names(annotations.get(pods.BINDING))
        self.names = names[:NAMES_LIMIT]
        self.names_too_many = len(names) > NAMES_LIMIT
        self.by_name = {binding.name: binding for binding in bindings if not binding.deleting}
        accepted = [binding for binding in self.by_name.values() if isinstance(binding, Binding)]
        accepted.sort(key=lambda binding: binding.name)
        self.matching = [
            binding
            for binding in accepted
            if binding.spec.selector is not None and labels.matches(binding.spec.selector, pod_labels)
        ]
        self.unselective = [binding for binding in accepted if binding.spec.selector is None]

    @property
    def named(self) -> list[Binding]:
        """The accepted bindings that the annotation names, in its order."""
        found = (self.by_name.get(name) for name in self.names)
        return [binding for binding in found if isinstance(binding, Binding)]

    @property
    def candidates(self) -> list[Binding]:
        """What rows further down would give, for the rows about what a pod can't have."""
        if self.inject == "false":
            return []
        if self.names:
            return self.named
        if self.matching:
            return self.matching
        return self.unselective if self.inject == "true" and len(self.unselective) == 1 else []


class Verdict:
    """What follows for one pod: the row that decided, the bindings it gets, and what was left out and why."""

    __slots__ = ("chosen", "row", "skipped")

    def __init__(self, row: Row, chosen: Sequence[Binding], skipped: Sequence[Skipped]) -> None:
        self.row = row
        self.chosen = tuple(chosen)
        self.skipped = tuple(skipped)


Outcome = tuple[Sequence[Binding], Sequence[Skipped]]


class Row:
    """One row of the table: `when` and `result` in words, `fits` and `decide` as code."""

    __slots__ = ("decide", "fits", "name", "result", "when")

    def __init__(
        self, name: str, when: str, result: str, fits: Callable[[Facts], bool], decide: Callable[[Facts], Outcome]
    ) -> None:
        self.name = name
        self.when = when
        self.result = result
        self.fits = fits
        self.decide = decide


def can_be_native(binding: Binding, native: bool) -> bool:
    """Is this binding's sidecar a native one, given whether every kubelet can?"""
    mode = binding.spec.sidecar.mode
    return mode == "Native" or (mode == "Auto" and native)


def _names(annotation: str | None) -> list[str]:
    """`orders, refunds` in order, each once."""
    return list(dict.fromkeys(name for name in (part.strip() for part in (annotation or "").split(",")) if name))


def _refusal(facts: Facts, binding: Binding) -> Skipped | None:
    """Why this pod can't have this binding's sidecar."""
    if facts.host_network and not binding.spec.sidecar.allow_host_network:
        message = f"carrier: {binding.name} not injected: hostNetwork pod (sidecar.allowHostNetwork is off)"
        return Skipped(HOST_NETWORK, message, binding.name)
    if facts.completes and not can_be_native(binding, facts.native):
        message = f"carrier: {binding.name} not injected: the pod would never complete without native sidecars"
        return Skipped(JOB_NOT_NATIVE, message, binding.name)
    return None


def _split(facts: Facts, bindings: Sequence[Binding]) -> tuple[list[Binding], list[Skipped]]:
    chosen, skipped = [], []
    for binding in bindings:
        refusal = _refusal(facts, binding)
        if refusal is None:
            chosen.append(binding)
        else:
            skipped.append(refusal)
    return chosen, skipped


def _impossible(facts: Facts) -> bool:
    return bool(facts.candidates) and not _split(facts, facts.candidates)[0]


def _nothing(skip: Skip, message: Callable[[Facts], str]) -> Callable[[Facts], Outcome]:
    return lambda facts: ((), (Skipped(skip, message(facts)),))


def _decide_windows(facts: Facts) -> Outcome:
    if not facts.candidates and facts.inject != "true":
        return (), (Skipped(NOTHING_ASKS, "nothing asks for a sidecar"),)
    return (), (Skipped(WINDOWS, "carrier: not injected: the sidecar runs on Linux only"),)


def _decide_named(facts: Facts) -> Outcome:
    chosen, skipped = _split(facts, facts.named)
    for name in facts.names:
        found = facts.by_name.get(name)
        if found is None:
            skipped.append(Skipped(MISSING, f"carrier: no CarrierBinding {name!r} in this namespace", name))
        elif isinstance(found, Unaccepted):
            why = found.reasons[0] if found.reasons else "not valid"
            skipped.append(Skipped(UNACCEPTED, f"carrier: binding {name!r} is not accepted: {why}", name))
    if facts.names_too_many:
        message = f"carrier: of the names in {pods.BINDING} only the first {NAMES_LIMIT} are looked at"
        skipped.append(Skipped(TOO_MANY, message))
    return chosen, skipped


def _decide_asked_in_vain(facts: Facts) -> Outcome:
    if not facts.unselective:
        return (), (
            Skipped(NO_BINDING, "carrier: inject is true, but no CarrierBinding in this namespace fits the pod"),
        )
    known = ", ".join(binding.name for binding in facts.unselective)
    return (), (Skipped(WHICH, f"carrier: which binding? Say it in {pods.BINDING}: {known}"),)


ROWS = (
    Row(
        "static",
        "the pod is static or the mirror of one",
        "skipped",
        lambda facts: facts.static,
        _nothing(STATIC, lambda facts: "a static pod"),
    ),
    Row("windows", "the pod is for Windows", "skipped", lambda facts: facts.windows, _decide_windows),
    Row(
        "impossible",
        "hostNetwork and the binding does not allow it; a Job's pod (or another that completes) "
        "where the sidecar can't be native",
        "skipped, with a warning; where only some of the pod's bindings are concerned, the others are injected",
        _impossible,
        lambda facts: ((), _split(facts, facts.candidates)[1]),
    ),
    Row(
        "bad-word",
        "`carrier.dev/inject` is any word but true, false",
        "skipped, with a warning that names the accepted words",
        lambda facts: facts.inject is not None and facts.inject not in ("true", "false"),
        _nothing(
            BAD_WORD,
            lambda facts: f'carrier: {pods.INJECT} must be "true" or "false", not {facts.inject!r}'[:MESSAGE_LIMIT],
        ),
    ),
    Row(
        "asked-not-to",
        '`carrier.dev/inject: "false"`',
        "skipped",
        lambda facts: facts.inject == "false",
        _nothing(ASKED_NOT_TO, lambda facts: "asked not to"),
    ),
    Row(
        "named",
        "`carrier.dev/binding` names bindings",
        "those that exist and are accepted, whatever their selectors; a warning for each other",
        lambda facts: bool(facts.names),
        _decide_named,
    ),
    Row(
        "selected",
        "`carrier.dev/inject` is true or absent, and selectors match",
        "all those bindings",
        lambda facts: bool(facts.matching),
        lambda facts: _split(facts, facts.matching),
    ),
    Row(
        "the-one",
        "`carrier.dev/inject` is true, no selector matches, exactly one binding of the namespace has no selector",
        "that one",
        lambda facts: facts.inject == "true" and len(facts.unselective) == 1,
        lambda facts: _split(facts, facts.unselective),
    ),
    Row(
        "asked-in-vain",
        "`carrier.dev/inject` is true, otherwise",
        "skipped, with a warning: no binding, or which of them",
        lambda facts: facts.inject == "true",
        _decide_asked_in_vain,
    ),
    Row(
        "nothing-asks",
        "no annotation, and no selector matches",
        "skipped",
        lambda facts: True,
        _nothing(NOTHING_ASKS, lambda facts: "nothing asks for a sidecar"),
    ),
)


def select(facts: Facts) -> Verdict:
    """The verdict by the first row that fits."""
    row = next(row for row in ROWS if row.fits(facts))
    chosen, skipped = row.decide(facts)
    return Verdict(row, chosen, skipped)
