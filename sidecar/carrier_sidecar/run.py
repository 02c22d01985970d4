"""The sidecar as a whole: the engine wired to SQS, the handler, the probes, signals and logs.

Wiring and the order of starting and stopping; every rule about messages is the engine's. Exit codes: 0 drained, 1 not
everything could be finished, 2 bad settings, 3 queue or permission refused at the start, 4 handler offline with
CARRIER_WEBHOOK_OFFLINE_ACTION=exit.
"""

from __future__ import annotations

from posix import urandom

from carrier_sidecar import message as kinds
from carrier_sidecar.backoff import SLOW, SOON
from carrier_sidecar.engine import Engine
from carrier_sidecar.gate import DRAINING, OFFLINE, PAUSED, QUEUE, REASONS, STARTING, SUSPENDED, Gate
from carrier_sidecar.handler_tls import handler_tls
from carrier_sidecar.health import Health
from carrier_sidecar.http1.client import Origin, Pool
from carrier_sidecar.log import Log
from carrier_sidecar.metrics import Metrics
from carrier_sidecar.options import Options, open_files
from carrier_sidecar.settings import SettingsError, parse
from carrier_sidecar.sqs.queue import SqsQueue
from carrier_sidecar.url import parse_url
from carrier_sidecar.webhook import Webhook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from carrier_sidecar.authorization import FileAuthorization
    from carrier_sidecar.dead_letter import Letter
    from carrier_sidecar.log import Lines
    from carrier_sidecar.loop.api import Loop, Timer
    from carrier_sidecar.message import Message, QueueError
    from carrier_sidecar.probes import Probes
    from carrier_sidecar.settings import Settings
    from carrier_sidecar.sqs.attributes import Attributes
    from carrier_sidecar.url import URL

DRAINED = 0
UNFINISHED = 1
BAD_SETTINGS = 2
REFUSED_AT_START = 3
HANDLER_OFFLINE = 4

# Refusals that somebody has to mend: at the start they end the process (CARRIER_START_ERRORS=exit).
_REFUSALS = (kinds.DENIED, kinds.CREDENTIALS, kinds.NO_QUEUE, kinds.KMS, kinds.INVALID)
ATTRIBUTES_EVERY_S = 300.0
MAX_ANSWER_BYTES = 1 << 20  # of the handler's answer so much is read, and dropped, before its connection is closed
WEBHOOK_CONNECT_TIMEOUT_S = 10.0


def build(
    loop: Loop,
    environ: Mapping[str, str],
    done: Callable[[int], None],
    *,
    draw: Callable[[], float],
    new_id: Callable[[], str],
    lines: Lines | None = None,
) -> Sidecar | int:
    """The sidecar for an environment, probes bound; or the exit code where that cannot be. Problems are in the log,
    whose lines go to `lines` (None: standard output)."""
    try:
        settings = parse(environ)
    except SettingsError as error:
        log = Log(loop.wall, coloured=bool(error.settings.enable_colorized_logging), lines=lines)
        for warning in error.warnings:
            log.note("setting_warning", {"warning": warning})
        for problem in (*error.problems, *open_files(error.settings, log.note)[1]):
            log.note("setting_error", {"error": problem})
        log.close()
        return BAD_SETTINGS

    def later(seconds: float, callback: Callable[[], None]) -> object:
        return loop.call_at(loop.now() + seconds, callback)

    log = Log(loop.wall, level=settings.log_level, coloured=settings.enable_colorized_logging, lines=lines, later=later)
    for warning in settings.warnings:
        log.note("setting_warning", {"warning": warning})
    authorization, problems = open_files(settings, log.note)
    if problems:
        for problem in problems:
            log.note("setting_error", {"error": problem})
        log.close()
        return BAD_SETTINGS
    sidecar = Sidecar(loop, settings, environ, log, done, draw=draw, new_id=new_id, authorization=authorization)
    if settings.probe_address is not None:
        try:
            sidecar.listen(*settings.probe_address)
        except OSError as error:
            host, port = settings.probe_address
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            log.note("probe_address_taken", {"address": address, "error": error.strerror or str(error)})
            log.close()
            return BAD_SETTINGS
    return sidecar


