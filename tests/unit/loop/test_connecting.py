"""Several addresses: which error they add up to."""

from __future__ import annotations

import errno
from _socket import AF_INET, AF_INET6

import pytest

from carrier_sidecar.loop.connecting import literal_addresses, verdict


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("127.0.0.1", [(AF_INET, ("127.0.0.1", 80))]),
        ("::1", [(AF_INET6, ("::1", 80, 0, 0))]),
        ("localhost", [(AF_INET6, ("::1", 80, 0, 0)), (AF_INET, ("127.0.0.1", 80))]),
        ("localhost.", [(AF_INET6, ("::1", 80, 0, 0)), (AF_INET, ("127.0.0.1", 80))]),
        ("example.com", None),
        ("1.2.3", None),
        ("fe80::1%eth0", None),
    ],
)
def test_hosts_that_need_no_resolver(host: str, addresses: object) -> None:
    assert literal_addresses(host, 80) == addresses


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        ([errno.ECONNREFUSED], "refused"),
        ([errno.ECONNREFUSED, errno.ECONNREFUSED], "refused"),
        # A pod without IPv6: ::1 can't be tried at all, and says nothing.
        ([errno.EADDRNOTAVAIL, errno.ECONNREFUSED], "refused"),
        ([errno.EAFNOSUPPORT, errno.ECONNREFUSED], "refused"),
        ([errno.ENETUNREACH, errno.ECONNREFUSED], "refused"),
        ([errno.ECONNREFUSED, errno.ETIMEDOUT], "connect_timeout"),
        ([errno.ENETUNREACH, errno.ETIMEDOUT], "connect_timeout"),
        ([errno.ENETUNREACH], "unreachable"),
        ([errno.EHOSTUNREACH, errno.ECONNREFUSED], "unreachable"),
        ([errno.EACCES], "unreachable"),
    ],
)
def test_what_failed_addresses_add_up_to(codes: list[int], kind: str) -> None:
    found, detail = verdict("app:80", codes)
    assert found == kind
    assert "app:80" in detail
