"""One connection of a pool's and the request on it: a small state machine between a stream and an exchange.

The fast path is a response that comes whole in one piece with a head that was seen before (answers of one server within
one second mostly are alike): it costs a prefix comparison. Nothing is retried, but for a request of which the kernel
has not taken one byte on a connection that turned out to be closed.
"""

from __future__ import annotations

from carrier_sidecar.http1.failures import GARBAGE, TIMEOUT, TOO_LARGE, Failure
from carrier_sidecar.http1.heads import BadMessage
from carrier_sidecar.http1.responses import Response, ResponseReader, TooLarge
from carrier_sidecar.loop.errors import CLOSED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carrier_sidecar.http1.client import Exchange, KnownHead, Pool
    from carrier_sidecar.loop.api import Loop, Stream, Timer
    from carrier_sidecar.loop.errors import StreamError

NEVER = float("inf")


class Connection:
    """One connection of a pool's, and the request on it. It survives the exchange of a dead stream for a fresh one,
    so it can serve as the request's handle."""

    __slots__ = (
        "_bodyless",
        "_data",
        "_exchange",
        "_first_by",
        "_fresh",
        "_loop",
        "_pool",
        "_reader",
        "_stream",
        "_timer",
        "_timer_at",
        "_whole_by",
        "_whole_s",
        "_write_by",
        "idle_until",
    )

    def __init__(self, pool: Pool, loop: Loop) -> None:
        self._pool = pool
        self._loop = loop
        self._stream: Stream | None = None
        self._exchange: Exchange | None = None
        self._reader: ResponseReader | None = None
        self._data: bytes | None = None  # the request, as long as it may have to be sent anew
        self._bodyless = False
        self._fresh = True  # the stream has not carried a whole exchange yet
        self.idle_until = 0.0
        # One timer per connection, armed anew only when it fires: most requests never touch it.
        self._timer: Timer | None = None
        self._timer_at = NEVER
        self._whole_by = NEVER
        self._whole_s = 0.0  # that time as it was asked for, to be said in a failure
        self._first_by = NEVER
        self._write_by = NEVER

    # Sending

    def start(
        self,
        data: bytes,
        exchange: Exchange,
        now: float,
        timeout_s: float | None,
        first_byte_s: float | None,
        head: bool,
    ) -> None:
        """Carry this request; the connection is idle, or new."""
        self._exchange = exchange
        self._bodyless = head
        if timeout_s is None:
            self._whole_by = due = NEVER
        else:
            self._whole_s = timeout_s
            self._whole_by = due = now + timeout_s
        if first_byte_s is None:
            self._first_by = NEVER
        else:
            self._first_by = now + first_byte_s
            if self._first_by < due:
                due = self._first_by
        self._write_by = NEVER
        # A timer that is set stays, and finds out when it is due that this request has longer. But not one that is due
        # soon: with long polls it would wake an idle process each time.
        if due < self._timer_at or (self._timer_at - now) * 2 < due - now < NEVER:
            self._arm(due)
        if self._stream is None:
            self._data = data
            self._connect()
        else:
            self._send(data, self._stream)

    def _send(self, data: bytes, stream: Stream) -> None:
        stream.mark()
        stream.write(data)
        if not stream.sent_any:
            self._data = data  # nothing was taken, or the write failed: then lost() will come
        if stream.unsent and self._pool.write_timeout_s is not None:
            self._write_by = self._loop.now() + self._pool.write_timeout_s
            if self._write_by < self._timer_at:
                self._arm(self._write_by)

    def _connect(self) -> None:
        pool = self._pool
        origin = pool.origin
        self._fresh = True
        if origin.proxy is None:
            self._stream = self._loop.connect(origin.host, origin.port, origin.tls, self, pool.connect_timeout_s)
        elif origin.tls is None:
            self._stream = self._loop.connect(origin.proxy.host, origin.proxy.port, None, self, pool.connect_timeout_s)
        else:
            from carrier_sidecar.http1.tunnel import Tunnel

            self._stream = Tunnel(
                self._loop, origin.proxy, origin.host, origin.port, origin.tls, self, pool.connect_timeout_s
            )

    def adopt(self, stream: Stream) -> None:
        """The tunnel stands; what goes through it is this stream's."""
        self._stream = stream

    def _send_anew(self) -> bool:
        """On a fresh connection, if this one had served before and not one byte of the request was taken."""
        stream = self._stream
        if self._fresh or self._data is None or stream is None or stream.sent_any:
            return False
        stream.close()
        self._reader = None
        self._write_by = NEVER
        self._connect()
        return True

    # The loop's callbacks

    def opened(self) -> None:
        """Connected: send what waits."""
        data, self._data = self._data, None
        if data is not None and self._stream is not None:
            self._send(data, self._stream)

    def received(self, data: bytes) -> None:
        """A piece of the answer, most often the whole of it."""
        pool = self._pool
        stream = self._stream
        if self._exchange is None or stream is None:
            # Nobody asked: the server gave up on an idle connection (408), or is no HTTP server.
            pool.forget(self)
            return
        if self._reader is None and not self._bodyless and not stream.unsent:
            known: KnownHead | None = pool.last
            if not data.startswith(pool.last.head):
                known = pool.find_head(data)
            if known is not None and len(data) - known.size == known.length:
                answer = known.answer
                if known.length and pool.keep_body:
                    answer = Response(answer.status, answer.headers, data[known.size :])
                self._finish(answer, known.idle_s)
                return
        self._read(data, stream)

    def _read(self, data: bytes, stream: Stream) -> None:
        """The path for all but the simplest answers."""
        pool = self._pool
        reader = self._reader
        if reader is None:
            self._reader = reader = ResponseReader(pool.max_body, pool.keep_body, self._bodyless)
        try:
            complete = reader.feed(data)
        except BadMessage as error:
            self._end_early(GARBAGE, f"the answer can't be understood: {error}")
            return
        except TooLarge:
            self._end_early(TOO_LARGE, f"the answer's body is longer than {pool.max_body} bytes")
            return
        if not complete:
            return
        head = reader.head
        assert head is not None
        # Bytes beyond the answer, or an answer before the whole request was sent: the connection is of no more use.
        if reader.rest or stream.unsent or not head.keep_alive:
            self._finish(reader.response(), 0.0)
        else:
            self._finish(reader.response(), pool.idle_time(head))

    def ended(self) -> None:
        """The server closed its side."""
        reader = self._reader
        if self._exchange is None:
            self._pool.forget(self)
        elif reader is not None and reader.ends_here():
            self._finish(reader.response(), 0.0)
        elif reader is not None or not self._send_anew():
            begun = reader is not None and reader.begun
            self._end_early(CLOSED, f"the connection was closed {'within' if begun else 'before'} the answer")

    def lost(self, error: StreamError) -> None:
        """The stream is dead."""
        if self._exchange is None:
            self._pool.forget(self)
        elif self._reader is not None or not self._send_anew():
            self._end_early(error.kind, f"proxy: {error.detail}" if self._pool.by_plain_proxy else error.detail)

    # Time

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._loop.call_at(when, self._time_is_up)

    def _time_is_up(self) -> None:
        """Or not: the timer was set for some earlier request, as often as not."""
        self._timer = None
        self._timer_at = NEVER
        stream = self._stream
        if self._exchange is None or stream is None:
            return
        due = self._whole_by
        detail = f"no whole answer within {self._whole_s:g} s"
        if self._first_by < due and (self._reader is None or self._reader.head is None):
            due = self._first_by
            detail = "no answer began in time"
        if self._write_by < due and stream.unsent:
            due = self._write_by
            detail = f"the request was not taken within {self._pool.write_timeout_s:g} s"
        if self._loop.now() >= due:
            self._end_early(TIMEOUT, detail)
        elif due < NEVER:
            self._arm(due)

    # The end of an exchange

    def _finish(self, response: Response, idle_s: float) -> None:
        """`idle_s`: how long the connection may wait for its next request; 0 closes it."""
        exchange = self._exchange
        self._exchange = None
        self._reader = None
        self._data = None
        if idle_s:
            self._fresh = False
            self._pool.keep(self, idle_s)
        else:
            self._pool.forget(self)
        exchange.answered(response)  # type: ignore[union-attr] # whoever calls this has an exchange

    def _end_early(self, kind: str, detail: str) -> None:
        """No whole answer. Where bodies are not wanted, the status that has arrived is the answer."""
        exchange = self._exchange
        reader = self._reader
        stream = self._stream
        maybe_sent = stream is not None and stream.sent_any
        self._pool.forget(self)
        if exchange is None:
            return
        if reader is not None and reader.head is not None and not self._pool.keep_body:
            exchange.answered(reader.response(truncated=True))
        else:
            exchange.failed(Failure(kind, maybe_sent, detail))

    def shut(self) -> None:
        """Close; nobody hears of it."""
        self._exchange = None
        self._reader = None
        self._data = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
