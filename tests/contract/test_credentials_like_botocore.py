"""Every source of credentials gives what botocore gets from the same services and files, and says why it gives none."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import botocore.exceptions
import botocore.session
import pytest

from carrier_sidecar.loop.selecting import SelectingLoop
from carrier_sidecar.message import CREDENTIALS, QueueError
from carrier_sidecar.sqs.credentials.chain import Chain, default_sources
from carrier_sidecar.sqs.credentials.values import Credentials
from carrier_sidecar.sqs.web import Web
from tests.contract.metadata_fakes import EXPIRES, Fake, Seen, fake_service, keys, sts_answer, sts_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Environ = dict[str, str]
Keys = tuple[str, str, str | None]
EXPIRES_AT = datetime.fromisoformat(EXPIRES).timestamp()


@pytest.fixture
def fake() -> Iterator[Fake]:
    with fake_service() as running:
        yield running


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environ:
    """An environment without AWS in it, which is also the process's own (botocore reads that)."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true"}


def ours(environ: Environ, region: str = "us-east-1") -> Credentials | QueueError:
    loop = SelectingLoop()
    outcome: list[Credentials | QueueError] = []

    def done(found: Credentials | QueueError) -> None:
        outcome.append(found)
        loop.stop()

    chain = Chain(default_sources(Web(loop, environ), environ, region))
    loop.call_soon(lambda: chain.fetch(done))
    loop.call_at(loop.now() + 30, loop.stop)
    loop.run()
    loop.close()
    assert len(outcome) == 1
    return outcome[0]


def ours_or_error(environ: Environ) -> Keys | str:
    found = ours(environ)
    if isinstance(found, QueueError):
        assert found.kind == CREDENTIALS
        return found.detail
    return (found.access_key, found.secret_key, found.token or None)


