"""carrierctl check: does the installation work? Each check is a function over what the cluster answered. Pure.

What can't be looked at with the caller's rights is said, and is no failure.
"""

from __future__ import annotations

import base64
import binascii
import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from carrier_operator import crds
from carrier_operator.models import GROUP, PLURAL, VERSION

_APPLY_CRD = "kubectl apply --server-side --force-conflicts -f crds/carrierbindings.yaml"
OK, FAILED, UNKNOWN = "ok", "failed", "unknown"
WEBHOOK = "inject.carrier.dev"
Json = dict[str, Any]

# What the processes must be allowed, by component: verb, group, resource. The chart has the whole of it.
RIGHTS = {
    "injector": (("list", GROUP, PLURAL), ("watch", GROUP, PLURAL)),
    "controller": (
        ("list", GROUP, PLURAL), ("watch", GROUP, PLURAL), ("patch", GROUP, f"{PLURAL}/status"), ("list", "", "pods"),
        ("watch", "", "pods"), ("create", "", "events"), ("get", "apps", "replicasets"),
    ),
}  # fmt: skip


class Result:
    """What one check found: a word, a sentence, and what to do about it."""

    __slots__ = ("message", "name", "outcome", "remedy")

    def __init__(self, name: str, outcome: str, message: str, remedy: str = "") -> None:
        self.name = name
        self.outcome = outcome
        self.message = message
        self.remedy = remedy

    def data(self) -> Json:
        """For machines."""
        return {"check": self.name, "outcome": self.outcome, "message": self.message, "remedy": self.remedy}


def check_crd(found: Mapping[str, Any] | None) -> Result:
    """The CRD (None: not there) against the one of this program."""
    name = "CRD"
    if found is None:
        return Result(name, FAILED, "there is no CarrierBinding CRD", _APPLY_CRD)
    versions = {it["name"]: it for it in found["spec"]["versions"] if it.get("served")}
    if VERSION not in versions:
        return Result(name, FAILED, f"{VERSION} is not served", _APPLY_CRD)
    (ours,) = crds.custom_resource_definition()["spec"]["versions"]
    missing = sorted(set(_fields(ours)) - set(_fields(versions[VERSION])))
    if missing:
        few = ", ".join(missing[:3])
        return Result(
            name, FAILED, f"it is older than this program: it lacks {few}",
            f"Helm does not upgrade CRDs: {_APPLY_CRD}",
        )  # fmt: skip
    return Result(name, OK, f"{VERSION} is served, with every field")


def _fields(version: Mapping[str, Any]) -> Iterator[str]:
    def walk(schema: Mapping[str, Any], path: str) -> Iterator[str]:
        for key, child in (schema.get("properties") or {}).items():
            yield f"{path}{key}"
            yield from walk(child, f"{path}{key}.")
        if isinstance(schema.get("items"), dict):
            yield from walk(schema["items"], path)

    for part in ("spec", "status"):
        yield from walk(version["schema"]["openAPIV3Schema"].get("properties", {}).get(part, {}), f"{part}.")


class Webhook:
    """Our webhook in a configuration: its CA bundle, and where it leads."""

    __slots__ = ("_not_in", "bundle", "configuration", "policy", "service")

    def __init__(self, configuration: Json, webhook: Json) -> None:
        selector = webhook.get("namespaceSelector") or {}
        self._not_in = [it for it in selector.get("matchExpressions") or () if it.get("operator") == "NotIn"]
        self.configuration: str = configuration["metadata"]["name"]
        client = webhook.get("clientConfig") or {}
        service = client.get("service")
        self.service = (str(service["namespace"]), str(service["name"])) if service else None
        self.bundle = _certificates(client.get("caBundle"))
        self.policy = str(webhook.get("failurePolicy") or "Fail")

    @property
    def prefix(self) -> str | None:
        """What the chart's names begin with."""
        return self.service[1].removesuffix("-injector") if self.service is not None else None

    def leaves_out(self, namespace: Mapping[str, Any]) -> str | None:
        """The label, as key=value, for which it does not look at this namespace. (The chart's selector has no more.)"""
        labels = (namespace.get("metadata") or {}).get("labels") or {}
        out = (it["key"] for it in self._not_in if labels.get(it["key"]) in (it.get("values") or ()))
        return next((f"{key}={labels[key]}" for key in out), None)


def webhooks_of(configurations: Sequence[Json]) -> list[Webhook]:
    """Our webhooks among all configurations."""
    return [
        Webhook(configuration, webhook)
        for configuration in configurations
        for webhook in configuration.get("webhooks") or ()
        if webhook.get("name") == WEBHOOK
    ]


def check_webhook(found: Sequence[Webhook], now: datetime.datetime) -> Result:
    """The registration and what it trusts."""
    name = "webhook registered"
    if not found:
        return Result(name, FAILED, "no MutatingWebhookConfiguration has our webhook", "install the chart")
    if len(found) > 1:
        names = ", ".join(it.configuration for it in found)
        return Result(name, FAILED, f"more than one has it: {names}", "one installation per cluster is enough")
    (webhook,) = found
    if not webhook.bundle:
        return Result(
            name, FAILED, f"{webhook.configuration} has no caBundle: the API server can't trust the injector",
            "the controller writes it: does one run, and lead?",
        )  # fmt: skip
    if all(it.not_valid_after_utc <= now for it in webhook.bundle):
        return Result(
            name, FAILED, "every CA in caBundle has expired", "the controller renews it: does one run, and lead?"
        )
    return Result(name, OK, f"{webhook.configuration}, failurePolicy {webhook.policy}")


