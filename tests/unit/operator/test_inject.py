"""What injection promises of the container, sentence by sentence."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from carrier_operator import pods, selection
from carrier_operator.annotation import read_status
from carrier_operator.container import ClusterFacts, rendered_hash
from carrier_operator.inject import Injection, inject, offline_token
from carrier_operator.models import Binding
from carrier_operator.uninject import uninject
from tests.unit.operator.pods_for_tests import binding, pod

NATIVE = ClusterFacts("carrier/sidecar:1", native=True)
OLD = ClusterFacts("carrier/sidecar:1", native=False)
APP = {"app": "x"}
TOKEN = "token-of-the-pod"
EKS = "/var/run/secrets/eks.amazonaws.com/serviceaccount"


def go(subject: dict[str, Any], *bindings: Binding, cluster: ClusterFacts = NATIVE, token: str = TOKEN) -> Injection:
    return inject(subject, "shop", bindings, cluster, token)


def matching(name: str = "orders", **spec: Any) -> Binding:
    return binding(name, selector=APP, **spec)


def sidecar(result: Injection, name: str = "orders") -> dict[str, Any]:
    return pods.our_containers(result.pod)[f"carrier-{name}"]


def env(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def app(**more: Any) -> dict[str, Any]:
    return {"name": "app", "image": "app:1", "ports": [{"name": "http", "containerPort": 8080}], **more}


def subject(**spec: Any) -> dict[str, Any]:
    return pod(labels=APP, **spec)


# Where it goes


def test_a_native_sidecar_is_the_last_init_container() -> None:
    migrate = {"name": "migrate", "image": "m"}
    mesh = {"name": "mesh", "image": "m", "restartPolicy": "Always"}
    result = go(subject(initContainers=[migrate, mesh]), matching())
    assert [it["name"] for it in result.pod["spec"]["initContainers"]] == ["migrate", "mesh", "carrier-orders"]
    assert sidecar(result)["restartPolicy"] == "Always"


def test_it_moves_behind_a_mesh_that_came_later() -> None:
    result = go(subject(), matching())
    mesh = {"name": "mesh", "image": "m", "restartPolicy": "Always"}
    result.pod["spec"]["initContainers"].append(mesh)
    again = go(result.pod, matching())
    assert [it["name"] for it in again.pod["spec"]["initContainers"]] == ["mesh", "carrier-orders"]


def test_where_kubelets_are_old_it_is_an_ordinary_container() -> None:
    result = go(subject(), matching(), cluster=OLD)
    assert [it["name"] for it in result.pod["spec"]["containers"]] == ["app", "carrier-orders"]
    assert "restartPolicy" not in sidecar(result)
    assert "initContainers" not in result.pod["spec"]


@pytest.mark.parametrize(
    ("mode", "cluster", "key"), [("Native", OLD, "initContainers"), ("Container", NATIVE, "containers")]
)
def test_the_binding_may_say_the_mode(mode: str, cluster: ClusterFacts, key: str) -> None:
    result = go(subject(), matching(sidecar={"mode": mode}), cluster=cluster)
    assert pods.named(result.pod["spec"][key], "carrier-orders") is not None


def test_a_binding_of_another_namespace_does_nothing() -> None:
    assert inject(subject(), "elsewhere", [matching()], NATIVE, TOKEN).patch == []


# What it is


def test_queue_errors_at_the_start_do_not_crash_loop() -> None:
    assert env(sidecar(go(subject(), matching())))["CARRIER_START_ERRORS"] == "retry"


def test_it_has_a_liveness_probe_only() -> None:
    found = sidecar(go(subject(), matching()))
    assert found["livenessProbe"]["httpGet"] == {"path": "/livez", "port": 9464, "scheme": "HTTP"}
    assert "startupProbe" not in found
    assert "readinessProbe" not in found
    assert found["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_readiness_gates_the_pod_only_when_asked_to() -> None:
    found = sidecar(go(subject(), matching(sidecar={"gatesPodReadiness": True})))
    assert found["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_it_passes_the_restricted_standard() -> None:
    assert sidecar(go(subject(), matching()))["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@pytest.mark.parametrize(("context", "expected"), [({"runAsUser": 0}, 65532), ({"runAsUser": 1000}, None), ({}, None)])
def test_a_user_is_set_only_where_the_pods_would_be_root(context: dict[str, Any], expected: int | None) -> None:
    found = sidecar(go(subject(securityContext=context), matching()))
    assert found["securityContext"].get("runAsUser") == expected


def test_the_api_token_is_masked_by_what_keeps_no_node_from_being_scaled_down() -> None:
    result = go(subject(), matching())
    mount = next(it for it in sidecar(result)["volumeMounts"] if it["mountPath"].endswith("serviceaccount"))
    volume = pods.named(result.pod["spec"]["volumes"], mount["name"])
    assert volume is not None
    assert "projected" in volume
    assert "emptyDir" not in volume
    assert volume["projected"]["sources"] == []


def test_there_is_nothing_to_mask_where_the_pod_has_no_token() -> None:
    result = go(subject(automountServiceAccountToken=False), matching())
    assert "volumes" not in result.pod["spec"]
    assert "volumeMounts" not in sidecar(result)


def test_memory_request_is_the_limit_and_cpu_has_none() -> None:
    assert sidecar(go(subject(), matching()))["resources"] == {
        "requests": {"cpu": "10m", "memory": "64Mi"},
        "limits": {"memory": "64Mi"},
    }


FULL = {"limits": {"cpu": "1", "memory": "1Gi"}}


@pytest.mark.parametrize(
    ("given", "cpu"),
    [(None, "100m"), ({"requests": {"cpu": "50m"}}, "50m"), ({"limits": {"cpu": "2", "memory": "1Gi"}}, "2")],
)
def test_a_guaranteed_pod_stays_guaranteed(given: dict[str, Any] | None, cpu: str) -> None:
    binding = matching(sidecar={"resources": given} if given else {})
    found = sidecar(go(subject(containers=[app(resources=FULL)]), binding))["resources"]
    assert found["limits"] == found["requests"]
    assert found["limits"]["cpu"] == cpu
    half = app(resources={**FULL, "requests": {"cpu": "500m"}})
    assert "cpu" not in sidecar(go(subject(containers=[half]), matching()))["resources"]["limits"]


@pytest.mark.parametrize(
    ("given", "request_", "limit"),
    [
        (None, "10m", "100m"),
        ({"requests": {"cpu": "500m"}}, "500m", "500m"),
        ({"limits": {"cpu": "2"}}, "2", "2"),
        ({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}, "1", "2"),
    ],
)
def test_a_quota_that_asks_for_a_cpu_limit_gets_one(given: dict[str, Any] | None, request_: str, limit: str) -> None:
    binding = matching(sidecar={"resources": given} if given else {})
    there = ClusterFacts("carrier/sidecar:1", native=True, cpu_limited={"shop"})
    elsewhere = ClusterFacts("carrier/sidecar:1", native=True, cpu_limited={"billing"})
    found = sidecar(go(subject(), binding, cluster=there))["resources"]
    assert (found["requests"]["cpu"], found["limits"]["cpu"]) == (request_, limit)
    assert sidecar(go(subject(), matching(), cluster=elsewhere))["resources"]["limits"] == {"memory": "64Mi"}
    assert rendered_hash(binding, there) == rendered_hash(binding, NATIVE)


def test_resources_of_the_binding_count() -> None:
    found = sidecar(go(subject(), matching(sidecar={"resources": {"limits": {"memory": "1Gi", "cpu": "1"}}})))
    assert found["resources"] == {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}


def test_a_port_may_be_a_container_ports_name() -> None:
    found = go(subject(), matching(webhook={"port": "http", "path": "/events"}))
    assert env(sidecar(found))["CARRIER_WEBHOOK_ENDPOINT"] == "http://localhost:8080/events"


def test_an_unknown_port_name_skips_that_binding_only() -> None:
    result = go(subject(), matching("a", webhook={"port": "nope"}), matching("b"))
    assert [it.name for it in result.injected] == ["b"]
    assert [(it.skip, it.binding) for it in result.skipped] == [(selection.PORT_UNKNOWN, "a")]
    assert any("nope" in it or "no container port" in it for it in result.warnings)


def test_a_dollar_in_a_value_is_a_dollar() -> None:
    found = sidecar(go(subject(), matching(webhook={"headers": [{"name": "A", "value": "$(HOME) $$"}]})))
    assert env(found)["CARRIER_WEBHOOK_HEADERS"] == "A: $$(HOME) $$$$"


def test_the_image_is_the_clusters_or_the_bindings() -> None:
    assert sidecar(go(subject(), matching()))["image"] == "carrier/sidecar:1"
    own = matching(sidecar={"image": "mine:2", "imagePullPolicy": "Never"})
    assert (sidecar(go(subject(), own))["image"], sidecar(go(subject(), own))["imagePullPolicy"]) == ("mine:2", "Never")


def test_volumes_of_the_pod_can_be_mounted_read_only() -> None:
    wants = matching(sidecar={"volumeMounts": [{"name": "certs", "mountPath": "/certs"}]})
    result = go(subject(volumes=[{"name": "certs", "secret": {"secretName": "x"}}]), wants)
    assert {"name": "certs", "mountPath": "/certs", "readOnly": True} in sidecar(result)["volumeMounts"]
    without = go(subject(), wants)
    assert [it.skip for it in without.skipped] == [selection.VOLUME_UNKNOWN]
    assert without.patch == []


# Ours and not ours


def test_a_container_of_that_name_that_is_not_ours_is_left_alone() -> None:
    foreign = {"name": "carrier-orders", "image": "evil", "env": [{"name": "A", "value": "b"}]}
    result = go(subject(containers=[app(), foreign]), matching())
    assert result.patch == []
    assert [it.skip for it in result.skipped] == [selection.FOREIGN_CONTAINER]
    assert "carrier-orders" in result.warnings[0]


def test_an_annotation_alone_does_not_make_a_pod_injected() -> None:
    claimed = subject()
    claimed["metadata"]["annotations"] = {
        pods.STATUS: json.dumps({"sidecars": [{"binding": "orders", "generation": 9, "hash": ""}]})
    }
    assert go(claimed, matching()).injected


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"sidecars": 3, "made": {}}', '{"sidecars":[{"binding":1}]}', "[" * 10000]
)
def test_a_status_that_anyone_wrote_breaks_nothing(text: str) -> None:
    claimed = subject()
    claimed["metadata"]["annotations"] = {pods.STATUS: text}
    assert go(claimed, matching()).injected


# Reinvocation


def test_a_stripped_restart_policy_is_repaired() -> None:
    result = go(subject(), matching())
    broken = copy.deepcopy(result.pod)
    del broken["spec"]["initContainers"][0]["restartPolicy"]
    again = go(broken, matching(), token="another-token")
    assert again.patch == [{"op": "add", "path": "/spec/initContainers/0/restartPolicy", "value": "Always"}]


def test_what_others_added_to_our_container_stays() -> None:
    result = go(subject(), matching())
    seen = copy.deepcopy(result.pod)
    ours = seen["spec"]["initContainers"][0]
    ours["terminationMessagePath"] = "/dev/termination-log"
    ours["env"].append({"name": "HTTPS_PROXY", "value": "http://proxy"})
    ours["volumeMounts"].append({"name": "x", "mountPath": "/x"})
    ours["livenessProbe"]["successThreshold"] = 1
    assert go(seen, matching()).patch == []


def test_a_changed_setting_is_repaired_and_a_dropped_one_goes() -> None:
    result = go(subject(), matching(concurrency={"workers": 10}))
    again = go(result.pod, matching(concurrency={"receivers": 2}, webhook={"timeout": "5s"}))
    values = env(sidecar(again))
    assert values["CARRIER_SQS_RECEIVERS"] == "2"
    assert values["CARRIER_WEBHOOK_REQUEST_TIMEOUT"] == "5s"
    assert "CARRIER_SQS_RECEIVER_WORKERS" not in values


def test_probes_that_a_mesh_redirected_stay_redirected() -> None:
    seen = copy.deepcopy(go(subject(), matching()).pod)
    ours = seen["spec"]["initContainers"][0]
    ours["livenessProbe"]["httpGet"] = {"path": "/app-health/carrier-orders/livez", "port": 15020, "scheme": "HTTP"}
    ours["lifecycle"]["preStop"]["httpGet"] = {
        "path": "/app-lifecycle/carrier-orders/prestopz",
        "port": 15020,
        "scheme": "HTTP",
    }
    assert go(seen, matching()).patch == []


def test_the_token_of_the_pod_is_kept() -> None:
    result = go(subject(), matching("a"))
    again = go(result.pod, matching("a"), matching("b"), token="another-token")
    assert {env(it)["CARRIER_DRAIN_TOKEN"] for it in pods.our_containers(again.pod).values()} == {TOKEN}


# AWS identity


def identity(container: dict[str, Any], role: str = "arn:aws:iam::1:role/x") -> dict[str, Any]:
    env_list = [
        {"name": "AWS_ROLE_ARN", "value": role},
        {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": f"{EKS}/token"},
        {"name": "AWS_SECRET_ACCESS_KEY", "value": "never"},
        {"name": "AWS_REGION", "value": "us-west-2"},
    ]
    mounts = [{"name": "aws-iam-token", "mountPath": EKS, "readOnly": True}, {"name": "data", "mountPath": "/var"}]
    return {**container, "env": env_list, "volumeMounts": mounts}


def test_the_apps_aws_identity_is_mirrored_and_nothing_else() -> None:
    found = sidecar(go(subject(containers=[identity(app())]), matching()))
    values = env(found)
    assert values["AWS_ROLE_ARN"] == "arn:aws:iam::1:role/x"
    assert values["AWS_WEB_IDENTITY_TOKEN_FILE"] == f"{EKS}/token"
    assert values["AWS_REGION"] == "us-west-2"
    assert "AWS_SECRET_ACCESS_KEY" not in values
    assert {it["name"] for it in found["volumeMounts"]} == {"aws-iam-token", "carrier-no-token"}


def test_pod_identity_is_mirrored() -> None:
    at = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount"
    with_env = app(
        env=[
            {"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://169.254.170.23/v1/credentials"},
            {"name": "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "value": f"{at}/eks-pod-identity-token"},
        ],
        volumeMounts=[{"name": "eks-pod-identity-token", "mountPath": at}],
    )
    found = sidecar(go(subject(containers=[with_env]), matching()))
    assert env(found)["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == "http://169.254.170.23/v1/credentials"
    assert {"name": "eks-pod-identity-token", "mountPath": at, "readOnly": True} in found["volumeMounts"]


def test_an_identity_that_comes_later_completes_the_sidecar() -> None:
    result = go(subject(), matching())
    seen = copy.deepcopy(result.pod)
    seen["spec"]["containers"][0] = identity(seen["spec"]["containers"][0])
    again = go(seen, matching())
    assert env(sidecar(again))["AWS_ROLE_ARN"] == "arn:aws:iam::1:role/x"
    assert go(again.pod, matching()).patch == []


def test_containers_that_disagree_are_a_warning_with_the_names() -> None:
    other = identity({"name": "other", "image": "x"}, role="arn:aws:iam::1:role/y")
    result = go(subject(containers=[other, identity(app())]), matching(webhook={"port": "http"}))
    assert env(sidecar(result))["AWS_ROLE_ARN"].endswith("/x")  # the handler's
    assert any("AWS_ROLE_ARN" in it for it in result.warnings)


def test_the_nodes_role_is_not_used_silently() -> None:
    assert env(sidecar(go(subject(), matching())))["AWS_EC2_METADATA_DISABLED"] == "true"
    allowed = matching(sidecar={"allowInstanceMetadata": True})
    assert "AWS_EC2_METADATA_DISABLED" not in env(sidecar(go(subject(), allowed)))


def test_variables_of_the_binding_win_over_the_mirrored() -> None:
    own = matching(sidecar={"env": [{"name": "AWS_REGION", "value": "eu-west-1"}]})
    assert env(sidecar(go(subject(containers=[identity(app())]), own)))["AWS_REGION"] == "eu-west-1"


# The drain barrier


def pre_stop(container: dict[str, Any]) -> Any:
    return container.get("lifecycle", {}).get("preStop")


def test_sidecar_and_app_get_hooks_that_wait() -> None:
    result = go(subject(), matching())
    assert pre_stop(sidecar(result)) == {"httpGet": {"path": f"/drain/{TOKEN}", "port": 9464, "scheme": "HTTP"}}
    assert pre_stop(result.pod["spec"]["containers"][0]) == {
        "httpGet": {"path": f"/pause/{TOKEN}", "port": 9464, "scheme": "HTTP"}
    }


def test_a_container_with_a_hook_of_its_own_keeps_it() -> None:
    own = {"preStop": {"exec": {"command": ["sleep", "5"]}}}
    result = go(subject(containers=[app(lifecycle=own)]), matching())
    assert result.pod["spec"]["containers"][0]["lifecycle"] == own


def test_the_hook_keeps_a_post_start() -> None:
    start = {"postStart": {"exec": {"command": ["true"]}}}
    result = go(subject(containers=[app(lifecycle=start)]), matching())
    assert result.pod["spec"]["containers"][0]["lifecycle"].keys() == {"postStart", "preStop"}
    assert uninject(result.pod)["spec"]["containers"][0]["lifecycle"] == start


def test_no_hook_where_binding_or_pod_says_so() -> None:
    opted_out = go(subject(), matching(sidecar={"drainBarrier": False}))
    assert pre_stop(sidecar(opted_out)) is None
    assert pre_stop(opted_out.pod["spec"]["containers"][0]) is None
    asking = subject()
    asking["metadata"]["annotations"] = {pods.DRAIN_BARRIER: "false"}
    assert pre_stop(go(asking, matching()).pod["spec"]["containers"][0]) is None


def test_a_barrier_that_is_switched_off_takes_the_hook_away() -> None:
    result = go(subject(), matching())
    again = go(result.pod, matching(sidecar={"drainBarrier": False}))
    assert "lifecycle" not in again.pod["spec"]["containers"][0]
    assert "lifecycle" not in sidecar(again)


def test_on_the_hosts_network_there_are_no_hooks_and_the_listener_is_on_loopback() -> None:
    result = go(subject(hostNetwork=True), matching(sidecar={"allowHostNetwork": True}))
    found = sidecar(result)
    assert not {"lifecycle", "livenessProbe", "ports"} & found.keys()
    assert env(found)["CARRIER_PROBE_ADDRESS"] == "127.0.0.1:9464"
    assert pre_stop(result.pod["spec"]["containers"][0]) is None


def test_several_sidecars_have_ports_of_their_own_and_the_apps_hook_goes_to_the_first() -> None:
    result = go(subject(), matching("a"), matching("b"), matching("c", sidecar={"drainBarrier": False}))
    ports = {name: env(it)["CARRIER_PROBE_ADDRESS"] for name, it in pods.our_containers(result.pod).items()}
    assert ports == {"carrier-a": ":9464", "carrier-b": ":9465", "carrier-c": ":9466"}
    assert pre_stop(result.pod["spec"]["containers"][0])["httpGet"]["port"] == 9464
    assert env(sidecar(result, "a"))[PEERS] == "127.0.0.1:9465"
    assert PEERS not in env(sidecar(result, "b"))


PEERS = "CARRIER_PAUSE_PEERS"


def test_a_port_that_the_app_declares_is_not_taken() -> None:
    taken = app(ports=[{"containerPort": 9464}, {"containerPort": 9465}])
    assert env(sidecar(go(subject(containers=[taken]), matching())))["CARRIER_PROBE_ADDRESS"] == ":9466"


def test_a_second_binding_takes_the_next_port_when_the_first_is_there_already() -> None:
    first = go(subject(), matching("b"))
    both = go(first.pod, matching("a"), matching("b"))
    ports = {name: env(it)["CARRIER_PROBE_ADDRESS"] for name, it in pods.our_containers(both.pod).items()}
    assert len(set(ports.values())) == 2
    assert go(both.pod, matching("a"), matching("b")).patch == []


@pytest.mark.parametrize(
    ("grace", "shutdown", "warned"), [(30, "25s", False), (29, "25s", True), (None, "26s", True), (300, "60s", False)]
)
def test_a_short_grace_period_is_a_warning(grace: int | None, shutdown: str, warned: bool) -> None:
    spec = {} if grace is None else {"terminationGracePeriodSeconds": grace}
    result = go(subject(**spec), matching(sidecar={"shutdownTimeout": shutdown}))
    assert any("terminationGracePeriodSeconds" in it for it in result.warnings) is warned


# The annotation


def test_the_annotation_says_binding_generation_and_hash() -> None:
    result = go(subject(), binding("orders", selector=APP, generation=7))
    found = read_status(result.pod).of("orders")
    assert found is not None
    assert (found.generation, found.hash) == (7, rendered_hash(matching(), NATIVE))


def test_the_token_is_there_after_the_hash_was_asked_for() -> None:
    fresh = matching(webhook={"port": 9000, "healthCheck": {"path": "/h", "port": 9000}})
    rendered_hash(fresh, NATIVE)
    assert env(sidecar(go(subject(), fresh)))["CARRIER_DRAIN_TOKEN"] == TOKEN
    assert env(sidecar(go(subject(), fresh, token="another-token")))["CARRIER_DRAIN_TOKEN"] == "another-token"


def test_uninject_leaves_a_volume_that_somebody_else_mounts() -> None:
    result = go(subject(), matching())
    seen = copy.deepcopy(result.pod)
    seen["spec"]["containers"][0]["volumeMounts"] = [{"name": "carrier-no-token", "mountPath": "/x"}]
    assert pods.named(uninject(seen)["spec"]["volumes"], "carrier-no-token") is not None


def test_the_hash_leaves_out_tokens_and_what_comes_from_the_pod() -> None:
    one = go(subject(), matching(webhook={"port": "http"}), token="token-number-one")
    other_pod = subject(containers=[identity(app(ports=[{"name": "http", "containerPort": 1234}]))])
    two = go(other_pod, matching(webhook={"port": "http"}), token="token-number-two", cluster=OLD)
    hashes = {read_status(it.pod).sidecars[0].hash for it in (one, two)}
    assert len(hashes) == 1
    assert rendered_hash(matching(webhook={"port": "http"}), NATIVE) in hashes


@pytest.mark.parametrize(
    "spec", [{"webhook": {"port": 1}}, {"webhook": {"port": "x"}}, {"suspend": True}, {"sidecar": {"probePort": 9000}}]
)
def test_the_hash_tells_bindings_apart(spec: dict[str, Any]) -> None:
    assert rendered_hash(matching(**spec), NATIVE) != rendered_hash(matching(), NATIVE)
    assert rendered_hash(matching(), ClusterFacts("other", native=True)) != rendered_hash(matching(), NATIVE)


def test_offline_tokens_are_stable_and_differ_by_template_and_binding() -> None:
    first = offline_token(subject(), [matching()])
    assert first == offline_token(subject(), [matching()])
    assert first != offline_token(subject(containers=[app(image="app:2")]), [matching()])
    assert first != offline_token(subject(), [matching("other")])


@pytest.mark.parametrize(
    "broken",
    [
        {"spec": []},
        {"spec": {"containers": {}}},
        {"spec": {"containers": ["x"]}},
        {"spec": {"containers": [{"env": 3}]}},
        {"metadata": "x"},
        {"metadata": {"annotations": []}},
        {"metadata": {"labels": {"a": 1}}},
        {"spec": {"containers": [{"name": []}]}},
        {"spec": {"containers": [{"name": "a", "env": [{"name": {}}]}]}},
        {"spec": {"containers": [{"name": "a", "volumeMounts": [{"mountPath": 3}]}]}},
        {"spec": {"containers": [{"name": "a", "ports": [{"containerPort": "80"}]}]}},
        {"spec": {"containers": [], "volumes": [{"name": None}]}},
        {"spec": {"containers": [], "ephemeralContainers": [{}]}},
    ],
)
def test_what_is_no_pod_is_said_so(broken: dict[str, Any]) -> None:
    whole = {**subject(), **broken}
    everything = Binding(
        "orders", "shop", matching().spec.model_copy(update={"selector": binding(selector=APP).spec.selector})
    )
    whole.setdefault("metadata", {})
    if isinstance(whole["metadata"], dict):
        whole["metadata"].setdefault("labels", APP)
    with pytest.raises(pods.BadPod):
        go(whole, everything)
