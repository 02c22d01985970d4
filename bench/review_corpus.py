"""Pods and bindings as they are met, for fuzzed reviews: what charts, meshes, identity webhooks and controllers make.

Not a strategy: a few dozen fixed shapes that are put together by a seeded random. What is done to them afterwards is
fuzz_reviews.py's.
"""

from __future__ import annotations

import copy
import random
from typing import Any

Json = dict[str, Any]

NAMESPACES = ("shop", "billing", "empty", "kube-public")
IDENTITY = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def _binding(namespace: str, name: str, spec: Json | None = None, **metadata: Any) -> Json:
    queue = {"name": name, "region": "us-west-2"}
    return {
        "metadata": {"name": name, "namespace": namespace, "generation": 3, **metadata},
        "spec": {"queue": queue, **(spec or {})},
    }


def bindings() -> list[Json]:
    """CarrierBindings of all namespaces; some are not valid, not allowed, or being deleted."""

    def app(value: str) -> Json:
        return {"matchLabels": {"app": value}}

    return [
        _binding("shop", "orders", {"selector": app("orders"), "webhook": {"port": "http", "path": "/events"}}),
        _binding("shop", "audit", {"selector": {"matchLabels": {"audited": "yes"}}, "sidecar": {"mode": "Container"}}),
        _binding("shop", "refunds", {"sidecar": {"probePort": 9464, "allowHostNetwork": True}}),
        _binding("shop", "second", {"selector": app("orders"), "sidecar": {"drainBarrier": False}}),
        _binding("shop", "leaving", {"selector": app("orders")}, deletionTimestamp="2026-01-01T00:00:00Z"),
        _binding("shop", "elsewhere", {"selector": app("orders"), "webhook": {"url": "http://10.0.0.1/x"}}),
        _binding("shop", "image", {"selector": app("orders"), "sidecar": {"image": "not.allowed/x"}}),
        _binding("shop", "invalid", {"selector": {}, "queue": {}}),
        _binding("billing", "only", {"sidecar": {"resources": {"limits": {"memory": "96Mi"}}}}),
        _binding("billing", "mounts", {"sidecar": {"volumeMounts": [{"name": "certs", "mountPath": "/certs"}]}}),
        _binding("kube-public", "orders", {"selector": app("orders")}),
    ]


