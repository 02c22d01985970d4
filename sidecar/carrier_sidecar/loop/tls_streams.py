"""TLS streams. Imported only once one is asked for."""

from __future__ import annotations

from carrier_sidecar.loop.streams import SocketStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carrier_sidecar.loop.selecting import SelectingLoop
    from carrier_sidecar.loop.tls import TLS


class TLSStream(SocketStream):
    """A stream that encrypts."""

    __slots__ = ()

    def __init__(self, loop: SelectingLoop, tls: TLS) -> None:
        super().__init__(loop)
        raise NotImplementedError("TLS is not there yet")
