"""The handler that runs in the pods: it is given to Debian's Python as text (`python3 -c`), so it stands alone.

It tells what happens to it (told.py), a JSON object per line: `handler`, `boot` (drawn at each start), `what`, `when`
(Unix seconds), for messages also `id` and `receives`. Its one argument is a JSON object:

| | |
|---|---|
| name | what it calls itself |
| tell | host:port where it tells |
| port | where it listens (8080) |
| listen_after_s | time until it does (0) |
| exit_after | answers after which it ends with 0 (never) |

A message is a JSON object, too: `takes_s`, the time that it takes to handle, and `breaks_liveness`: from then on, until
the restart, /livez fails. On SIGTERM it says so and ends at once, as a program that knows nothing of signals would.
"""

from __future__ import annotations

import http.server
import itertools
import json
import os
import signal
import socket
import sys
import threading
import time
import uuid
from typing import Any

OPTIONS = {"port": 8080, "listen_after_s": 0, "exit_after": 0, **json.loads(sys.argv[1])}
BOOT = uuid.uuid4().hex
answers = itertools.count(1)
telling = threading.Lock()
broken = threading.Event()
listener = socket.create_connection(OPTIONS["tell"].rsplit(":", 1), timeout=10)
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def tell(what: str, **more: Any) -> None:
    event = {"handler": OPTIONS["name"], "boot": BOOT, "what": what, "when": time.time(), **more}
    with telling:
        listener.sendall(json.dumps(event).encode() + b"\n")
    print(json.dumps(event), flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(500 if broken.is_set() and self.path == "/livez" else 200)

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        about = {"id": self.headers["X-Carrier-Message-Id"], "receives": int(self.headers["X-Carrier-Receive-Count"])}
        tell("received", **about)
        if message.get("breaks_liveness"):
            broken.set()
        time.sleep(message.get("takes_s", 0))
        tell("answered", **about)  # before it is: with the answer the end may come
        self._answer(200)
        if next(answers) == OPTIONS["exit_after"]:
            tell("done")
            os._exit(0)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


if __name__ == "__main__":
    # Waited for, not handled: whichever thread takes a signal, only the main one runs Python's handlers, if it wakes.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    tell("started")
    time.sleep(OPTIONS["listen_after_s"])
    with Server(("", OPTIONS["port"]), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tell("listens")
        signal.sigwait({signal.SIGTERM})
        tell("told to end")
        os._exit(0)