_ENV: list[Json] = [
    {"name": "LOG_LEVEL", "value": "info"},
    {"name": "PRICE", "value": "5 $ and $$ and $(LOG_LEVEL)"},
    {"name": "POD_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}},
    {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
    {"name": "AWS_ROLE_ARN", "value": "arn:aws:iam::123456789012:role/orders"},
    {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": f"{IDENTITY}/token"},
    {"name": "AWS_REGION", "value": "us-west-2"},
    {"name": "AWS_REGION", "value": "eu-central-1"},
    {"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://169.254.170.23/v1/credentials"},
    {"name": "AWS_SECRET_ACCESS_KEY", "value": "not for the sidecar"},
    {"name": "GREETING", "value": "Grüße, 世界 \u2028 👋"},
]
_MOUNTS: list[Json] = [
    {"name": "aws-iam-token", "mountPath": IDENTITY, "readOnly": True},
    {"name": "kube-api-access-x7k2p", "mountPath": SERVICE_ACCOUNT, "readOnly": True},
    {"name": "data", "mountPath": "/data", "subPath": "a/b"},
    {"name": "certs", "mountPath": "/etc/certs"},
]
_PORTS: list[Json] = [
    {"name": "http", "containerPort": 8080, "protocol": "TCP"},
    {"name": "metrics", "containerPort": 9464},
    {"containerPort": 9465, "hostPort": 9465},
]
_PROBES: list[Json] = [
    {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10},
    {"tcpSocket": {"port": 8080}},
    {"exec": {"command": ["cat", "/tmp/ready"]}},
    {"grpc": {"port": 8080, "service": None}},
]
_LIFECYCLES: list[Json] = [
    {"preStop": {"exec": {"command": ["sleep", "5"]}}},
    {"preStop": {"httpGet": {"path": "/stop", "port": 8080}}},
    {"preStop": {"sleep": {"seconds": 5}}},
    {"postStart": {"exec": {"command": ["true"]}}},
]
_RESOURCES: list[Json] = [
    {},
    {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
    {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
    {"limits": {"cpu": 1, "memory": "1Gi", "nvidia.com/gpu": 1}},
]
_SECURITY: list[Json] = [
    {},
    {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 2000, "seccompProfile": {"type": "RuntimeDefault"}},
    {"runAsUser": 0},
    {"windowsOptions": {"hostProcess": False}},
]
_VOLUMES: list[Json] = [
    {"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}},
    {"name": "certs", "secret": {"secretName": "tls", "defaultMode": 420}},
    {
        "name": "aws-iam-token",
        "projected": {"sources": [{"serviceAccountToken": {"audience": "sts.amazonaws.com", "path": "token"}}]},
    },
    {
        "name": "kube-api-access-x7k2p",
        "projected": {
            "defaultMode": 420,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
            ],
        },
    },
    {"name": "istio-envoy", "emptyDir": {"medium": "Memory"}},
]
_MESHES: list[Json] = [
    {"name": "istio-proxy", "image": "docker.example/istio/proxyv2:1.27", "restartPolicy": "Always", "args": ["proxy"]},
    {"name": "linkerd-proxy", "image": "cr.example/linkerd/proxy:stable", "lifecycle": _LIFECYCLES[0]},
    {"name": "vault-agent", "image": "hashicorp.example/vault:1.20", "restartPolicy": "Always"},
    {"name": "carrier-orders", "image": "somebody.example/elses:1"},
    {"name": "cloudsql-proxy", "image": "gcr.example/cloudsql:2"},
]
_OWNERS: list[list[Json]] = [
    [],
    [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "orders-6f5d", "controller": True, "uid": "1-2"}],
    [{"apiVersion": "batch/v1", "kind": "Job", "name": "nightly-28812", "controller": True, "uid": "1-3"}],
    [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "1-4"}],
]
_BINDINGS = ("orders", "refunds", "orders, refunds", "orders,second,audit", "only,,nowhere", "invalid", "elsewhere")
_MADE = '{"sidecars":[{"binding":"orders","generation":1,"hash":"x"}],"made":["spec"]}'
# Annotations: how often there, and with which values.
_ANNOTATIONS: list[tuple[str, float, tuple[str, ...]]] = [
    ("carrier.dev/inject", 0.3, ("true", "true", "true", "true", "false", "True", "")),
    ("carrier.dev/binding", 0.25, _BINDINGS),
    ("carrier.dev/drain-barrier", 0.15, ("false", "true")),
    ("carrier.dev/status", 0.1, (_MADE, "no JSON")),
    ("prometheus.io/scrape", 0.2, ("true",)),
    ("kubectl.kubernetes.io/last-applied-configuration", 0.1, ('{"kind":"Pod","spec":{"x":"~1/~0"}}' * 20,)),
    ("kubernetes.io/config.mirror", 0.01, ("abc",)),
    ("kubernetes.io/config.source", 0.03, ("file", "api")),
    ("sidecar.istio.io/inject~a/b", 0.2, ("true",)),
]


def _some(rng: random.Random, among: list[Json], most: int) -> list[Json]:
    return copy.deepcopy(rng.sample(among, rng.randint(0, min(most, len(among)))))


def _container(rng: random.Random, name: str) -> Json:
    made: Json = {"name": name, "image": f"registry.example/team/{name}:1.2.3", "imagePullPolicy": "IfNotPresent"}
    for key, among, most in (("env", _ENV, 6), ("volumeMounts", _MOUNTS, 3), ("ports", _PORTS, 3)):
        found = _some(rng, among, most)
        if found or rng.random() < 0.2:
            made[key] = found
    for key, single in (
        ("livenessProbe", _PROBES),
        ("readinessProbe", _PROBES),
        ("lifecycle", _LIFECYCLES),
        ("resources", _RESOURCES),
    ):
        if rng.random() < 0.4:
            made[key] = copy.deepcopy(rng.choice(single))
    return made


def pod(rng: random.Random) -> Json:
    """One pod that the API server would take."""
    labels = {"app": rng.choice(["orders", "orders", "web"]), "pod-template-hash": "6f5d"}
    if rng.random() < 0.3:
        labels["audited"] = rng.choice(["yes", "no"])
    metadata: Json = {"generateName": "orders-6f5d-", "labels": labels, "creationTimestamp": None}
    annotations = {name: rng.choice(values) for name, share, values in _ANNOTATIONS if rng.random() < share}
    if annotations or rng.random() < 0.3:
        metadata["annotations"] = annotations
    if rng.random() < 0.7:
        metadata["ownerReferences"] = copy.deepcopy(rng.choices(_OWNERS, (4, 16, 3, 1))[0])
    containers = [_container(rng, name) for name in rng.sample(["app", "worker", "log-agent"], rng.randint(1, 3))]
    inits = [_container(rng, name) for name in rng.sample(["migrate", "wait-for-db"], rng.randint(0, 2))]
    for mesh in _some(rng, _MESHES, 2):
        (inits if "restartPolicy" in mesh else containers).insert(rng.randint(0, 1), mesh)
    spec: Json = {
        "containers": containers,
        "restartPolicy": rng.choices(["Always", "OnFailure", "Never"], (8, 1, 1))[0],
    }
    if inits or rng.random() < 0.2:
        spec["initContainers"] = inits
    volumes = _some(rng, _VOLUMES, 5)
    if volumes or rng.random() < 0.2:
        spec["volumes"] = volumes
    if rng.random() < 0.5:
        spec["securityContext"] = copy.deepcopy(rng.choice(_SECURITY))
    for key, value, share in (
        ("hostNetwork", True, 0.08),
        ("automountServiceAccountToken", False, 0.2),
        ("terminationGracePeriodSeconds", rng.choice([0, 30, 300]), 0.5),
        ("serviceAccountName", "orders", 0.5),
        ("os", {"name": rng.choice(["linux", "windows"])}, 0.04),
        ("nodeSelector", {"kubernetes.io/os": rng.choice(["linux", "windows"])}, 0.05),
        ("tolerations", [{"key": "spot", "operator": "Exists"}], 0.2),
        ("schedulerName", "default-scheduler", 0.5),
        ("enableServiceLinks", False, 0.1),
    ):
        if rng.random() < share:
            spec[key] = copy.deepcopy(value)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {}}


def review(rng: random.Random) -> Json:
    """An AdmissionReview as an API server sends it."""
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    resource = {"group": "", "version": "v1", "resource": "pods"}
    namespace = rng.choices(NAMESPACES, (12, 3, 1, 2))[0]
    return {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": f"{rng.getrandbits(64):016x}",
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller", "groups": ["system:x"]},
            "object": pod(rng),
            "oldObject": None,
            "dryRun": rng.random() < 0.1,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    }
