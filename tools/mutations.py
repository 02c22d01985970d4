"""The promises, broken one at a time: what tools/mutate.py changes in the source, and which tests are to notice.

Each row names the promise, the file, a text that occurs in it exactly once, and what to put there instead.
"""

# ruff: noqa: E501  the texts are lines of the source
from __future__ import annotations

CORE = ("tests/unit/core", "tests/property/core/test_engine_model.py")
SIMULATED = (
    "tests/unit/simulated",
    "--deselect=tests/unit/simulated/test_delivery.py::test_a_long_run_leaves_nothing_behind",
)


class Mutation:
    """One change of the source that breaks a promise."""

    def __init__(
        self, promise: str, file: str, old: str, new: str, tests: tuple[str, ...] = CORE, *,
        package: str = "sidecar/carrier_sidecar",
    ) -> None:  # fmt: skip
        self.promise = promise
        self.file = f"{package}/{file}"
        self.old = old
        self.new = new
        self.tests = tests


MUTATIONS = (
    # -- at least once
    Mutation(
        "a message is deleted only after the handler accepted it",
        "engine.py",
        "        message.posted_at = now\n        if message.fault is None:\n",
        "        message.posted_at = now\n        self.settling.delete(message, now)\n        if message.fault is None:\n",
    ),
    Mutation(
        "a failure is not taken for a delivery",
        "engine.py",
        "        if answer.verdict is DELIVERED:\n            metrics.delivered += 1\n",
        "        if answer.verdict is not HIDE:\n            metrics.delivered += 1\n",
    ),
    Mutation(
        "a delivered message stays in hand until its delete is confirmed",
        "deleting.py",
        "        self._settling.delete(message, now)\n        if message.group is not None:\n            self._hand.offer",
        "        self._settling.delete(message, now)\n        self._hand.remove(message)\n        if message.group is not None:\n            self._hand.offer",
    ),
    Mutation(
        "a failed entry of a batch answer is tried again",
        "deleting.py",
        "                self._settling.again(message, now)\n",
        "                pass\n",
    ),
    Mutation(
        "a delete call that failed as a whole is tried again",
        "deleting.py",
        "            if whole:\n                self._settling.delete(message, now)\n",
        "            if whole:\n                pass\n",
    ),
    Mutation(
        "an entry that failed is not taken for a success",
        "engine.py",
        "                if error is None:\n                    self.deleting.deleted",
        "                if error is None or not whole:\n                    self.deleting.deleted",
    ),
    Mutation(
        "a delete by an older receipt does not count",
        "deleting.py",
        "            if message.delete_receipt is not message.receipt:\n                # Received again",
        "            if False:\n                # Received again",
    ),
    Mutation(
        "a message received again in hand is not POSTed twice",
        "engine.py",
        "                if known is not None:\n",
        "                if known is not None and known.state != POSTING:\n",
    ),
    Mutation(
        "the newer receipt replaces the older",
        "engine.py",
        "        known.receipt = message.receipt\n",
        "",
    ),
    Mutation(
        "a delivered message that could not be deleted is remembered",
        "deleting.py",
        "            self._hand.remember(message.id)\n            self._visibility.lost(message, now)",
        "            self._visibility.lost(message, now)",
    ),
    Mutation(
        "a delivered message that was deleted late is remembered",
        "deleting.py",
        "            if message.lapsed or message.late:\n                self._hand.remember(message.id)\n",
        "",
    ),
    Mutation(
        "what comes back after it was delivered is deleted, not delivered again",
        "engine.py",
        "                if hand.remembered and message.id in hand.remembered:",
        "                if False:",
    ),
    Mutation(
        "a late delete is counted and logged",
        "settling.py",
        "if message.visible_at <= now and not message.late:",
        "if False:",
    ),
    # -- heartbeat
    Mutation(
        "the heartbeat extends what is due",
        "visibility.py",
        "        for message in extend:\n            self._settling.change(message, now)\n",
        "",
    ),
    Mutation(
        "waiting messages are extended too",
        "heartbeat.py",
        "KEPT = (WAITING, ",
        "KEPT = (",
    ),
    Mutation(
        "delivered messages are extended until their delete is confirmed",
        "heartbeat.py",
        "ACCEPTED, HELD",
        "HELD",
    ),
    Mutation(
        "an extension leaves time for a second try",
        "heartbeat.py",
        "            due = max(visible_at - half, message.retry_at)",
        "            due = max(visible_at - half / 15, message.retry_at)",
    ),
    Mutation(
        "a failed extension is tried again",
        "visibility.py",
        "            self._heartbeat.wake_at = min(self._heartbeat.wake_at, message.retry_at)",
        "            message.retry_at = now + 1e9",
    ),
    Mutation(
        "deadlines of a receive count from when its request was sent",
        "engine.py",
        "            visible_at = sent_at + poll.visibility_s\n",
        "            visible_at = now + poll.visibility_s\n",
    ),
    Mutation(
        "deadlines of an extension count from when its request was sent",
        "visibility.py",
        "message.visible_at = sent_at + message.change_s",
        "message.visible_at = now + message.change_s",
    ),
    Mutation(
        "a receive's deadline follows from the visibility that it asked for",
        "engine.py",
        "            visible_at = sent_at + poll.visibility_s\n",
        "            visible_at = sent_at + self.heartbeat.visibility_s\n",
    ),
    Mutation(
        "the queue's own visibility is never shortened",
        "engine.py",
        "max(SHORTEST_S, seconds)",
        "SHORTEST_S",
    ),
    Mutation(
        "a visibility under 10 s is raised",
        "engine.py",
        "max(SHORTEST_S, seconds)",
        "seconds",
    ),
    Mutation(
        "what may be visible to others is not begun",
        "in_flight.py",
        "if message.visible_at > now if message.group is None else self._is_next(message, now):",
        "if message.group is None or self._is_next(message, now):",
    ),
    Mutation(
        "a message that came late in a long poll is delivered once it is confirmed",
        "visibility.py",
        "                if in_doubt:\n                    self._hand.confirmed(message, now)\n",
        "",
    ),
    Mutation(
        "at 12 hours it is said",
        "heartbeat.py",
        "return message.hidden_since + HIDDEN_AT_MOST_S - message.visible_at < 2 * LEAST_GAIN_S",
        "return False",
    ),
    Mutation(
        "no extension goes beyond 12 hours",
        "heartbeat.py",
        "message.change_s = min(self.visibility_s, left)",
        "message.change_s = self.visibility_s",
    ),
    Mutation(
        "refused deletes do not hold up the heartbeat",
        "settling.py",
        "        lane = self._deletes if delete else self._changes\n        if now < lane.blocked_until:\n            return\n",
        "        lane = self._changes\n        if now < lane.blocked_until:\n            return\n",
    ),
    Mutation(
        "calls that fail together are one failure",
        "settling.py",
        "        if now < lane.blocked_until:\n            return\n        lane.failures += 1\n",
        "        lane.failures += 1\n",
    ),
    Mutation(
        "an extension by an older receipt proves nothing",
        "visibility.py",
        "stale = message.change_receipt is not message.receipt",
        "stale = False",
    ),
    Mutation(
        "refused extensions: said once, delivered without",
        "visibility.py",
        "            self._heartbeat.allowed = False\n",
        "",
    ),
    Mutation(
        "a message that left hand is not touched any more",
        "settling.py",
        "if message.state and message.change and message.change_receipt is None:",
        "if True:",
    ),
    # -- coming back
    Mutation(
        "Retry-After hides the message",
        "visibility.py",
        "        self._send(message, HIDE, message.hide_s, now)\n\n    def give_back",
        "        self.gone(message, now)\n\n    def give_back",
    ),
    Mutation(
        "a message does not come back sooner than asked",
        "engine.py",
        "hide_s = answer.hide_s + 0.999",
        "hide_s = answer.hide_s",
    ),
    Mutation(
        "Retry-After stays within 12 hours less a minute",
        "engine.py",
        "left = message.hidden_since + HIDDEN_AT_MOST_S - HIDE_MARGIN_S - now",
        "left = float(HIDDEN_AT_MOST_S)",
    ),
    Mutation(
        "what failed otherwise is left alone",
        "engine.py",
        "            if hide_s < 0:\n                return -1\n        else:\n            return -1\n",
        "            if hide_s < 0:\n                return -1\n        else:\n            hide_s = 0\n",
    ),
    Mutation(
        "changes of visibility do not overtake each other",
        "visibility.py",
        "        if message.change_receipt is not None:\n            return\n",
        "",
    ),
    # -- FIFO
    Mutation(
        "one message of a group with the handler at a time",
        "in_flight.py",
        "            if member.state != ACCEPTED or member.lapsed or member.visible_at <= now:\n                return None\n",
        "",
    ),
    Mutation(
        "nothing follows a head whose visibility has run out",
        "in_flight.py",
        "if member.state != ACCEPTED or member.lapsed or member.visible_at <= now:",
        "if member.state != ACCEPTED:",
    ),
    Mutation(
        "a failed head waits for what follows it",
        "visibility.py",
        "        if message.lapsed or not self._followed(message):",
        "        if True:",
    ),
    Mutation(
        "what follows a failed head is given back",
        "visibility.py",
        "        self._give_back_followers(message, now)\n        self._free_heads(message.group, now)",
        "        self._free_heads(message.group, now)",
    ),
    Mutation(
        "a head comes back only after what follows it is confirmed as given back",
        "visibility.py",
        "if member.state == HELD and not group.followers(member):",
        "if member.state == HELD:",
    ),
    Mutation(
        "what joins a group behind a failed head goes back",
        "engine.py",
        "                    self.visibility.joined(message, now)\n",
        "                    pass\n",
    ),
    Mutation(
        "a held head comes back some time",
        "visibility.py",
        "        if message.group is not None:\n            self._free_heads(message.group, now)\n",
        "        if message.group is not None:\n",
    ),
    Mutation(
        "a lapsed head takes its followers along",
        "visibility.py",
        "        self._give_back_followers(message, now)\n        if state not in",
        "        if state not in",
    ),
    Mutation(
        "nothing follows a delivered head that can no longer be deleted",
        "deleting.py",
        "            self._visibility.lost(message, now)",
        "            self._visibility.gone(message, now)",
    ),
    Mutation(
        "the next of a group follows the one that was accepted",
        "deleting.py",
        "        if message.group is not None:\n            self._hand.offer(message.group, now)\n",
        "",
    ),
    Mutation(
        "each FIFO receive has an attempt id of its own",
        "receiving.py",
        '        poll.failures = 0\n        poll.attempt_id = ""\n',
        "        poll.failures = 0\n",
    ),
    Mutation(
        "an attempt id is used again when its call got no answer",
        "receiving.py",
        '        if error.answered:\n            poll.attempt_id = ""\n',
        '        poll.attempt_id = ""\n',
    ),
    Mutation(
        "members stand in order of their sequence numbers",
        "in_flight.py",
        "                position -= 1\n",
        "                break\n",
    ),
    # -- receiving
    Mutation(
        "a slow message holds one slot only",
        "engine.py",
        "        if self.stopping.active:\n            self.stopping.look(now)\n        else:\n            self._fill(now)\n            if self.receiving.idle:\n                self._poll(now)\n",
        "        if self.stopping.active:\n            self.stopping.look(now)\n        elif not self.hand.posting:\n            self._fill(now)\n            if self.receiving.idle:\n                self._poll(now)\n",
    ),
    Mutation(
        "while the handler is slow only free slots are asked for",
        "receiving.py",
        "            count = min(batch, slots - held)\n",
        "            count = min(batch, slots + batch - held)\n",
    ),
    Mutation(
        "an unknown pace counts as slow",
        "receiving.py",
        "if average is not None and average * batch",
        "if (average or 0.0) * batch",
    ),
    Mutation(
        "with a fast handler one batch is fetched ahead",
        "receiving.py",
        "count = batch if held <= slots else 0",
        "count = batch if held <= 0 else 0",
    ),
    Mutation(
        "in hand at most the slots and one batch",
        "receiving.py",
        "count = batch if held <= slots else 0",
        "count = batch if held <= slots + batch else 0",
    ),
    Mutation(
        "receive calls are few",
        "receiving.py",
        "count = batch if held <= slots else 0",
        "count = min(batch, slots + batch - held)",
    ),
    Mutation(
        "a poll reserves the room that it asks for",
        "receiving.py",
        "        self.reserved += count\n",
        "",
    ),
    Mutation(
        "bytes in hand gate polls",
        "receiving.py",
        "        if free < count * self.size_guess:",
        "        if False:",
    ),
    Mutation(
        "a message larger than the limit gets through alone",
        "receiving.py",
        "return 1 if not hand.bytes and not self.reserved else 0",
        "return 0",
    ),
    Mutation(
        "other groups use the slots that one cannot",
        "receiving.py",
        "busy = min(hand.waiting + hand.posting, len(hand.groups)) + self.reserved",
        "busy = hand.waiting + hand.posting + self.reserved",
    ),
    Mutation(
        "a failed receive waits for its backoff",
        "receiving.py",
        "poll.retry_at = now + _BACKOFF.get(error.kind, SOON).delay(poll.failures, draw)",
        "poll.retry_at = now",
    ),
    Mutation(
        "a failed receive is repeated",
        "engine.py",
        "        self._retry_at = min(self._retry_at, self.receiving.failed(poll, error, now, self._draw))",
        "        self.receiving.failed(poll, error, now, self._draw)",
    ),
    Mutation(
        "settles wait for their backoff while SQS is down",
        "settling.py",
        "        lane.blocked_until = now + backoff.delay(lane.failures, self._draw)",
        "        lane.blocked_until = now",
    ),
    Mutation(
        "deletes beyond those on the wire are not forgotten",
        "settling.py",
        "            self._stalled = False\n            self._wake(now)",
        "            self._stalled = False",
    ),
    Mutation(
        "a server that does not wait is not asked without pause",
        "receiving.py",
        "        if poll.quick <= QUICK_AT_MOST:",
        "        if True:",
    ),
    Mutation(
        "what a settle makes ready is posted at once",
        "engine.py",
        "            settling.flush(now)\n        self._fill(now)\n        if self.receiving.idle:",
        "            settling.flush(now)\n        if self.receiving.idle:",
    ),
    # -- gate
    Mutation(
        "a refused POST shuts the gate",
        "engine.py",
        "        if answer.reason == REFUSED:\n            self.handler_offline(now)\n",
        "",
    ),
    Mutation(
        "nothing is received while the gate is shut",
        "gate.py",
        "self.receives = not self.reasons",
        "self.receives = self.posts",
    ),
    Mutation(
        "what waits is held for 5 s when the handler goes away",
        "engine.py",
        "            self._hold_until = now + HOLD_S\n\n    def shut",
        "            self._hold_until = now\n\n    def shut",
    ),
    Mutation(
        "and then given back",
        "engine.py",
        "            if not self.gate.posts:\n                self._give_back_waiting(now)\n",
        "            pass\n",
    ),
    Mutation(
        "refused deletes end receiving",
        "engine.py",
        "        if self.gate.shut(DELETE_DENIED):\n",
        "        if False:\n",
    ),
    Mutation(
        "receiving goes on once deletes are allowed again",
        "engine.py",
        "        if DELETE_DENIED in self.gate.reasons:\n            self.open(DELETE_DENIED, now)\n",
        "        pass\n",
    ),
    # -- the end
    Mutation(
        "a drain gives back what has not begun",
        "engine.py",
        "    def _stop(self, now: float) -> None:\n        self._give_back_waiting(now)\n",
        "    def _stop(self, now: float) -> None:\n",
    ),
    Mutation(
        "a drain gives back what a receive on the wire brings",
        "engine.py",
        "            if self.stopping.active:\n                self._give_back_waiting(now)\n",
        "            if self.stopping.active:\n                pass\n",
    ),
    Mutation(
        "a receive on the wire is awaited for 2 s beyond",
        "stopping.py",
        "            self._quiet_at = now + LAST_RECEIVE_S",
        "            self._quiet_at = now",
    ),
    Mutation(
        "and not for longer",
        "stopping.py",
        "            self._quiet_at = now + LAST_RECEIVE_S",
        "            self._quiet_at = NEVER",
    ),
    Mutation(
        "at the deadline POSTs are cut off",
        "stopping.py",
        "        if now >= self._deadline:\n            self._out_of_time(now)\n",
        "        if now >= self._deadline:\n            self._deadline = NEVER\n",
    ),
    Mutation(
        "cut off messages are given back",
        "engine.py",
        "            self.stopping.unfinished = True\n            self.visibility.failed(message, 0, now)\n        self._cut_letters",
        "            self.stopping.unfinished = True\n            self.visibility.failed(message, -1, now)\n        self._cut_letters",
    ),
    Mutation(
        "what was cut off and comes again is kept from our own receives",
        "engine.py",
        "            self.visibility.returned[message.id] = None\n",
        "",
    ),
    Mutation(
        "what was given back and comes again is kept from our own receives",
        "visibility.py",
        "seconds = again_s if message.id in returned else 0",
        "seconds = 0",
    ),
    Mutation(
        "each cut off message is logged",
        "engine.py",
        '            self._note("cut_off", {',
        '            None and self._note("cut_off", {',
    ),
    Mutation(
        "settling at the end is bounded",
        "stopping.py",
        "        self._last_at = now + LAST_SETTLES_S",
        "        self._last_at = NEVER",
    ),
    Mutation(
        "what was cut off makes the end unfinished",
        "engine.py",
        "            self.stopping.unfinished = True\n            self.visibility.failed(message, 0, now)\n        self._cut_letters",
        "            self.visibility.failed(message, 0, now)\n        self._cut_letters",
    ),
    Mutation(
        "the heartbeat is the last thing to stop",
        "engine.py",
        "        if now >= self.heartbeat.wake_at:\n",
        "        if now >= self.heartbeat.wake_at and not self.stopping.active:\n",
    ),
    Mutation(
        "the end is told once",
        "stopping.py",
        "            self._told = True\n",
        "",
    ),
    Mutation(
        "whoever asks for the end later is told too",
        "stopping.py",
        "        self.active = True\n        self._told = False\n",
        "        self.active = True\n",
    ),
    Mutation(
        "while work goes on the last receive is awaited",
        "stopping.py",
        "        if self._hand.by_id:\n            self._quiet_at = NEVER\n",
        "        if self._hand.by_id and not self._receiving.on_wire:\n            self._quiet_at = NEVER\n",
    ),
    # -- dead letters
    Mutation(
        "a dead letter is sent before its message is deleted",
        "dead_letter.py",
        "        self._letters[message.id] = Letter(message, reason, answer, wall_s)\n",
        "        self._letters[message.id] = Letter(message, reason, answer, wall_s)\n        self._accept(message, now)\n",
    ),
    Mutation(
        "a dead letter whose send failed keeps its message",
        "dead_letter.py",
        "            self._failed(letter, error, now)\n",
        "            self._accept(message, now)\n",
    ),
    # -- answers
    Mutation(
        "every 2xx is a delivery",
        "disposition.py",
        "for status in range(200, 300)}",
        "for status in range(200, 201)}",
    ),
    Mutation(
        "only 429 and 503 heed Retry-After",
        "disposition.py",
        "if status in (429, 503):",
        "if status >= 400:",
    ),
    # -- the whole sidecar
    Mutation(
        "nothing is received before the handler answers",
        "run.py",
        "gate=Gate(STARTING, QUEUE,",
        "gate=Gate(QUEUE,",
        SIMULATED,
    ),
    Mutation(
        "a handler that refuses a POST is tried again soon, whatever checks failed before",
        "health.py",
        "        if offline and not self._offline and not self._checking:\n",
        "        if offline and not self._offline and not self._checking and self._tries == 0:\n",
        SIMULATED,
    ),
    Mutation(
        "a health endpoint elsewhere opens no gate for a handler that refuses",
        "health.py",
        "        if self._pool is None or (self._elsewhere and OFFLINE in self._engine.gate.reasons):\n",
        "        if self._pool is None:\n",
        SIMULATED,
    ),
    Mutation(
        "a pause lasts at least until its hook is answered",
        "health.py",
        "        over = self._seen_gone and not self._hooks and paused_s >= 0.0\n",
        "        over = self._seen_gone and paused_s >= 0.0\n",
        SIMULATED,
    ),
    Mutation(
        "the 30 seconds of a pause count from its answer",
        "health.py",
        "        self._hooks -= 1\n        if self._paused_at is not None:\n",
        "        self._hooks -= 1\n        if self._paused_at is None:\n",
        SIMULATED,
    ),
    Mutation(
        "an app that is restarted through a pause is not offline",
        "health.py",
        "            expected = 0.0 <= paused_s < PAUSE_AT_MOST_S  # the app is being restarted\n",
        "            expected = False\n",
        SIMULATED,
    ),
    Mutation(
        "an offline handler ends the process with code 4 where that is asked for",
        "run.py",
        "            self._exit_code = HANDLER_OFFLINE\n",
        "            self._exit_code = UNFINISHED\n",
        SIMULATED,
    ),
    Mutation(
        "a drained process stays until the signal",
        "run.py",
        "        self._hold_for_signal = True\n",
        "        self._hold_for_signal = False\n",
        SIMULATED,
    ),
    Mutation(
        "a drain that could not finish everything waits for the signal, too",
        "run.py",
        "        if self._hold_for_signal and not self._signalled:\n",
        "        if self._hold_for_signal and not self._signalled and finished:\n",
        SIMULATED,
    ),
    Mutation(
        "a permission that is missing is said once",
        "run.py",
        "            if attributes.kind != self._attributes_problem:\n",
        "            if attributes.kind:\n",
        SIMULATED,
    ),
    Mutation(
        "the queue's visibility timeout is read again",
        "run.py",
        "        self._loop.call_at(self._loop.now() + ATTRIBUTES_EVERY_S, self._read_attributes)\n",
        "        self._read_attributes  # noqa: B018\n",
        SIMULATED,
    ),
    Mutation(
        "a pod's clock that is set forward makes no credentials expire",
        "sqs/clock.py",
        "        return earliest if ahead_s is None else min(",
        "        return earliest if ahead_s is not None else min(",
        SIMULATED,
    ),
    Mutation(
        "a pause is one of all sidecars of the pod",
        "probes.py",
        "        for host, port in self._peers:\n            _PeerPause",
        "        for host, port in self._peers[:0]:\n            _PeerPause",
        SIMULATED,
    ),
)
