"""Our signatures are botocore's, for requests of any form that we could send."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from unittest.mock import patch
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from carrier_sidecar.sqs.dates import amz_date
from carrier_sidecar.sqs.signing import Hmac, Signer, sign

key_text = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/+=", min_size=1, max_size=80)
segment = st.text(st.characters(codec="utf-8", exclude_characters="?#"), max_size=12).map(
    lambda text: quote(text, safe="~.")
)
paths = st.lists(segment | st.sampled_from(["", ".", ".."]), max_size=5).map(lambda parts: "/" + "/".join(parts))
pairs = st.tuples(st.text(max_size=6), st.text(max_size=6))
queries = st.lists(pairs, max_size=4).map(
    lambda found: "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in found if name)
)
header_names = st.sampled_from(["X-Amz-Target", "Content-Type", "x-amzn-query-mode", "X-Amz-Meta", "Accept"])
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30).map(str.strip)
headers = st.dictionaries(header_names, header_values, max_size=5)


@given(
    method=st.sampled_from(["GET", "POST", "PUT"]),
    path=paths,
    query=queries,
    extra=headers,
    payload=st.binary(max_size=300),
    access_key=key_text,
    secret_key=key_text,
    token=st.none() | key_text,
    unix_s=st.integers(0, 4_000_000_000),
    region=st.sampled_from(["us-east-1", "eu-central-1"]),
    service=st.sampled_from(["sqs", "sts"]),
)
@example("POST", "/", "", {}, b"", "AKID", "secret", None, 0, "us-east-1", "sqs")
def test_signature_is_botocores(
    method: str,
    path: str,
    query: str,
    extra: dict[str, str],
    payload: bytes,
    access_key: str,
    secret_key: str,
    token: str | None,
    unix_s: int,
    region: str,
    service: str,
) -> None:
    url = f"https://sqs.example.com:8443{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method=method, url=url, data=payload, headers=extra)
    moment = datetime.fromtimestamp(unix_s, UTC)
    with patch("botocore.auth.get_current_datetime", return_value=moment):
        SigV4Auth(Credentials(access_key, secret_key, token), service, region).add_auth(request)

    date = amz_date(unix_s)
    ours = [*extra.items(), ("Host", "sqs.example.com:8443"), ("X-Amz-Date", date)]
    if token:
        ours.append(("X-Amz-Security-Token", token))
    signer = Signer(access_key, secret_key, region, service)
    assert sign(signer, method, path, query, ours, payload, date) == request.headers["Authorization"]


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_hmac_is_that_of_the_standard_library(key: bytes, text: bytes) -> None:
    ours = Hmac(key)
    for _ in range(2):  # the kept states are not used up
        assert ours.hexdigest(text) == hmac.new(key, text, hashlib.sha256).hexdigest()
        assert ours.digest(text) == hmac.digest(key, text, "sha256")


def test_a_signer_derives_a_new_key_each_day() -> None:
    signer = Signer("AKID", "secret", "us-east-1", "sqs")
    first = sign(signer, "POST", "/", "", [("host", "h")], b"", "20260101T235959Z")
    second = sign(signer, "POST", "/", "", [("host", "h")], b"", "20260102T000000Z")
    fresh = sign(
        Signer("AKID", "secret", "us-east-1", "sqs"), "POST", "/", "", [("host", "h")], b"", "20260102T000000Z"
    )
    assert "/20260101/" in first
    assert second == fresh
