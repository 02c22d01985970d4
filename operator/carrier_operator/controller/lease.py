"""Who leads: the state machine over a Kubernetes Lease. Pure; time is an argument, seconds of a clock that never steps.

Times of other machines are never compared with ours. A follower waits until the record has not changed for the holder's
duration *as it sees it*; a leader counts from when it *sent* its last successful renewal and stops well before that. So
clocks may differ, and a process that was stopped knows on waking that it no longer leads.

    follower ──READ──▶ free, or unchanged for 15 s ──TAKE──▶ leader ──RENEW every 2 s──▶ leader
                                                               │ 10 s without one, or another holder
                                                               ▼
                                                             LOST (the process ends)
"""

from __future__ import annotations

READ, CREATE, TAKE, RENEW, LOST = "READ", "CREATE", "TAKE", "RENEW", "LOST"

DURATION_S = 15
RENEW_DEADLINE_S = 10.0
RETRY_S = 2.0


class Record:
    """The Lease as it was read. `renewed` is compared for being the same, never read as a time."""

    __slots__ = ("duration_s", "holder", "renewed", "resource_version", "transitions")

    def __init__(self, holder: str, renewed: str, duration_s: int, transitions: int, resource_version: str) -> None:
        self.holder = holder
        self.renewed = renewed
        self.duration_s = duration_s
        self.transitions = transitions
        self.resource_version = resource_version


class Elector:
    """One candidate. `step` says what to do next; what came of it is told by `saw`, `absent` and `wrote`."""

    def __init__(
        self, identity: str, *, duration_s: int = DURATION_S, renew_deadline_s: float = RENEW_DEADLINE_S
    ) -> None:
        self.identity = identity
        self.duration_s = duration_s
        self.record: Record | None = None
        self._renew_deadline_s = renew_deadline_s
        self._deadline: float | None = None  # set while leading
        self._lost = False
        self._known = False  # has the Lease been looked at since something went wrong?
        self._unchanged_since = 0.0
        self._was_held = False  # had it a holder when we last saw it?

    @property
    def leading(self) -> bool:
        """Did we take the Lease, and have not lost it? Whether we still may write is `may_write`."""
        return self._deadline is not None and not self._lost

    @property
    def holder(self) -> str:
        """Who held it when we last looked; empty for nobody."""
        return self.record.holder if self.record is not None else ""

    def may_write(self, now: float) -> bool:
        """May this process, leading until its deadline, change something in the cluster?"""
        return self.leading and self._deadline is not None and now < self._deadline

    def left_s(self, now: float) -> float:
        """Seconds until the deadline; 0 when there is none."""
        return max(0.0, self._deadline - now) if self._deadline is not None else 0.0

    def step(self, now: float) -> str:
        """What to do now."""
        if self._lost or (self._deadline is not None and now >= self._deadline):
            self._lost = True
            return LOST
        if self._deadline is not None:
            return RENEW if self._known else READ
        if not self._known:
            return READ
        if self.record is None:
            # One that was there a moment ago may have a leader that does not know yet.
            gone_s = now - self._unchanged_since
            return CREATE if not self._was_held or gone_s >= self.duration_s else READ
        # Whatever the record says, no leader of ours is given less than the time by which it may still write.
        held_s = max(self.record.duration_s, self.duration_s)
        free = not self.record.holder or now - self._unchanged_since >= held_s
        return TAKE if free else READ

    def saw(self, record: Record, now: float) -> None:
        """The Lease was read."""
        old = self.record
        if old is None or (old.holder, old.renewed) != (record.holder, record.renewed):
            self._unchanged_since = now
        self._was_held = bool(record.holder)
        self.record = record
        self._known = True
        if self._deadline is not None and record.holder != self.identity:
            self._lost = True

    def absent(self) -> None:
        """There is no Lease. A leader whose Lease was deleted can't know who makes the next one: it has lost."""
        self.record = None
        self._known = True
        if self._deadline is not None:
            self._lost = True

    def wrote(self, record: Record, sent_at: float) -> None:
        """Our CREATE, TAKE or RENEW, sent at that time, was accepted."""
        if self._lost:
            return
        self.record = record
        self._known = True
        self._unchanged_since = sent_at
        self._deadline = sent_at + self._renew_deadline_s

    def refused(self) -> None:
        """Our write met a newer version or no answer: look before the next one."""
        self._known = False

    def wanted(self, now_text: str) -> dict[str, object]:
        """The Lease's spec to write (`now_text`: RFC 3339 with microseconds)."""
        old = self.record
        mine = old is not None and old.holder == self.identity
        transitions = (old.transitions if old is not None else 0) + (0 if mine or old is None else 1)
        spec: dict[str, object] = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self.duration_s,
            "renewTime": now_text,
            "leaseTransitions": transitions,
        }
        if not mine:
            spec["acquireTime"] = now_text
        return spec

    def released(self, now_text: str) -> dict[str, object]:
        """The spec that hands it over at once. We lead no longer from now on."""
        self._lost = True
        transitions = self.record.transitions if self.record is not None else 0
        return {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": now_text, "leaseTransitions": transitions}
