"""W3C trace context of a message: what it brought, or a new one. Pure: random bytes are an argument.

In this order: the message attribute `traceparent` (with `tracestate`), the system attribute AWSTraceHeader (X-Ray's
form, which is passed on as X-Amzn-Trace-Id, too), a new one. The sidecar records no span of its own, so what a message
brings goes to the handler as it is. https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from carrier_sidecar.message import Message
    from carrier_sidecar.settings import Settings

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
AWS_TRACE_HEADER = "AWSTraceHeader"
# Message attributes that a receive has to ask for.
ATTRIBUTES = (TRACEPARENT, TRACESTATE)
MAX_TRACESTATE = 512  # what implementations must be able to pass on; more may be dropped
MAX_AWS_HEADER = 1024

_HEX = frozenset("0123456789abcdef")
_DRAWN_AT_ONCE = 64  # contexts: one system call and one loop for so many
_START = "traceparent: "  # what precedes the context in Message.trace, which is the whole line


class Tracing:
    """`random_bytes(n)` gives n random bytes; `make`: messages that bring no context get a new one."""

    __slots__ = ("_make", "_random_bytes", "_ready")

    def __init__(self, random_bytes: Callable[[int], bytes], *, make: bool) -> None:
        self._random_bytes = random_bytes
        self._make = make
        self._ready: list[str] = []  # new contexts, as header lines

    def headers(self, message: Message) -> str:
        """Header lines for the POST of a message, each with its line end; "" when there is nothing to say. Notes the
        context on the message: every try of one delivery has the same."""
        attributes = message.attributes
        system = message.system
        if attributes is None and (not system or AWS_TRACE_HEADER not in system):
            line = message.trace
            if not line and self._make:
                ready = self._ready
                message.trace = line = ready.pop() if ready else self._new()
            return line
        lines = self.context(message)
        if attributes is not None and TRACESTATE in attributes and valid_traceparent(_text(attributes, TRACEPARENT)):
            state = _text(attributes, TRACESTATE)
            if state and len(state) <= MAX_TRACESTATE and state.isascii() and state.isprintable():
                lines += f"tracestate: {state}\r\n"
        aws = system.get(AWS_TRACE_HEADER) if system else None
        if isinstance(aws, str) and 0 < len(aws) <= MAX_AWS_HEADER and aws.isascii() and aws.isprintable():
            lines += f"X-Amzn-Trace-Id: {aws}\r\n"
        return lines

    def context(self, message: Message) -> str:
        """The message's traceparent line, found or made on the first call; "" when it has none."""
        if message.trace:
            return message.trace
        trace = ""
        if message.attributes is not None:
            trace = valid_traceparent(_text(message.attributes, TRACEPARENT))
        if not trace and message.system:
            aws = message.system.get(AWS_TRACE_HEADER)
            if isinstance(aws, str):
                trace = self._from_aws(aws)
        if trace:
            message.trace = f"{_START}{trace}\r\n"
        elif self._make:
            message.trace = self._new()
        return message.trace

    def _new(self) -> str:
        """Sampled, so that a handler that follows its parent records what it would record without one."""
        ready = self._ready
        if not ready:
            digits = self._random_bytes(24 * _DRAWN_AT_ONCE).hex()
            ready += [
                f"{_START}00-{digits[at : at + 32]}-{digits[at + 32 : at + 48]}-01\r\n"
                for at in range(0, len(digits), 48)
            ]
        return ready.pop()

    def _from_aws(self, header: str) -> str:
        """Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1 as a traceparent, "" if it is not
        of that form. A root without a parent gets a new span id."""
        fields = dict(part.strip().partition("=")[::2] for part in header.split(";"))
        root = fields.get("Root", "").split("-")
        if len(root) != 3 or root[0] != "1" or len(root[1]) != 8 or len(root[2]) != 24:
            return ""
        parent = fields.get("Parent") or self._new()[49:65]
        flags = "01" if fields.get("Sampled") == "1" else "00"
        return valid_traceparent(f"00-{root[1]}{root[2]}-{parent}-{flags}".lower())


def trace_id(line: str) -> str:
    """The trace id within Message.trace."""
    return line[16:48]


def valid_traceparent(text: str) -> str:
    """The traceparent, where it is one; "" otherwise. Versions after 00 may have more behind a hyphen."""
    if len(text) < 55 or len(text) > 256 or text[2] != "-" or text[35] != "-" or text[52] != "-":
        return ""
    version, trace, span, flags = text[:2], text[3:35], text[36:52], text[53:55]
    if not _HEX.issuperset(version + trace + span + flags) or version == "ff":
        return ""
    if trace == "0" * 32 or span == "0" * 16:
        return ""
    if len(text) > 55 and (version == "00" or text[55] != "-" or not (text.isascii() and text.isprintable())):
        return ""
    return text


def _text(attributes: Mapping[str, Mapping[str, str]], name: str) -> str:
    attribute = attributes.get(name)
    return (attribute.get("StringValue") or "").strip(" ") if attribute is not None else ""


def tracing(settings: Settings, random_bytes: Callable[[int], bytes]) -> Tracing | None:
    """What the settings ask for; None when it is off."""
    wanted = settings.webhook_trace_context
    return None if wanted == "off" else Tracing(random_bytes, make=wanted == "make")
