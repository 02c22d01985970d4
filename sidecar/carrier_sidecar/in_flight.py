"""The messages in hand: the one structure that receiving, heartbeat, settling and drain all read. Pure.

Nothing else holds messages. A message is in hand from its receive until its delete or its give-back is confirmed, or
until it is let go. Its states:

    WAITING ──▶ POSTING ──▶ ACCEPTED ──▶ gone        delivered; in hand, with heartbeat, until the delete is confirmed
       │           ├──────▶ HIDING ────▶ gone        Retry-After: until the change of visibility is confirmed
       │           ├──────▶ HELD ──▶ HIDING | gone   failed head of a FIFO group: until what follows it is given back
       │           ├──────▶ DEAD ──▶ ACCEPTED | gone  until it is sent to the dead-letter queue; then as delivered
       │           └──────▶ gone                     left to come back by itself
       └────────▶ RELEASING ───▶ gone                given back (visibility 0), until that is confirmed

FIFO: the members of a group stand in order; only the first undelivered one may go to the handler.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator

    from carrier_sidecar.message import Message
else:
    from _collections import deque  # written in C; the package around it costs 0.4 MB

WAITING = "waiting"
POSTING = "posting"
ACCEPTED = "accepted"
RELEASING = "releasing"
HIDING = "hiding"
HELD = "held"
DEAD = "dead"

# Changes of visibility (Message.change).
EXTEND = "extend"
RELEASE = "release"
HIDE = "hide"

# How many delivered but undeleted messages are remembered after they were let go, so that they are deleted, not
# delivered again, when they come back. 1,000 ids are about 100 kB.
MAX_REMEMBERED = 1000


class Group:
    """A FIFO message group: its `members` in hand, in order."""

    __slots__ = ("members",)

    def __init__(self) -> None:
        self.members: list[Message] = []

    def next_to_post(self, now: float) -> Message | None:
        """The member that may go to the handler now: every earlier one is delivered and still hidden."""
        for member in self.members:
            if member.state == WAITING:
                return member if member.visible_at > now else None
            if member.state != ACCEPTED or member.lapsed or member.visible_at <= now:
                return None
        return None

    def followers(self, head: Message) -> list[Message]:
        """The undelivered members behind `head`."""
        behind = self.members[self.members.index(head) + 1 :]
        return [member for member in behind if member.state != ACCEPTED]


class InFlight:
    """Messages in hand by id, what of them can go to the handler, and how many bytes they are."""

    __slots__ = ("_ready", "by_id", "bytes", "groups", "posting", "remembered", "waiting")

    def __init__(self) -> None:
        self.by_id: dict[str, Message] = {}
        self.groups: dict[str, Group] = {}
        self.remembered: dict[str, None] = {}  # oldest first
        self.waiting = 0
        self.posting = 0
        self.bytes = 0
        self._ready: deque[Message] = deque()

    def add(self, message: Message, now: float) -> None:
        """Take a received message in hand as WAITING."""
        self.by_id[message.id] = message
        message.state = WAITING
        self.waiting += 1
        self.bytes += len(message.body)
        if message.group is None:
            self._ready.append(message)
            return
        group = self.groups.get(message.group)
        if group is None:
            group = self.groups[message.group] = Group()
        position = len(group.members)
        if position:  # SQS may hand out an earlier member again while we hold later ones
            sequence = _sequence(message)
            while position and group.members[position - 1].state == WAITING:
                if _sequence(group.members[position - 1]) <= sequence:
                    break
                position -= 1
        group.members.insert(position, message)
        if group.next_to_post(now) is message:
            self._ready.append(message)

    def confirmed(self, message: Message, now: float) -> None:
        """A message whose visibility was in doubt is still ours: it, or what waits for it, may have its turn now."""
        if message.group is not None:
            self.offer(message.group, now)
        elif message.state == WAITING:
            self._ready.append(message)

    def offer(self, name: str, now: float) -> None:
        """Make the next member of a FIFO group available, if one may go to the handler now."""
        group = self.groups.get(name)
        if group is not None:
            message = group.next_to_post(now)
            if message is not None:
                self._ready.append(message)

    def take(self, now: float) -> Message | None:
        """The next message for the handler, now POSTING; None if there is none. Skips those that lost their turn."""
        ready = self._ready
        while ready:
            message = ready.popleft()
            if message.state != WAITING:
                continue
            if message.visible_at > now if message.group is None else self._is_next(message, now):
                message.state = POSTING
                self.waiting -= 1
                self.posting += 1
                return message
        return None

    def _is_next(self, message: Message, now: float) -> bool:
        assert message.group is not None
        return self.groups[message.group].next_to_post(now) is message

    def move(self, message: Message, state: str) -> None:
        """Give a message that will not be POSTed (again) another state. Its body's memory is given up."""
        old = message.state
        if old == WAITING:
            self.waiting -= 1
        elif old == POSTING:
            self.posting -= 1
        message.state = state
        self.bytes -= len(message.body)
        message.body = b""

    def bury(self, message: Message) -> None:
        """A message that was with the handler is to be sent to the dead-letter queue: DEAD, with its body."""
        self.posting -= 1
        message.state = DEAD

    def remove(self, message: Message) -> None:
        """Let a message go."""
        del self.by_id[message.id]
        state = message.state
        if state == WAITING:
            self.waiting -= 1
        elif state == POSTING:
            self.posting -= 1
        message.state = ""
        self.bytes -= len(message.body)
        name = message.group
        if name is not None:
            group = self.groups[name]
            group.members.remove(message)
            if not group.members:
                del self.groups[name]

    def remember(self, message_id: str) -> None:
        """Remember a delivered message whose delete did not take (or may not have): see MAX_REMEMBERED."""
        self.remembered[message_id] = None
        if len(self.remembered) > MAX_REMEMBERED:
            del self.remembered[next(iter(self.remembered))]

    def in_state(self, *states: str) -> Iterator[Message]:
        """The messages in any of those states, oldest receive first."""
        return (message for message in list(self.by_id.values()) if message.state in states)

    def __len__(self) -> int:
        return len(self.by_id)


def _sequence(message: Message) -> int:
    text = message.system.get("SequenceNumber", "") if message.system else ""
    return int(text) if text.isascii() and text.isdigit() else 0
