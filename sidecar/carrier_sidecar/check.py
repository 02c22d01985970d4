"""`carrier-sidecar check`: tries what the sidecar will need, without receiving or changing a message, and says in plain
words what works, what to grant and what to mend.

Permissions to delete and to extend are tried with a made-up receipt handle: SQS refuses the call if they are missing,
and the handle if they are there. Receiving cannot be tried: what is received is hidden from the real receivers, and
counts. Exit codes: 0 when messages can flow, 1 when not.
"""

from __future__ import annotations

import os
import sys

from carrier_sidecar import message as kinds
from carrier_sidecar.check_report import (
    FAIL,
    OK,
    SKIP,
    WARN,
    Finding,
    Grants,
    queue_arn,
    render_json,
    render_text,
    succeeded,
)
from carrier_sidecar.go_values import format_duration
from carrier_sidecar.handler_tls import handler_tls
from carrier_sidecar.http1.client import Origin, Pool
from carrier_sidecar.options import open_files
from carrier_sidecar.settings import SettingsError, parse
from carrier_sidecar.sqs.queue import SqsQueue
from carrier_sidecar.url import parse_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from carrier_sidecar.http1.failures import Failure
    from carrier_sidecar.http1.responses import Response
    from carrier_sidecar.loop.api import Loop, Stream
    from carrier_sidecar.loop.errors import StreamError
    from carrier_sidecar.message import QueueError
    from carrier_sidecar.settings import Settings
    from carrier_sidecar.sqs.attributes import Attributes
    from carrier_sidecar.url import URL

USAGE = "usage: carrier-sidecar check [-o text|json]"
CONNECT_TIMEOUT_S = 5.0
MADE_UP_RECEIPT = "carrier-check"
# What SQS says of a made-up receipt handle once the caller may use the action at all.
_ALLOWED = (kinds.BAD_RECEIPT, kinds.NOT_IN_FLIGHT, kinds.INVALID)


def main(
    arguments: Sequence[str],
    environ: Mapping[str, str] = os.environ,
    write: Callable[[str], object] = sys.stdout.write,
) -> int:
    """The exit code."""
    form = "text"
    if arguments:
        flag, _, joined = arguments[0].partition("=")
        words = [joined, *arguments[1:]] if joined else list(arguments[1:])
        if flag not in ("-o", "--output") or len(words) != 1 or words[0] not in ("text", "json"):
            write(USAGE + "\n")
            return 0 if arguments[0] in ("-h", "--help") else 2
        form = words[0]
    from carrier_sidecar.loop.selecting import SelectingLoop

    loop = SelectingLoop()
    check = Check(loop, environ, loop.stop)
    loop.call_soon(check.start)
    loop.run()
    write((render_json if form == "json" else render_text)(check.findings, check.grants))
    return 0 if succeeded(check.findings) else 1


