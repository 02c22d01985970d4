"""What the handler's answer means for the message. Pure.

| answer | verdict |
|---|---|
| 2xx | DELIVERED: the message is deleted |
| 429 or 503 with a readable Retry-After | HIDE: hidden for that long |
| any with X-Carrier-Dead-Letter, where that is heeded | DEAD: to the dead-letter queue, with that reason |
| everything else, and no answer at all | LEAVE: nothing is called; it returns when its visibility runs out |

Redirects (307, 308) are followed by who sends; one that was not followed arrives here as any other status.
"""

from __future__ import annotations

from carrier_sidecar.http_date import parse_http_date

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DELIVERED = "delivered"
HIDE = "hide"
LEAVE = "leave"
DEAD = "dead"

DEAD_LETTER_HEADER = "x-carrier-dead-letter"
MAX_REASON = 500  # characters of the header that are kept

# Why a POST got no status, beside the failure kinds of http1.client: the engine only tells REFUSED apart.
REFUSED = "refused"
BAD_MESSAGE = "bad_message"  # never sent: it could not have been sent safely


class Answer:
    """How one POST ended.

    `verdict`: DELIVERED, HIDE, LEAVE or DEAD. `status`: the HTTP status, 0 where none came. `hide_s`: seconds asked for
    by Retry-After (HIDE alone). `reason`: a short word for logs and metrics ("status 500", "timeout", ...).
    `dead_letter`: the reason that the handler gave (DEAD alone). `detail`: a sentence for people about how a POST ended
    without a status, "" where `reason` says it all.
    """

    __slots__ = ("dead_letter", "detail", "hide_s", "reason", "status", "verdict")

    def __init__(
        self,
        verdict: str,
        status: int,
        reason: str,
        hide_s: float = 0.0,
        *,
        dead_letter: str = "",
        detail: str = "",
    ) -> None:
        self.verdict = verdict
        self.status = status
        self.reason = reason
        self.hide_s = hide_s
        self.dead_letter = dead_letter
        self.detail = detail

    def __repr__(self) -> str:
        return f"<Answer {self.verdict} {self.reason}>"


_ACCEPTED = {status: Answer(DELIVERED, status, "delivered") for status in range(200, 300)}


def parse_retry_after(text: str, wall_s: float) -> float | None:
    """Seconds from now that a Retry-After asks for: whole seconds or an HTTP date (at least 0); None if unreadable."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    date = parse_http_date(text)
    return None if date is None else max(0.0, date - wall_s)


def judge(status: int, headers: Mapping[str, str], wall: Callable[[], float]) -> Answer:
    """The answer for a status and its headers (lower-case names); `wall` tells Unix seconds, for Retry-After dates."""
    accepted = _ACCEPTED.get(status)
    if accepted is not None:
        return accepted
    if status in (429, 503):
        retry_after = headers.get("retry-after")
        if retry_after is not None:
            seconds = parse_retry_after(retry_after, wall())
            if seconds is not None:
                return Answer(HIDE, status, f"status {status}", seconds)
    return Answer(LEAVE, status, f"status {status}")


def judge_with_dead_letters(status: int, headers: Mapping[str, str], wall: Callable[[], float]) -> Answer:
    """As `judge`, but heeding the header that sends a message to the dead-letter queue, whatever the status."""
    reason = headers.get(DEAD_LETTER_HEADER)
    if reason is None:
        return judge(status, headers, wall)
    given = reason.strip()[:MAX_REASON] or "the handler gave no reason"
    return Answer(DEAD, status, f"status {status}", dead_letter=given)


def no_answer(kind: str, detail: str = "") -> Answer:
    """The answer for a POST that ended without a status: `kind` says how (refused, timeout, reset, ...), `detail` the
    same to people (what is wrong with a certificate, how long was waited)."""
    return Answer(LEAVE, 0, kind, detail=detail)
