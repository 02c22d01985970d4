"""How this sidecar reaches AWS: pools of connections for a URL, with authorities and proxies set once."""

from __future__ import annotations

from carrier_sidecar.http1.client import Origin, Pool
from carrier_sidecar.loop.tls import TLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carrier_sidecar.loop.api import Loop
    from carrier_sidecar.url import URL

CONNECT_TIMEOUT_S = 10.0


class Web:
    """`ca_file`: PEM file of the accepted authorities, None for the system's own. TLS is at least 1.2 and verified."""

    __slots__ = ("_ca_file", "loop")

    def __init__(self, loop: Loop, ca_file: str | None = None) -> None:
        self.loop = loop
        self._ca_file = ca_file

    def pool(
        self,
        url: URL,
        *,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        idle_s: float = 1.0,
        max_body: int = 1 << 20,
        direct: bool = False,
    ) -> Pool:
        """A pool for the URL's origin. `direct`: never through a proxy (metadata services are of this host)."""
        tls = TLS(url.host.rstrip("."), ca_file=self._ca_file, min_version="1.2") if url.scheme == "https" else None
        origin = Origin(url.host, url.port, tls)
        return Pool(self.loop, origin, connect_timeout_s=connect_timeout_s, idle_s=idle_s, max_body=max_body)
