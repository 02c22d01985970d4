"""The promises of injection, broken one at a time; see mutations.py for how, and tools/mutate.py for what is done."""

# ruff: noqa: E501  the texts are lines of the source
from __future__ import annotations

from tools.mutations import Mutation

PURE = ("tests/unit/operator", "tests/property/operator", "--ignore=tests/unit/operator/controller")
WIRE = ("tests/wire/operator",)


def _broken(promise: str, file: str, old: str, new: str, tests: tuple[str, ...] = PURE) -> Mutation:
    return Mutation(promise, file, old, new, tests, package="operator/carrier_operator")


MUTATIONS = (
    # -- who gets a sidecar
    _broken(
        "bindings act in their own namespace only",
        "inject.py",
        "    here = [binding for binding in bindings if binding.namespace == namespace]\n    verdict = selection.select(selection.Facts(pod, here, native=cluster.native, completes=completes))\n",
        "    here = list(bindings)\n    verdict = selection.select(selection.Facts(pod, here, native=cluster.native, completes=completes))\n",
    ),
    _broken(
        "a binding that is being deleted counts as missing",
        "selection.py",
        "for binding in bindings if not binding.deleting}",
        "for binding in bindings}",
    ),
    _broken(
        "a binding that is not accepted is not used",
        "policy.py",
        "    if spec is None or reasons:\n",
        "    if spec is None:\n",
    ),
    _broken(
        "sidecar.image only from prefixes that are allowed",
        "policy.py",
        '    return prefix.endswith(("/", ":", "@")) or not rest or rest[0] in "/:@"\n',
        "    return True\n",
    ),
    _broken(
        "no AWS_*, LD_*, PYTHON* in a binding's env",
        "policy.py",
        "        if entry.name.startswith(_PROTECTED_ENV) and not any(",
        "        if entry.name in _PROTECTED_ENV and not any(",
    ),
    _broken(
        "the webhook is on loopback",
        "policy.py",
        'return parts is not None and parts[1] in _LOOPBACK and "\\\\" not in url\n',
        'return parts is not None and parts[1].startswith(_LOOPBACK) and "\\\\" not in url\n',
    ),
    _broken(
        "already injected is decided by the container, not by an annotation",
        "pods.py",
        '    return any(entry.get("name") == _MARK for entry in objects(container, "env"))\n',
        "    return True\n",
    ),
    _broken(
        "a container of that name which is not ours is left alone",
        "plan.py",
        "    obstacle = _foreign(pod, binding, standing) or _unknown_volume(pod, binding)\n",
        "    obstacle = _unknown_volume(pod, binding)\n",
    ),
    _broken(
        "a Job's pod is left out where the sidecar can't be native",
        "selection.py",
        "    if facts.completes and not can_be_native(binding, facts.native):\n",
        "    if facts.completes and not facts.native and binding.spec.sidecar.mode == 'Container':\n",
    ),
    # -- what it looks like
    _broken(
        "the sidecar is the last init container",
        "inject.py",
        "    inits += [it for name, it in finished.items() if name in native]\n",
        "    inits = [it for name, it in finished.items() if name in native] + inits\n",
    ),
    _broken(
        "no static keys are mirrored",
        "identity.py",
        '    "AWS_REGION",\n',
        '    "AWS_REGION",\n    "AWS_SECRET_ACCESS_KEY",\n',
    ),
    _broken(
        "the node's role is not used silently",
        "container.py",
        "    if not binding.spec.sidecar.allow_instance_metadata:\n",
        "    if binding.spec.sidecar.allow_instance_metadata:\n",
    ),
    _broken(
        "a dollar in a value is a dollar",
        "container.py",
        'value.replace("$", "$$")',
        "value",
    ),
    _broken(
        "a stripped restartPolicy is repaired",
        "container.py",
        '        container["restartPolicy"] = "Always"\n',
        '        container.setdefault("restartPolicy", None)\n',
    ),
    _broken(
        "what others added to our container stays",
        "container.py",
        "    merged: Json = _merge(standing, _without_redirected(standing, wanted))\n",
        "    merged: Json = dict(wanted)\n",
    ),
    _broken(
        "the API token is masked",
        "container.py",
        "    if facts.mask_token:\n",
        "    if facts.mask_token and facts.host_network:\n",
    ),
    _broken(
        "a Guaranteed pod stays so",
        "container.py",
        "    if facts.guaranteed or facts.cpu_limited:\n",
        "    if facts.cpu_limited:\n",
    ),
    # -- the drain barrier
    _broken(
        "the app's hook pauses, it does not drain",
        "inject.py",
        '        wanted = container.hook("pause", token, barriers[0])\n',
        '        wanted = container.hook("drain", token, barriers[0])\n',
    ),
    _broken(
        "an app with a preStop of its own keeps it",
        "inject.py",
        "    if standing is not None and not is_our_hook(standing, token):\n        return it\n",
        "",
    ),
    _broken(
        "the first of several sidecars asks the others",
        "inject.py",
        "    first = bool(barriers) and it.probe_port == barriers[0]\n",
        "    first = bool(barriers) and it.probe_port == barriers[-1]\n",
    ),
    _broken(
        "no hooks on the host's network",
        "plan.py",
        "    barrier = not pods.host_network(pod) and annotations",
        "    barrier = annotations",
    ),
    _broken(
        "the token of the pod is kept",
        "inject.py",
        "    token = standing_token(pod) or token\n",
        "",
    ),
    # -- the way back and the patch
    _broken(
        "uninject(inject(pod)) is the pod",
        "uninject.py",
        '    for key in ("metadata", "spec"):\n        if not changed[key] and (key not in pod or key in made):\n',
        '    for key in ("spec",):\n        if not changed[key] and (key not in pod or key in made):\n',
    ),
    _broken(
        "names are escaped in JSON Pointers",
        "patch.py",
        'return part.replace("~", "~0").replace("/", "~1")',
        'return part.replace("/", "~1").replace("~", "~0")',
    ),
    # -- the injector
    _broken(
        "a review of anything but a creation is refused",
        "injector/review.py",
        '    if request.get("operation") != "CREATE":\n',
        '    if request.get("operation") == "DELETE":\n',
        WIRE,
    ),
    _broken(
        "a review of a subresource is refused",
        "injector/review.py",
        '    if request.get("subResource"):\n',
        '    if request.get("subResource") == "status":\n',
        WIRE,
    ),
    _broken(
        "reviews are UTF-8",
        "injector/review.py",
        'json.loads(body.decode("utf-8"), parse',
        "json.loads(body, parse",
        WIRE,
    ),
    _broken(
        "a defect of ours is no allowed",
        "injector/server.py",
        '            return web.Response(status=500, text="internal error")\n',
        '            return web.json_response({"response": {"uid": review.uid, "allowed": True}})\n',
        WIRE,
    ),
    _broken(
        "nothing is answered before the first list",
        "injector/server.py",
        "        if missing:\n            self._telemetry.refused",
        "        if missing and self._state.leaving:\n            self._telemetry.refused",
        WIRE,
    ),
    _broken(
        "an ending replica finishes the reviews that it has begun",
        "injector/run.py",
        "                await self._finish(webhook, reviews)\n",
        "",
        WIRE,
    ),
    _broken(
        "an ending replica says so to its endpoints first",
        "injector/run.py",
        "                self._state.leaving = True\n",
        "",
        WIRE,
    ),
    _broken(
        "a certificate that does not fit its key never reaches the live context",
        "injector/certificate.py",
        "            _load(trial, certificate, key)\n            not_after = _expiry(trial, certificate)\n            _load(self.context, certificate, key)\n",
        "            _load(self.context, certificate, key)\n            not_after = 0.0\n",
        WIRE,
    ),
    _broken(
        "a watch whose place is forgotten begins with a list",
        "kube/reflector.py",
        "                if error.status == 410 or self._failures",
        "                if self._failures",
        WIRE,
    ),
    _broken(
        "a silent watch is given up",
        "kube/client.py",
        "sock_read=silence_s)",
        "sock_read=None)",
        WIRE,
    ),
    _broken(
        "what is known stays known while the API server is away",
        "kube/reflector.py",
        "                self._restarted(str(error.status) if error.status else error.reason)\n                await self._pause(error)\n            except",
        "                self._restarted(str(error.status) if error.status else error.reason)\n                self._store.replace([])\n                await self._pause(error)\n            except",
        WIRE,
    ),
)
