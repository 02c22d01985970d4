"""Lists and watches that fail for long, in virtual time: bindings and pods are as they are in the end, and nothing that
was known is dropped meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from carrier_operator.container import ClusterFacts
from carrier_operator.controller import run
from carrier_operator.controller.bindings_watch import BindingsWatch, EndlessBackoff, kopf_settings
from carrier_operator.controller.run import Controller
from carrier_operator.controller.world import PodFeed, World
from carrier_operator.kube.client import ApiError, Client
from carrier_operator.kube.config import ClusterConfig
from carrier_operator.kube.reflector import Reflector
from carrier_operator.policy import Policy
from tests.unit.operator.controller.live import live_pod
from tests.unit.operator.controller.virtual import play
from tests.unit.operator.pods_for_tests import QUEUE

CONFIG = ClusterConfig("http://nowhere", None)


class Troubled(Client):
    """A client whose lists come in pages of ten; `trouble` says what a page (a number from 0) answers instead, if
    anything: a status, or 0 for no answer.
    """

    def __init__(self, objects: list[dict[str, Any]], trouble: Callable[[int], int | None]) -> None:
        super().__init__(CONFIG)
        self.objects = objects
        self.trouble = trouble
        self.asked: list[float] = []

    async def request(self, method: str, path: str, *, query: Any = None, **_: Any) -> Any:
        self.asked.append(now())
        begin = int((query or {}).get("continue", "0"))
        status = self.trouble(begin // 10)
        if status is not None:
            if status == 0:
                await asyncio.sleep(30)
            raise ApiError(status, "Expired" if status == 410 else "Told", "told to")
        metadata = {"resourceVersion": "1000"}
        if begin + 10 < len(self.objects):
            metadata["continue"] = str(begin + 10)
        return {"metadata": metadata, "items": self.objects[begin : begin + 10]}

    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[dict[str, Any]]:
        await asyncio.sleep(3600)
        for event in list[dict[str, Any]]():
            yield event


def now() -> float:
    return asyncio.get_running_loop().time()


def world() -> World:
    return World(Policy(), ClusterFacts("x", native=True), lambda _: None, lambda _: None, auto_native=False)


def pods(count: int) -> list[dict[str, Any]]:
    return [live_pod(f"p{number}", labels={"n": str(number)}) for number in range(count)]


def bindings(count: int) -> list[dict[str, Any]]:
    return [
        {
            "metadata": {"name": f"b{number}", "namespace": "shop", "uid": f"u{number}", "resourceVersion": "5"},
            "spec": {"queue": QUEUE},
        }
        for number in range(count)
    ]


def for_two_minutes(status: int) -> Callable[[int], int | None]:
    return lambda page: status if now() < 120 else None


def following(client: Troubled, there: World, what: str) -> tuple[asyncio.Task[None], asyncio.Event]:
    """What follows pods, or bindings, and the event that says that all are known."""
    if what == "pods":
        reflector = Reflector(client, "/api/v1/pods", PodFeed(there), clock=now)
        return asyncio.create_task(reflector.run()), reflector.synced
    watch = BindingsWatch(client, CONFIG, there, in_cluster=False)
    return asyncio.create_task(watch.audits()), watch.synced


def known(there: World, what: str) -> int:
    return there.census.pods if what == "pods" else len(there.bindings)


def scene(test: Callable[[], Awaitable[None]]) -> None:
    play(test)


@pytest.mark.parametrize("what", ["pods", "bindings"])
@pytest.mark.parametrize("status", [503, 403, 500, 429, 0])
def test_two_minutes_without_a_list_are_waited_out(what: str, status: int) -> None:
    async def test() -> None:
        client = Troubled(pods(25) if what == "pods" else bindings(25), for_two_minutes(status))
        there = world()
        task, synced = following(client, there, what)
        await synced.wait()
        assert 120 <= now() < 120 + 31
        assert known(there, what) == 25
        assert len(client.asked) < 60  # no flood
        task.cancel()

    scene(test)


@pytest.mark.parametrize("what", ["pods", "bindings"])
def test_a_list_whose_later_page_has_expired_begins_anew_and_half_of_it_drops_nothing(what: str) -> None:
    async def test() -> None:
        times = itertools.count()
        client = Troubled(
            pods(25) if what == "pods" else bindings(25), lambda page: 410 if page == 1 and next(times) < 5 else None
        )
        there = world()
        task, synced = following(client, there, what)
        await synced.wait()
        assert known(there, what) == 25
        assert next(times) > 5
        task.cancel()

    scene(test)


def test_pods_of_lists_that_failed_halfway_leave_no_shapes() -> None:
    async def test() -> None:
        client = Troubled(pods(25), lambda page: 410 if page == 1 and now() < 120 else None)
        there = world()
        task, synced = following(client, there, "pods")
        await synced.wait()
        assert len(there.census.shapes) == 25
        task.cancel()
        for number in range(25):
            there.drop_pod("shop", f"p{number}")
        assert len(there.census.shapes) == 0

    scene(test)


def test_an_audit_that_fails_halfway_drops_no_binding() -> None:
    async def test() -> None:
        client = Troubled(bindings(25), lambda page: None)
        there = world()
        watch = BindingsWatch(client, CONFIG, there, in_cluster=False)
        await watch.audit()
        client.trouble = lambda page: 503 if page == 2 else None
        with pytest.raises(ApiError):
            await watch.audit()
        assert len(there.bindings) == 25
        client.trouble = lambda page: None
        client.objects = client.objects[:7]
        await watch.audit()
        assert len(there.bindings) == 7

    scene(test)


@pytest.mark.parametrize("status", [404, 403, 503, 0])
def test_a_crd_that_is_not_there_at_the_start_is_waited_for(status: int, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        client = Troubled([], for_two_minutes(status))
        original = client.request

        async def request(*arguments: Any, **more: Any) -> Any:
            await original(*arguments, **more)
            established = {"type": "Established", "status": "True"}
            return {
                "spec": {"versions": [{"name": "v1alpha1", "served": True}]},
                "status": {"conditions": [established]},
            }

        client.request = request  # type: ignore[method-assign]  # the CRD in place of a list
        await Controller._crd(None, client)  # type: ignore[arg-type]  # it needs nothing of it
        assert 120 <= now() < 120 + run.CRD_AGAIN_S + 31
        assert len([it for it in caplog.records if it.getMessage() == "waiting for the CRD"]) == 1

    scene(test)


def test_kopf_is_never_at_an_end_of_its_patience() -> None:
    delays = list(itertools.islice(EndlessBackoff(), 10_000))
    assert all(0.2 <= it <= 15 for it in delays)
    assert max(delays[:3]) <= 2
    assert len(set(delays)) > 9_000  # jittered
    assert list(itertools.islice(iter(kopf_settings().networking.error_backoffs), 3))  # type: ignore[arg-type]  # ours


def test_kopf_is_set_to_write_nothing_and_to_notice_silence() -> None:
    settings = kopf_settings()
    assert settings.scanning.disabled
    assert (settings.networking.request_timeout, settings.networking.connect_timeout) == (30, 10)
    assert (settings.watching.server_timeout, settings.watching.client_timeout) == (300, 310)
    assert settings.watching.inactivity_timeout == 70
    assert not settings.posting.enabled
    assert not settings.posting.loggers
