"""A server on a real socket that plays back bytes: for answers that no well-behaved server gives."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator


class Scripted:
    """`answers` are played in order, one per request, the last one again and again: bytes, or a function of the socket.
    `requests` collects what came."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.answers: list[bytes | Callable[[socket.socket], None]] = []
        self.requests: list[bytes] = []
        self.played = 0

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in self.requests]

    def next(self) -> bytes | Callable[[socket.socket], None]:
        answer = self.answers[min(self.played, len(self.answers) - 1)]
        self.played += 1
        return answer


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An ordinary answer."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/x-amz-json-1.0", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def ok(answer: object) -> bytes:
    return http(json.dumps(answer).encode())


def refusal(code: str, message: str = "so it is", status: str = "400 Bad Request") -> bytes:
    return http(json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": message}).encode(), status)


def reset_after(data: bytes) -> Callable[[socket.socket], None]:
    """Send this much, then reset the connection."""

    def play(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    return play


def close_after(data: bytes) -> Callable[[socket.socket], None]:
    def play(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.close()

    return play


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextlib.contextmanager
def scripted(context: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Scripted(listener.getsockname()[1])
    open_connections: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
                open_connections.append(connection)
            while True:
                request = _read_request(connection)
                if not request:
                    break
                server.requests.append(request)
                answer = server.next()
                if isinstance(answer, bytes):
                    connection.sendall(answer)
                else:
                    answer(connection)
                    if connection.fileno() < 0:
                        break
        connection.close()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            open_connections.append(connection)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        # shutdown, since closing alone does not wake accept()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in open_connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        thread.join(5)
