"""Holds the Lease: the calls that lease.py's state machine asks for, every two seconds."""

from __future__ import annotations

import asyncio
import datetime
import logging
import random
import time
from collections.abc import Callable
from typing import Any

from carrier_operator.kube.client import ApiError, Client

from .lease import CREATE, LOST, READ, RENEW_DEADLINE_S, RETRY_S, Elector, Record

logger = logging.getLogger(__name__)

CALL_TIMEOUT_S = 4.0
API_VERSION = "coordination.k8s.io/v1"


class Lost(Exception):
    """We led, and do so no longer: the process is to end at once."""


def boot_time() -> float:
    """Seconds on a clock that never steps and, where there is one, runs through suspend."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def micro_time() -> str:
    """Now, as a Lease has it (MicroTime)."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def record_of(document: dict[str, Any]) -> Record:
    """The Lease as the state machine takes it."""
    spec = document.get("spec") or {}
    return Record(
        str(spec.get("holderIdentity") or ""),
        str(spec.get("renewTime") or ""),
        int(spec.get("leaseDurationSeconds") or 0),
        int(spec.get("leaseTransitions") or 0),
        str(document["metadata"]["resourceVersion"]),
    )


class Election:
    """One candidate at one Lease. `won` is set when we lead; `heard` is when the API server last answered."""

    def __init__(
        self,
        client: Client,
        elector: Elector,
        namespace: str,
        name: str,
        *,
        clock: Callable[[], float] = boot_time,
        retry_s: float = RETRY_S,
    ) -> None:
        self.won = asyncio.Event()
        self.heard: float | None = None
        self._client = client
        self._elector = elector
        self._folder = f"/apis/{API_VERSION}/namespaces/{namespace}/leases"
        self._name = name
        self._clock = clock
        self._retry_s = retry_s
        self._last_error = ""
        self._acquired: object = None

    async def run(self) -> None:
        """Until cancelled; Lost."""
        while True:
            step = self._elector.step(self._clock())
            if step == LOST:
                raise Lost
            again = await self._do(step)
            if self._elector.leading and not self.won.is_set():
                logger.info("leading", extra={"fields": {"identity": self._elector.identity}})
                self.won.set()
            if not again:
                await asyncio.sleep(self._pause_s())

    def _pause_s(self) -> float:
        """A leader renews on time, and ends at its deadline, not after it; followers do not all come at once."""
        if self._elector.leading:
            return min(self._retry_s, self._elector.left_s(self._clock()))
        return self._retry_s * random.uniform(0.6, 1.0)

    async def _do(self, step: str) -> bool:
        """One call. True when the next step may follow at once."""
        now = self._clock()
        left_s = self._elector.left_s(now) if self._elector.leading else RENEW_DEADLINE_S
        try:
            if step == READ:
                return await self._read(min(CALL_TIMEOUT_S, left_s))
            await self._write(step, min(CALL_TIMEOUT_S, left_s))
        except ApiError as error:
            self._elector.refused()
            text = str(error)
            if error.status:
                self.heard = self._clock()
            if error.status != 409 and text != self._last_error:
                logger.warning("the Lease can't be reached", extra={"fields": {"error": text}})
            self._last_error = text
            # A conflict is looked at now; a leader without an answer tries again before its deadline.
            return error.status == 409
        self._last_error = ""
        self.heard = self._clock()
        return False

    async def _read(self, timeout_s: float) -> bool:
        followed = self._elector.holder
        try:
            document = await self._client.request("GET", f"{self._folder}/{self._name}", timeout_s=timeout_s)
        except ApiError as error:
            if error.status != 404:
                raise
            self._elector.absent()
        else:
            self._elector.saw(record_of(document), self._clock())
        self.heard = self._clock()
        if self._elector.holder != followed:
            logger.info("the Lease's holder", extra={"fields": {"holder": self._elector.holder}})
        return self._elector.step(self._clock()) != READ

    async def _write(self, step: str, timeout_s: float) -> None:
        record = self._elector.record
        metadata: dict[str, Any] = {"name": self._name}
        if step != CREATE and record is not None:
            metadata["resourceVersion"] = record.resource_version
        spec = self._elector.wanted(micro_time())
        # A replacement without it would clear it.
        self._acquired = spec.setdefault("acquireTime", self._acquired)
        body = {"apiVersion": API_VERSION, "kind": "Lease", "metadata": metadata, "spec": spec}
        sent_at = self._clock()
        method, path = ("POST", self._folder) if step == CREATE else ("PUT", f"{self._folder}/{self._name}")
        document = await self._client.request(method, path, body=body, timeout_s=timeout_s)
        self._elector.wrote(record_of(document), sent_at)

    async def release(self) -> None:
        """Hands the Lease over. Whatever goes wrong with that is only said: it then runs out."""
        if not self._elector.leading or self._elector.record is None:
            return
        version = self._elector.record.resource_version
        spec = self._elector.released(micro_time())
        path = f"{self._folder}/{self._name}"
        try:
            for _ in range(2):
                metadata = {"name": self._name, "resourceVersion": version}
                body = {"apiVersion": API_VERSION, "kind": "Lease", "metadata": metadata, "spec": spec}
                try:
                    await self._client.request("PUT", path, body=body, timeout_s=2.0)
                    logger.info("the Lease is released")
                    return
                except ApiError as error:
                    if error.status != 409:
                        raise
                # A renewal that was under way came first.
                there = record_of(await self._client.request("GET", path, timeout_s=2.0))
                if there.holder != self._elector.identity:
                    return
                version = there.resource_version
        except ApiError as error:
            logger.warning("the Lease is not released", extra={"fields": {"error": str(error)}})
