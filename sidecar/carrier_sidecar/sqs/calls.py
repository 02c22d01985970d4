"""One call to SQS each: what is sent, how often, and to whom its outcome goes. `queue.SqsQueue` owns them.

A call that met a dead keep-alive connection, or a clock that was wrong, is sent once more at once; every other failure
is told, and when to try again is the engine's decision.
"""

from __future__ import annotations

from carrier_sidecar.http1.failures import GARBAGE, TOO_LARGE
from carrier_sidecar.loop.errors import CLOSED, RESET
from carrier_sidecar.message import CLOCK_SKEW, CREDENTIALS, MALFORMED, NETWORK, QueueError
from carrier_sidecar.sqs.errors import answer_error
from carrier_sidecar.sqs.protocol import decode_batch, decode_object, decode_receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carrier_sidecar.http1.connection import Connection
    from carrier_sidecar.http1.failures import Failure
    from carrier_sidecar.http1.responses import Response
    from carrier_sidecar.message import Message
    from carrier_sidecar.sqs.credentials.values import Credentials
    from carrier_sidecar.sqs.queue import SqsQueue

# A connection that had been closed while it was idle shows it at once; what fails later is another matter.
DEAD_ON_REUSE_S = 1.0


class Call:
    """A request on its way, and the Exchange of its connection. `repeatable`: doing it twice does no harm."""

    __slots__ = (
        "action",
        "body",
        "connection",
        "credentials",
        "name",
        "over",
        "queue",
        "repeatable",
        "repeated",
        "sent_at",
        "timeout_s",
        "url",
    )

    def __init__(self, queue: SqsQueue, action: str, body: bytes, timeout_s: float, *, repeatable: bool) -> None:
        self.queue = queue
        self.action = action
        self.body = body
        self.timeout_s = timeout_s
        self.repeatable = repeatable
        self.repeated = False
        self.over = False
        self.sent_at = 0.0
        self.credentials: Credentials | None = None
        self.connection: Connection | None = None
        self.url = ""  # of the queue that it is about, or its name, where that is another than ours
        self.name = ""

    def start(self) -> None:
        """Sign and send; without credentials it fails, later."""
        queue = self.queue
        credentials = self.credentials = queue.credentials.current
        self.sent_at = queue.loop.now()
        if credentials is None:
            queue.loop.call_soon(self._refuse)
            return
        self.connection = queue.pool.request(self.request(credentials), self, self.timeout_s)

    def request(self, credentials: Credentials) -> bytes:
        """The bytes to send."""
        return self.queue.writer.write(self.action, self.body, credentials)

    def cancel(self) -> None:
        """Close its connection; nothing more of it is heard."""
        self.over = True
        if self.connection is not None:
            self.queue.pool.cancel(self.connection)
            self.connection = None

    def _refuse(self) -> None:
        if not self.over:
            self._fail(self.queue.credentials.refused())

    # Exchange

    def answered(self, response: Response) -> None:
        """The exchange's answer, of any status."""
        self.connection = None
        queue = self.queue
        if response.status == 200 and not response.truncated:
            queue.look_at_date(response, self.sent_at)
            self.over = True
            try:
                self.succeeded(response.body)
            except QueueError as unreadable:
                self.report(self._placed(unreadable))
            return
        if response.truncated:
            self._fail(QueueError(NETWORK, CLOSED, "the answer ended early", answered=False))
            return
        error = answer_error(response.status, response.body)
        if error.kind in (CLOCK_SKEW, CREDENTIALS) and queue.correct_clock(response, error.kind == CLOCK_SKEW):
            error = QueueError(CLOCK_SKEW, error.code, error.detail, answered=True)
            if not self.repeated:
                self.repeated = True
                self.start()
                return
        if error.kind == CREDENTIALS:
            queue.credentials.rejected(self.credentials)
        self._fail(error)

    def failed(self, failure: Failure) -> None:
        """The exchange's failure."""
        self.connection = None
        kind = failure.kind
        may_repeat = not self.repeated and (self.repeatable or not failure.maybe_sent)
        if may_repeat and kind in (CLOSED, RESET) and self.queue.loop.now() - self.sent_at < DEAD_ON_REUSE_S:
            self.repeated = True
            self.start()
            return
        unreadable = kind in (GARBAGE, TOO_LARGE)
        self._fail(QueueError(MALFORMED if unreadable else NETWORK, kind, failure.detail, answered=unreadable))

    def _fail(self, error: QueueError) -> None:
        self.over = True
        self.report(self._placed(error))

    def _placed(self, error: QueueError) -> QueueError:
        """The same error, saying what was called where."""
        detail = self.queue.explain(self.action, self.url, self.name, error, self.credentials)
        return QueueError(error.kind, error.code, detail, answered=error.answered)

    # What differs

    def succeeded(self, body: bytes) -> None:
        """A good answer. QueueError if it can't be read."""
        raise NotImplementedError

    def report(self, error: QueueError) -> None:
        """It failed."""
        raise NotImplementedError


class ReceiveCall(Call):
    """ReceiveMessage of one receiver."""

    __slots__ = ("data", "receiver")

    def __init__(self, queue: SqsQueue, receiver: int, body: bytes, timeout_s: float) -> None:
        super().__init__(queue, "ReceiveMessage", body, timeout_s, repeatable=True)
        self.receiver = receiver

    def request(self, credentials: Credentials) -> bytes:
        return self.queue.signed_receive(self.body, credentials, self.sent_at)

    def succeeded(self, body: bytes) -> None:
        queue = self.queue
        messages, skipped = decode_receive(body, fifo=queue.fifo)
        queue.receives.pop(self.receiver, None)
        if skipped:
            queue.skipped += skipped
            queue.note("messages_skipped", {"messages": skipped})
        queue.events.received(self.receiver, messages, self.sent_at, queue.loop.now())

    def report(self, error: QueueError) -> None:
        queue = self.queue
        queue.receives.pop(self.receiver, None)
        queue.events.receive_failed(self.receiver, error, queue.loop.now())


class BatchCall(Call):
    """DeleteMessageBatch or ChangeMessageVisibilityBatch. `settles` is the engine's word for it."""

    __slots__ = ("messages", "settles")

    def __init__(
        self, queue: SqsQueue, action: str, settles: str, messages: list[Message], body: bytes, timeout_s: float
    ) -> None:
        super().__init__(queue, action, body, timeout_s, repeatable=True)
        self.settles = settles
        self.messages = messages

    def succeeded(self, body: bytes) -> None:
        errors = decode_batch(body, len(self.messages))
        queue = self.queue
        queue.settles.discard(self)
        queue.events.settled(self.settles, self.messages, errors, self.sent_at, queue.loop.now())

    def report(self, error: QueueError) -> None:
        queue = self.queue
        queue.settles.discard(self)
        errors: list[QueueError | None] = [error] * len(self.messages)
        queue.events.settled(self.settles, self.messages, errors, self.sent_at, queue.loop.now())


class PlainCall(Call):
    """Any other action; its outcome goes to a function."""

    __slots__ = ("done",)

    def __init__(
        self,
        queue: SqsQueue,
        action: str,
        body: bytes,
        timeout_s: float,
        done: Callable[[dict[str, object] | QueueError], None],
        *,
        repeatable: bool,
    ) -> None:
        super().__init__(queue, action, body, timeout_s, repeatable=repeatable)
        self.done = done

    def succeeded(self, body: bytes) -> None:
        answer = decode_object(body)
        self.queue.settles.discard(self)
        self.done(answer)

    def report(self, error: QueueError) -> None:
        self.queue.settles.discard(self)
        self.done(error)
