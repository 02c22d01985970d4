"""Hypothesis strategies for pods as they are met: several containers, meshes, probes, projected volumes, Jobs, empty
lists.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = st.sampled_from(["app", "worker", "log-agent", "istio-proxy", "a~b/c", "linkerd-proxy"])
TOKEN_DIR = "/var/run/secrets/eks.amazonaws.com/serviceaccount"


def _name(it: Any) -> str:
    return str(it["name"])


def _port(it: Any) -> int:
    return int(it["containerPort"])


ENV = st.lists(
    st.sampled_from(
        [
            {"name": "A", "value": "1"},
            {"name": "EMPTY"},
            {"name": "AWS_REGION", "value": "us-west-2"},
            {"name": "AWS_REGION", "value": "eu-west-1"},
            {"name": "AWS_ROLE_ARN", "value": "arn:aws:iam::123456789012:role/x"},
            {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": f"{TOKEN_DIR}/token"},
            {"name": "AWS_SECRET_ACCESS_KEY", "value": "never"},
            {"name": "NODE", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}},
        ]
    ),
    max_size=5,
)
MOUNTS = st.lists(
    st.sampled_from(
        [{"name": "aws-iam-token", "mountPath": TOKEN_DIR, "readOnly": True}, {"name": "data", "mountPath": "/data"}]
    ),
    max_size=2,
    unique_by=_name,
)
PORTS = st.lists(
    st.sampled_from(
        [{"name": "http", "containerPort": 8080}, {"containerPort": 9464}, {"name": "m", "containerPort": 9090}]
    ),
    max_size=3,
    unique_by=_port,
)
LIFECYCLES = st.sampled_from(
    [{}, {"preStop": {"exec": {"command": ["sleep", "5"]}}}, {"postStart": {"exec": {"command": ["true"]}}}]
)
RESOURCES = st.sampled_from(
    [
        {},
        {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}},
        {"requests": {"cpu": "1"}},
        {"limits": {"cpu": 1, "memory": "1Gi"}},
    ]
)
PROBE = st.sampled_from(
    [{"httpGet": {"path": "/h", "port": "http"}}, {"tcpSocket": {"port": 8080}}, {"exec": {"command": ["x"]}}]
)


def containers(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"name": NAMES, "image": st.just("x:1")},
        optional={
            "env": ENV,
            "volumeMounts": MOUNTS,
            "ports": PORTS,
            "resources": RESOURCES,
            "livenessProbe": PROBE,
            "readinessProbe": PROBE,
            "args": st.just([]),
            **more,
        },
    )


def _distinct(lists: list[list[dict[str, Any]]]) -> None:
    for index, container in enumerate(container for group in lists for container in group):
        container["name"] = f"{container['name']}-{index}"


VOLUMES = st.lists(
    st.sampled_from(
        [
            {"name": "data", "emptyDir": {}},
            {
                "name": "aws-iam-token",
                "projected": {"sources": [{"serviceAccountToken": {"path": "token", "audience": "sts"}}]},
            },
            {"name": "istio-envoy", "emptyDir": {"medium": "Memory"}},
        ]
    ),
    max_size=3,
    unique_by=_name,
)
KEYS = {
    "volumes": VOLUMES,
    "restartPolicy": st.sampled_from(["Always", "Never", "OnFailure"]),
    "hostNetwork": st.booleans(),
    "securityContext": st.sampled_from([{}, {"runAsUser": 0}, {"runAsNonRoot": True, "runAsUser": 1000}]),
    "terminationGracePeriodSeconds": st.sampled_from([0, 10, 30, 3600]),
    "serviceAccountName": st.just("worker"),
    "automountServiceAccountToken": st.booleans(),
    "tolerations": st.just([]),
    "nodeSelector": st.just({}),
    "os": st.sampled_from([{"name": "linux"}]),
}
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("p-1"),
        "labels": st.dictionaries(st.sampled_from(["app", "tier", "a/b~c"]), st.sampled_from(["a", "b"])),
        "annotations": st.dictionaries(
            st.sampled_from(["a/b", "x~y", "carrier.dev/inject", "carrier.dev/drain-barrier"]),
            st.sampled_from(["true", "false", "x"]),
        ),
        "ownerReferences": st.sampled_from([[], [{"kind": "Job", "name": "j"}], [{"kind": "ReplicaSet", "name": "r"}]]),
    },
)


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    spec = draw(st.fixed_dictionaries({}, optional=KEYS))
    ordinary = draw(st.lists(containers(lifecycle=LIFECYCLES), min_size=1, max_size=3))
    inits = draw(st.none() | st.lists(containers(restartPolicy=st.just("Always")), max_size=3))
    _distinct([ordinary, inits or []])
    if inits is not None:
        spec["initContainers"] = inits
    spec["containers"] = ordinary
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": spec}
    metadata = draw(st.none() | METADATA)
    if metadata is not None:
        pod["metadata"] = metadata
    return pod
