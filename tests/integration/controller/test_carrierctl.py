"""carrierctl status and check, against an installation that works and one that is broken in every way."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import kubernetes
import pytest

from carrier_operator.controller import certificates
from carrier_operator.ctl.__main__ import main
from tests.integration.controller.rig import Installation, wait_until
from tests.integration.controller.test_certificates import Serving
from tests.integration.operator import required


@pytest.fixture(scope="module")
def serving(cluster: Any, api: Any, crd: Any, address: str, tmp_path_factory: Any) -> Iterator[Serving]:
    with Installation(cluster, api, tmp_path_factory.mktemp("ctl")) as installation:
        # The Deployments are objects only: what their environment says is what is looked at.
        for document in installation.of_kind("Deployment"):
            document["spec"]["replicas"] = 0
            kubernetes.client.AppsV1Api(api).create_namespaced_deployment(installation.namespace, document)
        yield Serving(installation, address)


def as_chart(serving: Serving) -> None:
    """The configuration with the Service that the chart names: what check looks at. (Reviews then reach nobody.)"""
    (document,) = serving.installation.of_kind("MutatingWebhookConfiguration")
    service = document["webhooks"][0]["clientConfig"]["service"]
    patch = [
        {"op": "remove", "path": "/webhooks/0/clientConfig/url"},
        {"op": "add", "path": "/webhooks/0/clientConfig/service", "value": service},
    ]
    serving.installation.webhooks.patch_mutating_webhook_configuration(serving.installation.webhook_name, patch)


def by_url(serving: Serving, url: str) -> None:
    patch = [
        {"op": "remove", "path": "/webhooks/0/clientConfig/service"},
        {"op": "add", "path": "/webhooks/0/clientConfig/url", "value": url},
    ]
    serving.installation.webhooks.patch_mutating_webhook_configuration(serving.installation.webhook_name, patch)


def run(serving: Serving, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main([*words, "--kubeconfig", str(serving.installation.cluster.kubeconfig), "-o", "json"])
    return code, json.loads(capsys.readouterr().out)


def outcomes(serving: Serving, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    _, found = run(serving, capsys, "check", "-n", serving.shop)
    return {it["check"]: it["outcome"] for it in found}


def test_status_shows_bindings_and_ends_with_1_while_one_is_not_ready(
    serving: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    installation, shop = serving.installation, installation_shop(serving)
    code, (row,) = run(serving, capsys, "status", "-n", shop)
    assert (code, row["ready"], row["reason"], row["queue"]) == (0, "True", "NoPods", "orders")
    installation.pod(shop, "a", annotations={"carrier.dev/inject": "false"})
    installation.pod(shop, "b", labels={"app": "worker"}, annotations={"carrier.dev/inject": "true"})
    wait_until(lambda: installation.counts(shop).get("injected") == 1)
    installation.bind(shop, "refused", sidecar={"image": "evil.test/x"})
    wait_until(lambda: installation.condition(shop, "Accepted", "refused") == "False NotAllowed")
    code, rows = run(serving, capsys, "status", "-n", shop)
    assert code == 1
    assert {row["name"]: row["ready"] for row in rows} == {"orders": "True", "refused": "False"}
    assert main(["status", "-A", "--kubeconfig", str(installation.cluster.kubeconfig)]) == 1
    said = capsys.readouterr().out
    assert "not from an allowed registry" in " ".join(said.split())
    installation.unbind(shop, "refused")


def installation_shop(serving: Serving) -> str:
    name = serving.installation.new_namespace()
    serving.installation.bind(name)
    wait_until(lambda: serving.installation.condition(name, "Ready") == "True NoPods")
    return name


def test_check_of_an_installation_that_works(serving: Serving, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcomes(serving, capsys)["webhook answers"] == "ok"
    before = serving.trusted()
    url = _url(serving)
    as_chart(serving)
    wait_until(lambda: serving.trusted() == before)
    # It looks at all namespaces, and those of other tests may still be on their way out.
    wait_until(lambda: outcomes(serving, capsys)["bindings"] == "ok", timeout_s=90)
    found = outcomes(serving, capsys)
    by_url(serving, url)
    assert {name for name, outcome in found.items() if outcome != "ok"} == {"webhook answers"}
    assert {"CRD", "bindings", "webhook registered", "certificate", "controller", "policy", "rights of the injector",
            "rights of the controller"} <= found.keys()  # fmt: skip


def policies(serving: Serving) -> Any:
    documents = serving.installation.of_kind("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    return required.applied(serving.installation.api, documents)


def test_check_says_who_requires_sidecars_and_whether_anything_refuses_pods_there(
    serving: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    def found() -> dict[str, str]:
        _, results = run(serving, capsys, "check", "-n", serving.shop)
        (result,) = (it for it in results if it["check"] == "sidecars required")
        return dict(result)

    def label(word: str | None) -> None:
        serving.installation.core.patch_namespace(serving.shop, {"metadata": {"labels": {required.LABEL: word}}})

    assert (found()["outcome"], "not installed" in found()["message"]) == ("ok", True)
    try:
        label("required")
        assert found()["outcome"] == "failed"
        assert serving.shop in found()["message"]
        assert "requireSidecars.enabled" in found()["remedy"]
        with policies(serving):
            assert found()["outcome"] == "ok"
            assert f"asked for by {serving.shop}" in found()["message"]
            assert outcomes(serving, capsys)["webhook answers"] == "ok"
            label("requird")
            assert (found()["outcome"], "requird" in found()["message"]) == ("failed", True)
    finally:
        label(None)


def test_a_binding_that_the_controller_does_not_accept_refuses_no_pod(serving: Serving) -> None:
    installation, shop = serving.installation, installation_shop(serving)
    installation.core.patch_namespace(shop, {"metadata": {"labels": {required.LABEL: "required"}}})
    other = required.probe({"app": "other"})
    with policies(serving):
        installation.bind(shop, "other", selector={"matchLabels": {"app": "other"}}, webhook={"port": "no-such-port"})
        wait_until(lambda: required.refusal(installation.api, shop, other) is not None, what="a refusal")
        assert required.refusal(installation.api, shop, required.probe({"app": "worker"})) is None
        installation.change(shop, "other", sidecar={"image": "evil.test/x"})
        wait_until(lambda: installation.condition(shop, "Accepted", "other") == "False NotAllowed")
        wait_until(lambda: required.refusal(installation.api, shop, other) is None, what="the status seen")
    installation.unbind(shop, "other")
    installation.core.patch_namespace(shop, {"metadata": {"labels": {required.LABEL: None}}})


def _url(serving: Serving) -> str:
    found = serving.installation.webhooks.read_mutating_webhook_configuration(serving.installation.webhook_name)
    return str(found.webhooks[0].client_config.url)


def test_check_of_one_that_is_broken(serving: Serving, capsys: pytest.CaptureFixture[str]) -> None:
    installation = serving.installation
    assert serving.controller.stop() == 0
    as_chart(serving)
    stranger, _ = certificates.make_ca(time.time(), 3600)
    apps = kubernetes.client.AppsV1Api(installation.api)
    name = installation.named("Deployment", "-controller")["metadata"]["name"]
    container = {"name": "controller", "env": [{"name": "CARRIER_OPERATOR_ALLOWED_IMAGES", "value": "other.test"}]}
    apps.patch_namespaced_deployment(
        name, installation.namespace, {"spec": {"template": {"spec": {"containers": [container]}}}}
    )
    role = installation.named("ClusterRole", "-controller")
    installation.rbac.replace_cluster_role(role["metadata"]["name"], {**role, "rules": role["rules"][1:]})
    patch = [
        {"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": base64.b64encode(stranger).decode()}
    ]
    installation.webhooks.patch_mutating_webhook_configuration(installation.webhook_name, patch)
    time.sleep(1)
    code, found = run(serving, capsys, "check", "-n", serving.shop)
    failed = {it["check"]: it for it in found if it["outcome"] == "failed"}
    assert code == 1
    assert failed.keys() == {"webhook answers", "certificate", "controller", "policy", "rights of the controller"}
    assert "no CA of the webhook's caBundle signed it" in failed["certificate"]["message"]
    assert "nobody leads" in failed["controller"]["message"]
    assert "ALLOWED_IMAGES" in failed["policy"]["message"]
    assert "list carrierbindings.carrier.dev" in failed["rights of the controller"]["message"]
    assert all(it["remedy"] for it in failed.values())


def test_check_without_an_installation_and_without_rights(serving: Serving, capsys: pytest.CaptureFixture[str]) -> None:
    installation = serving.installation
    kubeconfig = installation.kubeconfig("injector")
    code = main(["check", "--kubeconfig", str(kubeconfig), "-n", serving.shop, "-o", "json"])
    found = {it["check"]: it["outcome"] for it in json.loads(capsys.readouterr().out)}
    assert code in (0, 1)
    assert found["CRD"] == "unknown"
    assert found["webhook registered"] == "unknown"
    assert found["sidecars required"] == "unknown"