def check_certificate(webhook: Webhook, secret: Mapping[str, Any] | None, now: datetime.datetime) -> Result:
    """The injectors' certificate against what the API server trusts and calls."""
    name = "certificate"
    found = _certificates(((secret or {}).get("data") or {}).get("tls.crt"))
    if not found:
        return Result(name, FAILED, "the injectors' Secret has no certificate", "does a controller run, and lead?")
    leaf = found[0]
    if leaf.not_valid_after_utc <= now:
        return Result(name, FAILED, f"it ended at {leaf.not_valid_after_utc:%Y-%m-%d %H:%M}", "does a controller run?")
    if not any(_signed(leaf, ca) for ca in webhook.bundle):
        return Result(
            name, FAILED, "no CA of the webhook's caBundle signed it",
            "who else writes caBundle or the Secret? The controller puts both right within seconds",
        )  # fmt: skip
    if webhook.service is not None:
        host = f"{webhook.service[1]}.{webhook.service[0]}.svc"
        if host not in _dns_names(leaf):
            return Result(name, FAILED, f"it is not for {host}", "does the controller's setting name the Service?")
    return Result(name, OK, f"signed by a trusted CA, until {leaf.not_valid_after_utc:%Y-%m-%d %H:%M}")


def check_answers(
    warnings: Sequence[str], injector: Mapping[str, Any] | None = None, left_out: str | None = None
) -> Result:
    """Warnings of a pod made as a dry run with a word that the injector must complain about. `injector`: its
    Deployment, where it was found; `left_out`: the label for which the webhook does not look at the pod's namespace.
    """
    name = "webhook answers"
    if any("carrier.dev/inject must be" in it for it in warnings):
        return Result(name, OK, "the API server reaches an injector, and it answers")
    message = "a pod was made (dry run), and no injector saw it"
    if left_out is not None:
        what = f"the webhook leaves this namespace out: {left_out}"
        return Result(name, FAILED, what, "name one that pods are injected in by -n, or take the label away")
    if injector is not None and not (injector.get("status") or {}).get("availableReplicas"):
        wanted = (injector.get("spec") or {}).get("replicas", 1)
        where, title = injector["metadata"]["namespace"], injector["metadata"]["name"]
        remedy = f"kubectl -n {where} describe pods -l app.kubernetes.io/component=injector"
        if not wanted:
            remedy = f"kubectl -n {where} scale deployment {title} --replicas 2"
        return Result(name, FAILED, f"{message}: none of {title}'s {wanted} replicas is available", remedy)
    return Result(
        name, FAILED, message,
        "can the API server reach the pods' port 8443 (firewalls, network policies, hostNetwork)? See the injectors' "
        "logs",
    )  # fmt: skip


def check_lease(component: str, lease: Mapping[str, Any] | None, now: datetime.datetime) -> Result:
    """Does a controller lead?"""
    spec = (lease or {}).get("spec") or {}
    holder = spec.get("holderIdentity")
    if not holder:
        return Result(component, FAILED, "nobody leads", "do the controller's pods run? See their logs")
    age_s = (now - datetime.datetime.fromisoformat(str(spec.get("renewTime")))).total_seconds()
    if age_s > 60:
        return Result(component, FAILED, f"{holder} led last {age_s:.0f} s ago", "do the controller's pods run?")
    return Result(component, OK, f"{holder} leads")


def check_rights(component: str, denied: Sequence[tuple[str, str, str]]) -> Result:
    """What a component's ServiceAccount may not do of what it must."""
    name = f"rights of the {component}"
    if not denied:
        return Result(name, OK, "everything that it needs")
    what = ", ".join(f"{verb} {resource}{f'.{group}' if group else ''}" for verb, group, resource in denied)
    return Result(name, FAILED, f"it may not {what}", "compare its roles with the chart's")


def check_policy(injector: Mapping[str, Any] | None, controller: Mapping[str, Any] | None) -> Result:
    """Do injector and controller know the same policy, and which is it?"""
    name = "policy"
    if injector is None or controller is None:
        return Result(name, UNKNOWN, "the Deployments can't be read, or have other names")
    ours, theirs = _shared(injector), _shared(controller)
    different = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    if different:
        return Result(
            name, FAILED, f"injector and controller differ in {', '.join(different)}", "upgrade the chart's release"
        )
    wider = [
        f"{key.removeprefix('CARRIER_OPERATOR_')}={ours[key]}" for key in sorted(ours) if "_ALLOW" in key and ours[key]
    ]
    return Result(name, OK, f"injector and controller agree; {', '.join(wider) or 'the narrow default'}")


def check_bindings(documents: Sequence[Json]) -> Result:
    """Which bindings are not accepted."""
    name = "bindings"
    refused = []
    for document in documents:
        for it in (document.get("status") or {}).get("conditions") or ():
            if it.get("type") == "Accepted" and it.get("status") == "False":
                refused.append(
                    f"{document['metadata']['namespace']}/{document['metadata']['name']} ({it.get('reason')})"
                )
    if refused:
        return Result(
            name, FAILED, f"not accepted: {', '.join(sorted(refused)[:5])}", "carrierctl status has the reasons"
        )
    return Result(name, OK, f"{len(documents)}, none refused")


def _shared(deployment: Mapping[str, Any]) -> dict[str, str]:
    (container, *_) = deployment["spec"]["template"]["spec"]["containers"]
    return {
        it["name"]: str(it.get("value") or "")
        for it in container.get("env") or ()
        if it["name"].startswith("CARRIER_OPERATOR_") and it["name"] != "CARRIER_OPERATOR_LOG_LEVEL"
    }


def _certificates(text: object) -> list[x509.Certificate]:
    try:
        pem = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
        return x509.load_pem_x509_certificates(pem) if pem.strip() else []
    except (ValueError, binascii.Error):
        return []


def _dns_names(leaf: x509.Certificate) -> list[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return found.get_values_for_type(x509.DNSName)


def _signed(leaf: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
