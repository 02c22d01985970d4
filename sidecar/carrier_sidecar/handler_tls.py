"""How connections to the handler are secured, from the settings: the same for messages, health checks and `check`."""

from __future__ import annotations

from carrier_sidecar.loop.tls import TLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carrier_sidecar.settings import Settings
    from carrier_sidecar.url import URL


def handler_tls(settings: Settings, url: URL) -> TLS | None:
    """None for http; otherwise TLS 1.3 at least, as the Go program asks."""
    if url.scheme != "https":
        return None
    return TLS(
        url.host.rstrip("."),
        ca_file=settings.webhook_ca_file or None,
        verify=not settings.webhook_tls_insecure_skip_verify,
        min_version="1.3",
        client_cert=settings.webhook_cert_file or None,
        client_key=settings.webhook_key_file or None,
    )
