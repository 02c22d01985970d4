"""One queue with its handler and two sidecars, and the hands that put faults into all of them.

The first sidecar is never touched, so that its memory can be watched; the second is stopped, killed and replaced.
"""

from __future__ import annotations

import json
import signal
import time
from random import Random
from typing import TYPE_CHECKING
from zlib import crc32

from carrier_sidecar.http1.server import Server
from tests.process.handler import OK, Reply
from tests.process.world import World, key_of
from tests.simulation.sqs_faults import Fault, Faults
from tests.soak.ledger import Ledger, Order, Spans
from tests.soak.schedule import CHANGE, DELETE, PROCESS, RECEIVE

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from carrier_sidecar.http1.requests import Request
    from carrier_sidecar.http1.server import Responder
    from tests.process.handler import Post
    from tests.process.sidecar import SidecarProcess
    from tests.soak.schedule import Event

HANG_S = 30.0  # longer than the sidecar's own patience
BACKLOG = 400
SHUTDOWN_S = 5
# SIGTERM: 5 s for the handler, 3 s to settle, 2 s for a receive on the wire.
LONGEST_END_S = 12.0
GROUPS = 25


class Chances(Faults):
    """Beside what is planned: each call meets each of the `rules` with a chance of its own."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.rules: dict[str, tuple[str, float, Callable[[Random], Fault]]] = {}
        self._random = random

    def take(self, action: str) -> Fault | None:
        for wanted, chance, make in self.rules.values():
            if wanted in ("", action) and self._random.random() < chance:
                return make(self._random)
        return super().take(action)


class Stage:
    """`fifo`: of which kind the queue is. `pump` sends messages; `begin` and `end` apply events of the schedule."""

    def __init__(self, seed: int, fifo: bool) -> None:
        self.name = "fifo" if fifo else "standard"
        self.world = World(queue="orders.fifo" if fifo else "orders")
        self.ledger = Ledger()
        self.order = Order() if fifo else None
        self.events: dict[Event, Callable[[], None]] = {}
        self.overlaps = 0
        self.unexplained_overlaps: list[str] = []
        self._seed = seed
        self._fifo = fifo
        self._number = 0
        self._started = 0
        self._handler_chances: dict[str, tuple[float, Callable[[], Reply]]] = {}
        self._loop = self.world.thread.loop
        self._chances = self.world.thread.do(self._install)
        self._key = 0
        self.steady = self._start("steady")
        self.shaken: SidecarProcess | None = self._start()
        self.shaken_name = f"shaken{self._started}"
        self.exit_codes: list[int] = []
        self._leaving: dict[str, tuple[SidecarProcess, float]] = {}
        self._may_be_replaced: list[str] = []

    def _install(self) -> Chances:
        sqs = self.world.sqs
        chances = Chances(Random(self._seed))
        sqs.faults = chances
        sqs.polls.faults = chances
        handler = self.world.handler
        handler.posts = type(handler.posts)(maxlen=1000)
        handler.script = self._answer
        handler.on_end = self._ended
        self._agent = Server(self._loop, "127.0.0.1", 0, self._give_credentials)
        return chances

    # Sidecars

    def _start(self, name: str = "") -> SidecarProcess:
        if not name:
            self._started += 1
            name = f"shaken{self._started}"
        environ = {
            "AWS_ACCESS_KEY_ID": "unset",
            "AWS_SECRET_ACCESS_KEY": "unset",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{self._agent.port}/credentials",
            "CARRIER_WEBHOOK_ENDPOINT": self.world.handler.url + f"/{name}",
            "CARRIER_WEBHOOK_REQUEST_TIMEOUT": "20s",
            "CARRIER_SHUTDOWN_TIMEOUT": f"{SHUTDOWN_S}s",
            "CARRIER_SQS_RECEIVERS": "2",
            "CARRIER_MAX_IN_FLIGHT": "30",
            "CARRIER_LOG_LEVEL": "warn",
            "CARRIER_START_ERRORS": "retry",
        }
        return self.world.start(wait=False, environ=environ)

    def _give_credentials(self, request: Request, responder: Responder) -> None:
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        keys = {"AccessKeyId": f"AK{self._key}", "SecretAccessKey": "secret", "Token": "token", "Expiration": expires}
        responder.answer(200, json.dumps(keys).encode(), "application/json")

    # Messages

    def pump(self, most: int) -> int:
        """Send up to `most`, as far as the backlog allows; how many were sent."""
        return self.world.thread.do(lambda: self._pump(most))

    def _pump(self, most: int) -> int:
        queue = self.world._queue(self.world.queue_name)
        count = min(most, BACKLOG - len(queue.messages))
        now = self._loop.now()
        for _ in range(count):
            number = self._number
            self._number += 1
            if self._fifo:
                group, place = f"g{number % GROUPS}", number // GROUPS
                key = f"{group}.{place}"
                more = {"MessageGroupId": group, "MessageDeduplicationId": key}
            else:
                key, more = f"m{number}", {}
            self.ledger.send(key, now)
            self.world.sqs.polls.send(self.world.queue_url, f"{key} {'x' * (number % 500)}", **more)
        return max(count, 0)

    def keys_in_queue(self) -> set[str]:
        return {key_of(message) for message in self.world.messages}

    def tidy(self) -> None:
        """Bound what the servers remember, and let the ledger forget what is finished."""

        def act() -> None:
            queue = self.world._queue(self.world.queue_name)
            self.ledger.finish({key_of(message) for message in queue.messages.values()}, self._loop.now())
            del self.world.sqs.seen[:]
            queue._deduplication.clear()
            recent = list(queue._attempts.items())[-100:]
            queue._attempts.clear()
            queue._attempts.update(recent)
            handler = self.world.handler
            handler.accepted.clear()
            handler.tries.clear()

        self.world.thread.do(act)
        for sidecar in list(self.world.sidecars):
            del sidecar.lines[:-200]
            if not sidecar.alive and sidecar not in (self.steady, self.shaken):
                sidecar.close()
                self.world.sidecars.remove(sidecar)

    # What is to be said

    @property
    def started(self) -> int:
        """Sidecars so far."""
        return self._started + 1

    def progress(self) -> str:
        ledger = self.ledger
        return (
            f"{self.name}: sent {ledger.sent}, in the queue {len(self.world.messages)}, duplicates {ledger.duplicates}"
        )

    def problems(self) -> list[str]:
        """Broken promises so far."""
        found = [f"a duplicate without a reason: {one}" for one in self.ledger.unexplained[:10]]
        found += [f"POSTed twice at a time: {one}" for one in self.unexplained_overlaps[:10]]
        if self.order is not None:
            found += [f"out of order: {one}" for one in self.order.broken[:10]]
        return found

    def stuck(self) -> str:
        keys = sorted(self.keys_in_queue())
        return f"{self.name}: {len(keys)} messages are stuck: {keys[:20]}\n{self.world.state()[-4000:]}"

    # The handler

    def _answer(self, post: Post) -> Reply:
        running = self.world.handler.running[post.key]
        if len(running) > 1:
            self.overlaps += 1
            self._look_at_overlap(running[0], post)
        if self.order is not None:
            self.order.begin(post)
        for name, (chance, reply) in self._handler_chances.items():
            # By the message, not by the order in which they come: the same seed fails the same messages.
            if crc32(f"{self._seed} {name} {post.key} {post.receive_count}".encode()) / 2**32 < chance:
                return reply()
        # Something is always in hand when a fault comes.
        return Reply(delay_s=0.4) if crc32(post.key.encode()) % 50 == 0 else OK

    def _look_at_overlap(self, first: Post, second: Post) -> None:
        holder = first.target.rpartition("/")[2]
        stopped = self.ledger.stopped.get(holder)
        at_fault = self.ledger.sqs.touch(first.began_at - 10, second.began_at)
        if not at_fault and not (stopped and stopped.touch(first.began_at - 10, second.began_at)):
            self.unexplained_overlaps.append(f"{second!r} at {second.began_at:.2f} beside {first!r} of {holder}")

    def _ended(self, post: Post) -> None:
        if 200 <= post.status < 300:
            self.ledger.accept(post, self._loop.now())
            if self.order is not None:
                self.order.accept(post)

    # Faults

    def begin(self, event: Event) -> None:
        """Apply it; `end` takes it away again."""
        act = getattr(self, "_" + event.kind.name)
        if event.kind.hits == PROCESS:
            self.events[event] = act(event)
        else:
            self.events[event] = self.world.thread.do(lambda: act(event))

    def end(self, event: Event) -> None:
        undo = self.events.pop(event)
        if event.kind.hits == PROCESS:
            undo()
        else:
            self.world.thread.do(undo)

    def _rule(
        self, event: Event, action: str, make: Callable[[Random], Fault], tail_s: float = 1.5
    ) -> Callable[[], None]:
        """A rule for the calls, and a span in the ledger that ends `tail_s` after it: backoffs must pass."""
        name = str(event)
        self._chances.rules[name] = (action, event.drawn.get("share", 1.0), make)
        return self._span(lambda: self._chances.rules.pop(name), tail_s)

    def _span(self, undo: Callable[[], Any], tail_s: float = 1.5) -> Callable[[], None]:
        span = self.ledger.sqs.begin(self._loop.now())

        def end() -> None:
            undo()
            span[1] = self._loop.now() + tail_s

        return end

    def _sqs_down(self, event: Event) -> Callable[[], None]:
        self.world.sqs._cut()
        return self._span(self.world.sqs._listen)

    def _sqs_errors(self, event: Event) -> Callable[[], None]:
        return self._rule(event, "", lambda random: Fault(code="InternalError", status=random.choice((500, 502, 503))))

    def _sqs_throttles(self, event: Event) -> Callable[[], None]:
        return self._rule(event, "", lambda random: Fault(code="RequestThrottled"), 6.0)

    def _sqs_closes(self, event: Event) -> Callable[[], None]:
        return self._rule(event, "", lambda random: Fault(close_before=True))

    def _sqs_answers_lost(self, event: Event) -> Callable[[], None]:
        return self._rule(event, "", lambda random: Fault(close_after=True))

    def _sqs_answers_cut(self, event: Event) -> Callable[[], None]:
        def cut(random: Random) -> Fault:
            self.world.sqs.cut_answers[random.choice((DELETE, CHANGE, RECEIVE))] = 1
            return Fault()

        return self._rule(event, "", cut)

    def _sqs_garbage(self, event: Event) -> Callable[[], None]:
        choices = (b"{", b"<html>", b"[]", b'{"Messages": [{}], "Successful": [{}], "Failed": 3}', b"\xff\xfe")
        return self._rule(event, "", lambda random: Fault(raw=random.choice(choices)))

    def _sqs_hangs(self, event: Event) -> Callable[[], None]:
        return self._rule(event, "", lambda random: Fault(delay_s=HANG_S, close_before=True), 12.0)

    def _sqs_slow(self, event: Event) -> Callable[[], None]:
        return self._rule(event, "", lambda random: Fault(delay_s=event.drawn["delay_s"]))

    def _entries(self, event: Event, action: str, fail: bool) -> Callable[[], None]:
        def make(random: Random) -> Fault:
            some = random.sample(range(10), random.randint(1, 10))
            return Fault(fail=some, code="InternalError", status=500) if fail else Fault(omit=some)

        return self._rule(event, action, make, 2.5)

    def _delete_entries_fail(self, event: Event) -> Callable[[], None]:
        return self._entries(event, DELETE, True)

    def _delete_entries_missing(self, event: Event) -> Callable[[], None]:
        return self._entries(event, DELETE, False)

    def _change_entries_fail(self, event: Event) -> Callable[[], None]:
        return self._entries(event, CHANGE, True)

    def _change_entries_missing(self, event: Event) -> Callable[[], None]:
        return self._entries(event, CHANGE, False)

    def _wrong_md5(self, event: Event) -> Callable[[], None]:
        def damage(answer: dict[str, Any]) -> dict[str, Any]:
            for message in answer.get("Messages", [])[:1]:
                message["MD5OfBody"] = "0" * 32
            return answer

        return self._rule(event, RECEIVE, lambda random: Fault(edit=damage))

    def _clock_steps(self, event: Event) -> Callable[[], None]:
        sqs = self.world.sqs
        sqs.clock_offset_s = event.drawn["hours"] * 3600.0
        return self._span(lambda: setattr(sqs, "clock_offset_s", 0.0), 4.0)

    def _credentials_revoked(self, event: Event) -> Callable[[], None]:
        self.world.sqs.expired_keys.add(f"AK{self._key}")

        def renew() -> None:
            self._key += 1

        return self._span(renew, 15.0)

    def _handler_down(self, event: Event) -> Callable[[], None]:
        span = self.ledger.handler.begin(self._loop.now())
        self.world.handler._cut()

        def up() -> None:
            self.world.handler._listen()
            span[1] = self._loop.now()

        return up

    def _handler_restarts(self, event: Event) -> Callable[[], None]:
        over = False

        def restart() -> None:
            if not over:
                span = self.ledger.handler.begin(self._loop.now())
                self.world.handler._cut()
                self._loop.call_at(self._loop.now() + 0.05, lambda: up(span))

        def up(span: list[float]) -> None:
            self.world.handler._listen()
            span[1] = self._loop.now()
            self._loop.call_at(self._loop.now() + 0.7, restart)

        def end() -> None:
            nonlocal over
            over = True

        restart()
        return end

    def _chance(self, event: Event, reply: Callable[[], Reply]) -> Callable[[], None]:
        name = str(event)
        self._handler_chances[name] = (event.drawn["share"], reply)

        def end() -> None:
            del self._handler_chances[name]

        return end

    def _handler_fails(self, event: Event) -> Callable[[], None]:
        replies = [Reply(500), Reply(503, headers=[("Retry-After", "1")]), Reply(429, headers=[("Retry-After", "0")])]
        random = Random(self._seed)
        return self._chance(event, lambda: random.choices(replies, (1, 6, 6))[0])

    def _handler_slow(self, event: Event) -> Callable[[], None]:
        return self._chance(event, lambda: Reply(delay_s=event.drawn["delay_s"]))

    def _handler_hangs(self, event: Event) -> Callable[[], None]:
        return self._chance(event, lambda: Reply(never=True))

    def _handler_drops(self, event: Event) -> Callable[[], None]:
        return self._chance(event, lambda: Reply(drop=True))

    def _end_shaken(self, *signums: int) -> Callable[[], None]:
        """End the second sidecar; another takes its place when the event is over and it has ended."""
        sidecar, name = self.shaken, self.shaken_name
        if sidecar is None:
            return nothing
        now = self._loop.now()
        self.ledger.cut[name] = [now, now + 0.05 * len(signums), now + SHUTDOWN_S]
        for signum in signums:
            sidecar.signal(signum)
            time.sleep(0.05)
        if signums == (signal.SIGKILL,):
            self.ledger.ended[name] = now
            self.ledger.killed.add(name)
        self.shaken = None
        self._leaving[name] = (sidecar, now)
        return lambda: self._may_be_replaced.append(name)

    def look_after(self) -> None:
        """Replace a sidecar that has ended, which must not take long once it goes."""
        now = self._loop.now()
        for name, (sidecar, since) in list(self._leaving.items()):
            stopped = self.ledger.stopped.get(name)
            if stopped and stopped.touch(now - 1, now):
                self._leaving[name] = (sidecar, now)
            elif sidecar.alive:
                if now - since > LONGEST_END_S:
                    raise AssertionError(f"{name} does not end: {sidecar.log()}")
            elif name in self._may_be_replaced:
                self.exit_codes.append(sidecar.wait(5))
                self.ledger.ended.setdefault(name, now)
                del self._leaving[name]
                self._may_be_replaced.remove(name)
                self.shaken = self._start()
                self.shaken_name = f"shaken{self._started}"
        for sidecar in self.world.sidecars:
            if sidecar.other_output:
                raise AssertionError(f"a sidecar crashed: {sidecar.log()}")
        if not self.steady.alive:
            raise AssertionError(f"the steady sidecar ended: {self.steady.log()}")
        if self.shaken is not None and not self.shaken.alive:
            raise AssertionError(f"{self.shaken_name} ended by itself: {self.shaken.log()}")

    def _sigterm(self, event: Event) -> Callable[[], None]:
        return self._end_shaken(signal.SIGTERM)

    def _two_signals(self, event: Event) -> Callable[[], None]:
        return self._end_shaken(signal.SIGTERM, signal.SIGTERM)

    def _sigkill(self, event: Event) -> Callable[[], None]:
        return self._end_shaken(signal.SIGKILL)

    def _sigstop(self, event: Event) -> Callable[[], None]:
        sidecar, name = self.shaken, self.shaken_name
        if sidecar is None:
            return nothing
        span = self.ledger.stopped.setdefault(name, Spans()).begin(self._loop.now())
        sidecar.signal(signal.SIGSTOP)

        def go_on() -> None:
            sidecar.signal(signal.SIGCONT)
            span[1] = self._loop.now() + 1.5

        return go_on

    def close(self) -> None:
        self.world.thread.do(lambda: self._agent.close(at_once=True))
        self.world.close()


def nothing() -> None:
    """There is nothing to undo."""
