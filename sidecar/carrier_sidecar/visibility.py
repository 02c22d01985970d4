"""How long messages in hand stay hidden from others, and in what order those of a FIFO group come back. Sans-I/O.

A message is extended, given back, hidden for as long as the handler asked, or left to its visibility timeout. This is
part of the engine, which tells this object what happened. A message that was not delivered leaves hand here; what was
delivered and is to be deleted is the engine's own business.

FIFO: SQS gives out nothing of a group while an earlier member is hidden. So a failed head is kept hidden until the
later members in hand have been given back and that is confirmed; only then may its own visibility be changed or run
out.
"""

from __future__ import annotations

from carrier_sidecar import message as kinds
from carrier_sidecar.backoff import SOON
from carrier_sidecar.heartbeat import KEPT, at_limit
from carrier_sidecar.in_flight import ACCEPTED, DEAD, EXTEND, HELD, HIDE, HIDING, POSTING, RELEASE, RELEASING, WAITING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carrier_sidecar.heartbeat import Heartbeat
    from carrier_sidecar.in_flight import InFlight
    from carrier_sidecar.message import Message, QueueError
    from carrier_sidecar.metrics import Metrics
    from carrier_sidecar.settling import Settling

    Note = Callable[[str, dict[str, object]], None]

# What an entry is called that SQS will not take however often it is sent.
STALE = (kinds.BAD_RECEIPT, kinds.NOT_IN_FLIGHT, kinds.INVALID)


