"""Is the handler there? Asks its health endpoint, or, where there is none, whether its port takes a connection.

Tells the engine when the handler is online or offline, and watches it during a pause: receiving resumes once the
handler was seen going away and is back, or after 30 s in which it never went away. Both count from the moment at which
the last hook that asked for the pause was answered, since only then the app is told to end.
"""

from __future__ import annotations

from carrier_sidecar import __version__
from carrier_sidecar.gate import OFFLINE, PAUSED, STARTING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carrier_sidecar.engine import Engine
    from carrier_sidecar.http1.client import Pool
    from carrier_sidecar.http1.failures import Failure
    from carrier_sidecar.http1.responses import Response
    from carrier_sidecar.loop.api import Loop, Stream, Timer
    from carrier_sidecar.loop.errors import StreamError
    from carrier_sidecar.url import URL

# While the handler is not there it is tried at least this often; at first sooner: most starts and restarts are short.
RETRY_AT_MOST_S = 5.0
FIRST_RETRY_S = 0.25
# During a pause the app is about to be restarted, and a kubelet has a quick one back within 0.4 s.
PAUSE_INTERVAL_S = 0.1
PAUSE_AT_MOST_S = 30.0
CONNECT_TIMEOUT_S = 5.0


class Health:
    """Checks the handler; `url` is the health endpoint with its `pool`, or None: then `webhook_url`'s port is tried.

    `timeout_s` bounds one check (None: nothing does), `threshold` failures in a row make the handler offline.
    `note(name, fields)` as the engine's.
    """

    def __init__(
        self,
        loop: Loop,
        engine: Engine,
        note: Callable[[str, dict[str, object]], None],
        *,
        webhook_url: URL,
        url: URL | None,
        pool: Pool | None,
        interval_s: float,
        timeout_s: float | None,
        threshold: int,
    ) -> None:
        self._loop = loop
        self._engine = engine
        self._note = note
        self._webhook_url = webhook_url
        self._pool = pool
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._threshold = threshold
        self._failures = 0
        self._tries = 0  # since the handler was last seen
        self._timer: Timer | None = None
        self._checking = False
        self._offline = False
        self._paused_at: float | None = None
        self._hooks = 0  # that asked for a pause and are not answered yet
        self._seen_gone = False
        self._request = b""
        # A health endpoint of another server says nothing about the port that refused a POST.
        self._elsewhere = url is not None and (url.host, url.port) != (webhook_url.host, webhook_url.port)
        if url is not None:
            self._request = (
                f"GET {url.target} HTTP/1.1\r\nHost: {url.authority}\r\nUser-Agent: carrier/{__version__}\r\n"
                f"{url.authorization}\r\n"
            ).encode()

    def check(self) -> None:
        """Look now."""
        if self._checking:
            return
        self._checking = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pool is None or (self._elsewhere and OFFLINE in self._engine.gate.reasons):
            url = self._webhook_url
            port_check = _PortCheck(self)
            port_check.stream = self._loop.connect(url.host, url.port, None, port_check, CONNECT_TIMEOUT_S)
        else:
            self._pool.request(self._request, _Check(self), self._timeout_s)

    def port_is_open(self) -> None:
        """The handler's port took a connection: where there is a health endpoint, it is asked now."""
        if self._pool is None:
            self.checked("")
        else:
            self._pool.request(self._request, _Check(self), self._timeout_s)

    def pause_asked(self) -> None:
        """A hook has asked for a pause: it is not over before `pause_answered`."""
        self._hooks += 1

    def pause_answered(self) -> None:
        """Such a hook is being answered: now the app may go away."""
        self._hooks -= 1
        if self._paused_at is not None:
            self._paused_at = self._loop.now()
            self._seen_gone = False

    def gate_changed(self) -> None:
        """The engine's gate has changed: check sooner, or watch the handler through a pause."""
        reasons = self._engine.gate.reasons
        if PAUSED in reasons:
            if self._paused_at is None:
                self._paused_at = self._loop.now()
                self._seen_gone = False
                self.check()
        else:
            self._paused_at = None
        offline = OFFLINE in reasons
        if offline and not self._offline and not self._checking:
            self._wait()  # a POST was refused: sooner than the next regular check
        self._offline = offline

    def checked(self, problem: str) -> None:
        """A check ended: "" when the handler is well, otherwise what was wrong."""
        self._checking = False
        engine = self._engine
        now = self._loop.now()
        paused_s = -1.0 if self._paused_at is None else 0.0 if self._hooks else now - self._paused_at
        if problem:
            self._tries += 1
            self._seen_gone = True
            expected = 0.0 <= paused_s < PAUSE_AT_MOST_S  # the app is being restarted
            if not expected:
                self._failures += 1
            if STARTING in engine.gate.reasons:
                self._note("handler_awaited", {"error": problem})
            elif not expected and OFFLINE not in engine.gate.reasons:
                self._note("health_check_failed", {"error": problem, "failures": self._failures})
                if self._failures >= self._threshold or self._pool is None:
                    engine.handler_offline(now)
        else:
            self._tries = 0
            self._failures = 0
            engine.handler_online(STARTING, now)
            engine.handler_online(OFFLINE, now)
        over = self._seen_gone and not self._hooks and paused_s >= 0.0
        if not problem and (over or paused_s >= PAUSE_AT_MOST_S):
            self._paused_at = None
            self._note("resumed", {"paused_s": round(paused_s, 1)})
            engine.resume(now)
        if self._timer is None and not self._checking:
            self._wait()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        reasons = self._engine.gate.reasons
        if self._paused_at is not None:
            delay_s = PAUSE_INTERVAL_S
        elif STARTING in reasons or OFFLINE in reasons:
            delay_s = min(self._interval_s, RETRY_AT_MOST_S, FIRST_RETRY_S * 2 ** min(max(self._tries - 1, 0), 10))
        elif self._pool is not None:
            delay_s = self._interval_s
        else:
            return  # without a health endpoint the POSTs themselves tell
        self._timer = self._loop.call_at(self._loop.now() + delay_s, self.check)


class _Check:
    """A GET of the health endpoint."""

    __slots__ = ("_health",)

    def __init__(self, health: Health) -> None:
        self._health = health

    def answered(self, response: Response) -> None:
        status = response.status
        self._health.checked("" if 200 <= status < 300 else f"status {status}")

    def failed(self, failure: Failure) -> None:
        self._health.checked(failure.detail or failure.kind)


class _PortCheck:
    """A connection that is closed as soon as it stands."""

    __slots__ = ("_health", "stream")

    def __init__(self, health: Health) -> None:
        self._health = health
        self.stream: Stream | None = None

    def opened(self) -> None:
        if self.stream is not None:
            self.stream.close()
        self._health.port_is_open()

    def received(self, _data: bytes) -> None:
        pass  # closed already

    def ended(self) -> None:
        pass

    def lost(self, error: StreamError) -> None:
        self._health.checked(error.detail or error.kind)
