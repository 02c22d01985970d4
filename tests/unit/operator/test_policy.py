"""What an administrator does not allow makes a binding unaccepted; comparisons can't be tricked."""

from __future__ import annotations

from typing import Any

import pytest

from carrier_operator.models import Binding
from carrier_operator.policy import Policy, Unaccepted, read_binding
from tests.unit.operator.pods_for_tests import QUEUE

CLOSED = Policy()
WIDE = Policy(
    image_prefixes=("registry.example/team/", "other.example/carrier"),
    env_from=True,
    env_names=("AWS_PROFILE", "PYTHON*"),
    webhook_urls=("http://gateway.example/hooks", "https://h:8443"),
)


def accepted(policy: Policy, **spec: Any) -> bool:
    document = {"metadata": {"name": "orders", "namespace": "shop"}, "spec": {"queue": QUEUE, **spec}}
    found = read_binding(document, policy)
    assert isinstance(found, Binding | Unaccepted)
    return isinstance(found, Binding)


def env(name: str, **more: Any) -> dict[str, Any]:
    return {"sidecar": {"env": [{"name": name, **more}]}}


FROM = {"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}


@pytest.mark.parametrize(
    ("spec", "closed", "wide"),
    [
        ({}, True, True),
        ({"sidecar": {"image": "registry.example/team/carrier:1"}}, False, True),
        ({"sidecar": {"image": "other.example/carrier@sha256:1"}}, False, True),
        ({"sidecar": {"image": "other.example/carrier-evil:1"}}, False, False),
        ({"sidecar": {"image": "registry.example/team/../evil"}}, False, False),
        ({"sidecar": {"image": "evil/registry.example/team/x"}}, False, False),
        (env("SSL_CERT_FILE", value="/x"), True, True),
        (env("A", **FROM), False, True),
        (env("AWS_PROFILE", value="x"), False, True),
        (env("AWS_SECRET_ACCESS_KEY", value="x"), False, False),
        (env("LD_PRELOAD", value="x"), False, False),
        (env("PYTHONPATH", value="x"), False, True),
        ({"webhook": {"url": "http://localhost:9000/x"}}, True, True),
        ({"webhook": {"url": "http://127.0.0.1:9000/x"}}, True, True),
        ({"webhook": {"url": "https://[::1]:9000/x"}}, True, True),
        ({"webhook": {"url": "http://localhost@evil.example/"}}, False, False),
        ({"webhook": {"url": "http://localhost.evil.example/"}}, False, False),
        ({"webhook": {"url": "http://evil.example\\@localhost/"}}, False, False),
        ({"webhook": {"url": "http://gateway.example/hooks/a"}}, False, True),
        ({"webhook": {"url": "http://gateway.example/hooksevil"}}, False, False),
        ({"webhook": {"url": "http://gateway.example/hooks/../x"}}, False, False),
        ({"webhook": {"url": "http://gateway.example:81/hooks"}}, False, False),
        ({"webhook": {"url": "https://gateway.example/hooks"}}, False, False),
        ({"webhook": {"url": "https://h:8443/any"}}, False, True),
        ({"webhook": {"url": "http://[::1"}}, False, False),
    ],
)
def test_policy(spec: dict[str, Any], closed: bool, wide: bool) -> None:
    assert (accepted(CLOSED, **spec), accepted(WIDE, **spec)) == (closed, wide)


def test_every_reason_is_said_at_once() -> None:
    document = {
        "metadata": {"name": "o.o"},
        "spec": {"queue": QUEUE, "sidecar": {"image": "x"}, "webhook": {"url": "http://x/"}},
    }
    found = read_binding(document, CLOSED)
    assert isinstance(found, Unaccepted)
    assert len(found.reasons) == 3


@pytest.mark.parametrize("document", [{}, {"metadata": None, "spec": None}, {"metadata": [], "spec": 3}])
def test_anything_can_be_read_without_an_exception(document: dict[str, Any]) -> None:
    assert isinstance(read_binding(document, CLOSED), Unaccepted)
