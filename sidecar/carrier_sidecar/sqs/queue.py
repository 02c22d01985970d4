"""The engine's `Queue` port on SQS: receives and settles over HTTP, and what is asked of the queue at the start.

It decides nothing about messages: it translates the port's calls into requests, and answers into the engine's events.
One pool of connections serves all calls.
"""

from __future__ import annotations

from carrier_sidecar.json_text import dumps
from carrier_sidecar.message import CREDENTIALS, DENIED, INVALID, KMS, NO_QUEUE, QueueError
from carrier_sidecar.sqs.attributes import FIFO_ONLY, WANTED, Attributes
from carrier_sidecar.sqs.calls import BatchCall, Call, PlainCall, ReceiveCall
from carrier_sidecar.sqs.credentials.store import random_draw
from carrier_sidecar.sqs.protocol import (
    CONTENT_TYPE_ATTRIBUTE,
    encode_delete_batch,
    encode_receive,
    encode_visibility_batch,
    malformed,
    quoted,
)
from carrier_sidecar.sqs.requests import RequestWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from carrier_sidecar.http1.client import Pool
    from carrier_sidecar.http1.responses import Response
    from carrier_sidecar.loop.api import Loop
    from carrier_sidecar.message import Message
    from carrier_sidecar.settings import Settings
    from carrier_sidecar.sqs.clock import ServerClock
    from carrier_sidecar.sqs.credentials.store import CredentialStore
    from carrier_sidecar.sqs.credentials.values import Credentials
    from carrier_sidecar.url import URL

    class Events(Protocol):
        """What the queue reports; times are loop seconds. Never called from inside a call of the port."""

        def received(self, receiver: int, messages: list[Message], sent_at: float, now: float) -> None: ...

        def receive_failed(self, receiver: int, error: QueueError, now: float) -> None: ...

        def settled(
            self,
            action: str,
            messages: list[Message],
            errors: list[QueueError | None] | None,
            sent_at: float,
            now: float,
        ) -> None: ...

    Note = Callable[[str, Mapping[str, object]], None]


WAIT_S = 20
RECEIVE_MARGIN_S = 10.0  # beyond the wait
SETTLE_TIMEOUT_S = 10.0
SHORTEST_TIMEOUT_S = 2.0
# A signed receive is good for more (AWS allows 5 minutes); its date may be older by RequestWriter's 30 s.
RECEIVE_KEPT_S = 30.0
LOOK_AT_DATE_EVERY_S = 60.0
DELETE = "delete"
CHANGE_VISIBILITY = "change_visibility"


def _ignore(name: str, fields: Mapping[str, object]) -> None:
    """Where nobody takes notes."""


