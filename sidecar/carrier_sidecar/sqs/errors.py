"""What an unsuccessful answer of SQS means: a table from its error codes to the kinds of QueueError. Pure.

A code is taken without its namespace (`com.amazonaws.sqs#` or `AWS.SimpleQueueService.`). Where a server gives no code
that we know, the HTTP status decides; in a batch answer, whether it calls it our fault.
"""

from __future__ import annotations

from carrier_sidecar.json_text import loads
from carrier_sidecar.message import (
    BAD_RECEIPT,
    CLOCK_SKEW,
    CREDENTIALS,
    DENIED,
    INVALID,
    KMS,
    MALFORMED,
    NO_QUEUE,
    NOT_IN_FLIGHT,
    THROTTLED,
    UNAVAILABLE,
    QueueError,
)

CODES: dict[str, tuple[str, ...]] = {
    THROTTLED: (
        "RequestThrottled",
        "RequestThrottledException",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "BandwidthLimitExceeded",
        "ProvisionedThroughputExceededException",
        "PriorRequestNotComplete",
        "TransactionInProgressException",
        "SlowDown",
        "EC2ThrottledException",
        "KmsThrottled",
        "KMS.ThrottlingException",
        "OverLimit",  # too many messages in flight: the same remedy, ask less often
    ),
    UNAVAILABLE: (
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "InternalException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "RequestTimeout",
        "RequestTimeoutException",
    ),
    DENIED: (
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "UnauthorizedOperation",
        "OptInRequired",
        "SubscriptionRequiredException",
        "NotAuthorized",
    ),
    CREDENTIALS: (
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "MissingClientTokenId",
        "MissingSecurityHeader",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
        "UnrecognizedClient",
        "InvalidSecurity",
    ),
    CLOCK_SKEW: ("RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"),
    NO_QUEUE: ("NonExistentQueue", "QueueDoesNotExist", "QueueDoesNotExistException", "QueueNameDoesNotExist"),
    BAD_RECEIPT: ("ReceiptHandleIsInvalid", "InvalidIdFormat"),
    NOT_IN_FLIGHT: ("MessageNotInflight",),
    INVALID: (
        "InvalidAction",
        "InvalidAddress",
        "InvalidAttributeName",
        "InvalidMessageContents",
        "InvalidParameterCombination",
        "InvalidParameterValue",
        "MissingParameter",
        "UnknownOperationException",
        "UnsupportedOperation",
        "ValidationException",
        "ValidationError",
    ),
}
KINDS = {code: kind for kind, codes in CODES.items() for code in codes}

_PREFIX = "AWS.SimpleQueueService."
# Codes that SQS uses for several things at once: its sentence says which. First fit counts.
_BY_SENTENCE = (
    (CLOCK_SKEW, ("signature expired", "signature not yet current", "request time too skewed", "must be within")),
    (NOT_IN_FLIGHT, ("not available for visibility timeout change", "not in flight", "not inflight")),
    (BAD_RECEIPT, ("receipt handle", "receipthandle", "receipt_handle")),
    (NO_QUEUE, ("specified queue does not exist", "wsdl version")),
)
_SENTENCE_DECIDES = frozenset(
    ("SignatureDoesNotMatch", "InvalidSignatureException", "InvalidParameterValue", "InvalidParameterValueException")
)
_LONGEST_DETAIL = 400
_LONGEST_WORD = 120  # longer ones may be receipt handles or session tokens, which are secret


def plain_code(text: str) -> str:
    """The code without its namespace and without what some servers append (":http://internal.amazon.com/…")."""
    code = text.rpartition("#")[2].partition(":")[0]
    return code.removeprefix(_PREFIX)


def kind_of(code: str, message: str) -> str | None:
    """The kind that a code stands for, or None for a code that we don't know."""
    if code in _SENTENCE_DECIDES:
        lower = message.lower()
        for told, phrases in _BY_SENTENCE:
            if any(phrase in lower for phrase in phrases):
                return told
    kind = KINDS.get(code)
    if kind is None and code.startswith(("Kms", "KMS.")):
        return KMS
    return kind


def kind_of_status(status: int) -> str:
    """The kind for an answer without a code that we know."""
    if status == 429:
        return THROTTLED
    if status >= 500 or status == 408:
        return UNAVAILABLE
    if status == 401:
        return CREDENTIALS
    if status == 403:
        return DENIED
    return INVALID


def tidy(text: str) -> str:
    """A server's sentence fit for a log line: one line, of bounded length, without what looks like a secret.

    A signature error quotes the request that the server expected, session token and all: cut off.
    """
    text = text.partition("The Canonical String")[0].partition("The canonical string")[0]
    words = [word if len(word) <= _LONGEST_WORD or word.startswith("arn:") else "***" for word in text.split()]
    line = "".join(char if char.isprintable() else "?" for char in " ".join(words))
    return line if len(line) <= _LONGEST_DETAIL else line[: _LONGEST_DETAIL - 1] + "…"


def entry_error(code: object, message: object, sender_fault: object) -> QueueError:
    """One failed entry of a batch answer."""
    name = plain_code(code) if isinstance(code, str) else ""
    sentence = message if isinstance(message, str) else ""
    kind = kind_of(name, sentence) or (UNAVAILABLE if sender_fault is False else INVALID)
    return QueueError(kind, name, _sentence(kind, name, sentence, 200), answered=True)


def answer_error(status: int, body: bytes) -> QueueError:
    """An answer whose status is not 200."""
    code, sentence = _read(body)
    kind = kind_of(code, sentence) or kind_of_status(status)
    if not code and 300 <= status < 400:
        sentence = "a redirect: the endpoint is not that of SQS"
    elif not code and status == 200:
        kind = MALFORMED
    return QueueError(kind, code, _sentence(kind, code, sentence, status), answered=True)


def _sentence(kind: str, code: str, message: str, status: int) -> str:
    if kind == BAD_RECEIPT:  # SQS quotes the receipt handle
        return f"{code}: the receipt handle is not valid or has expired"
    name = code or f"HTTP status {status}"
    return f"{name}: {tidy(message)}" if message else name


def _read(body: bytes) -> tuple[str, str]:
    """Code and sentence of an error body: JSON as SQS has it, XML as older servers have it; ("", "") for neither."""
    try:
        answer = loads(body)
    except (ValueError, RecursionError):
        return plain_code(between(body, b"<Code>", b"</Code>")), between(body, b"<Message>", b"</Message>")
    if not isinstance(answer, dict):
        return "", ""
    code = answer.get("__type") or answer.get("code") or answer.get("Code") or ""
    message = answer.get("message") or answer.get("Message") or ""
    return plain_code(code) if isinstance(code, str) else "", message if isinstance(message, str) else ""


def between(body: bytes, start: bytes, end: bytes) -> str:
    """The text between the first `start` and the `end` after it, XML's entities decoded; "" where it is missing."""
    _, found, rest = body.partition(start)
    text, closed, _ = rest.partition(end)
    if not found or not closed:
        return ""
    plain = text.decode("utf-8", "replace").strip()
    for entity, char in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&")):
        plain = plain.replace(entity, char)
    return plain
