"""Ports that are ours for as long as a test needs them, whether or not anybody listens there at the moment."""

from __future__ import annotations

import socket


class HeldPort:
    """A port of 127.0.0.1 that nobody else gets. While nobody listens, connections to it are refused; a listener with
    SO_REUSEADDR may come and go."""

    def __init__(self) -> None:
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.number: int = self._holder.getsockname()[1]

    def close(self) -> None:
        self._holder.close()
