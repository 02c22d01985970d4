"""A handler of plain sockets, one thread per connection, for answers that no well-behaved server gives."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class RawHandler:
    """`serve(connection, head)` is called for each head that arrives, before the body was read; `heads` keeps them."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/events"
        self.serve: Callable[[Connection, Head], None] = lambda connection, head: connection.ok(head)
        self.heads: list[Head] = []
        self.connected = 0

    def targets(self) -> list[str]:
        return [head.target for head in self.heads]


class Head:
    """A request's head. `receive_count` and `id` as the sidecar gave them."""

    def __init__(self, text: str) -> None:
        self.text = text
        first, *lines = text.split("\r\n")
        self.method, self.target, _ = first.split(" ")
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.length = int(self.headers.get("content-length", "0"))


class Connection:
    """One accepted socket. Methods raise OSError when the client is gone; that ends the thread."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.closed = threading.Event()
        self._data = b""

    def read_head(self) -> Head | None:
        while b"\r\n\r\n" not in self._data:
            piece = self.sock.recv(65536)
            if not piece:
                return None
            self._data += piece
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        return Head(head.decode())

    def read_body(self, head: Head) -> bytes:
        while len(self._data) < head.length:
            piece = self.sock.recv(65536)
            if not piece:
                raise OSError("the body broke off")
            self._data += piece
        body, self._data = self._data[: head.length], self._data[head.length :]
        return body

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def ok(self, head: Head) -> None:
        self.read_body(head)
        self.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def wait_for_end(self) -> None:
        """Until the client closes."""
        with contextlib.suppress(OSError):
            while self.sock.recv(65536):
                pass

    def close(self) -> None:
        self.closed.set()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def reset(self) -> None:
        """Close with a reset instead of an orderly end."""
        self.closed.set()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


@contextlib.contextmanager
def raw_handler() -> Iterator[RawHandler]:
    listener = socket.create_server(("127.0.0.1", 0))
    handler = RawHandler(listener.getsockname()[1])
    connections: list[Connection] = []
    threads: list[threading.Thread] = []

    def run(connection: Connection) -> None:
        with contextlib.suppress(OSError):
            while not connection.closed.is_set():
                head = connection.read_head()
                if head is None:
                    break
                handler.heads.append(head)
                handler.serve(connection, head)
        connection.close()

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            handler.connected += 1
            connection = Connection(sock)
            connections.append(connection)
            thread = threading.Thread(target=run, args=(connection,), daemon=True)
            threads.append(thread)
            thread.start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield handler
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # closing alone does not wake accept()
        listener.close()
        accepting.join(5)
        for connection in connections:
            connection.close()
        for thread in threads:
            thread.join(5)
