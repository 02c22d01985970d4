"""AWS Signature Version 4, as far as this sidecar signs: headers only, the whole payload hashed.

Pure: the date is an argument. `Signer` keeps what can be kept between requests (the derived key, the HMAC states).
Source: AWS General Reference, "Create a signed AWS API request".
"""

from __future__ import annotations

from carrier_sidecar.sqs.digests import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Hmac:
    """HMAC-SHA256 under one key, with both padded states computed once (the `hmac` module would do so at each call)."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if len(key) > 64:
            key = sha256(key).digest()
        key = key.ljust(64, b"\0")
        self._inner = sha256(key.translate(_INNER))
        self._outer = sha256(key.translate(_OUTER))

    def digest(self, text: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(text)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def hexdigest(self, text: bytes) -> str:
        inner = self._inner.copy()
        inner.update(text)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()


def signing_key(secret_key: str, date: str, region: str, service: str) -> bytes:
    """The key of one day (`date` is YYYYMMDD), region and service."""
    key = Hmac(b"AWS4" + secret_key.encode()).digest(date.encode())
    key = Hmac(key).digest(region.encode())
    key = Hmac(key).digest(service.encode())
    return Hmac(key).digest(b"aws4_request")


def quote(text: str | bytes, safe: bytes = b"") -> str:
    """Percent-encoding as SigV4 wants it: everything but the unreserved characters of RFC 3986 and `safe`."""
    data = text.encode() if isinstance(text, str) else text
    return "".join(chr(byte) if byte in _UNRESERVED or byte in safe else f"%{byte:02X}" for byte in data)


def canonical_path(path: str) -> str:
    """Dots resolved, empty segments dropped, each character encoded once more (for every service but S3)."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if segments:
                segments.pop()
        elif segment and segment != ".":
            segments.append(segment)
    resolved = "/" + "/".join(segments)
    if segments and path.endswith("/"):
        resolved += "/"
    return quote(resolved, safe=b"/~")


def canonical_query(query: str) -> str:
    """The query string sorted by name, then by value; it is taken as already encoded."""
    pairs = []
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        pairs.append((name, value))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def canonical_headers(headers: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """(one "name:value" line each with a line end, the names joined by ";"), sorted by lower-case name."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower().strip(), []).append(" ".join(value.split()))
    names = sorted(values)
    return "".join(f"{name}:{','.join(values[name])}\n" for name in names), ";".join(names)


class Signer:
    """Signs for one identity, region and service. Make a new one when the credentials change."""

    __slots__ = ("_access_key", "_day", "_hmac", "_region", "_scope", "_secret_key", "_service")

    def __init__(self, access_key: str, secret_key: str, region: str, service: str) -> None:
        self._access_key = access_key
        self._secret_key = secret_key
        self._region = region
        self._service = service
        self._day = ""
        self._scope = ""
        self._hmac = Hmac(b"")

    def authorization(self, amz_date: str, signed_headers: str, digest: str) -> str:
        """The value of the Authorization header; `digest` is the canonical request's SHA-256, in hexadecimal."""
        day = amz_date[:8]
        if day != self._day:
            self._hmac = Hmac(signing_key(self._secret_key, day, self._region, self._service))
            self._scope = f"{day}/{self._region}/{self._service}/aws4_request"
            self._day = day
        signature = self._hmac.hexdigest(f"AWS4-HMAC-SHA256\n{amz_date}\n{self._scope}\n{digest}".encode())
        return (
            f"AWS4-HMAC-SHA256 Credential={self._access_key}/{self._scope}, "
            f"SignedHeaders={signed_headers}, Signature={signature}"
        )


def sign(
    signer: Signer,
    method: str,
    path: str,
    query: str,
    headers: Iterable[tuple[str, str]],
    payload: bytes,
    amz_date: str,
) -> str:
    """The Authorization header of any request. `headers` are those to sign, x-amz-date and host among them."""
    lines, names = canonical_headers(headers)
    hashed = sha256(payload).hexdigest()
    request = f"{method}\n{canonical_path(path)}\n{canonical_query(query)}\n{lines}\n{names}\n{hashed}"
    return signer.authorization(amz_date, names, sha256(request.encode()).hexdigest())
