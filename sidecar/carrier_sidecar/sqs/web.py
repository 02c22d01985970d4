"""How this sidecar reaches AWS: pools of connections for a URL, with authorities and proxies set once."""

from __future__ import annotations

from carrier_sidecar.http1.client import Origin, Pool
from carrier_sidecar.loop.tls import TLS
from carrier_sidecar.sqs.region import is_aws_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from carrier_sidecar.http1.proxy import Proxy
    from carrier_sidecar.loop.api import Loop
    from carrier_sidecar.url import URL

CONNECT_TIMEOUT_S = 10.0
_PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")


class Web:
    """`ca_file`: PEM file of the accepted authorities, None for the system's own. TLS is at least 1.2 and verified.
    `environ`: where HTTPS_PROXY, HTTP_PROXY and NO_PROXY are looked up."""

    __slots__ = ("_ca_file", "_environ", "loop")

    def __init__(self, loop: Loop, environ: Mapping[str, str], ca_file: str | None = None) -> None:
        self.loop = loop
        self._environ = environ
        self._ca_file = ca_file

    def proxy(self, url: URL) -> Proxy | None:
        """The proxy towards that URL, None for a direct connection. ValueError when the variable is no URL."""
        if not any(self._environ.get(name) for name in _PROXY_VARIABLES):
            return None
        from carrier_sidecar.http1.proxy import proxy_for

        return proxy_for(url, self._environ)

    def pool(
        self,
        url: URL,
        proxy: Proxy | None = None,
        *,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        idle_s: float = 1.0,
        max_body: int = 1 << 20,
    ) -> Pool:
        """A pool for the URL's origin."""
        name = host = url.host.rstrip(".")
        if proxy is None and is_aws_host(host):
            host += "."  # a complete name: the resolver spares the search list (in Kubernetes some five look-ups)
        tls = TLS(name, ca_file=self._ca_file, min_version="1.2") if url.scheme == "https" else None
        origin = Origin(host, url.port, tls, proxy)
        return Pool(self.loop, origin, connect_timeout_s=connect_timeout_s, idle_s=idle_s, max_body=max_body)