class Check:
    """The checks, one after the other on a loop; `findings` and `grants` fill up until `done` is called."""

    def __init__(self, loop: Loop, environ: Mapping[str, str], done: Callable[[], None]) -> None:
        self.findings: list[Finding] = []
        self.grants = Grants()
        self._loop = loop
        self._environ = environ
        self._done = done
        self._settings: Settings
        self._queue: SqsQueue
        self._dead_letter_arn = ""

    def _add(self, name: str, status: str, text: str, remedy: str = "") -> None:
        self.findings.append(Finding(name, status, text, remedy))

    def start(self) -> None:
        """Begin with the settings: without them there is nothing else to try."""
        try:
            settings = self._settings = parse(self._environ)
        except SettingsError as error:
            for problem in (*error.problems, *open_files(error.settings, _nothing)[1]):
                self._add("settings", FAIL, problem)
            for warning in error.warnings:
                self._add("settings", WARN, warning)
            self._done()
            return
        problems = open_files(settings, _nothing)[1]
        for problem in problems:
            self._add("settings", FAIL, problem)
        for warning in settings.warnings:
            self._add("settings", WARN, warning)
        if not settings.warnings and not problems:
            self._add("settings", OK, "all understood; `carrier-sidecar settings` shows them")
        self._queue = SqsQueue.from_settings(self._loop, settings, self._environ)
        self._queue.credentials.require(self._have_credentials)

    # -- AWS -----------------------------------------------------------------------------------------------------------

    def _have_credentials(self, outcome: object) -> None:
        if isinstance(outcome, kinds.QueueError):
            self._add(
                "credentials", FAIL, outcome.detail, "give the process an identity; the sources are in settings.md"
            )
            self._skip_aws("there are no credentials")
            return
        credentials = self._queue.credentials.current
        if credentials is not None:
            remaining_s = self._queue.credentials.remaining_s
            life = "" if remaining_s is None else f", for another {format_duration(round(remaining_s))}"
            self._add("credentials", OK, f"access key {credentials.access_key} from {credentials.source}{life}")
        self._queue.open(self._opened)

    def _opened(self, error: QueueError | None) -> None:
        queue = self._queue
        if error is not None:
            if error.kind == kinds.DENIED:
                self.grants.add("sqs:GetQueueUrl")
            self._add("queue", FAIL, error.detail, _mend(error))
            self._skip_aws("the queue was not found")
            return
        self.grants.queue_arn = queue_arn(queue.url, queue.region)
        how = "as CARRIER_SQS_QUEUE_URL says" if self._settings.sqs_queue_url else "found by GetQueueUrl"
        self._add("queue", OK, f"{queue.url}, {how}; requests are signed for {queue.region}")
        queue.read_attributes(self._have_attributes)

    def _have_attributes(self, outcome: Attributes | QueueError) -> None:
        if isinstance(outcome, kinds.QueueError):
            if outcome.kind in (kinds.NO_QUEUE, kinds.CREDENTIALS, kinds.CLOCK_SKEW, kinds.NETWORK):
                self._add("attributes", FAIL, outcome.detail, _mend(outcome))
                self._skip_aws("the queue does not answer")
                return
            if outcome.kind == kinds.DENIED:
                self.grants.add("sqs:GetQueueAttributes")
            remedy = "works without them, with a visibility timeout of 30 s; better grant sqs:GetQueueAttributes"
            self._add("attributes", WARN, outcome.detail, remedy)
        else:
            self._judge(outcome)
        params = {"QueueUrl": self._queue.url, "ReceiptHandle": MADE_UP_RECEIPT, "VisibilityTimeout": 30}
        self._queue.call("ChangeMessageVisibility", params, self._extended, repeatable=True)

    def _judge(self, found: Attributes) -> None:
        """What of the queue's own settings goes badly with ours."""
        self.grants.queue_arn = found.arn or self.grants.queue_arn
        self.grants.kms_key = found.kms_key
        self._dead_letter_arn = found.dead_letter_arn or ""
        text = f"visibility timeout {format_duration(found.visibility_timeout_s)}"
        if found.visible is not None:
            text += f", about {found.visible} messages waiting"
        text += ", FIFO" if found.fifo else ""
        if found.dead_letter_arn is not None:
            text += f", dead letters go to {found.dead_letter_arn} after {found.max_receive_count} receives"
        self._add("attributes", OK, text)
        if found.dead_letter_arn is None:
            remedy = "set a redrive policy: a message that always fails comes back until its retention ends"
            self._add("attributes", WARN, "the queue has no dead-letter queue", remedy)
        elif found.max_receive_count is not None and found.max_receive_count < 3:
            remedy = "set 3 or more: messages that are given back at a shutdown count as received, too"
            self._add("attributes", WARN, f"maxReceiveCount is {found.max_receive_count}", remedy)
        if found.visibility_timeout_s < 10:
            remedy = "nothing to do, but others that receive from it without a heartbeat have little time"
            self._add("attributes", WARN, "a visibility timeout under 10 s is raised to 10 s on each receive", remedy)

    def _extended(self, outcome: dict[str, object] | QueueError) -> None:
        remedy = "messages would be delivered without heartbeat: a slow one could be delivered twice"
        self._judge_permission("extend", "ChangeMessageVisibility", WARN, remedy, outcome)
        params = {"QueueUrl": self._queue.url, "ReceiptHandle": MADE_UP_RECEIPT}
        self._queue.call("DeleteMessage", params, self._deleted, repeatable=True)

    def _deleted(self, outcome: dict[str, object] | QueueError) -> None:
        remedy = "without it every message would be delivered again and again"
        self._judge_permission("delete", "DeleteMessage", FAIL, remedy, outcome)
        text = "not tried: it would hide messages from the real receivers; sqs:ReceiveMessage must be granted"
        if self.grants.kms_key:
            text += ", and kms:Decrypt on the queue's key"
        self._add("receive", SKIP, text)
        if self._settings.sends_dead_letters:
            self._check_dead_letters()
        else:
            self._check_handler()

    def _check_dead_letters(self) -> None:
        from carrier_sidecar.sqs.dead_letters import SqsDeadLetterQueue

        target = self._settings.dead_letter_queue or self._dead_letter_arn
        if not target:
            remedy = "set CARRIER_DEAD_LETTER_QUEUE or a redrive policy: until then such messages are left to come back"
            self._add("dead letters", FAIL, "there is no queue to send them to", remedy)
            self._check_handler()
            return

        def found(error: QueueError | None) -> None:
            if error is None:
                text = f"they go to {target}; sending cannot be tried: sqs:SendMessage must be granted there"
                self._add("dead letters", OK, text)
            else:
                self._add("dead letters", FAIL, f"{target}: {error.detail}", _mend(error))
            self._check_handler()

        SqsDeadLetterQueue(self._queue, target).find(found)

    def _judge_permission(
        self, name: str, action: str, status: str, remedy: str, outcome: dict[str, object] | QueueError
    ) -> None:
        if not isinstance(outcome, kinds.QueueError) or outcome.kind in _ALLOWED:
            self._add(name, OK, f"{action} is allowed (tried with a made-up receipt handle)")
        elif outcome.kind == kinds.DENIED:
            self.grants.add(f"sqs:{action}")
            self._add(name, status, outcome.detail, remedy)
        else:
            self._add(name, FAIL, outcome.detail, _mend(outcome))

    def _skip_aws(self, why: str) -> None:
        tried = {finding.name for finding in self.findings}
        for name in ("queue", "attributes", "extend", "delete", "receive"):
            if name not in tried:
                self._add(name, SKIP, f"not tried: {why}")
        self._check_handler()

    # -- the handler ---------------------------------------------------------------------------------------------------

    def _check_handler(self) -> None:
        self._queue.close()
        url = parse_url(self._settings.webhook_endpoint)
        tls = handler_tls(self._settings, url)
        try:
            if tls is not None:
                tls.check()
        except OSError as error:
            self._add("handler", FAIL, f"TLS cannot be set up: {error}", "mend the file that it names")
            self._check_health()
            return
        port_check = _PortCheck(self._handler_answered)
        port_check.stream = self._loop.connect(url.host, url.port, tls, port_check, CONNECT_TIMEOUT_S)

    def _handler_answered(self, error: StreamError | None) -> None:
        url = parse_url(self._settings.webhook_endpoint)
        what = f"{url.scheme}://{url.authority}"
        if error is None:
            self._add("handler", OK, f"{what} takes connections (nothing was POSTed to it)")
        else:
            remedy = "start the handler, or mend CARRIER_WEBHOOK_ENDPOINT; until it answers, nothing is received"
            self._add("handler", FAIL, f"{what}: {error.detail}", remedy)
        self._check_health()

    def _check_health(self) -> None:
        endpoint = self._settings.webhook_health_check_endpoint
        if not endpoint:
            text = "no CARRIER_WEBHOOK_HEALTH_CHECK_ENDPOINT: the handler counts as well while it takes connections"
            self._add("health", SKIP, text)
            self._done()
            return
        url = parse_url(endpoint)
        pool = Pool(self._loop, Origin(url.host, url.port, handler_tls(self._settings, url)), keep_body=False)
        _HealthCheck(pool, url, self._settings.webhook_health_check_timeout or None, self._health_answered)

    def _health_answered(self, url: URL, problem: str) -> None:
        if not problem:
            self._add("health", OK, f"{url} says that the handler is well")
        else:
            remedy = "until it answers 2xx, nothing is received"
            self._add("health", FAIL, f"{url}: {problem}", remedy)
        self._done()


