"""The handler that messages are POSTed to: answers as a script says, and remembers every POST.

Speaks HTTP with a few lines of its own, not with the sidecar's code, so that the two cannot share a mistake.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from tests.process.ports import HeldPort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from carrier_sidecar.loop.api import Listener, Stream, Timer
    from carrier_sidecar.loop.errors import StreamError
    from tests.process.loop_thread import LoopThread


class Reply:
    """What to answer: after `delay_s`, `status` with `headers`; with `drop` the connection ends without an answer, with
    `never` nothing happens at all. `close`: the connection ends after the answer."""

    def __init__(
        self,
        status: int = 200,
        *,
        delay_s: float = 0.0,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        close: bool = False,
        drop: bool = False,
        never: bool = False,
    ) -> None:
        self.status = status
        self.delay_s = delay_s
        self.drop = drop
        self.never = never
        self.close = close
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if close:
            lines.append("Connection: close")
        self.data = "\r\n".join([*lines, "", ""]).encode() + body


OK = Reply()


class Post:
    """One POST. `key`: the first word of its body, which names the message in tests; `status`: the answer that went
    out, 0 while there is none; `gone`: the client left before it."""

    __slots__ = (
        "began_at",
        "body",
        "ended_at",
        "gone",
        "headers",
        "key",
        "method",
        "receive_count",
        "status",
        "target",
    )

    def __init__(self, method: str, target: str, headers: dict[str, str], body: bytes, now: float) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.key = body.split(b" ", 1)[0].decode("utf-8", "replace")
        self.receive_count = int(headers.get("x-carrier-receive-count", "0"))
        self.began_at = now
        self.ended_at: float | None = None
        self.status = 0
        self.gone = False

    def __repr__(self) -> str:
        return f"<Post {self.key} #{self.receive_count} {self.status or ('gone' if self.gone else 'running')}>"


class Handler:
    """On a loop thread. `script(post)` says what to answer.

    `posts`: the last ones, in the order in which they began; `accepted`: how often each key was answered with 2xx;
    `tries`: how often each key was POSTed; `running`: what has no answer yet; `overlaps`: keys that were POSTed while
    another POST of the same key was running.
    """

    def __init__(self, thread: LoopThread, *, keep: int | None = None) -> None:
        self._thread = thread
        self._loop = thread.loop
        self.held = HeldPort()
        self.port = self.held.number
        self.url = f"http://127.0.0.1:{self.port}/events"
        self.script: Callable[[Post], Reply] = lambda post: OK
        self.on_end: Callable[[Post], None] = lambda post: None
        self.health = 200
        self.health_checks = 0
        self.posts: deque[Post] = deque(maxlen=keep)
        self.accepted: Counter[str] = Counter()
        self.tries: Counter[str] = Counter()
        self.overlaps: list[str] = []
        self.running: dict[str, list[Post]] = {}
        self.connections: set[_Connection] = set()
        self.connected = 0
        self._listener: Listener | None = None
        self.up()

    def up(self) -> None:
        """Listen (again)."""
        self._thread.do(self._listen)

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = self._loop.listen("127.0.0.1", self.port, self._accept)

    def down(self) -> None:
        """As if the process had ended: connections are cut, new ones refused."""
        self._thread.do(self._cut)

    def _cut(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self.connections):
            connection.close()

    def close(self) -> None:
        self.down()
        self.held.close()

    def statuses(self, key: str) -> list[int]:
        """The answers that the POSTs of a key got."""
        return [post.status for post in list(self.posts) if post.key == key]

    def _accept(self, stream: Stream) -> _Connection:
        connection = _Connection(self, stream)
        self.connections.add(connection)
        self.connected += 1
        return connection

    # For connections

    def begin(self, connection: _Connection, post: Post) -> None:
        if post.method == "GET":
            self.health_checks += 1
            connection.answer(Reply(self.health))
            return
        self.posts.append(post)
        self.tries[post.key] += 1
        running = self.running.setdefault(post.key, [])
        if running:
            self.overlaps.append(post.key)
        running.append(post)
        connection.post = post
        reply = self.script(post)
        if reply.never:
            return
        if reply.delay_s > 0:
            due = self._loop.now() + reply.delay_s
            connection.timer = self._loop.call_at(due, lambda: connection.answer(reply))
        else:
            connection.answer(reply)

    def end(self, post: Post, status: int, gone: bool) -> None:
        post.ended_at = self._loop.now()
        post.status = status
        post.gone = gone
        if 200 <= status < 300:
            self.accepted[post.key] += 1
        running = self.running[post.key]
        running.remove(post)
        if not running:
            del self.running[post.key]
        self.on_end(post)


class _Connection:
    def __init__(self, handler: Handler, stream: Stream) -> None:
        self._handler = handler
        self._stream = stream
        self._data = bytearray()
        self._length = -1  # of the body that is being read
        self._head: tuple[str, str, dict[str, str]] = ("", "", {})
        self.post: Post | None = None
        self.timer: Timer | None = None

    def opened(self) -> None:
        pass

    def received(self, data: bytes) -> None:
        self._data += data
        self._go_on()

    def _go_on(self) -> None:
        if self.post is not None:
            return
        if self._length < 0:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return
            first, *lines = bytes(self._data[:end]).decode("utf-8").split("\r\n")
            method, target, _ = first.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            self._head = (method, target, headers)
            self._length = int(headers.get("content-length", "0"))
            del self._data[: end + 4]
        if len(self._data) >= self._length:
            body = bytes(self._data[: self._length])
            del self._data[: self._length]
            self._length = -1
            self._handler.begin(self, Post(*self._head, body, self._handler._loop.now()))

    def answer(self, reply: Reply) -> None:
        self.timer = None
        if reply.drop:
            self.close()
            return
        self._stream.write(reply.data)
        post, self.post = self.post, None
        if post is not None:
            self._handler.end(post, reply.status, gone=False)
        if reply.close:
            self._handler.connections.discard(self)
            self._stream.end()
        elif self._data:
            self._go_on()

    def ended(self) -> None:
        self.close()

    def lost(self, error: StreamError) -> None:
        self.close()

    def close(self) -> None:
        self._handler.connections.discard(self)
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        post, self.post = self.post, None
        if post is not None:
            self._handler.end(post, 0, gone=True)
        self._stream.close()
