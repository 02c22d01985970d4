"""What the sidecar does only when it is asked to: built from the settings, None where it is off.

What is off is not even imported. Wiring: who uses these objects, and how, is the engine's and the webhook's business.
"""

from __future__ import annotations

from carrier_sidecar.handler_tls import handler_tls
from carrier_sidecar.retry import retry_policy
from carrier_sidecar.trace import tracing
from carrier_sidecar.url import parse_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from carrier_sidecar.authorization import FileAuthorization
    from carrier_sidecar.breaker import Breaker
    from carrier_sidecar.dead_letter import DeadLettering
    from carrier_sidecar.message import QueueError
    from carrier_sidecar.rate_limit import RateLimit
    from carrier_sidecar.settings import Settings
    from carrier_sidecar.sqs.attributes import Attributes
    from carrier_sidecar.sqs.dead_letters import SqsDeadLetterQueue
    from carrier_sidecar.sqs.queue import SqsQueue

    Note = Callable[[str, Mapping[str, object]], None]


class Options:
    """`retry`, `tracing`, `rate`, `breaker`, `dead` with its `dead_letter_queue`: see the modules of those names."""

    __slots__ = ("_note", "_said", "_settings", "breaker", "dead", "dead_letter_queue", "rate", "retry", "tracing")

    def __init__(
        self,
        settings: Settings,
        queue: SqsQueue,
        note: Note,
        draw: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._settings = settings
        self._note = note
        self._said: set[str] = set()
        self.retry = retry_policy(settings)
        self.tracing = tracing(settings, random_bytes)
        self.rate: RateLimit | None = None
        self.breaker: Breaker | None = None
        self.dead: DeadLettering | None = None
        self.dead_letter_queue: SqsDeadLetterQueue | None = None
        if settings.rate_limit:
            from carrier_sidecar.rate_limit import rate_limit

            self.rate = rate_limit(settings)
        if settings.breaker_failures or settings.breaker_ratio:
            from carrier_sidecar.breaker import breaker

            self.breaker = breaker(settings)
        if settings.sends_dead_letters:
            self._build_dead_letters(queue, draw)

    def _build_dead_letters(self, queue: SqsQueue, draw: Callable[[], float]) -> None:
        from carrier_sidecar.dead_letter import DeadLettering, dead_letter_policy
        from carrier_sidecar.sqs.dead_letters import SqsDeadLetterQueue

        policy = dead_letter_policy(self._settings)
        assert policy is not None
        self.dead_letter_queue = SqsDeadLetterQueue(queue, self._settings.dead_letter_queue)
        self.dead = DeadLettering(policy, self.dead_letter_queue, draw)
        self.dead.available = bool(self._settings.dead_letter_queue)

    def use_attributes(self, attributes: Attributes | None) -> None:
        """What is known of the queue (None: nothing): where its dead letters go, and when SQS moves messages itself."""
        dead = self.dead
        letters = self.dead_letter_queue
        if dead is None or letters is None:
            return
        if not self._settings.dead_letter_queue and attributes is not None:
            letters.aim(attributes.dead_letter_arn or "")
            dead.available = bool(letters.target)
        if not dead.available:
            self._say_once("dead_letter_queue_unknown", {})
            return
        letters.find(self._found)
        receives = attributes.max_receive_count if attributes is not None else None
        if receives is not None and receives < self._settings.give_up_receives:
            fields = {"max_receive_count": receives, "give_up_receives": self._settings.give_up_receives}
            self._say_once("gives_up_too_late", fields)

    def _found(self, error: QueueError | None) -> None:
        if error is not None:
            self._say_once("dead_letter_queue_refused", {"kind": error.kind, "code": error.code, "error": error.detail})

    def _say_once(self, name: str, fields: Mapping[str, object]) -> None:
        if name not in self._said:
            self._said.add(name)
            self._note(name, fields)


def _tls_problems(settings: Settings) -> list[str]:
    """Files that can be read, and are of no use nevertheless."""
    if not settings.webhook_endpoint:  # itself not allowed
        return []
    tls = handler_tls(settings, parse_url(settings.webhook_endpoint))
    if tls is None or not (tls.ca_file or tls.client_cert):
        return []
    try:
        tls.check()
    except OSError as error:
        return [f"TLS towards the handler cannot be set up: {error}"]
    return []


def open_files(settings: Settings, note: Note) -> tuple[FileAuthorization | None, list[str]]:
    """The authorization for the handler, where that comes from a file; a sentence for each file that is of no use.

    The settings may be those that came with a SettingsError, so that its problems and these are said together.
    """
    names = ("ca_file", "cert_file", "key_file", "password_file", "bearer_token_file")
    if not any(getattr(settings, f"webhook_{name}") for name in names):
        return None, []
    from carrier_sidecar.authorization import file_authorization, unreadable_files

    problems = unreadable_files(settings) or _tls_problems(settings)
    authorization = None
    try:
        authorization = file_authorization(
            settings, lambda path, reason: note("authorization_unreadable", {"path": path, "error": reason})
        )
    except ValueError as error:
        problems.append(str(error))
    return authorization, problems
