"""The watch of bindings: that kopf gets to its first call wherever it runs, and what follows when it ends."""

from __future__ import annotations

import asyncio
import getpass
import json
from pathlib import Path
from typing import Any

import kopf
import pytest

from carrier_operator.container import ClusterFacts
from carrier_operator.controller import bindings_watch
from carrier_operator.controller.bindings_watch import BindingsWatch
from carrier_operator.controller.world import World
from carrier_operator.kube.client import Client
from carrier_operator.kube.config import ClusterConfig
from carrier_operator.policy import Policy

WITHIN_S = 30.0


def watch_of(url: str, **options: Any) -> BindingsWatch:
    """A watch whose API server is at `url`; nothing marks and nothing is told."""
    config = ClusterConfig(url, None)
    facts = ClusterFacts("carrier/sidecar:1", native=True)
    world = World(Policy(), facts, lambda _: None, lambda _: None, auto_native=False)
    return BindingsWatch(Client(config), config, world, in_cluster=False, **options)


def nobody() -> str:
    """getpass.getuser for a user without a name."""
    raise KeyError("getpwuid(): uid not found: 65532")


def test_a_user_without_a_name_as_in_the_image_watches_too(monkeypatch: Any, tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def scenario() -> None:
        first = asyncio.Event()

        async def api_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readline())
            first.set()
            writer.close()

        async with await asyncio.start_server(api_server, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path, url))
            watch = watch_of(url)
            life = asyncio.create_task(watch._one_life())
            done, _ = await asyncio.wait(
                [life, asyncio.create_task(first.wait())], timeout=WITHIN_S, return_when=asyncio.FIRST_COMPLETED
            )
            assert life not in done, life.result()
            watch.stop()
            life.cancel()

    monkeypatch.setattr(getpass, "getuser", nobody)
    asyncio.run(scenario())
    assert asked[0].startswith(b"GET /api")


def test_an_end_of_kopf_is_counted_and_bindings_are_listed_without_it(monkeypatch: Any) -> None:
    reasons: list[str] = []
    lists: list[int] = []

    async def ends(**_: Any) -> None:
        raise KeyError("a defect")

    async def audit(self: BindingsWatch) -> None:
        self._audit_soon.clear()
        lists.append(len(reasons))

    async def scenario() -> None:
        watch = watch_of("http://127.0.0.1:1", restarted=reasons.append)
        running = [asyncio.create_task(watch.audits()), asyncio.create_task(watch.follow())]
        async with asyncio.timeout(WITHIN_S):
            while len(reasons) < 2 or lists[-1] < 2:
                await asyncio.sleep(0.01)
        for task in running:
            task.cancel()
        await asyncio.wait(running)

    monkeypatch.setattr(kopf, "operator", ends)
    monkeypatch.setattr(BindingsWatch, "audit", audit)
    monkeypatch.setattr(bindings_watch, "RESTART_S", 0.01)
    monkeypatch.setattr(bindings_watch, "AUDIT_AFTER_LIST_S", 0.0)
    asyncio.run(scenario())
    assert set(reasons) == {"KeyError"}


class Calls:
    """A loop that keeps what it is called with."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def call_soon_threadsafe(self, callback: Any, *arguments: Any) -> None:
        self.calls.append((callback, *arguments))


@pytest.mark.parametrize(
    ("kind", "version", "passed"),
    [
        ("MODIFIED", "7", False),
        ("MODIFIED", "8", True),
        ("ADDED", "7", False),
        ("DELETED", "7", True),
        (None, "8", True),
    ],
)
def test_what_is_known_is_not_passed_on(kind: str | None, version: str, passed: bool) -> None:
    async def scenario() -> None:
        watch, loop = watch_of("http://127.0.0.1:1"), Calls()
        watch._world.put_binding(binding("7"))
        watch._pass_on(loop, kind, binding(version))  # type: ignore[arg-type]
        assert loop.calls == ([(watch._event, kind, binding(version))] if passed else [])

    asyncio.run(scenario())


def test_a_list_of_kopfs_calls_for_one_of_ours() -> None:
    async def scenario() -> None:
        watch, loop = watch_of("http://127.0.0.1:1"), Calls()
        watch._world.put_binding(binding("7"))
        watch._pass_on(loop, None, binding("7"))  # type: ignore[arg-type]
        assert loop.calls == [(watch._audit_soon.set,)]

    asyncio.run(scenario())


def binding(version: str) -> dict[str, Any]:
    metadata = {"name": "orders", "namespace": "shop", "uid": "u", "resourceVersion": version}
    return {"metadata": metadata, "spec": {"queue": {"name": "q", "region": "eu-west-1"}}}


def kubeconfig(directory: Path, url: str) -> str:
    """The path of one for this API server."""
    path = directory / "kubeconfig"
    document = {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "none"}}],
        "current-context": "c",
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """kopf logs each refused attempt."""
    caplog.set_level("CRITICAL")
