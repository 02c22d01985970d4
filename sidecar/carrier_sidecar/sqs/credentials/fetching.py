"""One HTTP request on a connection of its own, tried a few times: what metadata services and STS need, and no more."""

from __future__ import annotations

from carrier_sidecar.http1.failures import GARBAGE, Failure
from carrier_sidecar.url import parse_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carrier_sidecar.http1.client import Pool
    from carrier_sidecar.http1.responses import Response
    from carrier_sidecar.loop.api import Timer
    from carrier_sidecar.sqs.web import Web

MAX_ANSWER = 256 * 1024


class Fetch:
    """`done` is called once, never from inside the constructor, with the answer (of any status) or the failure.

    `again` says whether an outcome is worth another of the `attempts`, `pause_s` apart. `timeout_s` covers one attempt.
    `direct`: never through a proxy (metadata services are of this host).
    """

    __slots__ = (
        "_again",
        "_attempts",
        "_data",
        "_done",
        "_pause_s",
        "_pool",
        "_proxy",
        "_timeout_s",
        "_timer",
        "_url",
        "_web",
    )

    def __init__(
        self,
        web: Web,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        done: Callable[[Response | Failure], None],
        *,
        timeout_s: float,
        attempts: int,
        pause_s: float,
        again: Callable[[Response | Failure], bool],
        direct: bool = False,
    ) -> None:
        self._web = web
        self._done = done
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._pause_s = pause_s
        self._again = again
        self._pool: Pool | None = None
        self._timer: Timer | None = None
        try:
            self._url = parse_url(url)
            self._proxy = None if direct else web.proxy(self._url)
        except ValueError as error:
            failure = Failure(GARBAGE, False, f"its URL or the proxy's is malformed: {error}")
            self._attempts = 0
            self._timer = web.loop.call_at(web.loop.now(), lambda: self._end(failure))
            return
        lines = [f"{method} {self._url.target} HTTP/1.1", f"Host: {self._url.authority}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body or method != "GET":
            lines.append(f"Content-Length: {len(body)}")
        lines.append("Connection: close\r\n\r\n")
        self._data = "\r\n".join(lines).encode() + body
        self._send()

    def cancel(self) -> None:
        """Give up; `done` is not called any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _send(self) -> None:
        self._timer = None
        self._attempts -= 1
        pool = self._pool = self._web.pool(
            self._url, self._proxy, connect_timeout_s=self._timeout_s, max_body=MAX_ANSWER
        )
        pool.request(self._data, self, self._timeout_s)

    def answered(self, response: Response) -> None:
        """The exchange's answer."""
        self._outcome(response)

    def failed(self, failure: Failure) -> None:
        """The exchange's failure."""
        self._outcome(failure)

    def _outcome(self, outcome: Response | Failure) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        if self._attempts > 0 and self._again(outcome):
            self._timer = self._web.loop.call_at(self._web.loop.now() + self._pause_s, self._send)
        else:
            self._end(outcome)

    def _end(self, outcome: Response | Failure) -> None:
        self._timer = None
        self._done(outcome)
