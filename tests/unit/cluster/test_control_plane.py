"""The port of the API server."""

from __future__ import annotations

import socket

from e2e.cluster.control_plane import _can_bind


def test_a_port_with_connections_of_the_last_cluster_can_be_taken_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # the side that closes first remembers the connection for a minute
            assert client.recv(1) == b""
    assert _can_bind("127.0.0.1", port)


def test_a_port_that_is_listened_on_can_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not _can_bind("127.0.0.1", server.getsockname()[1])
