"""Looks at the queues that may be looked at, every minute or so each, through aiobotocore.

Redirects are not followed, and the endpoint is one of the administrator's list; where its name leads to a link-local
address (instance metadata) it is not called. Imported only where something may be looked at: it costs memory.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

from carrier_operator.models import Binding, BindingSpec

from . import queue_check, reasons
from .census import Key
from .conditions import Finding, Json
from .queue_check import Allowed, Question
from .settings import Settings
from .work_queue import WorkQueue
from .world import BindingRecord, World

logger = logging.getLogger(__name__)

AT_ONCE = 4
TIMEOUT_S = 5.0
NEW_ONES_S = 1.0  # between two looks for bindings that have not been looked at
ATTRIBUTES = [
    "QueueArn", "FifoQueue", "RedrivePolicy", "VisibilityTimeout", "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed",
]  # fmt: skip


class Seen:
    """What was last seen of a binding's queue."""

    __slots__ = ("finding", "spec", "status")

    def __init__(self, spec: BindingSpec, finding: Finding, status: Json | None) -> None:
        self.spec = spec
        self.finding = finding
        self.status = status

    def holds_for(self, spec: BindingSpec) -> bool:
        """Is it about the same queue, held against the same settings?"""
        return (self.spec.queue, self.spec.dead_letter) == (spec.queue, spec.dead_letter)


class QueueLooks:
    """`mark` is told of each binding whose queue was looked at."""

    def __init__(self, settings: Settings, mark: Callable[[Key], None]) -> None:
        self._endpoints = settings.queue_endpoints
        self._allowed = [Allowed(namespace, arn) for namespace, arn in settings.queues]
        self._interval_s = settings.queue_interval_s
        self._mark = mark
        self._seen: dict[Key, Seen] = {}
        self._queue = WorkQueue(self._look, workers=AT_ONCE, pause_s=2.0)
        self._world: World | None = None
        self._clients: dict[tuple[str, str], Any] = {}
        self._stack = AsyncExitStack()

    def latest(self, record: BindingRecord) -> tuple[Finding | None, Json | None]:
        """What was last seen, for condition and status; nothing where nobody may look, or has yet."""
        seen = self._seen.get(record.key)
        if seen is None or not isinstance(record.binding, Binding) or not seen.holds_for(record.binding.spec):
            return None, None
        old = record.status.get("queue")
        if seen.status is not None and isinstance(old, dict) and queue_check.unchanged(old, seen.status):
            return seen.finding, old
        return seen.finding, seen.status

    async def run(self, world: World) -> None:
        """Until cancelled; returns at once where nothing may be looked at."""
        if not self._endpoints or not self._allowed:
            return
        self._world = world
        async with self._stack, asyncio.TaskGroup() as group:
            group.create_task(self._queue.run())
            while True:
                for key, record in world.bindings.items():
                    seen = self._seen.get(key)
                    binding = record.binding
                    if not isinstance(binding, Binding) or (seen is not None and seen.holds_for(binding.spec)):
                        continue
                    if self._question(binding) is not None:
                        self._queue.add(key)
                for key in [it for it in self._seen if it not in world.bindings]:
                    del self._seen[key]
                    self._queue.forget(key)
                await asyncio.sleep(NEW_ONES_S)

    def _question(self, binding: Binding) -> Question | None:
        return queue_check.question(binding.spec, binding.namespace, self._endpoints, self._allowed)

    async def _look(self, key: Key) -> float | None:
        record = self._world.bindings.get(key) if self._world is not None else None
        if record is None or not isinstance(record.binding, Binding):
            return None
        question = self._question(record.binding)
        if question is None:
            self._seen.pop(key, None)
            return None
        finding, status = await self._ask(question, record.binding.spec)
        self._seen[key] = Seen(record.binding.spec, finding, status)
        self._mark(key)
        return self._interval_s * random.uniform(0.8, 1.2)

    async def _ask(self, question: Question, spec: BindingSpec) -> tuple[Finding, Json | None]:
        # Imported here: 35 MB that most controllers never need.
        from botocore.exceptions import ClientError, NoCredentialsError

        try:
            async with asyncio.timeout(3 * TIMEOUT_S):
                if not await _may_be_called(question.endpoint):
                    return Finding(reasons.ENDPOINT_REFUSED), None
                client = await self._client(question)
                url = (await client.get_queue_url(QueueName=question.name, QueueOwnerAWSAccountId=question.account))[
                    "QueueUrl"
                ]
                answer = await client.get_queue_attributes(QueueUrl=url, AttributeNames=ATTRIBUTES)
            attributes = {str(key): str(value) for key, value in (answer.get("Attributes") or {}).items()}
            if attributes.get("QueueArn") != question.arn:
                return Finding(reasons.QUEUE_NOT_FOUND), None
            now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            return queue_check.finding_of(spec, attributes), queue_check.status_of_queue(str(url), attributes, now)
        except ClientError as error:
            return queue_check.finding_of_error(str(error.response.get("Error", {}).get("Code", ""))), None
        except NoCredentialsError:
            return Finding(reasons.QUEUE_ACCESS_DENIED), None
        except Exception as error:  # noqa: BLE001 - what a server answers may make botocore raise anything at all
            fields = {"arn": question.arn, "error": repr(error)[:300]}
            logger.debug("a queue can't be looked at", extra={"fields": fields})
            return Finding(reasons.QUEUE_UNREACHABLE), None

    async def _client(self, question: Question) -> Any:
        where = (question.endpoint, question.region)
        if where not in self._clients:
            from aiobotocore.config import AioConfig
            from aiobotocore.session import get_session

            config = AioConfig(
                connect_timeout=TIMEOUT_S,
                read_timeout=TIMEOUT_S,
                retries={"total_max_attempts": 2},
                http_session_cls=_sessions_without_redirects(),
                connector_args={"resolver": _checking_resolver()},
            )
            made = get_session().create_client(
                "sqs", endpoint_url=question.endpoint, region_name=question.region, config=config
            )
            self._clients[where] = await self._stack.enter_async_context(made)
        return self._clients[where]


class _Straight:
    """An HTTP session that follows no redirects: the endpoint is the administrator's choice, not a server's."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def request(self, *arguments: Any, **options: Any) -> Any:
        """As the session's own."""
        return self._session.request(*arguments, **options, allow_redirects=False)


def _sessions_without_redirects() -> Any:
    from aiobotocore.httpsession import AIOHTTPSession

    class Sessions(AIOHTTPSession):  # type: ignore[misc]  # it has no types
        # aiobotocore has no setting for this; a test with servers that redirect holds it.
        async def _get_session(self, proxy_url: Any) -> Any:
            return _Straight(await super()._get_session(proxy_url))

    return Sessions


def _checking_resolver() -> Any:
    """A resolver that looks at the addresses which are then connected to: a name may lead elsewhere the next time."""
    from aiohttp.resolver import ThreadedResolver

    class Resolver(ThreadedResolver):
        async def resolve(self, *arguments: Any, **options: Any) -> Any:
            found = await super().resolve(*arguments, **options)
            if any(queue_check.is_off_limits(str(it["host"])) for it in found):
                raise OSError("the name leads to an address that is not called")
            return found

    return Resolver()


async def _may_be_called(endpoint: str) -> bool:
    """Does no address of this host lead to a link-local service? OSError when it has none."""
    host = urlsplit(endpoint).hostname or ""
    found = await asyncio.get_running_loop().getaddrinfo(host, None)
    return not any(queue_check.is_off_limits(str(it[4][0])) for it in found)
