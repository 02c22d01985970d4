"""How a connection is to be secured: a value. The `ssl` machinery is loaded only once a stream asks for it
(tls_streams.py)."""

from __future__ import annotations

MINIMUM_VERSIONS = ("1.2", "1.3")


class TLS:
    """`server_hostname`: the name to verify and to send as SNI (no trailing dot; an address is verified, but not sent).
    `ca_file`: PEM file of the accepted authorities, None for the system's own. `verify`: False accepts any certificate.
    `min_version`: "1.2" or "1.3". `client_cert`, `client_key`: PEM files, the key None when it stands in the
    certificate's.

    Files are read once: what changes in them later is not noticed by a value that has been used."""

    __slots__ = ("ca_file", "client_cert", "client_key", "context", "min_version", "server_hostname", "verify")

    def __init__(
        self,
        server_hostname: str,
        *,
        ca_file: str | None = None,
        verify: bool = True,
        min_version: str = "1.2",
        client_cert: str | None = None,
        client_key: str | None = None,
    ) -> None:
        if min_version not in MINIMUM_VERSIONS:
            raise ValueError(f"minimum TLS version {min_version!r} is not one of {', '.join(MINIMUM_VERSIONS)}")
        self.server_hostname = server_hostname
        self.ca_file = ca_file
        self.verify = verify
        self.min_version = min_version
        self.client_cert = client_cert
        self.client_key = client_key
        self.context: object = None  # made by tls_streams at the first handshake

    def check(self) -> None:
        """Load the files now. OSError with the file and the reason when one can't be read or is no PEM."""
        from carrier_sidecar.loop.tls_streams import context_of

        context_of(self)
