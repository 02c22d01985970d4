"""The credentials in force: fetched at the start, refreshed in the background well before they expire.

The old ones are used while they are still valid, however often a refresh fails. Credentials count as expired only when
a server has told its time and both its clock and ours say so: with a clock that is wrong by hours no request would be
sent any more, and so no answer would come by whose date the clock could be corrected.
"""

from __future__ import annotations

import posix

from carrier_sidecar.backoff import Backoff
from carrier_sidecar.message import CREDENTIALS, QueueError
from carrier_sidecar.sqs.credentials.values import Credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from carrier_sidecar.loop.api import Loop, Timer
    from carrier_sidecar.sqs.clock import ServerClock
    from carrier_sidecar.sqs.credentials.chain import Chain

    Note = Callable[[str, Mapping[str, object]], None]

# Asked again that long before they expire (or at half of a shorter life), spread over a fifth so that a fleet that
# started together does not ask together.
REFRESH_S = 900.0
SPREAD = 0.2
# Metadata services hand out the same credentials until shortly before their end: not asked more often than that.
LEAST_S = 10.0
RETRY = Backoff(1.0, 2.0, 60.0)
# Without valid credentials nothing works, so the wait stays short.
RETRY_EXPIRED = Backoff(1.0, 2.0, 10.0)


def random_draw() -> float:
    """A number in [0, 1); the `random` module would cost memory for no better one."""
    return int.from_bytes(posix.urandom(4), "big") / 2**32


def _ignore(name: str, fields: Mapping[str, object]) -> None:
    """Where nobody takes notes."""


class CredentialStore:
    """`current` is what to sign with, or None; `error` says why, and why the last refresh failed. `remaining_s` for a
    metric."""

    __slots__ = (
        "_chain",
        "_clock",
        "_credentials",
        "_draw",
        "_failures",
        "_fetching",
        "_loop",
        "_note",
        "_timer",
        "_waiting",
        "error",
    )

    def __init__(
        self,
        loop: Loop,
        clock: ServerClock,
        chain: Chain,
        draw: Callable[[], float] = random_draw,
        note: Note = _ignore,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._chain = chain
        self._draw = draw
        self._note = note
        self._credentials: Credentials | None = None
        self._fetching = False
        self._failures = 0
        self._timer: Timer | None = None
        self._waiting: list[Callable[[Credentials | QueueError], None]] = []
        self.error: QueueError | None = None

    @property
    def current(self) -> Credentials | None:
        """The newest credentials, None when there are none or they have expired."""
        found = self._credentials
        return None if found is None or self._expired(found) else found

    def _expired(self, found: Credentials) -> bool:
        clock = self._clock
        return found.expires_at is not None and clock.known and found.expires_at <= clock.earliest()

    @property
    def remaining_s(self) -> float | None:
        """Seconds until they expire, 0 when they have or there are none; None for those that never do."""
        found = self._credentials
        if found is None:
            return 0.0
        return None if found.expires_at is None else max(0.0, found.expires_at - self._clock.now())

    def refused(self) -> QueueError:
        """Why there is nothing to sign with, as the failure of a call."""
        if self.error is not None:
            return self.error
        found = self._credentials
        why = f"the AWS credentials from {found.source} have expired" if found else "there are no AWS credentials yet"
        return QueueError(CREDENTIALS, "", why, answered=False)

    def require(self, done: Callable[[Credentials | QueueError], None]) -> None:
        """Valid credentials, fetched if need be; `done` is never called from inside. A failure is told after one run
        through the sources, and the fetch goes on in the background."""
        found = self.current
        if found is not None:
            self._loop.call_soon(lambda: done(found))
            return
        self._waiting.append(done)
        if not self._fetching:
            self._schedule(0.0)

    def rejected(self, credentials: Credentials | None) -> None:
        """The server called these expired or invalid: ask for new ones soon, unless that is under way."""
        if credentials is None or credentials is not self._credentials or self._fetching or self._failures:
            return
        if credentials.token:  # long-lived keys don't become better by reading them again
            self._failures = 1  # not again until a fetch has succeeded
            self._schedule(RETRY.delay(1, self._draw))

    def close(self) -> None:
        """Stop refreshing."""
        self._chain.cancel()
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _describe(self, found: Credentials) -> dict[str, object]:
        fields: dict[str, object] = {"credentials": found.source, "access_key_id": found.access_key}
        if found.expires_at is not None:
            fields["expires_in_s"] = round(found.expires_at - self._clock.now())
        return fields

    def _schedule(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._loop.now() + delay_s, self._fetch)

    def _fetch(self) -> None:
        self._timer = None
        if not self._fetching:
            self._fetching = True
            self._chain.fetch(self._take)

    def _take(self, outcome: Credentials | QueueError) -> None:
        self._fetching = False
        if isinstance(outcome, Credentials) and self._expired(outcome):
            why = f"no AWS credentials ({outcome.source}: what it gave has expired already)"
            outcome = QueueError(CREDENTIALS, "", why, answered=False)
        if isinstance(outcome, Credentials):
            self._credentials = outcome
            self._failures = 0
            self.error = None
            self._note("credentials", self._describe(outcome))
            if outcome.expires_at is not None:
                life_s = outcome.expires_at - self._clock.now()
                margin_s = min(REFRESH_S, life_s / 2) * (1 + SPREAD * self._draw())
                self._schedule(max(LEAST_S, life_s - margin_s))
        else:
            self._failures += 1
            self.error = outcome
            self._note("credentials_failed", {"error": outcome.detail, "remaining_s": round(self.remaining_s or 0)})
            backoff = RETRY if self.current is not None else RETRY_EXPIRED
            self._schedule(backoff.delay(self._failures, self._draw))
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done(outcome)
