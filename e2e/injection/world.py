"""What scenarios share: a namespace that is injected into, SQS, and how bindings and pods for them look."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes

from carrier_operator.pods import our_containers
from e2e.cluster.fixtures import new_namespace
from e2e.pods import RESTRICTED, RESTRICTED_LABELS
from tests.process.account import Account

from .installation import LABEL
from .queues import REGION, Closed, Queue, SqsServer, receives_in_turn
from .told import Collector, Told, wait_until

HANDLER = (Path(__file__).with_name("handler.py")).read_text()
GROUP, VERSION, PLURAL = "carrier.dev", "v1alpha1", "carrierbindings"
HANDLER_PORT = 8080
WORKERS = 4  # of the bindings here, if nothing else is said

_SHOWN_LINES = 30
_TOKEN_DIR = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
_IDENTITY_ENV = [
    {"name": "AWS_ROLE_ARN", "value": "arn:aws:iam::123456789012:role/e2e"},
    {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": f"{_TOKEN_DIR}/token"},
    {"name": "AWS_REGION", "value": REGION},
]
_IDENTITY_VOLUME = {
    "name": "aws-iam-token",
    "projected": {"sources": [{"serviceAccountToken": {"audience": "sts.amazonaws.com", "path": "token"}}]},
}


class Pod:
    """A pod of a scenario."""

    def __init__(self, core: Any, namespace: str, name: str, sidecar: str, told: Told) -> None:
        self._core = core
        self._namespace = namespace
        self._sidecar = sidecar
        self.name = name
        self.told = told

    def read(self) -> Any:
        """As the API server has it."""
        return self._core.read_namespaced_pod(self.name, self._namespace)

    def status(self, container: str) -> Any:
        """The status of one of its containers, of either kind; None before there is one."""
        status = self.read().status
        every = [*(status.init_container_statuses or []), *(status.container_statuses or [])]
        return next((it for it in every if it.name == container), None)

    @property
    def ready(self) -> bool:
        conditions = self.read().status.conditions or []
        return any(it.type == "Ready" and it.status == "True" for it in conditions)

    def wait_until(self, condition: Callable[[], object], what: str, timeout_s: float = 60) -> None:
        """Polls until the condition holds. AssertionError with what is known of the pod when it does not in time."""
        try:
            wait_until(condition, what, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._described()}") from None

    def _described(self) -> str:
        lines = [str(event) for event in self.told.everything()[-_SHOWN_LINES:]]
        try:
            log = self._core.read_namespaced_pod_log
            lines.append(log(self.name, self._namespace, container=self._sidecar, tail_lines=_SHOWN_LINES))
            lines.append(str(self.read().status))
        except kubernetes.client.ApiException as error:
            lines.append(str(error))
        return "\n".join(lines)

    def delete(self) -> None:
        """As `kubectl delete pod`; returns when the pod is gone and has told all."""
        self._core.delete_namespaced_pod(self.name, self._namespace)
        self.wait_until(self._gone, "the pod is gone")
        self.wait_until(lambda: not self.told.talking, "its handler is gone", 5)

    def _gone(self) -> bool:
        try:
            self.read()
        except kubernetes.client.ApiException as error:
            if error.status != 404:
                raise
            return True
        return False


class World:
    """See `world`."""

    def __init__(
        self, api: Any, namespace: str, kubectl: Callable[..., str], address: str, python_image: str, operator: str
    ) -> None:
        self.api = api
        self.kubectl = kubectl
        self.operator = operator  # the namespace that the operator is in
        self.core = kubernetes.client.CoreV1Api(api)
        self.apps = kubernetes.client.AppsV1Api(api)
        self.batch = kubernetes.client.BatchV1Api(api)
        self.bindings = kubernetes.client.CustomObjectsApi(api)
        self.namespace = namespace
        self.address = address
        self.python_image = python_image
        self.sqs = SqsServer(address)
        self.sidecar_env = [
            {"name": "AWS_ENDPOINT_URL_STS", "value": self.sqs.url}
        ]  # the one thing that no pod would say
        self.collector = Collector(address)

    def queue(self, name: str, visibility_s: int = 30) -> Queue:
        """A new queue."""
        return Queue(self.sqs.url, name, visibility_s)

    def closed_address(self) -> Closed:
        """An address of an SQS server that is not there yet."""
        return Closed(self.address)

    def bind(
        self, name: str, *, endpoint: str | None = None, sidecar: dict[str, Any] | None = None, **spec: Any
    ) -> None:
        """A binding of the queue `name` to pods with the label app: `name`, as soon as the injector knows it."""
        document = self.binding(name, endpoint=endpoint, sidecar=sidecar, **spec)
        self.bindings.create_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, document)
        wait_until(lambda: self.would_inject(name), f"pods get the sidecar of {name}")

    def binding(
        self, name: str, *, endpoint: str | None = None, sidecar: dict[str, Any] | None = None, **spec: Any
    ) -> dict[str, Any]:
        """The object that `bind` makes."""
        full = {
            "selector": {"matchLabels": {"app": name}},
            "queue": {"name": name, "endpoint": endpoint or self.sqs.url},
            "webhook": {"port": HANDLER_PORT},
            "concurrency": {"workers": WORKERS, "batchSize": 10},
            "sidecar": {"env": self.sidecar_env, **(sidecar or {})},
            **spec,
        }
        return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "CarrierBinding", "metadata": {"name": name}, "spec": full}

    def would_inject(self, name: str) -> bool:
        """Does a pod with that label get the sidecar now?"""
        try:
            made = self.core.create_namespaced_pod(self.namespace, self.template(name), dry_run="All")
        except kubernetes.client.ApiException as error:
            if error.status == 500:  # no injector answers yet
                return False
            raise
        return f"carrier-{name}" in our_containers(self.api.sanitize_for_serialization(made))

    def template(self, name: str, app: dict[str, Any] | None = None, **handler: Any) -> dict[str, Any]:
        """A pod, or a Job's template, whose app is handler.py with these options and these fields of the container."""
        container = {
            "name": "app",
            "ports": [{"containerPort": HANDLER_PORT}],
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": HANDLER_PORT}, "periodSeconds": 1},
            "securityContext": RESTRICTED,
            **(app or {}),
        }
        spec = {
            "containers": [container],
            "securityContext": {"runAsUser": 1000},
            "terminationGracePeriodSeconds": 40,
        }
        self.fill(spec, name, **handler)
        return {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec}

    def fill(self, spec: dict[str, Any], name: str, **handler: Any) -> None:
        """Make the one container of a pod's spec handler.py with these options, and give the pod its AWS identity, as
        EKS would.
        """
        options = {"name": name, "tell": self.collector.address, "port": HANDLER_PORT, **handler}
        (container,) = spec["containers"]
        container["image"] = self.python_image
        container["imagePullPolicy"] = "IfNotPresent"
        container["args"] = ["-c", HANDLER, json.dumps(options)]
        container["env"] = _IDENTITY_ENV
        container["volumeMounts"] = [{"name": "aws-iam-token", "mountPath": _TOKEN_DIR, "readOnly": True}]
        spec["volumes"] = [_IDENTITY_VOLUME]

    def run(self, name: str, app: dict[str, Any] | None = None, **handler: Any) -> Pod:
        """A pod from the template, which must have its sidecar."""
        self.core.create_namespaced_pod(self.namespace, self.template(name, app, **handler))
        return self.pod(name, name)

    def pod_of_job(self, name: str) -> Pod:
        """The pod of the Job called `name`, as soon as there is one."""
        selector = f"batch.kubernetes.io/job-name={name}"

        def found() -> list[Any]:
            items: list[Any] = self.core.list_namespaced_pod(self.namespace, label_selector=selector).items
            return items

        wait_until(found, f"the Job {name} has a pod")
        (one,) = found()
        return self.pod(one.metadata.name, name)

    def pod(self, pod: str, name: str) -> Pod:
        """A pod that is there, which must have the sidecar of the binding `name`."""
        sidecar = f"carrier-{name}"
        found = Pod(self.core, self.namespace, pod, sidecar, self.collector.of(name))
        assert sidecar in our_containers(self.api.sanitize_for_serialization(found.read()))
        return found

    def account(self, queue: Queue, told: Told) -> Account:
        """Of every message sent to the queue, when all that is hidden has come back."""
        wait_until(lambda: queue.counts()[1] == 0, f"nothing of {queue.name} is hidden")
        return Account(queue.sent, told.accepted, queue.take_rest())

    def close(self) -> None:
        """End what was started here; what is on the cluster goes with the namespace."""
        self.collector.close()
        self.sqs.stop()


@contextmanager
def world(api: Any, kubectl: Callable[..., str], address: str, python_image: str, operator: str) -> Iterator[World]:
    """A world in a restricted namespace of its own."""
    with new_namespace(api, {**RESTRICTED_LABELS, LABEL: ""}) as namespace, receives_in_turn():
        made = World(api, namespace, kubectl, address, python_image, operator)
        try:
            yield made
        finally:
            made.close()
