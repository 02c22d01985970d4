"""The images as they are shipped start on a node under the restricted Pod Security Standard."""

from __future__ import annotations

from typing import Any

from kubernetes.client import CoreV1Api

from e2e.cluster.fixtures import new_namespace
from e2e.pods import RESTRICTED, RESTRICTED_LABELS, has_ended, wait_for

BAD_SETTINGS = 2


def run_to_its_end(api: Any, image: str, **container: Any) -> tuple[int, str]:
    """Exit code and output of a pod of one container of the image, which must end by itself within 30 s."""
    core = CoreV1Api(api)
    one = {"name": "it", "image": image, "imagePullPolicy": "IfNotPresent", "securityContext": RESTRICTED, **container}
    with new_namespace(api, RESTRICTED_LABELS) as namespace:
        pod = {"metadata": {"name": "it"}, "spec": {"containers": [one], "restartPolicy": "Never"}}
        core.create_namespaced_pod(namespace, pod)
        ended = wait_for(core, namespace, has_ended).status.container_statuses[0].state.terminated
        return ended.exit_code, core.read_namespaced_pod_log("it", namespace)


def test_the_sidecar_without_settings_ends_and_names_what_is_missing(api: Any, sidecar_image: str) -> None:
    exit_code, output = run_to_its_end(api, sidecar_image)
    assert exit_code == BAD_SETTINGS
    assert "CARRIER_SQS_ENDPOINT" in output
    assert "CARRIER_SQS_QUEUE_NAME" in output


def test_the_operator_s_python_has_all_that_it_imports(api: Any, operator_image: str) -> None:
    program = "import aiobotocore, aiohttp, kopf, kubernetes, pydantic, carrier_operator.inject"
    exit_code, output = run_to_its_end(api, operator_image, command=["python3", "-c", program])
    assert (exit_code, output) == (0, "")
