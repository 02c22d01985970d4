"""What bindings may do beyond the schema: the administrator's policy, and reading a binding into an accepted one.

A binding is as powerful as pods/exec, so the defaults are narrow. The injector decides by this, on the binding itself
and not on its status; the controller uses the same functions to say so in the status. Pure.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from .model_types import NAME_PATTERN
from .models import NAME_MAX_LENGTH, Binding, BindingSpec
from .rules import Shape

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PROTECTED_ENV = ("AWS_", "LD_", "PYTHON")


class Policy:
    """What the administrator allows.

    `image_prefixes`: sidecar.image must begin with one of these (a prefix that ends a path part: `registry/team/`);
    `env_from`: valueFrom in sidecar.env; `env_names`: names or prefixes with a trailing * that are allowed although
    protected (AWS_*, LD_*, PYTHON*); `webhook_urls`: URL prefixes allowed beside loopback; `volume_mounts`: mounting
    the pod's own volumes.
    """

    __slots__ = ("env_from", "env_names", "image_prefixes", "unlimited", "volume_mounts", "webhook_urls")

    def __init__(
        self,
        *,
        image_prefixes: tuple[str, ...] = (),
        env_from: bool = False,
        env_names: tuple[str, ...] = (),
        webhook_urls: tuple[str, ...] = (),
        volume_mounts: bool = True,
    ) -> None:
        self.image_prefixes = image_prefixes
        self.env_from = env_from
        self.env_names = env_names
        self.webhook_urls = webhook_urls
        self.volume_mounts = volume_mounts
        self.unlimited = False

    @classmethod
    def without_limits(cls) -> Policy:
        """For manifests that their author changes offline: what is allowed is the author's own business."""
        policy = cls()
        policy.unlimited = True
        return policy


class Unaccepted:
    """A binding that exists and can't be used: who it is and why, a sentence for each reason."""

    __slots__ = ("deleting", "generation", "name", "namespace", "reasons")

    def __init__(
        self, name: str, namespace: str, reasons: tuple[str, ...], *, generation: int = 0, deleting: bool = False
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.reasons = reasons
        self.generation = generation
        self.deleting = deleting


def violations(spec: BindingSpec, policy: Policy) -> list[str]:
    """What the policy refuses in a valid spec, a sentence each."""
    if policy.unlimited:
        return []
    out = []
    sidecar = spec.sidecar
    if sidecar.image is not None and not any(_image_within(sidecar.image, prefix) for prefix in policy.image_prefixes):
        allowed = ", ".join(policy.image_prefixes) or "no image of a binding's own"
        out.append(f"spec.sidecar.image is not from an allowed registry (allowed: {allowed})")
    for entry in sidecar.env or ():
        if entry.value_from is not None and not policy.env_from:
            out.append(f"spec.sidecar.env: {entry.name}: valueFrom is not allowed here")
        if entry.name.startswith(_PROTECTED_ENV) and not any(_name_within(entry.name, it) for it in policy.env_names):
            out.append(f"spec.sidecar.env: {entry.name} is not allowed here (nor AWS_*, LD_*, PYTHON*)")
    if sidecar.volume_mounts and not policy.volume_mounts:
        out.append("spec.sidecar.volumeMounts is not allowed here")
    url = spec.webhook.url
    if (
        url is not None
        and not _on_loopback(url)
        and not any(_url_within(url, prefix) for prefix in policy.webhook_urls)
    ):
        out.append("spec.webhook.url is neither on loopback nor an address that is allowed here")
    return out


def read_binding(document: Mapping[str, Any], policy: Policy) -> Binding | Unaccepted:
    """A CarrierBinding object (from the API server or a file) as an accepted binding, or why it is none."""
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    name, namespace = str(metadata.get("name") or ""), str(metadata.get("namespace") or "")
    generation = metadata.get("generation")
    generation = generation if isinstance(generation, int) else 0
    deleting = metadata.get("deletionTimestamp") is not None
    reasons = []
    if len(name) > NAME_MAX_LENGTH or not re.fullmatch(NAME_PATTERN, name):
        reasons.append(f"metadata.name must be a DNS label of at most {NAME_MAX_LENGTH} characters")
    spec = None
    try:
        spec = _with_common_parts(BindingSpec.model_validate(document.get("spec")))
    except ValidationError as error:
        reasons += describe(error)
    if spec is not None:
        reasons += violations(spec, policy)
    if spec is None or reasons:
        return Unaccepted(name, namespace, tuple(reasons), generation=generation, deleting=deleting)
    return Binding(name, namespace, spec, generation=generation, deleting=deleting)


_NONE: set[str] = set()  # which fields were written out is not asked
_PARTS: weakref.WeakValueDictionary[tuple[type[Shape], str], Shape] = weakref.WeakValueDictionary()


def _with_common_parts(spec: BindingSpec) -> BindingSpec:
    """The same with each part that another binding has too as that one's: they never change, and most are left at
    their defaults. Of 5,000 bindings this is half the memory.
    """
    parts = {
        name: _PARTS.setdefault((type(part), part.model_dump_json()), part) if isinstance(part, Shape) else part
        for name, part in spec
    }
    return BindingSpec.model_construct(_NONE, **parts)


def describe(error: ValidationError) -> list[str]:
    """Pydantic's errors as `spec.path: sentence`, without the values (they may be secret)."""
    return [
        f"{'.'.join(('spec', *(str(part) for part in item['loc'])))}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def _image_within(image: str, prefix: str) -> bool:
    """Prefixes end at a boundary, so that `registry/team` allows neither `registry/team-evil` nor `registry/teams`."""
    if not image.startswith(prefix) or ".." in image:
        return False
    rest = image[len(prefix) :]
    return prefix.endswith(("/", ":", "@")) or not rest or rest[0] in "/:@"


def _name_within(name: str, allowed: str) -> bool:
    return name.startswith(allowed[:-1]) if allowed.endswith("*") else name == allowed


def _split(url: str) -> tuple[str, str, int | None, str] | None:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port, parts.path or "/"
    except ValueError:
        return None


def _on_loopback(url: str) -> bool:
    parts = _split(url)
    return parts is not None and parts[1] in _LOOPBACK and "\\" not in url


def _url_within(url: str, prefix: str) -> bool:
    """Same scheme, host and port, and the path below the prefix's: never a comparison of text that a host could
    trick.
    """
    mine, allowed = _split(url), _split(prefix)
    if (
        mine is None
        or allowed is None
        or mine[:3] != allowed[:3]
        or "\\" in url
        or "/.." in mine[3].lower().replace("%2e", ".")
    ):
        return False
    base = allowed[3] if allowed[3].endswith("/") else allowed[3] + "/"
    return mine[3] == allowed[3] or mine[3].startswith(base)
