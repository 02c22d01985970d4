"""Which proxy, by the environment."""

from __future__ import annotations

import pytest

from carrier_sidecar.http1.proxy import is_exempt, proxy_for
from carrier_sidecar.url import parse_url

SQS = parse_url("https://sqs.eu-west-1.amazonaws.com/")
PLAIN = parse_url("http://elasticmq:9324/")


def test_each_scheme_has_its_variable_and_upper_case_wins() -> None:
    environ = {"HTTPS_PROXY": "http://secure:1", "https_proxy": "http://no:1", "http_proxy": "http://plain:2"}
    assert str(proxy_for(SQS, environ)) == "secure:1"
    assert str(proxy_for(PLAIN, environ)) == "plain:2"
    assert proxy_for(PLAIN, {"HTTPS_PROXY": "http://secure:1"}) is None
    assert proxy_for(SQS, {"HTTPS_PROXY": " "}) is None


def test_the_scheme_may_be_missing_and_credentials_are_decoded() -> None:
    proxy = proxy_for(SQS, {"HTTPS_PROXY": "us%3Aer:p%40ss@proxy.corp:3128"})
    assert proxy is not None
    assert (proxy.host, proxy.port, proxy.authorization) == ("proxy.corp", 3128, "Basic dXM6ZXI6cEBzcw==")
    bare = proxy_for(SQS, {"HTTPS_PROXY": "proxy.corp"})
    assert bare is not None
    assert (bare.host, bare.port, bare.authorization) == ("proxy.corp", 80, None)


@pytest.mark.parametrize(
    "value", ["socks5://secret@x:1", "https://secret@x:1", "http://secret@:1", "http://secret@x:99999"]
)
def test_a_proxy_that_cannot_be_used_names_the_variable_and_not_its_value(value: str) -> None:
    with pytest.raises(ValueError) as problem:
        proxy_for(SQS, {"HTTPS_PROXY": value})
    assert "HTTPS_PROXY" in str(problem.value)
    assert "secret" not in str(problem.value)


def test_no_proxy_is_honoured_in_either_case() -> None:
    for name in ("NO_PROXY", "no_proxy"):
        assert proxy_for(SQS, {"HTTPS_PROXY": "http://p:1", name: ".amazonaws.com"}) is None
    assert proxy_for(SQS, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.com"}) is not None


@pytest.mark.parametrize(
    ("host", "port", "no_proxy", "exempt"),
    [
        ("sqs.example.com", 443, "", False),
        ("sqs.example.com", 443, "*", True),
        ("sqs.example.com", 443, "example.com", True),
        ("example.com", 443, "example.com", True),
        ("badexample.com", 443, "example.com", False),
        ("sqs.example.com", 443, ".example.com", True),
        ("example.com", 443, ".example.com", False),
        ("sqs.example.com", 443, "*.example.com", True),
        ("example.com", 443, "*.example.com", False),
        ("SQS.Example.COM", 443, " other.org , EXAMPLE.com ", True),
        ("sqs.example.com.", 443, "example.com", True),
        ("sqs.example.com", 443, "example.com:443", True),
        ("sqs.example.com", 443, "example.com:80", False),
        ("localhost", 9324, "", True),
        ("127.1.2.3", 9324, "", True),
        ("::1", 9324, "", True),
        ("10.1.2.3", 80, "10.1.2.3", True),
        ("10.1.2.3", 80, "10.1.2.3:80", True),
        ("10.1.2.3", 80, "10.1.2.3:81", False),
        ("10.1.2.3", 80, "10.1.0.0/16", True),
        ("10.2.2.3", 80, "10.1.0.0/16", False),
        ("10.2.2.3", 80, "0.0.0.0/0", True),
        ("10.2.2.3", 80, "10.0.0.0/33, 10.0.0.0/x, 10.0.0.0/, /8", False),
        ("fd00::5", 80, "fd00::/8", True),
        ("fd00::5", 80, "10.0.0.0/8", False),
        ("fd00::5", 80, "fd00:0::5", True),
        ("fd00::5", 80, "[fd00::5]:80", True),
        ("110.1.2.3", 80, "10.1.2.3", False),
        ("x.10.1.2.3", 80, "10.1.2.3", False),
        ("sqs.example.com", 443, ",,:,.,[", False),
    ],
)
def test_no_proxy(host: str, port: int, no_proxy: str, exempt: bool) -> None:
    assert is_exempt(host, port, no_proxy) is exempt
