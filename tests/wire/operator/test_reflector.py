"""A reflector's store is right in the end, whatever the API server does in between, and never forgets meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Set
from contextlib import asynccontextmanager
from typing import Any

import pytest

from carrier_operator.kube.client import PAGE, Client
from carrier_operator.kube.reflector import Reflector
from tests.wire.operator.fake_api import FakeApi, fake_api, until

PATH = "/api/v1/things"


class Names:
    """A store of names."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def put(self, document: dict[str, Any]) -> None:
        self.names.add(str(document["metadata"]["name"]))

    def drop(self, document: dict[str, Any]) -> None:
        self.names.discard(str(document["metadata"]["name"]))

    def keep_only(self, names: Set[tuple[str, str]]) -> None:
        self.names &= {name for _, name in names}


def thing(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "n"}}


@asynccontextmanager
async def reflected(api: FakeApi, *, silence_s: float = 5.0) -> AsyncIterator[tuple[Reflector, Names, list[str]]]:
    store, restarts = Names(), list[str]()
    async with Client(api.config()) as client:
        reflector = Reflector(
            client,
            PATH,
            store,
            clock=time.monotonic,
            restarted=restarts.append,
            silence_s=silence_s,
            first_delay_s=0.01,
        )
        task = asyncio.create_task(reflector.run())
        try:
            yield reflector, store, restarts
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def run(test: Callable[[FakeApi], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with fake_api() as api:
            await asyncio.wait_for(test(api), 20)

    asyncio.run(whole())


def test_a_list_in_pages_then_changes() -> None:
    async def test(api: FakeApi) -> None:
        for number in range(2 * PAGE + 1):
            api.put(PATH, thing(f"t{number}"))
        async with reflected(api) as (reflector, store, _):
            await reflector.synced.wait()
            assert len(store.names) == 2 * PAGE + 1
            assert api.lists == 3
            await until(lambda: api.watches)
            api.put(PATH, thing("new"))
            api.delete(PATH, "n", "t0")
            await until(lambda: "new" in store.names and "t0" not in store.names)

    run(test)


@pytest.mark.parametrize("code", [410, 429, 500])
def test_an_error_within_the_stream(code: int) -> None:
    async def test(api: FakeApi) -> None:
        api.put(PATH, thing("a"))
        async with reflected(api) as (reflector, store, restarts):
            await reflector.synced.wait()
            await until(lambda: api.at(PATH).watchers)
            lists = api.lists
            api.error(PATH, code)
            await until(lambda: str(code) in restarts)
            api.put(PATH, thing("b"))
            await until(lambda: "b" in store.names)
            assert (api.lists > lists) is (code == 410)

    run(test)


@pytest.mark.parametrize("status", [403, 410, 429, 500, 503])
def test_watches_that_are_refused_for_a_while(status: int) -> None:
    async def test(api: FakeApi) -> None:
        api.put(PATH, thing("a"))
        api.watch_status = status
        async with reflected(api) as (_, store, restarts):
            await until(lambda: restarts.count(str(status)) >= 2)
            assert store.names == {"a"}
            api.put(PATH, thing("b"))
            api.watch_status = 200
            await until(lambda: store.names == {"a", "b"})

    run(test)


def test_lists_that_are_refused_keep_it_unsynced_until_they_are_not() -> None:
    async def test(api: FakeApi) -> None:
        api.put(PATH, thing("a"))
        api.list_status = 503
        async with reflected(api) as (reflector, store, restarts):
            await until(lambda: restarts.count("503") >= 3)
            assert not reflector.synced.is_set()
            api.list_status = 200
            await reflector.synced.wait()
            assert store.names == {"a"}

    run(test)


def test_a_silent_watch_is_given_up_and_what_it_hid_is_seen() -> None:
    async def test(api: FakeApi) -> None:
        api.silent = True
        async with reflected(api, silence_s=0.3) as (reflector, store, restarts):
            await reflector.synced.wait()
            await until(lambda: api.at(PATH).watchers)
            api.put(PATH, thing("a"))
            await until(lambda: len(restarts) >= 1)
            api.silent = False
            await until(lambda: "a" in store.names)

    run(test)


def test_an_outage_forgets_nothing_and_is_caught_up_with() -> None:
    async def test(api: FakeApi) -> None:
        api.put(PATH, thing("a"))
        api.put(PATH, thing("b"))
        async with reflected(api) as (reflector, store, restarts):
            await reflector.synced.wait()
            await until(lambda: api.at(PATH).watchers)
            await api.stop()
            await until(lambda: len(restarts) >= 2)
            assert store.names == {"a", "b"}
            api.put(PATH, thing("c"))
            api.delete(PATH, "n", "a")
            await api.start()
            await until(lambda: "c" in store.names)

    run(test)


def test_a_watch_that_always_fails_begins_anew_with_a_list() -> None:
    async def test(api: FakeApi) -> None:
        api.watch_status = 500
        async with reflected(api) as (_, store, restarts):
            await until(lambda: len(restarts) >= 6)
            api.put(PATH, thing("seen by list"))
            await until(lambda: "seen by list" in store.names)

    run(test)


def test_a_deletion_during_an_outage_is_seen_once_the_place_is_forgotten() -> None:
    async def test(api: FakeApi) -> None:
        api.put(PATH, thing("a"))
        async with reflected(api) as (reflector, store, _):
            await reflector.synced.wait()
            await until(lambda: api.at(PATH).watchers)
            await api.stop()
            api.delete(PATH, "n", "a")
            api.watch_status = 410
            await api.start()
            await until(lambda: store.names == set())

    run(test)


def test_a_watch_that_the_server_ends_is_taken_up_where_it_was() -> None:
    async def test(api: FakeApi) -> None:
        async with reflected(api) as (reflector, store, restarts):
            await reflector.synced.wait()
            await until(lambda: api.at(PATH).watchers)
            api.put(PATH, thing("a"))
            await until(lambda: "a" in store.names)
            api.end_watches(PATH)
            await until(lambda: len(api.watches) == 2)
            assert api.watches[1] == str(api.version)
            assert api.lists == 1
            assert restarts == []

    run(test)
