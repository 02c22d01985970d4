"""The handler: each message becomes one HTTP POST, its answer an `Answer` for the engine.

Implements the engine's `Destination` port over http1.client. Knows how a request looks and what may go into a header;
what an answer means is `disposition`'s business, when to POST the engine's.
"""

from __future__ import annotations

from carrier_sidecar import __version__
from carrier_sidecar.disposition import BAD_MESSAGE, judge, judge_with_dead_letters, no_answer
from carrier_sidecar.url import parse_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from carrier_sidecar.authorization import FileAuthorization
    from carrier_sidecar.disposition import Answer
    from carrier_sidecar.http1.client import Pool
    from carrier_sidecar.http1.connection import Connection
    from carrier_sidecar.http1.failures import Failure
    from carrier_sidecar.http1.responses import Response
    from carrier_sidecar.loop.api import Loop
    from carrier_sidecar.message import Message
    from carrier_sidecar.trace import Tracing
    from carrier_sidecar.url import URL

MAX_REDIRECTS = 3
# All attribute headers of one message together: servers refuse heads over 8 KiB, and the message must not fail for it.
MAX_ATTRIBUTE_BYTES = 4096


class Webhook:
    """POSTs to `url` through `pool`; every outcome goes to `answered(message, answer, now)`.

    `timeout_s` bounds one POST with its redirects (None: nothing does). `attribute_names` are the message attributes
    sent as headers, ("*",) for all of them. `headers` go with every POST; `authorization` comes from a file that may
    change; `tracing` adds trace context; with `dead_letters` the answer's header for them is heeded.
    """

    def __init__(
        self,
        loop: Loop,
        pool: Pool,
        url: URL,
        *,
        default_content_type: str,
        timeout_s: float | None,
        attribute_names: Sequence[str] = (),
        headers: Sequence[tuple[str, str]] = (),
        authorization: FileAuthorization | None = None,
        tracing: Tracing | None = None,
        dead_letters: bool = False,
    ) -> None:
        self._loop = loop
        self._now = loop.now
        self._pool = pool
        self._url = url
        self.timeout_s = timeout_s
        self._attribute_names = tuple(attribute_names)
        self._posts: dict[str, _Post] = {}
        self.answered: Callable[[Message, Answer, float], None] = _unset
        self._authorization = authorization
        self._tracing = tracing
        self.judge = judge_with_dead_letters if dead_letters else judge
        own_agent = any(name.lower() == "user-agent" for name, _ in headers)
        agent = "" if own_agent else f"User-Agent: carrier/{__version__}\r\n"
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
        self._same = f"Host: {url.authority}\r\n{agent}{url.authorization}{lines}"
        self._default_type = f"Content-Type: {default_content_type}\r\n" if default_content_type else ""
        self._compose()

    def _compose(self) -> None:
        """The beginning of every head, made once, and again when the authorization has changed."""
        self._fixed = self._same
        if self._authorization is not None:
            self._fixed += f"Authorization: {self._authorization.value}\r\n"
        self._start = f"POST {self._url.target} HTTP/1.1\r\n{self._fixed}"
        self._default_start = self._start + self._default_type

    def post(self, message: Message) -> None:
        """Engine port: give the message to the handler."""
        if self._authorization is not None and self._authorization.renewed(self._now()):
            self._compose()
        data = self._request(message, self._start, self._default_start)
        if data is None:
            self._loop.call_soon(_Refusal(self, message).deliver)
            return
        post = self._posts[message.id] = _Post(self, message, self._start)
        post.connection = self._pool.request(data, post, self.timeout_s)

    def _request(self, message: Message, start: str, default_start: str) -> bytes | None:
        """Head and body; None where a value holds a control character: with a line break a message could write headers,
        or a request, of its own."""
        body = message.body
        receive_count = message.receive_count
        first_time = message.first_receive_time
        message_id = message.id
        sent_time = message.sent_time
        values = f"{receive_count}{first_time}{message_id}{sent_time}"
        content_type = message.content_type
        head = default_start if content_type is None else f"{start}Content-Type: {content_type}\r\n"
        if content_type is not None:
            values += content_type
        if message.group_id is not None:
            values += message.group_id
            head += f"X-Carrier-Group-Id: {message.group_id}\r\n"
        if not values.isprintable():
            return None
        if self._tracing is not None:
            head += self._tracing.headers(message)
        if self._attribute_names and message.attributes:
            head += attribute_headers(message.attributes, self._attribute_names)
        return (
            f"{head}X-Carrier-Receive-Count: {receive_count}\r\nX-Carrier-First-Receive-Time: {first_time}\r\n"
            f"X-Carrier-Message-Id: {message_id}\r\nX-Carrier-Sent-Time: {sent_time}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def abandon(self, message: Message) -> None:
        """Engine port: close the connection of that POST; nothing more of it is heard."""
        post = self._posts.pop(message.id, None)
        if post is not None and post.connection is not None:
            self._pool.cancel(post.connection)

    def redirect(self, post: _Post, response: Response) -> bool:
        """Follow a 307 or 308 on the same origin, at most MAX_REDIRECTS times; False when it is not to be followed."""
        target = same_origin_target(self._url, response.headers.get("location", ""))
        if target is None or post.redirects >= MAX_REDIRECTS:
            return False
        post.redirects += 1
        return self._again(post, f"POST {target} HTTP/1.1\r\n{self._fixed}")

    def authorize_anew(self, post: _Post) -> bool:
        """A 401: send it again if the file with the credentials has changed since; False where it has not."""
        authorization = self._authorization
        if authorization is None:
            return False
        if authorization.look():
            self._compose()
        if post.redirects or post.start == self._start:
            return False
        return self._again(post, self._start)

    def _again(self, post: _Post, start: str) -> bool:
        """Send that POST once more, in what is left of its time; False where nothing is."""
        message = post.message
        timeout_s = self.timeout_s
        if timeout_s is not None:
            timeout_s -= self._now() - message.posted_at
            if timeout_s <= 0:
                return False
        data = self._request(message, start, start + self._default_type)
        if data is None:
            return False
        post.start = start
        self._posts[message.id] = post
        post.connection = self._pool.request(data, post, timeout_s)
        return True


class _Post:
    """One POST under way: the exchange that http1.client reports to."""

    __slots__ = ("_webhook", "connection", "message", "redirects", "start")

    def __init__(self, webhook: Webhook, message: Message, start: str) -> None:
        self._webhook = webhook
        self.message = message
        self.start = start  # how the head that was sent begins
        self.connection: Connection | None = None
        self.redirects = 0

    def answered(self, response: Response) -> None:
        webhook = self._webhook
        message = self.message
        status = response.status
        del webhook._posts[message.id]
        if (status == 307 or status == 308) and webhook.redirect(self, response):
            return
        if status == 401 and webhook.authorize_anew(self):
            return
        webhook.answered(message, webhook.judge(status, response.headers, webhook._loop.wall), webhook._now())

    def failed(self, failure: Failure) -> None:
        webhook = self._webhook
        del webhook._posts[self.message.id]
        webhook.answered(self.message, no_answer(failure.kind, failure.detail), webhook._now())


class _Refusal:
    """A message that cannot be sent safely, reported after `post` has returned."""

    __slots__ = ("_message", "_webhook")

    def __init__(self, webhook: Webhook, message: Message) -> None:
        self._webhook = webhook
        self._message = message

    def deliver(self) -> None:
        self._message.fault = "control characters in what would become a header"
        self._webhook.answered(self._message, no_answer(BAD_MESSAGE), self._webhook._now())


def same_origin_target(url: URL, location: str) -> str | None:
    """The request target that a Location names, if of the same origin as `url`; None otherwise or if unreadable."""
    if not location or not location.isprintable() or not location.isascii() or " " in location:
        return None
    if location.startswith("/") and not location.startswith("//"):
        return location.partition("#")[0]
    if location.startswith("//"):
        location = f"{url.scheme}:{location}"
    elif "://" not in location.partition("?")[0]:  # relative to the path's last segment
        return url.path.rpartition("/")[0] + "/" + location.partition("#")[0]
    try:
        other = parse_url(location)
    except ValueError:
        return None
    same = (other.scheme, other.host, other.port) == (url.scheme, url.host, url.port)
    return other.target if same else None


def attribute_headers(attributes: Mapping[str, Mapping[str, str]], names: Sequence[str]) -> str:
    """X-Carrier-Attribute-<name> lines, percent-encoded UTF-8, binary values in base64 as SQS gives them.

    At most MAX_ATTRIBUTE_BYTES in all; what does not fit, or has a name that no header may have, is left out and
    X-Carrier-Attributes-Dropped says how many those are.
    """
    wanted = attributes if "*" in names else [name for name in names if name in attributes]
    lines = ""
    dropped = 0
    for name in wanted:
        value = attributes[name]
        text = value.get("StringValue")
        if text is None:
            text = value.get("BinaryValue")
        if text is None or not _is_token(name):
            dropped += 1
            continue
        line = f"X-Carrier-Attribute-{name}: {_percent_encoded(text)}\r\n"
        if len(lines) + len(line) > MAX_ATTRIBUTE_BYTES:
            dropped += 1
        else:
            lines += line
    if dropped:
        lines += f"X-Carrier-Attributes-Dropped: {dropped}\r\n"
    return lines


def _is_token(name: str) -> bool:
    """RFC 9110's token: what SQS allows in an attribute's name (letters, digits, `_-.`) is inside it."""
    return name.isascii() and bool(name) and all(char.isalnum() or char in "_-." for char in name)


def _percent_encoded(text: str) -> str:
    if text.isascii() and text.isprintable() and "%" not in text:
        return text
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte != 0x25 else f"%{byte:02X}"
        for byte in text.encode("utf-8", "replace")
    )


def _unset(_message: Message, _answer: Answer, _now: float) -> None:
    raise AssertionError("Webhook.answered is not set")
