"""Which proxy, if any, a request goes through: HTTPS_PROXY, HTTP_PROXY and NO_PROXY as Go's net/http understands them.

Pure: the environment is an argument. Speaking to the proxy is tunnel.py's part and the client's.
"""

from __future__ import annotations

from _socket import AF_INET, AF_INET6, inet_pton

from carrier_sidecar.url import parse_url, split_host_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from carrier_sidecar.url import URL


class Proxy:
    """`host` and `port` of an HTTP proxy; `authorization`: the value of Proxy-Authorization, or None."""

    __slots__ = ("authorization", "host", "port")

    def __init__(self, host: str, port: int, authorization: str | None = None) -> None:
        self.host = host
        self.port = port
        self.authorization = authorization

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def proxy_for(url: URL, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy towards that URL; None for a direct connection. ValueError (which does not repeat the value: it may
    hold a password) when the variable is no http URL."""
    names = ("HTTPS_PROXY", "https_proxy") if url.scheme == "https" else ("HTTP_PROXY", "http_proxy")
    for name in names:
        text = environ.get(name, "").strip()
        if text:
            break
    else:
        return None
    if is_exempt(url.host, url.port, environ.get("NO_PROXY") or environ.get("no_proxy") or ""):
        return None
    try:
        proxy = parse_url(text if "://" in text else f"http://{text}")
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if proxy.scheme != "http":
        raise ValueError(f"{name}: only proxies with http:// are supported")
    authorization = None
    if proxy.user is not None:
        from binascii import b2a_base64

        credentials = f"{proxy.user}:{proxy.password or ''}".encode()
        authorization = "Basic " + b2a_base64(credentials, newline=False).decode("ascii")
    return Proxy(proxy.host, proxy.port, authorization)


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Whether NO_PROXY (a list separated by commas) names the host. Of this form: `*`; an address; a network (CIDR);
    `example.com` (it and what is under it); `.example.com` or `*.example.com` (what is under it); each with `:port`
    where it is for that port only. The host itself (localhost and loopback addresses) is always exempt."""
    host = host.lower().rstrip(".")
    address = _address(host)
    if host == "localhost" or (address is not None and (address[:1] == b"\x7f" or address == _LOOPBACK6)):
        return True
    for word in no_proxy.split(","):
        entry = word.strip().lower()
        if not entry:
            continue
        if entry == "*":
            return True
        network, slash, bits = entry.partition("/")
        if slash:
            if address is not None and _contains(network, bits, address):
                return True
            continue
        entry_host, entry_port = _split(entry)
        if entry_port not in (0, port):
            continue
        entry_address = _address(entry_host)
        if entry_address is not None or address is not None:
            if entry_address == address:
                return True
            continue
        entry_host = entry_host.rstrip(".")
        if entry_host[:2] == "*.":
            entry_host = entry_host[1:]
        if entry_host[:1] == ".":
            if host.endswith(entry_host):
                return True
        elif entry_host and (host == entry_host or host.endswith("." + entry_host)):
            return True
    return False


_LOOPBACK6 = b"\0" * 15 + b"\x01"


def _address(text: str) -> bytes | None:
    """An IPv4 or IPv6 address in network order; None for anything else."""
    for family in (AF_INET, AF_INET6):
        try:
            return inet_pton(family, text)
        except (OSError, ValueError):
            pass
    return None


def _contains(network: str, bits: str, address: bytes) -> bool:
    base = _address(network)
    if base is None or len(base) != len(address) or not (bits.isascii() and bits.isdigit()):
        return False
    host_bits = len(base) * 8 - int(bits[:4])
    if host_bits < 0:
        return False
    return int.from_bytes(base, "big") >> host_bits == int.from_bytes(address, "big") >> host_bits


def _split(entry: str) -> tuple[str, int]:
    """Host and port of an entry; port 0: any. What can't be split is a host that matches nothing."""
    if _address(entry) is not None:
        return entry, 0
    try:
        return split_host_port(entry, 0)
    except ValueError:
        return entry, 0
