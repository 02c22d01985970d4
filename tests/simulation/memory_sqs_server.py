"""The in-memory SQS over HTTP, on any loop: AWS JSON 1.0 as the service speaks it, long polls and planned faults
included."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from carrier_sidecar.http1.server import Server
from tests.simulation.long_polls import Dropped, LongPolls
from tests.simulation.memory_sqs import MemorySqs
from tests.simulation.sqs_fault import SqsFault
from tests.simulation.sqs_faults import Faults

if TYPE_CHECKING:
    from carrier_sidecar.http1.requests import Request
    from carrier_sidecar.http1.server import Responder
    from carrier_sidecar.loop.api import Loop

JSON = "application/x-amz-json-1.0"
SKEW_S = 300.0


class MemorySqsServer:
    """Listens on `port` (0: any). `clock_offset_s`: how far the server's clock is ahead of the loop's wall clock;
    requests dated more than 5 minutes off it are refused. `seen` collects (action, headers, parameters) of every
    request."""

    def __init__(
        self, loop: Loop, sqs: MemorySqs | None = None, *, host: str = "127.0.0.1", port: int = 0, idle_s: float = 75.0
    ) -> None:
        self.loop = loop
        self.sqs = sqs or MemorySqs()
        self.faults = Faults()
        self.polls = LongPolls(loop, self.sqs, self.faults)
        self.clock_offset_s = 0.0
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.server = Server(loop, host, port, self._handle, max_body=8 << 20, idle_s=idle_s, max_connections=4096)
        self.port = self.server.port
        self.url = f"http://{host}:{self.port}"

    def close(self) -> None:
        self.server.close(at_once=True)

    def actions(self) -> list[str]:
        """The actions asked for so far."""
        return [action for action, _, _ in self.seen]

    def _handle(self, request: Request, responder: Responder) -> None:
        target = request.headers.get("x-amz-target", "")
        action = target.removeprefix("AmazonSQS.")
        if request.method != "POST" or action == target:
            self._refuse(responder, SqsFault("MissingAction", "X-Amz-Target is missing"))
            return
        try:
            params = json.loads(request.body)
        except ValueError:
            self._refuse(responder, SqsFault("SerializationException", "the body is not JSON"))
            return
        self.seen.append((action, request.headers, params))
        refusal = self._look_at_signature(request)
        if refusal is not None:
            self._refuse(responder, refusal)
            return

        def done(outcome: Any) -> None:
            responder.gone = None
            if isinstance(outcome, Dropped):
                responder.drop()
            elif isinstance(outcome, SqsFault):
                self._refuse(responder, outcome)
            else:
                self._answer(responder, 200, outcome if isinstance(outcome, bytes) else json.dumps(outcome).encode())

        pending = self.polls.call(action, params, done)
        if not pending.over:
            responder.gone = pending.cancel

    def _look_at_signature(self, request: Request) -> SqsFault | None:
        if not request.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 Credential="):
            return SqsFault("MissingAuthenticationToken", "Request is missing Authentication Token", status=403)
        date = request.headers.get("x-amz-date", "")
        try:
            signed_at = time.mktime(time.strptime(date, "%Y%m%dT%H%M%SZ")) - time.timezone
        except ValueError:
            return SqsFault("IncompleteSignature", "X-Amz-Date is missing or malformed", status=403)
        now = self._now()
        if signed_at < now - SKEW_S:
            return SqsFault("InvalidSignatureException", f"Signature expired: {date} is now earlier than …", status=403)
        if signed_at > now + SKEW_S:
            return SqsFault(
                "InvalidSignatureException", f"Signature not yet current: {date} is still later", status=403
            )
        return None

    def _now(self) -> float:
        return self.loop.wall() + self.clock_offset_s

    def _refuse(self, responder: Responder, fault: SqsFault) -> None:
        body = json.dumps({"__type": f"com.amazonaws.sqs#{fault.code}", "message": fault.message}).encode()
        self._answer(responder, fault.status, body, [("x-amzn-query-error", f"{fault.query_code};Sender")])

    def _answer(
        self, responder: Responder, status: int, body: bytes, headers: list[tuple[str, str]] | None = None
    ) -> None:
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(self._now()))
        responder.answer(status, body, JSON, [("Date", date), *(headers or [])])
