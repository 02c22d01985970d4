"""A server that speaks whatever bytes a test wants; on either loop."""

from __future__ import annotations

from collections.abc import Callable

from carrier_sidecar.loop.api import Loop, Stream
from carrier_sidecar.loop.errors import StreamError


class RawConnection:
    """One accepted connection: what it got (`data`), and whether it is over."""

    def __init__(self, server: RawServer, stream: Stream) -> None:
        self._server = server
        self.stream = stream
        self.data = b""
        self.ended_at: float | None = None
        self.error: StreamError | None = None

    def opened(self) -> None:
        pass

    def received(self, data: bytes) -> None:
        self.data += data
        self._server.on_data(self)

    def ended(self) -> None:
        self.ended_at = self._server.loop.now()

    def lost(self, error: StreamError) -> None:
        self.ended_at = self._server.loop.now()
        self.error = error

    def take_request(self) -> bytes | None:
        """One whole request (by its Content-Length) out of `data`, if there is one."""
        head, end, rest = self.data.partition(b"\r\n\r\n")
        if not end:
            return None
        _, _, after = head.lower().partition(b"content-length:")
        length = int(after.partition(b"\r\n")[0] or 0)
        if len(rest) < length:
            return None
        self.data = rest[length:]
        return head + end + rest[:length]


class RawServer:
    """`on_data(connection)` is called whenever something has arrived; by default every whole request gets `answer`."""

    def __init__(self, loop: Loop, host: str = "127.0.0.1", port: int = 0, answer: bytes = b"") -> None:
        self.loop = loop
        self.answer = answer
        self.requests: list[bytes] = []
        self.connections: list[RawConnection] = []
        self.on_data: Callable[[RawConnection], None] = self._answer
        self.listener = loop.listen(host, port, self._accept)
        self.port = self.listener.port

    def _accept(self, stream: Stream) -> RawConnection:
        connection = RawConnection(self, stream)
        self.connections.append(connection)
        return connection

    def _answer(self, connection: RawConnection) -> None:
        while (request := connection.take_request()) is not None:
            self.requests.append(request)
            connection.stream.write(self.answer)