def _nothing(_name: str, _fields: Mapping[str, object]) -> None:
    """What would be logged later is of no interest here."""


def _mend(error: QueueError) -> str:
    """What to look at, where the error's own sentence does not say it."""
    if error.kind == kinds.NETWORK:
        return "check CARRIER_SQS_ENDPOINT, name resolution, proxies and what the network lets out"
    if error.kind == kinds.CLOCK_SKEW:
        return "set the machine's clock"
    if error.kind in (kinds.THROTTLED, kinds.UNAVAILABLE):
        return "SQS could not answer at this moment: try again"
    if error.kind == kinds.MALFORMED:
        return "check that CARRIER_SQS_ENDPOINT is an SQS API that speaks its JSON protocol"
    return ""


class _PortCheck:
    """A connection that is closed as soon as it stands."""

    def __init__(self, done: Callable[[StreamError | None], None]) -> None:
        self._done = done
        self.stream: Stream | None = None

    def opened(self) -> None:
        if self.stream is not None:
            self.stream.close()
        self._done(None)

    def received(self, _data: bytes) -> None:
        """Closed already."""

    def ended(self) -> None:
        """Closed already."""

    def lost(self, error: StreamError) -> None:
        self._done(error)


class _HealthCheck:
    """One GET."""

    def __init__(self, pool: Pool, url: URL, timeout_s: float | None, done: Callable[[URL, str], None]) -> None:
        self._pool = pool
        self._url = url
        self._done = done
        head = f"GET {url.target} HTTP/1.1\r\nHost: {url.authority}\r\nConnection: close\r\n{url.authorization}\r\n"
        pool.request(head.encode(), self, timeout_s)

    def answered(self, response: Response) -> None:
        self._pool.close()
        self._done(self._url, "" if 200 <= response.status < 300 else f"status {response.status}")

    def failed(self, failure: Failure) -> None:
        self._pool.close()
        self._done(self._url, failure.detail or failure.kind)
