"""What holds for injection into any pod by any bindings."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import jsonpatch
from hypothesis import given
from hypothesis import strategies as st

from carrier_operator import pods as reading
from carrier_operator.container import ClusterFacts
from carrier_operator.inject import inject
from carrier_operator.models import Binding
from carrier_operator.patch import diff
from carrier_operator.uninject import uninject
from carrier_sidecar import settings, settings_table
from tests.property.operator.bindings import SPECS, binding
from tests.property.operator.pods import pods

KNOWN = {row.name for row in settings_table.ROWS}
CLUSTERS = st.booleans().map(lambda native: ClusterFacts("carrier/sidecar:1", native=native))
TOKEN = "token-of-the-pod"


@st.composite
def binding_lists(draw: st.DrawFn) -> list[Binding]:
    specs = draw(st.lists(SPECS, min_size=1, max_size=3))
    return [binding(f"b{index}", {**spec, "selector": ANY}) for index, spec in enumerate(specs)]


ANY = {"matchExpressions": [{"key": "never-there", "operator": "DoesNotExist"}]}


def expanded(value: str) -> str:
    """What a container sees of a value without references: Kubernetes makes $ of $$."""
    assert "$(" not in value.replace("$$", "")
    return value.replace("$$", "$")


@given(pods(), binding_lists(), CLUSTERS)
def test_one_container_per_binding_where_it_belongs(
    pod: dict[str, Any], bindings: list[Binding], cluster: ClusterFacts
) -> None:
    before = copy.deepcopy(pod)
    result = inject(pod, "shop", bindings, cluster, TOKEN)
    assert pod == before
    names = [it["name"] for it in reading.all_containers(result.pod)]
    assert len(set(names)) == len(names)
    assert sorted(reading.our_containers(result.pod)) == sorted(
        reading.container_name(it.name) for it in result.injected
    )
    told = {it.binding for it in result.skipped}
    assert {it.name for it in result.verdict.chosen} == {it.name for it in result.injected} | {
        name for name in told if any(name == it.name for it in result.verdict.chosen)
    }
    natives = [it["name"] for it in reading.objects(result.pod["spec"], "initContainers")]
    for it in result.injected:
        mode = it.spec.sidecar.mode
        native = mode == "Native" or (mode == "Auto" and cluster.native)
        assert (reading.container_name(it.name) in natives) is native
    ours = [name for name in natives if name in reading.our_containers(result.pod)]
    assert natives[len(natives) - len(ours) :] == ours


@given(pods(), binding_lists(), CLUSTERS)
def test_the_patch_leads_to_the_pod_and_the_pod_needs_no_patch(
    pod: dict[str, Any], bindings: list[Binding], cluster: ClusterFacts
) -> None:
    result = inject(pod, "shop", bindings, cluster, TOKEN)
    patched = jsonpatch.apply_patch(pod, result.patch)
    assert patched == result.pod
    assert inject(patched, "shop", bindings, cluster, "another-token").patch == []
    assert bool(result.patch) == bool(result.injected)


@given(pods(), binding_lists(), CLUSTERS)
def test_the_apps_containers_are_unchanged_but_for_the_hook(
    pod: dict[str, Any], bindings: list[Binding], cluster: ClusterFacts
) -> None:
    result = inject(pod, "shop", bindings, cluster, TOKEN)
    after = {it["name"]: it for it in reading.all_containers(result.pod)}
    hooked = 0
    for it in reading.all_containers(pod):
        now = after[it["name"]]
        if now == it:
            continue
        hooked += 1
        lifecycle = dict(now["lifecycle"])
        assert re.fullmatch(f"/pause/{TOKEN}", lifecycle.pop("preStop")["httpGet"]["path"])
        assert lifecycle == it.get("lifecycle", {})
        assert {key: value for key, value in now.items() if key != "lifecycle"} == {
            key: value for key, value in it.items() if key != "lifecycle"
        }
        assert it in pod["spec"]["containers"]
    if pod["spec"].get("hostNetwork"):
        assert hooked == 0


@given(pods(), binding_lists(), CLUSTERS)
def test_uninject_gives_the_pod_back(pod: dict[str, Any], bindings: list[Binding], cluster: ClusterFacts) -> None:
    result = inject(pod, "shop", bindings, cluster, TOKEN)
    assert uninject(result.pod) == pod
    assert uninject(pod) == pod


@given(pods(), binding_lists(), CLUSTERS)
def test_the_sidecars_can_read_their_environment(
    pod: dict[str, Any], bindings: list[Binding], cluster: ClusterFacts
) -> None:
    result = inject(pod, "shop", bindings, cluster, TOKEN)
    addresses = []
    for it in reading.our_containers(result.pod).values():
        environ = {entry["name"]: expanded(entry["value"]) for entry in it["env"] if entry["name"] in KNOWN}
        addresses.append(settings.parse(environ).probe_address)
        assert not any(entry["name"] in ("AWS_SECRET_ACCESS_KEY", "A") for entry in it["env"])
        mounted = {mount["name"] for mount in it.get("volumeMounts", ())}
        del mounted
    assert len(set(addresses)) == len(addresses)


@given(pods(), binding_lists(), CLUSTERS)
def test_warnings_are_short_and_the_status_is_there(
    pod: dict[str, Any], bindings: list[Binding], cluster: ClusterFacts
) -> None:
    result = inject(pod, "shop", bindings, cluster, TOKEN)
    assert all(0 < len(warning) <= 120 and "\n" not in warning for warning in result.warnings)
    if result.injected:
        status = json.loads(result.pod["metadata"]["annotations"][reading.STATUS])
        assert [it["binding"] for it in status["sidecars"]] == [it.name for it in result.injected]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "~", "/", ""]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "a/b", "~1", "", "name"]), inner, max_size=4)
    ),
    max_leaves=15,
)


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@given(JSON, JSON)
def test_a_diff_applied_to_the_old_gives_the_new(old: Any, new: Any) -> None:
    operations = diff(old, new)
    document = jsonpatch.apply_patch({"root": old}, [{**it, "path": "/root" + it["path"]} for it in operations])
    assert canonical(document["root"]) == canonical(new)
    assert (operations == []) == (canonical(old) == canonical(new))
