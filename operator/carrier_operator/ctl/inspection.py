"""carrierctl check: the calls, in an order in which each can use what the one before has found."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable
from typing import Any

from carrier_operator.kube.client import ApiError, Client
from carrier_operator.models import GROUP, PLURAL, VERSION
from carrier_operator.pods import INJECT

from . import checks, requiring
from .checks import FAILED, UNKNOWN, Json, Result, Webhook

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
CONFIGURATIONS = f"{ADMISSION}/mutatingwebhookconfigurations"
DENIED = (401, 403)


async def inspect(client: Client, namespace: str) -> list[Result]:
    """Every check. `namespace`: one that pods are injected in, for the pod that is made as a dry run."""
    now = datetime.datetime.now(datetime.UTC)
    results = [await _about("CRD", _crd(client))]
    bindings = await _list(client, f"/apis/{GROUP}/{VERSION}/{PLURAL}")
    if isinstance(bindings, list):
        results.append(checks.check_bindings(bindings))
    results.append(await _about(requiring.NAME, _required(client)))
    configurations = await _list(client, CONFIGURATIONS)
    if isinstance(configurations, Result):
        return [*results, configurations]
    webhooks = checks.webhooks_of(configurations)
    results.append(checks.check_webhook(webhooks, now))
    injector = left_out = None
    if len(webhooks) == 1:
        more, injector = await _installation(client, webhooks[0], now)
        results += more
        left_out = webhooks[0].leaves_out(await _try(client, f"/api/v1/namespaces/{namespace}") or {})
    results.append(await _about("webhook answers", _answers(client, namespace, injector, left_out)))
    return results


async def _crd(client: Client) -> Result:
    return checks.check_crd(await _get(client, f"{CRDS}/{PLURAL}.{GROUP}"))


async def _answers(client: Client, namespace: str, injector: Json | None, left_out: str | None) -> Result:
    """A pod with a word that the injector complains about, as a dry run: nothing is made, and everything is passed."""
    container = {"name": "check", "image": "carrier.invalid/check"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "carrierctl-check-", "annotations": {INJECT: "check"}},
        "spec": {"containers": [container]},
    }
    warnings: list[str] = []
    await client.request(
        "POST", f"/api/v1/namespaces/{namespace}/pods", query={"dryRun": "All"}, body=pod, warnings=warnings
    )
    return checks.check_answers(warnings, injector, left_out)


async def _required(client: Client) -> Result:
    ours = {"labelSelector": requiring.PART}
    found: list[list[Json]] = []
    for path, query in (
        (f"{ADMISSION}/validatingadmissionpolicies", ours),
        (f"{ADMISSION}/validatingadmissionpolicybindings", ours),
        ("/api/v1/namespaces", None),
    ):
        try:
            found.append([it async for page in client.pages(path, query) for it in page.get("items") or ()])
        except ApiError as error:
            if error.status != 404:  # an API server that does not know such policies
                raise
            found.append([])
    return requiring.check_required(*found)


async def _installation(client: Client, webhook: Webhook, now: datetime.datetime) -> tuple[list[Result], Json | None]:
    """What the chart has made, and the injector's Deployment."""
    if webhook.service is None or webhook.prefix is None:
        what = "the webhook leads to a URL; what is behind it can't be looked at"
        return [Result("installation", UNKNOWN, what)], None
    namespace, prefix = webhook.service[0], webhook.prefix
    deployments = {
        component: await _try(client, f"/apis/apps/v1/namespaces/{namespace}/deployments/{prefix}-{component}")
        for component in ("injector", "controller")
    }
    secret = f"{prefix}-injector-tls"
    injector = deployments["injector"]
    if injector is not None:
        (container, *_) = injector["spec"]["template"]["spec"]["containers"]
        env = {it["name"]: it.get("value") or "" for it in container.get("env") or ()}
        secret = env.get("CARRIER_INJECTOR_CERT_SECRET", "").rpartition("/")[2] or secret
    results = [
        await _about("certificate", _certificate(client, webhook, namespace, secret, now)),
        await _about("controller", _lease(client, namespace, f"{prefix}-controller", now)),
        checks.check_policy(deployments["injector"], deployments["controller"]),
    ]
    for component in ("injector", "controller"):
        account = f"system:serviceaccount:{namespace}:{prefix}-{component}"
        results.append(await _about(f"rights of the {component}", _rights(client, component, account)))
    return results, injector


async def _certificate(client: Client, webhook: Webhook, namespace: str, name: str, now: datetime.datetime) -> Result:
    secret = await _get(client, f"/api/v1/namespaces/{namespace}/secrets/{name}")
    return checks.check_certificate(webhook, secret, now)


async def _lease(client: Client, namespace: str, name: str, now: datetime.datetime) -> Result:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"
    return checks.check_lease("controller", await _get(client, path), now)


async def _rights(client: Client, component: str, account: str) -> Result:
    denied = []
    for verb, group, resource in checks.RIGHTS[component]:
        name, _, sub = resource.partition("/")
        attributes = {"verb": verb, "group": group, "resource": name, "subresource": sub}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": account, "groups": ["system:serviceaccounts"], "resourceAttributes": attributes},
        }
        answer = await client.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=body)
        if not answer["status"].get("allowed"):
            denied.append((verb, group, resource))
    return checks.check_rights(component, denied)


async def _about(name: str, check: Awaitable[Result]) -> Result:
    """A check's result; where the API server refuses to say, that."""
    try:
        return await check
    except ApiError as error:
        if error.status in DENIED:
            return Result(name, UNKNOWN, "you may not look at it")
        if error.status == 0:
            raise
        return Result(name, FAILED, str(error))


async def _get(client: Client, path: str) -> Json | None:
    """The object, None when it is not there."""
    try:
        found: Json = await client.request("GET", path)
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    return found


async def _try(client: Client, path: str) -> Json | None:
    """The object, None when it is not there or may not be seen."""
    try:
        return await _get(client, path)
    except ApiError as error:
        if error.status in DENIED:
            return None
        raise


async def _list(client: Client, path: str) -> list[Json] | Result:
    found: list[Any] = []
    try:
        async for page in client.pages(path):
            found += page.get("items") or ()
    except ApiError as error:
        if error.status == 404:
            return []
        if error.status in DENIED:
            return Result("webhook registered", UNKNOWN, "you may not look at it")
        raise
    return found