class Visibility:
    """See the module's docstring. Times are loop seconds."""

    __slots__ = ("_draw", "_hand", "_heartbeat", "_metrics", "_note", "_settling", "returned")

    def __init__(
        self,
        hand: InFlight,
        heartbeat: Heartbeat,
        settling: Settling,
        metrics: Metrics,
        note: Note,
        draw: Callable[[], float],
    ) -> None:
        self._hand = hand
        self._heartbeat = heartbeat
        self._settling = settling
        self._metrics = metrics
        self._note = note
        self._draw = draw
        self.returned: dict[str, None] = {}  # ids given back since the gate was shut

    # -- extending -----------------------------------------------------------------------------------------------------

    def beat(self, now: float) -> None:
        """Extend what is due, and see what has run out."""
        extend, lapsed = self._heartbeat.beat(self._hand, now)
        for message in extend:
            self._settling.change(message, now)
        for message in lapsed:
            if message.state:  # not gone with one that was looked at before it
                self._lapse(message, now)

    def confirm(self, message: Message, now: float) -> None:
        """Whether this message is still hidden is not known: the receive that brought it took longer than it stays so.
        An extension that succeeds says that it is ours; until then it waits.
        """
        if message.state in KEPT and not message.change:
            message.change = EXTEND
            message.change_s = self._heartbeat.visibility_s
            self._settling.change(message, now)

    def _lapse(self, message: Message, now: float) -> None:
        """The message is visible to others: nothing later of its group may be POSTed, and it is not begun any more."""
        message.lapsed = True
        self._metrics.lapsed += 1
        state = message.state
        if at_limit(message):
            self._metrics.let_go += 1
            self._note("limit_reached", message.about())
        elif state in (POSTING, ACCEPTED, DEAD):
            self._note("visibility_lapsed", {**message.about(), "state": state})
        self._give_back_followers(message, now)
        if state not in (POSTING, ACCEPTED):
            self.gone(message, now)

    # -- not delivered -------------------------------------------------------------------------------------------------

    def failed(self, message: Message, hide_s: int, now: float) -> None:
        """Not delivered: hide it for `hide_s` seconds, or leave it to its visibility timeout (-1).

        Of a FIFO group, the later members in hand go back first.
        """
        message.hide_s = hide_s
        if message.lapsed or not self._followed(message):
            self._let_return(message, now)
            return
        self._hand.move(message, HELD)
        self._give_back_followers(message, now)
        self._free_heads(message.group, now)

    def joined(self, message: Message, now: float) -> None:
        """A message was received behind others of its group: where one of those has failed it goes back first."""
        assert message.group is not None
        for member in self._hand.groups[message.group].members:
            if member is message:
                return
            if member.state == HELD:
                self.give_back(message, now)
                return
            if member.state == HIDING and member.change_receipt is None:  # its change has not left yet: taken back
                member.change = ""
                self.failed(member, member.hide_s, now)
                return

    def _followed(self, message: Message) -> bool:
        """Is something undelivered behind it in its group?"""
        return message.group is not None and bool(self._hand.groups[message.group].followers(message))

    def _give_back_followers(self, message: Message, now: float) -> None:
        if message.group is not None:
            for follower in self._hand.groups[message.group].followers(message):
                if follower.state == WAITING:
                    self.give_back(follower, now)

    def _free_heads(self, name: str | None, now: float) -> None:
        """A failed head may come back once nothing undelivered follows it in hand."""
        group = self._hand.groups.get(name) if name is not None else None
        if group is not None:
            for member in reversed(group.members):
                if member.state == HELD and not group.followers(member):
                    self._let_return(member, now)
                    return

    def _let_return(self, message: Message, now: float) -> None:
        if message.hide_s < 0 or message.visible_at <= now or not self._heartbeat.allowed:
            self.gone(message, now)
            return
        self._hand.move(message, HIDING)
        self._send(message, HIDE, message.hide_s, now)

    def give_back(self, message: Message, now: float, seconds: int = 0) -> None:
        """Make a message that is not with the handler visible, at once or after `seconds`, and let it go when that is
        confirmed."""
        message.hide_s = seconds
        self._metrics.given_back += 1
        if message.visible_at <= now or not self._heartbeat.allowed:
            self.gone(message, now)
            return
        self._hand.move(message, RELEASING)
        self._send(message, RELEASE, seconds, now)

    def give_back_waiting(self, now: float, again_s: int) -> None:
        """Give back everything that has not been begun. What had been given back before came again by another of our
        own receives that was on the wire: it stays hidden for `again_s` seconds, until there are none left, or each of
        them would cost it a receive and it might end in the dead-letter queue.
        """
        returned = self.returned
        for message in self._hand.in_state(WAITING):
            seconds = again_s if message.id in returned else 0
            returned[message.id] = None
            self.give_back(message, now, seconds)

    def gone(self, message: Message, now: float) -> None:
        """Let a message go; in its group another may have its turn, or a failed head that waited for it come back."""
        if message.state != ACCEPTED:  # others may get it: what follows it must not be begun here
            self._give_back_followers(message, now)
        self._hand.remove(message)
        if message.group is not None:
            self._free_heads(message.group, now)
            self._hand.offer(message.group, now)

    def lost(self, message: Message, now: float) -> None:
        """A delivered message can no longer be deleted: others may get it, so what follows it is not begun here."""
        self._give_back_followers(message, now)
        self.gone(message, now)

    # -- changes and their answers -------------------------------------------------------------------------------------

    def _send(self, message: Message, change: str, seconds: int, now: float) -> None:
        """Change the visibility; an extension on the wire is awaited, since two calls could overtake each other, and
        one that has not left yet is replaced.
        """
        if message.change_receipt is not None:
            return
        queued = bool(message.change)
        message.change = change
        message.change_s = seconds
        if not queued:
            self._settling.change(message, now)

    def resend(self, message: Message, now: float) -> None:
        """Send the change that a message in RELEASING or HIDING is there for, unless its visibility has run out."""
        state = message.state
        if state not in (RELEASING, HIDING):
            return
        if message.visible_at <= now:
            self.gone(message, now)
        elif state == RELEASING:
            self._give_back_followers(message, now)
            self._send(message, RELEASE, message.hide_s, now)
        elif self._followed(message):  # received again meanwhile, and others with it
            self.failed(message, message.hide_s, now)
        else:
            self._send(message, HIDE, message.hide_s, now)

    def changed(self, message: Message, sent_at: float, now: float) -> None:
        """A change of visibility was confirmed."""
        change, stale = self._ended(message)
        if not message.state:
            return
        message.attempts = 0
        if change == EXTEND:
            self._metrics.heartbeats += 1
            if stale:  # received again meanwhile: what the old receipt has changed is not known
                self.confirm(message, now)
            else:
                in_doubt = message.lapsed or message.visible_at <= now
                message.visible_at = sent_at + message.change_s
                message.retry_at = 0.0
                message.lapsed = False
                if in_doubt:
                    self._hand.confirmed(message, now)
                self._heartbeat.watch(message)
            self.resend(message, now)
        elif stale:
            self.resend(message, now)
        else:
            self.gone(message, now)

    def change_failed(self, message: Message, error: QueueError, whole: bool, now: float) -> None:
        """A change of visibility failed: alone, or its `whole` call."""
        change, stale = self._ended(message)
        kind = error.kind
        if change == EXTEND:
            self._metrics.heartbeat_failures += 1
        if kind == kinds.DENIED and self._heartbeat.allowed:
            self._heartbeat.allowed = False
            self._note("extend_denied", {"error": error.detail})
        state = message.state
        if not state:
            return
        leaving = state in (RELEASING, HIDING)
        if stale and kind != kinds.DENIED:
            self.confirm(message, now)
            self.resend(message, now)
        elif kind in STALE:
            if leaving:
                self.gone(message, now)
            elif not message.lapsed:
                self._lapse(message, now)
        elif kind == kinds.DENIED:
            if leaving:
                self.gone(message, now)
            else:
                self._unconfirmed(message, now)
        elif not leaving:
            message.attempts += 1
            message.retry_at = now + SOON.delay(message.attempts, self._draw)
            self._heartbeat.wake_at = min(self._heartbeat.wake_at, message.retry_at)
        elif whole or change == EXTEND:
            self.resend(message, now)
        else:
            self._settling.again(message, now)

    def _unconfirmed(self, message: Message, now: float) -> None:
        """Extensions are refused: whether a message that was received late is still ours cannot be learnt."""
        if message.state == WAITING and message.visible_at <= now:
            message.visible_at = now + self._heartbeat.visibility_s
            self._heartbeat.watch(message)
            self._hand.confirmed(message, now)

    @staticmethod
    def _ended(message: Message) -> tuple[str, bool]:
        """Which change has ended, and whether a newer receipt has come since it was sent."""
        change = message.change
        stale = message.change_receipt is not message.receipt
        message.change = ""
        message.change_receipt = None
        return change, stale
