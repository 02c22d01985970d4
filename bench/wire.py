"""A very small HTTP/1.1 server on epoll for the benchmark's stub and sink.

It shares two cores with what is being measured, so it does as little as possible: no keep-alive limits, no chunked
bodies, no validation. Commands come line by line on standard input, reports go out as JSON lines on standard output.
Linux only.
"""

from __future__ import annotations

import heapq
import json
import os
import select
import socket
import ssl
import sys
import time
from collections.abc import Callable

now = time.monotonic  # seconds; the same clock in every process of a run


class Connection:
    """One accepted connection: the bytes that came and have not made a whole request yet, and those still to send."""

    __slots__ = ("closed", "handshaking", "inbox", "outbox", "sock")

    def __init__(self, sock: socket.socket, handshaking: bool) -> None:
        self.sock = sock
        self.inbox = b""
        self.outbox = b""
        self.handshaking = handshaking
        self.closed = False


class Server:
    """Listens on 127.0.0.1, any free port. `on_request(connection, head, body)` answers by `send` now or later."""

    def __init__(
        self,
        on_request: Callable[[Connection, bytes, bytes], None],
        on_command: Callable[[list[str]], None],
        on_closed: Callable[[Connection], None] | None = None,
        tls_folder: str | None = None,
    ) -> None:
        self._on_request = on_request
        self._on_command = on_command
        self._on_closed = on_closed
        self._tls: ssl.SSLContext | None = None
        if tls_folder:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(os.path.join(tls_folder, "cert.pem"), os.path.join(tls_folder, "key.pem"))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._epoll.register(0, select.EPOLLIN)
        self._connections: dict[int, Connection] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_count = 0
        self._commands = b""
        self.accepted = 0

    def call_at(self, when: float, callback: Callable[[], None]) -> None:
        self._timer_count += 1
        heapq.heappush(self._timers, (when, self._timer_count, callback))

    def send(self, connection: Connection, data: bytes) -> None:
        if connection.closed:
            return
        if not connection.outbox:
            try:
                sent = connection.sock.send(data)
            except (BlockingIOError, ssl.SSLWantWriteError):
                sent = 0
            except OSError:
                self._close(connection)
                return
            if sent == len(data):
                return
            data = data[sent:]
            self._epoll.modify(connection.sock, select.EPOLLIN | select.EPOLLOUT)
        connection.outbox += data

    def run(self) -> None:
        """Serves until standard input ends or says `quit`."""
        listener_fd, connections, timers = self._listener.fileno(), self._connections, self._timers
        poll, wait = self._epoll.poll, select.select
        waited_on = [self._epoll.fileno()]
        report(event="ready", port=self.port)
        while True:
            if timers:
                # epoll waits in whole milliseconds, select in microseconds: a stub's millisecond should be one.
                delay = timers[0][0] - now()
                events = poll(0) if delay <= 0 or wait(waited_on, (), (), delay)[0] else ()
            else:
                events = poll()
            for fd, mask in events:
                if fd == listener_fd:
                    self._accept()
                elif fd == 0:
                    if not self._read_commands():
                        return
                else:
                    connection = connections.get(fd)
                    if connection is None:
                        continue
                    if mask & select.EPOLLOUT:
                        self._flush(connection)
                    if mask & ~select.EPOLLOUT and not connection.closed:
                        self._read(connection)
            if timers:
                moment = now()
                while timers and timers[0][0] <= moment:
                    heapq.heappop(timers)[2]()

    def _accept(self) -> None:
        while True:
            try:
                sock = self._listener.accept()[0]
            except BlockingIOError:
                return
            self.accepted += 1
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            self._connections[sock.fileno()] = Connection(sock, self._tls is not None)
            self._epoll.register(sock, select.EPOLLIN)

    def _read(self, connection: Connection) -> None:
        sock = connection.sock
        try:
            if connection.handshaking:
                assert isinstance(sock, ssl.SSLSocket)
                sock.do_handshake()
                connection.handshaking = False
            data = sock.recv(262144)
            if isinstance(sock, ssl.SSLSocket):
                while sock.pending():
                    data += sock.recv(262144)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            self._close(connection)
            return
        if not data:
            self._close(connection)
            return
        if connection.inbox:
            data = connection.inbox + data
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                break
            head = data[:end]
            length = content_length(head)
            if b"100-continue" in head and len(data) == end + 4 and length:
                self.send(connection, b"HTTP/1.1 100 Continue\r\n\r\n")
            if len(data) < end + 4 + length:
                break
            body = data[end + 4 : end + 4 + length]
            data = data[end + 4 + length :]
            self._on_request(connection, head, body)
            if not data:
                break
        connection.inbox = data

    def _flush(self, connection: Connection) -> None:
        try:
            sent = connection.sock.send(connection.outbox)
        except (BlockingIOError, ssl.SSLWantWriteError):
            return
        except OSError:
            self._close(connection)
            return
        connection.outbox = connection.outbox[sent:]
        if not connection.outbox:
            self._epoll.modify(connection.sock, select.EPOLLIN)

    def _close(self, connection: Connection) -> None:
        if connection.closed:
            return
        connection.closed = True
        del self._connections[connection.sock.fileno()]
        self._epoll.unregister(connection.sock)
        connection.sock.close()
        if self._on_closed is not None:
            self._on_closed(connection)

    def _read_commands(self) -> bool:
        data = os.read(0, 65536)
        if not data:
            return False
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            words = line.decode().split()
            if words == ["quit"]:
                return False
            if words:
                self._on_command(words)
        return True


def content_length(head: bytes) -> int:
    at = head.find(b"ontent-Length:")
    if at < 0:
        at = head.lower().find(b"ontent-length:")
        if at < 0:
            return 0
    end = head.find(b"\r", at)
    return int(head[at + 14 : end if end > 0 else None])


def report(**fields: object) -> None:
    """One JSON line to whoever started this process."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used so far, all its threads, nanosecond resolution (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)
