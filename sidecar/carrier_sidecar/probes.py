"""What the kubelet, Prometheus and the drain hooks ask the sidecar: a few paths on one small server.

| path | answer |
|---|---|
| /livez | 200 while the loop turns |
| /readyz | 200, or 503 with the reasons as JSON |
| /metrics | Prometheus text |
| /drain/<token> | once nothing is in hand, or the time for it is over; receiving ends for good |
| /pause/<token> | the same, but receiving goes on when the app is back; waits for the pod's other sidecars, too |
| /suspend/<token> | at once; nothing is received until /resume/<token> (or SIGUSR2) |
| /resume/<token> | at once; the end of it |

What draining and pausing mean is the application's business; here is only who may ask for it, and when the answer goes.
Without a token those with one do not exist, and a wrong token looks exactly like an unknown path.
"""

from __future__ import annotations

from carrier_sidecar.exposition import CONTENT_TYPE
from carrier_sidecar.http1.server import Server
from carrier_sidecar.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from carrier_sidecar.http1.failures import Failure
    from carrier_sidecar.http1.requests import Request
    from carrier_sidecar.http1.responses import Response
    from carrier_sidecar.http1.server import Responder
    from carrier_sidecar.loop.api import Loop

    class Application(Protocol):
        """What the probes need of the sidecar."""

        def ready_reasons(self) -> Mapping[str, str]:
            """Why messages are not received: short word → sentence; empty when ready."""

        def metrics_text(self) -> str:
            """The /metrics page."""

        def drain(self, done: Callable[[], None]) -> None:
            """Stop for good; `done` once, when nothing is in hand or the time is over. Never from inside."""

        def pause(self, done: Callable[[], None]) -> None:
            """Stop receiving for now; `done` as above."""

        def suspend(self) -> None:
            """Receive nothing until `unsuspend`."""

        def unsuspend(self) -> None:
            """The end of that."""


JSON = "application/json"
READ = ("GET", "HEAD")
HOOK = ("GET",)  # what a hook can send; a HEAD must have no effect
CONNECT_TIMEOUT_S = 2.0


class Probes:
    """Listens on `host` ("": every address) and `port` (0: any, see `port`) from the start; OSError if it can't.

    `peers`: (host, port) of the pod's other sidecars, which share our token: a pause of the app is theirs, too, and is
    answered when all are quiet, `peer_timeout_s` at the latest.
    """

    def __init__(
        self,
        loop: Loop,
        host: str,
        port: int,
        application: Application,
        *,
        token: str = "",
        peers: Sequence[tuple[str, int]] = (),
        peer_timeout_s: float = 30.0,
    ) -> None:
        self._loop = loop
        self._application = application
        self._token = token.encode()
        self._peers = tuple(peers)
        self._peer_timeout_s = peer_timeout_s
        self._hooks: dict[str, Callable[[Callable[[], None]], None]] = {
            "drain": application.drain,
            "pause": self._pause,
            "suspend": self._suspend,
            "resume": self._resume,
        }
        # A hook may take minutes and is asked at most once per container: connections are for probes.
        self._server = Server(loop, host, port, self.handle, max_head=8192, max_body=1024, max_connections=64)
        self.port = self._server.port

    def close(self) -> None:
        """Accept nothing more; hooks that wait may still be answered."""
        self._server.close()

    def handle(self, request: Request, responder: Responder) -> None:
        """The server's: one request."""
        page = {"/livez": self._live, "/readyz": self._ready, "/metrics": self._metrics}.get(request.path)
        if page is not None:
            if _allowed(request, responder, READ):
                page(responder)
            return
        empty, _, rest = request.path.partition("/")
        name, slash, token = rest.partition("/")
        hook = self._hooks.get(name) if slash and not empty else None
        if hook is None or not self._is_token(token):
            responder.answer(404, b"not found\n")
        elif _allowed(request, responder, HOOK):
            hook(lambda: responder.answer(200, b"done\n"))

    def _live(self, responder: Responder) -> None:
        responder.answer(200, b"ok\n")

    def _ready(self, responder: Responder) -> None:
        reasons = self._application.ready_reasons()
        page = {"ready": not reasons, "reasons": [{"reason": word, "message": text} for word, text in reasons.items()]}
        responder.answer(503 if reasons else 200, dumps(page).encode() + b"\n", JSON)

    def _metrics(self, responder: Responder) -> None:
        responder.answer(200, self._application.metrics_text().encode(), CONTENT_TYPE)

    def _is_token(self, token: str) -> bool:
        if not self._token:
            return False
        from hmac import compare_digest

        return compare_digest(token.encode("utf-8", "surrogateescape"), self._token)

    def _suspend(self, done: Callable[[], None]) -> None:
        self._application.suspend()
        done()

    def _resume(self, done: Callable[[], None]) -> None:
        self._application.unsuspend()
        done()

    def _pause(self, done: Callable[[], None]) -> None:
        everybody = _Everybody(1 + len(self._peers), done)
        self._application.pause(everybody.one_done)
        for host, port in self._peers:
            _PeerPause(self._loop, host, port, self._token.decode(), self._peer_timeout_s, everybody.one_done)


def _allowed(request: Request, responder: Responder, methods: Sequence[str]) -> bool:
    if request.method in methods:
        return True
    responder.answer(405, b"method not allowed\n", headers=[("Allow", ", ".join(methods))])
    return False


class _Everybody:
    """Calls `done` when that many have reported."""

    def __init__(self, count: int, done: Callable[[], None]) -> None:
        self._waiting = count
        self._done = done

    def one_done(self) -> None:
        self._waiting -= 1
        if not self._waiting:
            self._done()


class _PeerPause:
    """Asks one other sidecar to pause. Whatever comes of it counts as done: one that is gone holds nothing."""

    def __init__(
        self, loop: Loop, host: str, port: int, token: str, timeout_s: float, done: Callable[[], None]
    ) -> None:
        from carrier_sidecar.http1.client import Origin, Pool

        self._done = done
        self._pool = Pool(loop, Origin(host, port), connect_timeout_s=CONNECT_TIMEOUT_S, max_body=1024)
        head = f"GET /pause/{token} HTTP/1.1\r\nHost: {self._pool.origin.authority}\r\nConnection: close\r\n\r\n"
        self._pool.request(head.encode(), self, timeout_s)

    def answered(self, _response: Response) -> None:
        self._end()

    def failed(self, _failure: Failure) -> None:
        self._end()

    def _end(self) -> None:
        self._pool.close()
        self._done()