def theirs(environ: Environ, monkeypatch: pytest.MonkeyPatch) -> Keys | None:
    """botocore's answer for the same environment; None where it has none or an error."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    try:
        credentials = botocore.session.Session().get_credentials()
        if credentials is None:
            return None
        frozen = credentials.get_frozen_credentials()
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, ValueError):
        return None
    return (frozen.access_key, frozen.secret_key, frozen.token)


def check_equal(environ: Environ, monkeypatch: pytest.MonkeyPatch) -> Keys:
    mine = ours_or_error(environ)
    assert isinstance(mine, tuple), mine
    assert mine == theirs(environ, monkeypatch)
    return mine


def check_neither(environ: Environ, monkeypatch: pytest.MonkeyPatch) -> str:
    """Neither has any; our error, for what it must say."""
    mine = ours_or_error(environ)
    assert isinstance(mine, str), mine
    assert theirs(environ, monkeypatch) is None
    return mine


# Environment


@pytest.mark.parametrize("token", [{}, {"AWS_SESSION_TOKEN": "t0ken"}, {"AWS_SECURITY_TOKEN": "older"}])
def test_environment(environ: Environ, monkeypatch: pytest.MonkeyPatch, token: Environ) -> None:
    environ |= {"AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "secret"} | token
    check_equal(environ, monkeypatch)


@pytest.mark.parametrize(
    ("present", "missing"),
    [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")],
)
def test_half_of_a_pair_of_keys_is_an_error_that_names_the_other(environ: Environ, present: str, missing: str) -> None:
    # botocore goes on to other sources when only the secret is there: the same fault, found out later.
    error = ours_or_error(environ | {present: "x"})
    assert f"environment: {missing} is missing" in error


# Web identity


def irsa(environ: Environ, fake: Fake, tmp_path: Path) -> Environ:
    (tmp_path / "token").write_text("header.payload+/=.signature\n")
    return environ | {
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/orders",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_ENDPOINT_URL_STS": fake.url,
        "AWS_REGION": "us-west-2",
        "AWS_DEFAULT_REGION": "us-west-2",
    }


def test_web_identity(environ: Environ, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.answer = lambda request: (200, sts_answer("IRSA"))
    environ = irsa(environ, fake, tmp_path) | {"AWS_ROLE_SESSION_NAME": "orders-1"}
    assert check_equal(environ, monkeypatch) == ("AKIRSA", "secret/IRSA+=", "token/IRSA&==")
    mine, botocores = fake.seen
    assert mine.form["WebIdentityToken"] == "header.payload+/=.signature"
    assert {**mine.form, "WebIdentityToken": ""} == {**botocores.form, "WebIdentityToken": ""}
    assert mine.method == botocores.method
    assert "authorization" not in mine.headers
    found = ours(environ)
    assert isinstance(found, Credentials)
    assert found.expires_at == EXPIRES_AT
    assert found.source == "web identity (IRSA) as arn:aws:sts::123456789012:assumed-role/r/s"


def test_the_token_file_is_read_at_each_fetch(environ: Environ, fake: Fake, tmp_path: Path) -> None:
    fake.answer = lambda request: (200, sts_answer("IRSA"))
    environ = irsa(environ, fake, tmp_path)
    ours(environ)
    (tmp_path / "token").write_text("newer")
    ours(environ)
    assert [seen.form["WebIdentityToken"] for seen in fake.seen] == ["header.payload+/=.signature", "newer"]
    assert fake.seen[0].form["RoleSessionName"].startswith("carrier-")


def test_web_identity_refused(environ: Environ, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.answer = lambda request: (403, sts_error("AccessDenied", "Not authorized to perform sts:AssumeRole…"))
    error = check_neither(irsa(environ, fake, tmp_path), monkeypatch)
    assert "AccessDenied: Not authorized" in error
    assert "arn:aws:iam::123456789012:role/orders" in error
    assert "container" not in error  # no other identity is tried instead


def test_web_identity_is_tried_again_when_the_provider_was_slow(environ: Environ, fake: Fake, tmp_path: Path) -> None:
    answers = [(400, sts_error("IDPCommunicationError", "later")), (500, ""), (200, sts_answer("IRSA"))]
    fake.answer = lambda request: answers.pop(0)
    assert ours_or_error(irsa(environ, fake, tmp_path)) == ("AKIRSA", "secret/IRSA+=", "token/IRSA&==")


@pytest.mark.parametrize("text", [None, "", "a\nb"])
def test_a_token_file_that_is_of_no_use(environ: Environ, fake: Fake, tmp_path: Path, text: str | None) -> None:
    environ = irsa(environ, fake, tmp_path)
    if text is None:
        (tmp_path / "token").unlink()
    else:
        (tmp_path / "token").write_text(text)
    error = ours_or_error(environ)
    assert "web identity (IRSA): the token file can't be read" in error
    assert str(tmp_path / "token") in error
    assert fake.seen == []


@pytest.mark.parametrize("answer", ["", "<xml", "<AccessKeyId>AK</AccessKeyId>", "{}"])
def test_an_answer_of_sts_that_can_not_be_read(environ: Environ, fake: Fake, tmp_path: Path, answer: str) -> None:
    fake.answer = lambda request: (200, answer)
    assert "its answer has no" in ours_or_error(irsa(environ, fake, tmp_path))


def test_sts_unreachable(environ: Environ, fake: Fake, tmp_path: Path) -> None:
    environ = irsa(environ, fake, tmp_path) | {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1"}
    assert "web identity (IRSA): http://127.0.0.1:1:" in ours_or_error(environ)


# Container


@pytest.mark.parametrize("by_file", [False, True])
def test_container(
    environ: Environ, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_file: bool
) -> None:
    fake.answer = lambda request: (200, keys("POD"))
    environ |= {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{fake.url}/v1/credentials?x=1"}
    if by_file:
        (tmp_path / "eks-token").write_text("pod-token")
        environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(tmp_path / "eks-token")
        environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "not this one"
    else:
        environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "pod-token"
    assert check_equal(environ, monkeypatch) == ("AKPOD", "secret/POD+=", "token/POD+=")
    for seen in fake.seen:
        assert (seen.method, seen.path, seen.headers["authorization"]) == ("GET", "/v1/credentials?x=1", "pod-token")


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1/creds",
        "http://example.com/creds",
        "http://127.0.0.1.example.com/creds",
        "http://169.254.170.24/creds",
        "http://[fd00:ec2::24]/creds",
    ],
)
def test_a_token_is_not_sent_to_strangers(environ: Environ, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    environ |= {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "t"}
    assert "over plain HTTP only loopback" in check_neither(environ, monkeypatch)


def test_an_agent_that_fails_is_named_and_nobody_else_is_asked(environ: Environ, fake: Fake) -> None:
    fake.answer = lambda request: (500, "no association") if "creds" in request.path else (200, keys("NODE"))
    environ |= {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{fake.url}/creds",
        "AWS_EC2_METADATA_DISABLED": "false",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": fake.url,
    }
    assert "container (Pod Identity, ECS): HTTP status 500: no association" in ours_or_error(environ)
    assert [seen.path for seen in fake.seen] == ["/creds"] * 3


@pytest.mark.parametrize(
    "answer", ["", "[]", "{}", '{"AccessKeyId": "a"}', keys("X", Expiration="soon"), "[" * 100_000]
)
def test_an_agents_answer_that_can_not_be_read(environ: Environ, fake: Fake, answer: str) -> None:
    fake.answer = lambda request: (200, answer)
    environ |= {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{fake.url}/creds"}
    assert "container (Pod Identity, ECS): its answer" in ours_or_error(environ)


# Instance


def imds(fake: Fake, role: str = "node-role") -> None:
    def answer(request: Seen) -> tuple[int, str]:
        if (request.method, request.path) == ("PUT", "/latest/api/token"):
            return (200, "imds-token") if request.headers.get("x-aws-ec2-metadata-token-ttl-seconds") else (400, "")
        if request.headers.get("x-aws-ec2-metadata-token") != "imds-token":
            return (401, "")
        if request.path == "/latest/meta-data/iam/security-credentials/":
            return (200, role)
        if request.path == f"/latest/meta-data/iam/security-credentials/{role}":
            return (200, keys("NODE", Code="Success", Type="AWS-HMAC"))
        return (404, "")

    fake.answer = answer


def on_instance(environ: Environ, fake: Fake) -> Environ:
    return environ | {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": fake.url}


def test_instance(environ: Environ, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    imds(fake)
    environ = on_instance(environ, fake)
    assert check_equal(environ, monkeypatch) == ("AKNODE", "secret/NODE+=", "token/NODE+=")
    assert [seen.method for seen in fake.seen] == ["PUT", "GET", "GET"] * 2


def test_an_instance_without_a_role(environ: Environ, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    imds(fake, role="")
    fake_answer = fake.answer
    fake.answer = lambda request: (404, "") if request.method == "GET" else fake_answer(request)
    error = check_neither(on_instance(environ, fake), monkeypatch)
    assert "instance metadata (IMDSv2): the instance has no role" in error


def test_a_role_that_the_instance_may_not_have(environ: Environ, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    imds(fake)
    fake_answer = fake.answer
    refusal = json.dumps({"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume the role node-role."})
    fake.answer = lambda request: (200, refusal) if request.path.endswith("node-role") else fake_answer(request)
    error = check_neither(on_instance(environ, fake), monkeypatch)
    assert "AssumeRoleUnauthorizedAccess: EC2 cannot assume the role" in error


def test_instance_metadata_disabled(environ: Environ, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    imds(fake)
    environ = on_instance(environ, fake) | {"AWS_EC2_METADATA_DISABLED": "TRUE"}
    error = check_neither(environ, monkeypatch)
    assert fake.seen == []
    for source in (
        "environment: AWS_ACCESS_KEY_ID is not set",
        "profile: AWS_PROFILE is not set",
        "web identity (IRSA): AWS_WEB_IDENTITY_TOKEN_FILE is not set",
        "container (Pod Identity, ECS): AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "instance metadata (IMDSv2): AWS_EC2_METADATA_DISABLED is true",
    ):
        assert source in error


# Profiles, by the child process


def write_profiles(home: Path, config: str, shared: str = "") -> None:
    (home / ".aws").mkdir(exist_ok=True)
    (home / ".aws" / "config").write_text(config)
    (home / ".aws" / "credentials").write_text(shared)


STATIC = "aws_access_key_id = AKSTATIC\naws_secret_access_key = secret\n"


def test_the_default_profile(environ: Environ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_profiles(tmp_path, "[default]\nregion = eu-west-1\n", f"[default]\n{STATIC}")
    assert check_equal(environ, monkeypatch) == ("AKSTATIC", "secret", None)


def test_a_chosen_profile(environ: Environ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_profiles(tmp_path, f'[profile "my shop"]\n{STATIC}', "[default]\naws_access_key_id = other\n")
    environ["AWS_PROFILE"] = "my shop"
    assert check_equal(environ, monkeypatch)[0] == "AKSTATIC"


def test_a_chosen_profile_that_is_not_there(environ: Environ, monkeypatch: pytest.MonkeyPatch) -> None:
    environ["AWS_PROFILE"] = "nobody"
    error = check_neither(environ, monkeypatch)
    assert "profile nobody: The config profile (nobody) could not be found" in error


def test_credential_process(environ: Environ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = json.loads(keys("PROC")) | {"Version": 1}
    answer["SessionToken"] = answer.pop("Token")
    (tmp_path / "answer").write_text(json.dumps(answer))
    write_profiles(tmp_path, f"[default]\ncredential_process = /bin/cat {tmp_path}/answer\n")
    assert check_equal(environ, monkeypatch) == ("AKPROC", "secret/PROC+=", "token/PROC+=")
    found = ours(environ)
    assert isinstance(found, Credentials)
    assert found.expires_at == EXPIRES_AT


def test_a_role_assumed_by_a_profile(
    environ: Environ, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.answer = lambda request: (200, sts_answer("ROLE", "AssumeRole"))
    role = "role_arn = arn:aws:iam::123456789012:role/x\nsource_profile = base\n"
    write_profiles(tmp_path, f"[profile shop]\n{role}[profile base]\n{STATIC}")
    environ |= {"AWS_PROFILE": "shop", "AWS_ENDPOINT_URL_STS": fake.url, "AWS_REGION": "us-east-1"}
    assert ours_or_error(environ) == ("AKROLE", "secret/ROLE+=", "token/ROLE&==")
    environ["AWS_DEFAULT_REGION"] = "us-east-1"  # botocore knows no AWS_REGION; the child is told
    check_equal(environ, monkeypatch)
    assert {seen.form["Action"] for seen in fake.seen} == {"AssumeRole"}


def test_single_sign_on(environ: Environ, fake: Fake, tmp_path: Path) -> None:
    expiration = int(EXPIRES_AT * 1000)
    role = {"accessKeyId": "AKSSO", "secretAccessKey": "s", "sessionToken": "t", "expiration": expiration}
    fake.answer = lambda request: (200, json.dumps({"roleCredentials": role}))
    start = "https://shop.awsapps.example/start"
    account = "sso_region = us-east-1\nsso_account_id = 123456789012\nsso_role_name = x\n"
    write_profiles(tmp_path, f"[default]\nsso_start_url = {start}\n{account}")
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    token = {"startUrl": start, "region": "us-east-1", "accessToken": "t", "expiresAt": EXPIRES}
    (cache / f"{hashlib.sha1(start.encode()).hexdigest()}.json").write_text(json.dumps(token))
    environ["AWS_ENDPOINT_URL_SSO"] = fake.url
    # Only ours: within one process botocore keeps the folder of its cache from when it was imported.
    found = ours(environ)
    assert isinstance(found, Credentials)
    assert (found.access_key, found.secret_key, found.token, found.expires_at) == ("AKSSO", "s", "t", EXPIRES_AT)


def test_keys_in_the_environment_come_before_a_profile(
    environ: Environ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profiles(tmp_path, f"[profile shop]\n{STATIC}")
    environ |= {"AWS_PROFILE": "shop", "AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "secret"}
    assert check_equal(environ, monkeypatch)[0] == "AKENV"


def test_web_identity_comes_before_a_default_profile_with_static_keys(
    environ: Environ, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.answer = lambda request: (200, sts_answer("IRSA"))
    write_profiles(tmp_path, f"[default]\n{STATIC}")
    assert check_equal(irsa(environ, fake, tmp_path), monkeypatch)[0] == "AKIRSA"


def test_without_botocore_the_error_says_what_to_install(
    environ: Environ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profiles(tmp_path, f"[profile shop]\n{STATIC}")
    (tmp_path / "botocore.py").write_text("raise ImportError('not installed')\n")
    environ |= {"AWS_PROFILE": "shop", "PYTHONPATH": str(tmp_path)}
    assert "pip install 'carrier[profiles]'" in ours_or_error(environ)


def test_without_botocore_files_that_nobody_chose_do_not_stand_in_the_way(
    environ: Environ, fake: Fake, tmp_path: Path
) -> None:
    fake.answer = lambda request: (200, sts_answer("IRSA"))
    write_profiles(tmp_path, f"[default]\n{STATIC}")
    (tmp_path / "botocore.py").write_text("raise ImportError('not installed')\n")
    environ = irsa(environ, fake, tmp_path) | {"PYTHONPATH": str(tmp_path)}
    assert ours_or_error(environ) == ("AKIRSA", "secret/IRSA+=", "token/IRSA&==")


def test_a_child_that_dies_is_an_error_with_its_last_words(
    environ: Environ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "false").write_text("#!/bin/sh\necho first >&2\necho 'no such luck' >&2\nexit 7\n")
    (tmp_path / "false").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "false"))
    error = ours_or_error(environ | {"AWS_PROFILE": "shop"})
    assert "ended with 7: no such luck" in error
