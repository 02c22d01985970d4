"""http and https URLs, split and checked: as much of RFC 3986 as endpoints in settings and Location headers need.

Not a general URL library: other schemes are refused, and nothing is resolved against a base. What Go's client forgives
in an endpoint (spaces and non-ASCII characters in the path) is percent-encoded here, too.
"""

from __future__ import annotations

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HEX = "0123456789abcdefABCDEF"


class URL:
    """`scheme` (http or https), `host` (lower case, IPv6 without brackets), `port`, `target` (path and query as they go
    into a request line, never empty), `user` and `password` (decoded; None when absent)."""

    __slots__ = ("host", "password", "port", "scheme", "target", "user")

    def __init__(self, scheme: str, host: str, port: int, target: str, user: str | None, password: str | None) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port
        self.target = target
        self.user = user
        self.password = password

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them: brackets around IPv6, no port where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def authorization(self) -> str:
        """The header line for HTTP Basic, with its line break; "" without a user."""
        if self.user is None:
            return ""
        from binascii import b2a_base64

        encoded = b2a_base64(f"{self.user}:{self.password or ''}".encode(), newline=False).decode("ascii")
        return f"Authorization: Basic {encoded}\r\n"

    def __str__(self) -> str:
        """For people and logs: user and password are masked."""
        return f"{self.scheme}://{'***@' if self.user is not None else ''}{self.authority}{self.target}"


def parse_url(text: str) -> URL:
    """Split an absolute http(s) URL; the fragment is dropped. ValueError says in a few words what is wrong with it, and
    never repeats the URL (it may hold a password)."""
    for char in text:
        if char < " " or char == "\x7f":
            raise ValueError("it contains a control character")
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _DEFAULT_PORTS:
        raise ValueError("it does not begin with http:// or https://")
    rest = rest.partition("#")[0]
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    authority, target = rest[:end], rest[end:]
    userinfo, at, hostport = authority.rpartition("@")
    user: str | None = None
    password: str | None = None
    if at:
        name, colon, secret = userinfo.partition(":")
        user = unquote(name)
        password = unquote(secret) if colon else None
    host, port = split_host_port(hostport, _DEFAULT_PORTS[scheme])
    if not host:
        raise ValueError("it names no host")
    if target[:1] != "/":
        target = "/" + target
    return URL(scheme, host, port, _quote_target(target), user, password)


def split_host_port(text: str, default_port: int | None = None) -> tuple[str, int]:
    """`host:port`, `:port` (host ""), `[v6]:port`, and without the port if a default is given. ValueError otherwise."""
    if text[:1] == "[":
        host, closed, tail = text[1:].partition("]")
        if not closed or ":" not in host or (tail and tail[0] != ":"):
            raise ValueError("the IPv6 address is malformed")
        port_text = tail[1:] if tail else None
    else:
        host, colon, digits = text.partition(":")
        if ":" in digits:
            raise ValueError("an IPv6 address needs brackets")
        port_text = digits if colon else None
    for char in host:
        if char in " /\\@?#<>\"'`{}|^%" or char < "!":
            raise ValueError(f"the host contains {char!r}")
    if not port_text:
        if default_port is None:
            raise ValueError("the port is missing")
        return host.lower(), default_port
    if not (port_text.isascii() and port_text.isdigit()) or int(port_text[:6]) > 65535:
        raise ValueError("the port is not a number from 0 to 65535")
    return host.lower(), int(port_text)


def unquote(text: str) -> str:
    """Percent-decoding as UTF-8; what is no escape stays as it is."""
    if "%" not in text:
        return text
    first, *rest = text.encode("utf-8", "surrogateescape").split(b"%")
    decoded = first
    for piece in rest:
        digits = piece[:2].decode("latin-1")
        if len(digits) == 2 and digits[0] in _HEX and digits[1] in _HEX:
            decoded += bytes((int(digits, 16),)) + piece[2:]
        else:
            decoded += b"%" + piece
    return decoded.decode("utf-8", "replace")


def mask_userinfo(text: str) -> str:
    """The text with what may be a user and a password masked, for texts that may be no valid URL: whatever stands
    before the last `@` (a password may hold an unescaped slash)."""
    at = text.rfind("@")
    if at < 0:
        return text
    scheme, separator, _ = text[:at].partition("//")
    return f"{scheme}//***{text[at:]}" if separator else f"***{text[at:]}"


def _quote_target(target: str) -> str:
    if target.isascii() and " " not in target:
        return target
    return "".join(
        chr(byte) if 0x20 < byte < 0x7F else f"%{byte:02X}" for byte in target.encode("utf-8", "surrogateescape")
    )
