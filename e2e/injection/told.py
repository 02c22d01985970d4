"""What the handlers in the pods (handler.py) tell: each has a connection to here, which outlives it for as long as its
last line needs. (Logs are gone with the pod, and following them from its start may miss them.)
"""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

Event = dict[str, Any]


class Collector:
    """Listens for handlers on an address that pods reach."""

    def __init__(self, address: str) -> None:
        self._server = _Server((address, 0), _Connection)
        self.address = f"{address}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, name="collector", daemon=True).start()

    def of(self, handler: str) -> Told:
        """What the handler of that name tells, from its start to its end and through its restarts."""
        return Told(self._server, handler)

    def close(self) -> None:
        """Nothing more is taken."""
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *arguments: Any) -> None:
        self.events: list[Event] = []
        self.talking: Counter[str] = Counter()
        self.changing = threading.Lock()
        super().__init__(*arguments)


class _Connection(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = cast(_Server, self.server)
        handler = None
        try:
            for line in self.rfile:
                event = json.loads(line)
                with server.changing:
                    server.events.append(event)
                    if handler is None:
                        handler = event["handler"]
                        server.talking[handler] += 1
        except OSError as error:  # its network ended before it did; what it had sent is here
            with server.changing:
                server.events.append({"handler": handler, "what": "cut off", "when": time.time(), "boot": str(error)})
        finally:
            if handler is not None:
                with server.changing:
                    server.talking[handler] -= 1


class Told:
    """What one handler has told so far."""

    def __init__(self, server: _Server, handler: str) -> None:
        self._server = server
        self._handler = handler

    def everything(self) -> list[Event]:
        """In the order in which it happened."""
        with self._server.changing:
            found = [event for event in self._server.events if event["handler"] == self._handler]
        return sorted(found, key=lambda event: event["when"])

    def events(self, what: str, boot: str | None = None) -> list[Event]:
        """All of one kind, in the order in which they happened."""
        return [it for it in self.everything() if it["what"] == what and boot in (None, it["boot"])]

    def first(self, what: str, boot: str | None = None) -> float:
        """When it happened first, Unix seconds; AssertionError when it did not."""
        return self._when(what, boot, 0)

    def last(self, what: str, boot: str | None = None) -> float:
        """When it happened last, Unix seconds; AssertionError when it did not."""
        return self._when(what, boot, -1)

    def _when(self, what: str, boot: str | None, place: int) -> float:
        found = self.events(what, boot)
        assert found, f"never {what}: {self.everything()}"
        return float(found[place]["when"])

    @property
    def talking(self) -> bool:
        """Is its connection still there?"""
        return self._server.talking[self._handler] > 0

    @property
    def boots(self) -> list[str]:
        """One for each start of the handler."""
        return [event["boot"] for event in self.events("started")]

    @property
    def accepted(self) -> Counter[str]:
        """Message id → answers with 200."""
        return Counter(event["id"] for event in self.events("answered"))

    @property
    def cut(self) -> Counter[str]:
        """Message id → times that it was received and not answered."""
        return Counter(event["id"] for event in self.events("received")) - self.accepted

    @property
    def receive_counts(self) -> set[int]:
        """Of all deliveries, as SQS counts."""
        return {event["receives"] for event in self.events("received")}


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 60) -> None:
    """Polls until the condition holds; AssertionError with `what` when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.1)
