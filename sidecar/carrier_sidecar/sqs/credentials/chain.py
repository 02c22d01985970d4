"""The sources in their order, asked one after the other until one gives credentials or was meant to and could not."""

from __future__ import annotations

from carrier_sidecar.message import CREDENTIALS, QueueError
from carrier_sidecar.sqs.credentials.environment import EnvironmentSource
from carrier_sidecar.sqs.credentials.values import Credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from carrier_sidecar.sqs.credentials.values import Refusal, Source
    from carrier_sidecar.sqs.web import Web


def default_sources(web: Web, environment: Mapping[str, str], region: str) -> list[Source]:
    """The order of the AWS SDKs: environment, profile (where it is chosen or has credentials: it may assume a role with
    the web identity), web identity, container, instance."""

    def profile() -> Source:
        from carrier_sidecar.sqs.credentials.profile import ProfileSource

        return ProfileSource(web.loop, environment, region)

    def web_identity() -> Source:
        from carrier_sidecar.sqs.credentials.web_identity import WebIdentitySource

        return WebIdentitySource(web, environment, region)

    def container() -> Source:
        from carrier_sidecar.sqs.credentials.container import ContainerSource

        return ContainerSource(web, environment)

    def instance() -> Source:
        from carrier_sidecar.sqs.credentials.instance import InstanceSource

        return InstanceSource(web, environment)

    return [EnvironmentSource(environment), *(_Later(make) for make in (profile, web_identity, container, instance))]


class _Later:
    """A source whose module is loaded when it is its turn: most pods need one of them."""

    __slots__ = ("_make", "_source")

    def __init__(self, make: Callable[[], Source]) -> None:
        self._make = make
        self._source: Source | None = None

    @property
    def name(self) -> str:
        return self._source.name if self._source is not None else ""

    def fetch(self, done: Callable[[Credentials | Refusal], None]) -> None:
        if self._source is None:
            self._source = self._make()
        self._source.fetch(done)

    def cancel(self) -> None:
        if self._source is not None:
            self._source.cancel()


class Chain:
    """One run at a time through the sources. A source that was configured and failed ends the run: to go on as somebody
    else would hide the fault, and might act with rights that nobody meant to give."""

    __slots__ = ("_done", "_index", "_sources", "_tried")

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._index = 0
        self._tried: list[str] = []
        self._done: Callable[[Credentials | QueueError], None] | None = None

    def fetch(self, done: Callable[[Credentials | QueueError], None]) -> None:
        """Calls `done` once, at once or later. The error names each source tried and why it gave nothing."""
        self._done = done
        self._index = 0
        self._tried = []
        self._next()

    def cancel(self) -> None:
        """Give up the run under way; `done` is not called any more."""
        if self._done is not None:
            self._done = None
            self._sources[self._index].cancel()

    def _next(self) -> None:
        self._sources[self._index].fetch(self._take)

    def _take(self, outcome: Credentials | Refusal) -> None:
        done = self._done
        if done is None:
            return
        if isinstance(outcome, Credentials):
            self._done = None
            done(outcome)
            return
        self._tried.append(f"{self._sources[self._index].name}: {outcome.why}")
        if outcome.asked_for or self._index + 1 == len(self._sources):
            self._done = None
            done(QueueError(CREDENTIALS, "", f"no AWS credentials ({'; '.join(self._tried)})", answered=False))
            return
        self._index += 1
        self._next()