class SqsQueue:
    """One queue behind one endpoint. Calls always go to `endpoint`; the queue's own URL travels in the body as the
    server said it, since emulators answer URLs that lead nowhere.

    `queue_url` is used as it is; without it, `queue_name` (and `queue_owner`, an account id) is looked up by `open`.
    `attribute_names`: the message attributes to ask for. `events` may be set later, before the first receive.
    `problem`: why none of it can work (no region), told by `open`.
    """

    def __init__(
        self,
        loop: Loop,
        *,
        endpoint: URL,
        pool: Pool,
        clock: ServerClock,
        credentials: CredentialStore,
        region: str,
        queue_name: str = "",
        queue_url: str = "",
        queue_owner: str = "",
        attribute_names: Sequence[str] = (CONTENT_TYPE_ATTRIBUTE,),
        events: Events | None = None,
        note: Note = _ignore,
        problem: str = "",
        wait_s: int = WAIT_S,
    ) -> None:
        self.loop = loop
        self.credentials = credentials
        self.endpoint = endpoint
        self.region = region
        self.name = queue_name or queue_url.rstrip("/").rpartition("/")[2]
        self.url = queue_url
        self.fifo = self.name.endswith(".fifo")
        self.events: Events = events  # type: ignore[assignment]  # set before the first receive
        self.note = note
        self.skipped = 0  # messages without id or receipt, left out so far
        self.pool = pool
        self.writer = RequestWriter(endpoint, region, clock)
        self.receives: dict[int, ReceiveCall] = {}
        self.settles: set[Call] = set()
        self._clock = clock
        self._owner = queue_owner
        self._wait_s = wait_s
        self._problem = problem
        self._attribute_names = tuple(attribute_names)
        self._quoted_url = quoted(queue_url)
        self._bodies: dict[tuple[int, int], bytes] = {}  # receives without attempt id, by count and visibility
        self._signed: dict[bytes, tuple[float, Credentials, bytes]] = {}
        self._look_at = 0.0

    @staticmethod
    def from_settings(
        loop: Loop,
        settings: Settings,
        environ: Mapping[str, str],
        note: Note = _ignore,
        draw: Callable[[], float] = random_draw,
    ) -> SqsQueue:
        """The queue that the environment describes, with its credentials."""
        from carrier_sidecar.sqs.building import build_queue

        return build_queue(loop, settings, environ, note, draw)

    # -- the start -----------------------------------------------------------------------------------------------------

    def open(self, done: Callable[[QueueError | None], None]) -> None:
        """Find credentials and the queue's URL; None when all is there. May be called again after a failure."""
        if self._problem:
            error = QueueError(INVALID, "", self._problem, answered=False)
            self.loop.call_soon(lambda: done(error))
            return

        def have_credentials(outcome: Credentials | QueueError) -> None:
            if isinstance(outcome, QueueError):
                done(outcome)
            elif self.url:
                done(None)
            else:
                params = {"QueueName": self.name}
                if self._owner:
                    params["QueueOwnerAWSAccountId"] = self._owner
                self.call("GetQueueUrl", params, have_url)

        def have_url(answer: dict[str, object] | QueueError) -> None:
            if isinstance(answer, QueueError):
                done(answer)
                return
            url = answer.get("QueueUrl")
            if not isinstance(url, str) or not url:
                done(malformed("GetQueueUrl gave no QueueUrl"))
                return
            self.url = url
            self._quoted_url = quoted(url)
            done(None)

        self.credentials.require(have_credentials)

    def read_attributes(self, done: Callable[[Attributes | QueueError], None]) -> None:
        """Ask for the queue's attributes, at any time after `open`."""

        def answered(answer: dict[str, object] | QueueError) -> None:
            if isinstance(answer, QueueError):
                done(answer)
                return
            found = answer.get("Attributes", {})
            done(Attributes(found) if isinstance(found, dict) else malformed("Attributes is not an object"))

        names = [name for name in WANTED if self.fifo or name not in FIFO_ONLY]
        self.call("GetQueueAttributes", {"QueueUrl": self.url, "AttributeNames": names}, answered)

    def call(
        self,
        action: str,
        params: Mapping[str, object],
        done: Callable[[dict[str, object] | QueueError], None],
        *,
        repeatable: bool = False,
    ) -> None:
        """Any other action. `done` gets the answer's object or the error, never from inside. `repeatable`: it may be
        sent again when its connection broke; reading actions are."""
        repeatable = repeatable or action.startswith(("Get", "List"))
        body = dumps(params).encode()
        call = PlainCall(self, action, body, SETTLE_TIMEOUT_S, done, repeatable=repeatable)
        call.url, call.name = str(params.get("QueueUrl", "")), str(params.get("QueueName", ""))
        self.settles.add(call)
        call.start()

    def close(self) -> None:
        """Close all connections and stop refreshing credentials; nothing more is heard of any call."""
        for call in [*self.receives.values(), *self.settles]:
            call.over = True
        self.receives.clear()
        self.settles.clear()
        self.pool.close()
        self.credentials.close()

    # -- the engine's port ---------------------------------------------------------------------------------------------

    def receive(self, receiver: int, count: int, visibility_s: int, attempt_id: str = "") -> None:
        """One long poll for at most `count` messages, hidden for `visibility_s` seconds."""
        body = None if attempt_id else self._bodies.get((count, visibility_s))
        if body is None:
            body = encode_receive(self.url, count, visibility_s, self._wait_s, attempt_id, self._attribute_names)
            if not attempt_id:
                if len(self._bodies) > 50:  # 10 counts, of each a few visibility timeouts as the queue's changes
                    self._bodies.clear()
                self._bodies[(count, visibility_s)] = body
        call = self.receives[receiver] = ReceiveCall(self, receiver, body, self._wait_s + RECEIVE_MARGIN_S)
        call.start()

    def delete(self, batch: list[Message]) -> None:
        """Delete at most 10 messages by the receipts noted for it."""
        body = encode_delete_batch(self._quoted_url, [message.delete_receipt or message.receipt for message in batch])
        self._settle("DeleteMessageBatch", DELETE, batch, body)

    def change_visibility(self, batch: list[Message], seconds: list[int]) -> None:
        """Change the visibility of at most 10 messages by the receipts noted for it."""
        receipts = [message.change_receipt or message.receipt for message in batch]
        body = encode_visibility_batch(self._quoted_url, receipts, seconds)
        # An extension is sent when half of the visibility is left: one that hangs must leave time for two more.
        longest_s = max(seconds)
        timeout_s = min(SETTLE_TIMEOUT_S, max(SHORTEST_TIMEOUT_S, longest_s / 6)) if longest_s else SETTLE_TIMEOUT_S
        self._settle("ChangeMessageVisibilityBatch", CHANGE_VISIBILITY, batch, body, timeout_s)

    def _settle(
        self, action: str, settles: str, batch: list[Message], body: bytes, timeout_s: float = SETTLE_TIMEOUT_S
    ) -> None:
        call = BatchCall(self, action, settles, batch, body, timeout_s)
        self.settles.add(call)
        call.start()

    def abandon(self, receiver: int) -> None:
        """Close the connection of that receiver's call."""
        call = self.receives.pop(receiver, None)
        if call is not None:
            call.cancel()

    # -- for calls -----------------------------------------------------------------------------------------------------

    def signed_receive(self, body: bytes, credentials: Credentials, now: float) -> bytes:
        """The whole request, signed anew at most twice a minute."""
        kept = self._signed.get(body)
        if kept is not None and kept[0] > now and kept[1] is credentials:
            return kept[2]
        data = self.writer.write("ReceiveMessage", body, credentials)
        if body in self._bodies.values():  # those with an attempt id are sent once or twice
            if len(self._signed) > len(self._bodies):
                self._signed.clear()
            self._signed[body] = (now + RECEIVE_KEPT_S, credentials, data)
        return data

    def look_at_date(self, response: Response, sent_at: float) -> None:
        """A good answer: once a minute its Date header is compared with our clock."""
        if sent_at >= self._look_at:
            self._look_at = sent_at + LOOK_AT_DATE_EVERY_S
            # The answer to a long poll can be older than it looks, but never by minutes.
            self.correct_clock(response, False)

    def correct_clock(self, response: Response, refused: bool) -> bool:
        """True if the answer's Date header made us correct our clock."""
        if not self._clock.observe(response.headers.get("date"), refused=refused):
            return False
        self.writer.forget()
        self._signed.clear()
        self.note("clock_corrected", {"offset_s": round(self._clock.offset_s)})
        return True

    def explain(self, action: str, url: str, name: str, error: QueueError, credentials: Credentials | None) -> str:
        """The error's sentence with what was called, where, as whom, and what to do about it. `url` and `name` of the
        queue that the call was about, each "" for our own."""
        path, _, last = (url or self.url if not name else "").rstrip("/").rpartition("/")
        account = path.rpartition("/")[2]
        if not (len(account) == 12 and account.isdigit()):
            account = self._owner
        of_account = f" of account {account}" if account else ""
        where = f"{action} on {name or last or self.name}{of_account} at {self.endpoint}"
        if error.kind == CREDENTIALS and credentials is None:
            return f"{where}: {error.detail}"
        whom = ""
        if error.kind in (DENIED, CREDENTIALS, NO_QUEUE, KMS) and credentials is not None:
            whom = f" (signed by {credentials.access_key} from {credentials.source}, region {self.region})"
        advice = _ADVICE.get(error.kind, "")
        if error.kind == KMS and action.startswith("Send"):
            advice = _ADVICE_SEND_KMS
        return f"{where}: {error.detail}{whom}{advice.format(action=action.removesuffix('Batch'))}"


_ADVICE_SEND_KMS = "; the queue is encrypted: grant kms:GenerateDataKey and kms:Decrypt on its key"
_ADVICE = {
    DENIED: "; grant sqs:{action} on the queue",
    NO_QUEUE: "; either there is no such queue in this account and region, or access to it is missing (sqs:{action})",
    KMS: "; the queue is encrypted: grant kms:Decrypt on its key",
    CREDENTIALS: "; check the credentials and the region that requests are signed for",
}
