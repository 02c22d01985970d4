"""Tells running sidecars to suspend and to resume, at their token paths, and counts who has answered.

New pods start suspended by their environment; this is for those that run. What a sidecar was told is remembered per
start of its container, since a restarted one is as its environment says. What an earlier leader may have told is read
off the status: a binding that was suspended then, and is not now, has every sidecar told.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence

import aiohttp

from . import reasons
from .conditions import Telling
from .queue_check import is_off_limits
from .snapshots import Pod, Sidecar
from .world import BindingRecord

logger = logging.getLogger(__name__)

TIMEOUT_S = 2.0
AT_ONCE = 32
NAMES = 3  # of pods whose sidecars don't answer
ROUND_S = 10.0  # longest time for one round of telling; the rest is told in the next one
AGAIN_S = 10.0
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,256}")

Start = tuple[str, str, int]  # pod uid, binding, restarts of the container


class Suspender:
    """`may` raises NotLeading when nothing may be told any more."""

    def __init__(self, may: Callable[[], None]) -> None:
        self._may = may
        self._told: dict[Start, bool] = {}
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """No more telling."""
        if self._session is not None:
            await self._session.close()

    async def tell(
        self, record: BindingRecord, suspend: bool, sidecars: Sequence[tuple[Pod, Sidecar]]
    ) -> Telling | None:
        """Tells those that don't know yet. None when there was and is nothing to tell."""
        running = [(pod, sidecar) for pod, sidecar in sidecars if sidecar.running]
        self._forget(record.binding.name, sidecars)
        unsure = _was_suspended(record)
        to_tell = [it for it in running if self._needs(it, suspend, unsure)]
        if not suspend and not to_tell and not unsure:
            return None
        if to_tell:
            await self._tell_all(to_tell, suspend)
        left = [it for it in running if self._needs(it, suspend, unsure)]
        silent = sorted(pod.name for pod, _ in left)[:NAMES]
        of = len(running)
        return Telling(suspended=suspend, answered=of - len(left), of=of, unreachable=len(left), silent=silent)

    def to_announce(
        self, record: BindingRecord, suspend: bool, sidecars: Sequence[tuple[Pod, Sidecar]]
    ) -> Telling | None:
        """What the status is to say before the first sidecar is told to suspend; None where it says so already.

        A leader that ends in between has told sidecars of which the next one would know nothing: if the binding is
        resumed by then, they would stay suspended for good, and nobody would see why.
        """
        running = sum(1 for _, sidecar in sidecars if sidecar.running)
        if not suspend or not running or _was_suspended(record):
            return None
        return Telling(suspended=True, answered=0, of=running, unreachable=0)

    def _needs(self, it: tuple[Pod, Sidecar], suspend: bool, unsure: bool) -> bool:
        pod, sidecar = it
        told = self._told.get((pod.uid, sidecar.binding, sidecar.restarts))
        if told is not None:
            return told != suspend
        # Untold by us: as it started, unless an earlier leader told it something.
        return True if suspend or unsure else sidecar.starts_suspended

    def _forget(self, binding: str, sidecars: Sequence[tuple[Pod, Sidecar]]) -> None:
        """Starts that are over. Looked for only when there are many more than sidecars."""
        if len(self._told) <= 2 * len(sidecars) + 1000:
            return
        alive = {(pod.uid, sidecar.binding, sidecar.restarts) for pod, sidecar in sidecars}
        for start in [it for it in self._told if it[1] == binding and it not in alive]:
            del self._told[start]

    async def _tell_all(self, them: Sequence[tuple[Pod, Sidecar]], suspend: bool) -> None:
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(pod: Pod, sidecar: Sidecar) -> None:
            async with limit:
                self._may()  # before each: the round takes seconds, and the process may have been stopped
                if await self._call(pod, sidecar, "suspend" if suspend else "resume"):
                    self._told[pod.uid, sidecar.binding, sidecar.restarts] = suspend

        try:
            async with asyncio.timeout(ROUND_S):
                await asyncio.gather(*(one(pod, sidecar) for pod, sidecar in them))
        except TimeoutError:
            pass

    async def _call(self, pod: Pod, sidecar: Sidecar, word: str) -> bool:
        """One sidecar's answer. The address is the pod's own, the token has nothing that could lead elsewhere."""
        if sidecar.probe_port is None or pod.ip is None or not sidecar.token or not _TOKEN.fullmatch(sidecar.token):
            return False
        if not _is_a_pods(pod.ip):
            return False
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), connector=aiohttp.TCPConnector(force_close=True)
            )
        try:
            url = f"http://{host}:{sidecar.probe_port}/{word}/{sidecar.token}"
            async with self._session.get(url, allow_redirects=False) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.debug(
                "a sidecar does not answer", extra={"fields": {"pod": pod.name, "error": type(error).__name__}}
            )
            return False


def _is_a_pods(address: str) -> bool:
    """Who may write a pod's status could lead us to a machine's own services: those are not called."""
    try:
        return not is_off_limits(address)
    except ValueError:
        return False


def _was_suspended(record: BindingRecord) -> bool:
    for condition in record.status.get("conditions") or ():
        if isinstance(condition, dict) and condition.get("type") == reasons.READY:
            return condition.get("reason") in (reasons.SUSPENDED.code, reasons.RESUMING.code)
    return False
