"""Profile files, token files, and where STS is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrier_sidecar.sqs.building import attribute_names, ca_file
from carrier_sidecar.sqs.credentials.container import is_loopback, refused_url
from carrier_sidecar.sqs.credentials.files import read_profile, read_token, sections
from carrier_sidecar.sqs.credentials.instance import endpoint
from carrier_sidecar.sqs.credentials.values import Credentials, from_answer
from carrier_sidecar.sqs.credentials.web_identity import sts_endpoint

if TYPE_CHECKING:
    from pathlib import Path


def test_sections_of_a_file_as_aws_writes_it() -> None:
    text = '# c\n[default]\nRegion = eu-west-1\ns3 =\n  max = 5\n; c\n[profile  "my shop"]\nrole_arn=a=b\nnonsense\n[x'
    assert sections(text) == {
        "default": {"region": "eu-west-1", "s3": ""},
        "profile my shop": {"role_arn": "a=b"},
        "x": {},
    }


@given(st.text(max_size=100))
def test_no_file_crashes_the_reader(text: str) -> None:
    sections(text)


@pytest.mark.parametrize(
    ("config", "shared", "environ", "expected"),
    [
        ("", "", {}, ("default", False, False, None)),
        ("[default]\nregion = r\n", "", {}, ("default", False, False, "r")),
        ("[default]\nregion = r\n", "[default]\naws_access_key_id = x\n", {}, ("default", False, True, "r")),
        ("[profile a]\nsso_session = s\nregion = q\n", "", {"AWS_PROFILE": "a"}, ("a", True, True, "q")),
        ("[a]\nregion = q\n", "", {"AWS_DEFAULT_PROFILE": "a"}, ("a", True, False, None)),
    ],
)
def test_what_is_seen_of_a_profile(
    tmp_path: Path, config: str, shared: str, environ: dict[str, str], expected: tuple[object, ...]
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(config)
    (tmp_path / "elsewhere").write_text(shared)
    environ = environ | {"HOME": str(tmp_path), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "elsewhere")}
    found = read_profile(environ)
    assert (found.name, found.was_chosen, found.has_credentials, found.region) == expected


def test_files_that_are_not_there_are_empty(tmp_path: Path) -> None:
    assert not read_profile({"HOME": str(tmp_path)}).has_credentials


@pytest.mark.parametrize("data", [b"", b"\n", b"a\r\nb", b"\xff", b"x" * 300_000])
def test_tokens_of_no_use_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "token").write_bytes(data)
    with pytest.raises(OSError, match=str(tmp_path)):
        read_token(str(tmp_path / "token"))


@pytest.mark.parametrize(
    ("environ", "region", "url"),
    [
        ({}, "us-west-2", "https://sts.us-west-2.amazonaws.com"),
        ({"AWS_REGION": "eu-west-1"}, "us-west-2", "https://sts.eu-west-1.amazonaws.com"),
        ({}, "cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn"),
        ({}, "us-isob-east-1", "https://sts.us-isob-east-1.sc2s.sgov.gov"),
        ({"AWS_STS_REGIONAL_ENDPOINTS": "legacy"}, "us-west-2", "https://sts.amazonaws.com"),
        ({"AWS_STS_REGIONAL_ENDPOINTS": "legacy"}, "eu-south-2", "https://sts.eu-south-2.amazonaws.com"),
        ({"AWS_STS_REGIONAL_ENDPOINTS": "regional"}, "us-west-2", "https://sts.us-west-2.amazonaws.com"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "us-west-2", "https://sts-fips.us-west-2.amazonaws.com"),
        ({"AWS_ENDPOINT_URL_STS": "http://a", "AWS_ENDPOINT_URL": "http://b"}, "us-west-2", "http://a"),
        ({"AWS_ENDPOINT_URL": "http://b"}, "us-west-2", "http://b"),
    ],
)
def test_where_sts_is(environ: dict[str, str], region: str, url: str) -> None:
    assert sts_endpoint(environ, region) == url


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("127.0.0.256", False), ("127.0.0.1.evil", False),
     ("localhost", False), ("128.0.0.1", False), ("127.٠.0.1", False)],
)  # fmt: skip
def test_loopback_addresses(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_whom_a_token_may_be_sent() -> None:
    for url in ("http://169.254.170.23/v1/credentials", "http://[fd00:ec2::23]/x", "https://example.com/x"):
        assert refused_url(url) == ""
    assert refused_url("http://example.com/x") != ""
    assert "not a URL" in refused_url("ftp://x")


def test_where_instance_metadata_is() -> None:
    assert endpoint({}) == "http://169.254.169.254"
    assert endpoint({"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"}) == "http://[fd00:ec2::254]"
    assert endpoint({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://x/"}) == "http://x"


def test_an_answer_with_control_characters_is_refused() -> None:
    fields = {"AccessKeyId": "a", "SecretAccessKey": "s", "Token": "t\r\nX-Evil: 1"}
    assert not isinstance(from_answer(fields, "x"), Credentials)
    assert isinstance(from_answer({**fields, "Token": "t"}, "x"), Credentials)


def test_the_authorities_bundle() -> None:
    assert ca_file({"AWS_CA_BUNDLE": "/a", "SSL_CERT_FILE": "/b"}) == "/a"
    assert ca_file({"SSL_CERT_FILE": "/b"}) == "/b"
    assert ca_file({"SSL_CERT_FILE": ""}) is None
    assert ca_file({"SSL_CERT_FILE": "/b", "SSL_CERT_DIR": "/c"}) is None


def test_the_attributes_that_are_asked_for() -> None:
    assert attribute_names(()) == ("Body.ContentType",)
    assert attribute_names(("a", "Body.ContentType", "b")) == ("Body.ContentType", "a", "b")
    assert attribute_names(("*",)) == ("All",)