class Sidecar:
    """One sidecar on one loop. `done(exit code)` is called once, at the end."""

    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        environ: Mapping[str, str],
        log: Log,
        done: Callable[[int], None],
        *,
        draw: Callable[[], float],
        new_id: Callable[[], str],
        authorization: FileAuthorization | None = None,
    ) -> None:
        self._loop = loop
        self._settings = settings
        self._log = log
        self._done = done
        self._draw = draw
        self._exit_code = DRAINED
        self._ended = False
        self._drain_deadline = 0.0
        self._open_failures = 0
        self._received_once = False
        self._receives_refused = False  # the last one was, by something that somebody has to mend
        self._waiting_for_quiet: list[Callable[[], None]] = []
        self._timer: Timer | None = None
        self._warned_few_receives = False
        self._attributes_known = False
        self._attributes_problem = ""  # the kind of error that was said last, until they are read again
        self._probes: Probes | None = None
        self._started_at = loop.wall()
        self._signalled = False
        self._hold_for_signal = False  # drained by the hook: the process stays until the signal comes
        self._held: bool | None = None  # what came of that drain: was everything finished?
        self.metrics = Metrics()
        self.queue = SqsQueue.from_settings(loop, settings, environ, self.note, draw)
        self._options = options = Options(settings, self.queue, self.note, draw, urandom)
        webhook_url = parse_url(settings.webhook_endpoint)
        self.webhook = Webhook(
            loop,
            Pool(
                loop,
                self._handler_origin(webhook_url),
                connect_timeout_s=WEBHOOK_CONNECT_TIMEOUT_S,
                max_body=MAX_ANSWER_BYTES,
                keep_body=False,
            ),
            webhook_url,
            default_content_type=settings.webhook_default_content_type,
            timeout_s=settings.webhook_request_timeout or None,
            attribute_names=settings.webhook_attribute_headers,
            headers=settings.webhook_headers,
            authorization=authorization,
            tracing=options.tracing,
            dead_letters=settings.sends_dead_letters,
        )
        self.engine = Engine(
            queue=self.queue,
            destination=self.webhook,
            metrics=self.metrics,
            note=self.note,
            set_timer=self._set_timer,
            draw=draw,
            new_id=new_id,
            receivers=settings.sqs_receivers,
            batch=settings.sqs_batch_size,
            slots=settings.slots,
            max_bytes=settings.max_in_flight_bytes,
            fifo=settings.sqs_queue_name.endswith(".fifo"),
            gate=Gate(STARTING, QUEUE, *([SUSPENDED] if settings.suspended else [])),
            retry=options.retry,
            dead=options.dead,
            rate=options.rate,
            breaker=options.breaker,
            tracing=options.tracing,
        )
        if options.dead_letter_queue is not None:
            options.dead_letter_queue.sent = self._letter_sent
        self.webhook.answered = self.engine.answered
        self.engine.on_quiet = self._quiet
        self.queue.events = self
        health_url = (
            parse_url(settings.webhook_health_check_endpoint) if settings.webhook_health_check_endpoint else None
        )
        self.health = Health(
            loop,
            self.engine,
            self.note,
            webhook_url=webhook_url,
            url=health_url,
            pool=None
            if health_url is None
            else Pool(
                loop,
                self._handler_origin(health_url),
                connect_timeout_s=WEBHOOK_CONNECT_TIMEOUT_S,
                max_body=MAX_ANSWER_BYTES,
                keep_body=False,
            ),
            interval_s=settings.webhook_health_check_interval,
            timeout_s=settings.webhook_health_check_timeout or None,
            threshold=settings.webhook_offline_threshold_count,
        )
        self.engine.on_gate = self._gate_changed

    def _handler_origin(self, url: URL) -> Origin:
        return Origin(url.host, url.port, handler_tls(self._settings, url))

    # -- starting ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Look for the handler and the queue; messages flow once both are there."""
        settings = self._settings
        self.note(
            "starting",
            {
                "queue": settings.sqs_queue_name,
                "endpoint": str(parse_url(settings.sqs_endpoint)),
                "webhook": str(parse_url(settings.webhook_endpoint)),
                "receivers": settings.sqs_receivers,
                "batch_size": settings.sqs_batch_size,
                "slots": settings.slots,
            },
        )
        if settings.suspended:
            self.note("suspended", {"in_flight": 0})
        self.health.check()
        self._open()
        if settings.enable_stat_log:
            self.metrics.stat_fields(self._loop.now(), 0)  # the first line's rate counts from here
            self._loop.call_at(self._loop.now() + settings.stat_log_timer, self._stat_log)

    def listen(self, host: str, port: int) -> None:
        """Serve the probes; OSError where that address can't be had."""
        from carrier_sidecar.probes import Probes

        settings = self._settings
        self._probes = Probes(
            self._loop,
            host,
            port,
            self,
            token=settings.drain_token,
            peers=settings.pause_peers,
            peer_timeout_s=settings.shutdown_timeout + 5.0,
        )

    def close(self) -> None:
        """The end: say what is still to be said, let go of everything."""
        if self._probes is not None:
            self._probes.close()
        self.queue.close()
        self._log.close()

    def _open(self) -> None:
        if not self._ended and DRAINING not in self.engine.gate.reasons:
            self.queue.open(self._opened)

    def _opened(self, error: QueueError | None) -> None:
        if error is None:
            self.queue.read_attributes(self._first_attributes)
            return
        refused = error.kind in _REFUSALS
        fields = {"kind": error.kind, "code": error.code, "error": error.detail}
        if refused and self._settings.start_errors == "exit":
            self.note("queue_refused", fields)
            self._end(REFUSED_AT_START)
            return
        self.note("queue_unreachable", fields)
        self._open_failures += 1
        backoff = SLOW if refused else SOON
        self._loop.call_at(self._loop.now() + backoff.delay(self._open_failures, self._draw), self._open)

    def _first_attributes(self, attributes: Attributes | QueueError) -> None:
        self._use_attributes(attributes)
        self.note("queue_open", {"url": self.queue.url, "visibility_timeout_s": self.engine.heartbeat.visibility_s})
        self.engine.open(QUEUE, self._loop.now())

    def _use_attributes(self, attributes: Attributes | QueueError) -> None:
        if isinstance(attributes, kinds.QueueError):
            unknown = attributes.kind in _REFUSALS and not self._attributes_known
            if attributes.kind != self._attributes_problem:
                self._attributes_problem = attributes.kind
                name = "attributes_refused" if unknown else "attributes_failed"
                self.note(name, {"kind": attributes.kind, "code": attributes.code, "error": attributes.detail})
        else:
            self._attributes_known = True
            self._attributes_problem = ""
            self.engine.set_visibility(attributes.visibility_timeout_s)
            receives = attributes.max_receive_count
            if receives is not None and receives < 3 and not self._warned_few_receives:
                self._warned_few_receives = True
                self.note("few_receives", {"max_receive_count": receives})
        self._options.use_attributes(None if isinstance(attributes, kinds.QueueError) else attributes)
        self._loop.call_at(self._loop.now() + ATTRIBUTES_EVERY_S, self._read_attributes)

    def _read_attributes(self) -> None:
        if not self._ended:
            self.queue.read_attributes(self._use_attributes)

    # -- what the queue reports --------------------------------------------------------------------------------------

    def received(self, receiver: int, messages: list[Message], sent_at: float, now: float) -> None:
        """A receive was answered."""
        self._received_once = True
        self._receives_refused = False
        if messages:
            self.engine.wall_offset_s = self._loop.wall() - now
        self.engine.received(receiver, messages, sent_at, now)

    def receive_failed(self, receiver: int, error: QueueError, now: float) -> None:
        """A receive failed. Refused before any succeeded: the start has failed."""
        self.engine.receive_failed(receiver, error, now)
        self._receives_refused = error.kind in _REFUSALS
        if not self._received_once and self._receives_refused and self._settings.start_errors == "exit":
            self.note("queue_refused", {"kind": error.kind, "code": error.code, "error": error.detail})
            self._end(REFUSED_AT_START)

    def settled(
        self, action: str, messages: list[Message], errors: list[QueueError | None] | None, sent_at: float, now: float
    ) -> None:
        """A batch call ended."""
        self.engine.settled(action, messages, errors, sent_at, now)

    def _letter_sent(self, letter: Letter, error: QueueError | None) -> None:
        self.engine.letter_sent(letter, error, self._loop.now())

    # -- suspending --------------------------------------------------------------------------------------------------

    def suspend(self) -> None:
        """Receive nothing until `unsuspend`; what is in hand is finished."""
        if SUSPENDED not in self.engine.gate.reasons:
            self.note("suspended", {"in_flight": len(self.engine.hand.by_id)})
            self.engine.shut(SUSPENDED, self._loop.now())

    def unsuspend(self) -> None:
        """Receive again, as far as nothing else is in the way."""
        if SUSPENDED in self.engine.gate.reasons:
            self.note("unsuspended", {})
            self.engine.open(SUSPENDED, self._loop.now())

    # -- stopping ----------------------------------------------------------------------------------------------------

    def on_signal(self) -> None:
        """SIGTERM or SIGINT: drain; the second one ends it at once."""
        if DRAINING in self.engine.gate.reasons and self._signalled:
            self.engine.cut(self._loop.now())
        else:
            self._signalled = True
            if self._held is None:
                self._drain()
            else:
                self._finish(self._held)

    def _drain(self) -> None:
        now = self._loop.now()
        if DRAINING not in self.engine.gate.reasons:
            hand = self.engine.hand
            self.note("draining", {"posting": hand.posting, "waiting": hand.waiting})
            self._drain_deadline = now + self._settings.shutdown_timeout
        self.engine.drain(now, self._drain_deadline)

    def drain(self, done: Callable[[], None]) -> None:
        """The sidecar's own drain hook: stop for good; `done` when nothing is in hand or the time is over. The process
        goes on to answer its probes until the signal comes."""
        self._hold_for_signal = True
        self._drain()
        self._wait_for_quiet(done, self._drain_deadline)

    def pause(self, done: Callable[[], None]) -> None:
        """The app's drain hook: stop receiving and finish; see health.py for what ends the pause."""
        now = self._loop.now()
        if DRAINING not in self.engine.gate.reasons and PAUSED not in self.engine.gate.reasons:
            self.note("pausing", {"posting": self.engine.hand.posting, "waiting": self.engine.hand.waiting})

        def answer() -> None:
            self.health.pause_answered()
            done()

        self.health.pause_asked()
        self._wait_for_quiet(answer, now + self._settings.shutdown_timeout)
        self.engine.pause(now)

    def _wait_for_quiet(self, done: Callable[[], None], deadline: float) -> None:
        if self._is_quiet():
            self._loop.call_soon(done)
            return
        timer: Timer | None = None

        def once() -> None:
            if once in self._waiting_for_quiet:
                self._waiting_for_quiet.remove(once)
                if timer is not None:
                    timer.cancel()
                done()

        self._waiting_for_quiet.append(once)
        timer = self._loop.call_at(deadline, once)

    def _is_quiet(self) -> bool:
        engine = self.engine
        stopping = DRAINING in engine.gate.reasons or PAUSED in engine.gate.reasons
        return stopping and not engine.hand.by_id and not engine.receiving.on_wire

    def _quiet(self, finished: bool) -> None:
        """The engine has nothing left in hand (or no more time)."""
        for waiting in list(self._waiting_for_quiet):
            waiting()
        if DRAINING not in self.engine.gate.reasons or self._ended:
            return
        if self._hold_for_signal and not self._signalled:
            self._held = finished
        else:
            self._finish(finished)

    def _finish(self, finished: bool) -> None:
        """The drain is over, and so is the process."""
        if finished:
            self.note("drained", {"delivered": self.metrics.delivered})
        else:
            left = len(self.engine.hand.by_id)
            self.note("not_drained", {"left": left, "cut_off": self.metrics.cut_off})
        self._end(self._exit_code or (DRAINED if finished else UNFINISHED))

    def _end(self, exit_code: int) -> None:
        if not self._ended:
            self._ended = True
            self._done(exit_code)

    # -- the rest ----------------------------------------------------------------------------------------------------

    def note(self, name: str, fields: Mapping[str, object]) -> None:
        """Report something to people: see notes.py."""
        self._log.note(name, fields)

    def _gate_changed(self) -> None:
        self.health.gate_changed()
        exits = self._settings.webhook_offline_action == "exit" and self._exit_code != HANDLER_OFFLINE
        if exits and OFFLINE in self.engine.gate.reasons and not self._ended:
            self._exit_code = HANDLER_OFFLINE
            self.note("offline_exit", {})
            self._loop.call_soon(self._drain)

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.engine.tick(self._loop.now())

    def _stat_log(self) -> None:
        now = self._loop.now()
        self._log.write("info", "stats", "stats", self.metrics.stat_fields(now, len(self.engine.hand.by_id)))
        self._loop.call_at(now + self._settings.stat_log_timer, self._stat_log)

    # -- what the probes ask -----------------------------------------------------------------------------------------

    def ready_reasons(self) -> dict[str, str]:
        """Why messages are not received: the gate's reasons with a sentence each; empty when ready."""
        reasons = {reason: REASONS[reason][1] for reason in self.engine.gate.reasons}
        if self._receives_refused:
            reasons["receive_refused"] = "SQS refuses ReceiveMessage: the log says why"
        return reasons

    def metrics_text(self) -> str:
        """The /metrics page."""
        from carrier_sidecar.exposition import metrics_text

        return metrics_text(
            self.metrics,
            self.engine,
            slots=self._settings.slots,
            credentials_s=self.queue.credentials.remaining_s,
            log_dropped=self._log.dropped,
            started_at=self._started_at,
        )
