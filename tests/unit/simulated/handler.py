"""A scripted handler on the simulated network: it answers as told, can go away and come back, and keeps a record."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from carrier_sidecar.http1.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from carrier_sidecar.http1.requests import Request
    from carrier_sidecar.http1.server import Responder
    from tests.simulation.loop import SimLoop

    Reply = tuple[int, float, list[tuple[str, str]]]  # status, seconds until it is sent, headers


class Post(NamedTuple):
    """One POST as it arrived."""

    at: float
    body: str
    receives: int


class ScriptedHandler:
    """`answer(body)` says how a POST is answered, `health` the status of a GET (0: none comes). `posts` holds what
    arrived, `accepted` the bodies that were answered 2xx while somebody still waited for it, `done` those that were
    answered so at all, `working` and `most_at_once` how many POSTs it has, and had at most."""

    def __init__(self, loop: SimLoop, host: str = "127.0.0.1", port: int = 9000) -> None:
        self.host = host
        self.port = port
        self.answer: Callable[[str], Reply] = lambda _body: (200, 0.0, [])
        self.health = 200
        self.checks = 0
        self.posts: list[Post] = []
        self.accepted: Counter[str] = Counter()
        self.done: set[str] = set()
        self.working = 0
        self.most_at_once = 0
        self._loop = loop
        self._server: Server | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def listening(self) -> bool:
        return self._server is not None

    def start(self) -> None:
        """Listen."""
        self._server = Server(self._loop, self.host, self.port, self._handle)

    def stop(self) -> None:
        """The process is gone, and with it what it worked on."""
        assert self._server is not None
        self._server.close(at_once=True)
        self._loop.network.endpoint(self.host, self.port).reset_all()
        self._server = None
        self.working = 0

    def stop_listening(self) -> None:
        """It shuts down in good order: nobody new is let in, what it works on is answered."""
        assert self._server is not None
        self._server.close()
        self._server = None

    def bodies(self) -> list[str]:
        """In the order of their arrival."""
        return [post.body for post in self.posts]

    def _handle(self, request: Request, responder: Responder) -> None:
        if request.method == "GET":
            self.checks += 1
            if self.health:
                responder.answer(self.health)
            return
        body = request.body.decode()
        self.posts.append(Post(self._loop.now(), body, int(request.headers["x-carrier-receive-count"])))
        self.working += 1
        self.most_at_once = max(self.most_at_once, self.working)
        status, delay_s, headers = self.answer(body)
        if delay_s:
            self._loop.call_at(self._loop.now() + delay_s, lambda: self._reply(body, responder, status, headers))
        else:
            self._reply(body, responder, status, headers)

    def _reply(self, body: str, responder: Responder, status: int, headers: list[tuple[str, str]]) -> None:
        self.working = max(0, self.working - 1)
        if 200 <= status < 300:
            self.done.add(body)
            if responder.waiting:
                self.accepted[body] += 1
        responder.answer(status, headers=headers)
