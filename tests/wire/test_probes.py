"""The probe server over real sockets: who gets which answer, and when."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from carrier_sidecar.loop.selecting import SelectingLoop
from carrier_sidecar.probes import Probes

TOKEN = "s3cret-token"


class Application:
    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        self.hooks: list[tuple[str, Callable[[], None]]] = []

    def ready_reasons(self) -> dict[str, str]:
        return self.reasons

    def metrics_text(self) -> str:
        return "carrier_build_info 1\n"

    def drain(self, done: Callable[[], None]) -> None:
        self.hooks.append(("drain", done))

    def pause(self, done: Callable[[], None]) -> None:
        self.hooks.append(("pause", done))

    def suspend(self) -> None:
        self.reasons["suspended"] = "suspended"

    def unsuspend(self) -> None:
        self.reasons.clear()


class Rig:
    """A loop in a thread of its own; `call` runs something on it."""

    def __init__(self) -> None:
        self.loop = SelectingLoop()
        self.application = Application()
        self.probes: list[Probes] = []
        self._calls: list[Callable[[], None]] = []
        self._reader, self._writer = socket.socketpair()
        self._thread = threading.Thread(target=self.loop.run, daemon=True)

    def listen(self, application: Application | None = None, *, token: str = TOKEN, peers: tuple[int, ...] = ()) -> int:
        probes = Probes(
            self.loop,
            "127.0.0.1",
            0,
            application or self.application,
            token=token,
            peers=[("127.0.0.1", port) for port in peers],
            peer_timeout_s=5.0,
        )
        self.probes.append(probes)
        return probes.port

    def start(self) -> None:
        self.loop.call_at(0, self._look)
        self._thread.start()

    def _look(self) -> None:
        calls, self._calls = self._calls, []
        for call in calls:
            call()
        self.loop.call_at(self.loop.now() + 0.005, self._look)

    def call(self, callback: Callable[[], None]) -> None:
        self._calls.append(callback)

    def hook(self, application: Application, count: int = 1) -> list[tuple[str, Callable[[], None]]]:
        """Wait until that many hooks have arrived."""
        for _ in range(1000):
            if len(application.hooks) >= count:
                return application.hooks
            threading.Event().wait(0.005)
        raise AssertionError("no hook arrived")

    def stop(self) -> None:
        for probes in self.probes:
            self.call(probes.close)
        self.call(self.loop.stop)
        self._thread.join(5)
        self._reader.close()
        self._writer.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.stop()


def ask(port: int, path: str, method: str = "GET") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path)
    return connection.getresponse()


class Asking(threading.Thread):
    """A hook that waits for its answer."""

    def __init__(self, port: int, path: str) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.path = path
        self.status = 0
        self.start()

    def run(self) -> None:
        self.status = ask(self.port, self.path).status


def test_live_and_metrics(rig: Rig) -> None:
    port = rig.listen()
    rig.start()
    assert ask(port, "/livez").status == 200
    answer = ask(port, "/metrics?name[]=x")
    assert answer.status == 200
    assert answer.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.read() == b"carrier_build_info 1\n"


def test_ready_says_why_not(rig: Rig) -> None:
    port = rig.listen()
    rig.start()
    answer = ask(port, "/readyz")
    assert (answer.status, json.loads(answer.read())) == (200, {"ready": True, "reasons": []})
    rig.application.reasons = {"offline": "the handler is offline"}
    answer = ask(port, "/readyz")
    assert answer.status == 503
    assert answer.getheader("Content-Type") == "application/json"
    reasons = [{"reason": "offline", "message": "the handler is offline"}]
    assert json.loads(answer.read()) == {"ready": False, "reasons": reasons}


@pytest.mark.parametrize(
    "path",
    ["/", "/livez/", "/healthz", "/drain", "/drain/", "/drain/wrong", f"/drain/{TOKEN}x", f"/drain/{TOKEN}/",
     f"/{TOKEN}", f"/drain//{TOKEN}", f"//drain/{TOKEN}", "/drain/%00", f"/other/{TOKEN}", f"/DRAIN/{TOKEN}"],
)  # fmt: skip
def test_unknown_paths_and_wrong_tokens_look_the_same(rig: Rig, path: str) -> None:
    port = rig.listen()
    rig.start()
    answer = ask(port, path)
    assert (answer.status, answer.read()) == (404, b"not found\n")
    assert rig.application.hooks == []


@pytest.mark.parametrize("path", ["/drain/", "/pause/", f"/drain/{TOKEN}", f"/pause/{TOKEN}"])
def test_without_a_token_the_hooks_do_not_exist(rig: Rig, path: str) -> None:
    port = rig.listen(token="")
    rig.start()
    assert ask(port, path).status == 404
    assert rig.application.hooks == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/livez", "GET, HEAD"),
        ("DELETE", "/metrics", "GET, HEAD"),
        ("HEAD", f"/drain/{TOKEN}", "GET"),
        ("POST", f"/pause/{TOKEN}", "GET"),
    ],
)
def test_the_wrong_method_is_told_the_right_one(rig: Rig, method: str, path: str, allowed: str) -> None:
    port = rig.listen()
    rig.start()
    answer = ask(port, path, method)
    assert answer.status == 405
    assert answer.getheader("Allow") == allowed
    assert rig.application.hooks == []


def test_the_wrong_method_with_a_wrong_token_is_an_unknown_path(rig: Rig) -> None:
    port = rig.listen()
    rig.start()
    assert ask(port, "/drain/wrong", "POST").status == 404


@pytest.mark.parametrize("name", ["drain", "pause"])
def test_a_hook_is_answered_when_the_application_is_done(rig: Rig, name: str) -> None:
    port = rig.listen()
    rig.start()
    asking = Asking(port, f"/{name}/{TOKEN}")
    ((kind, done),) = rig.hook(rig.application)
    assert kind == name
    assert ask(port, "/livez").status == 200  # a waiting hook holds up nobody
    assert asking.status == 0
    rig.call(done)
    asking.join(5)
    assert asking.status == 200


def test_a_pause_is_answered_when_all_sidecars_of_the_pod_are_quiet(rig: Rig) -> None:
    other = Application()
    other_port = rig.listen(other)
    port = rig.listen(peers=(other_port,))
    rig.start()
    asking = Asking(port, f"/pause/{TOKEN}")
    ((_, done),) = rig.hook(rig.application)
    ((kind, other_done),) = rig.hook(other)
    assert kind == "pause"
    rig.call(done)
    asking.join(0.1)
    assert asking.is_alive()
    rig.call(other_done)
    asking.join(5)
    assert asking.status == 200


def test_a_sidecar_that_is_gone_holds_up_no_pause(rig: Rig) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refuses
        port = rig.listen(peers=(taken.getsockname()[1],))
        rig.start()
        asking = Asking(port, f"/pause/{TOKEN}")
        ((_, done),) = rig.hook(rig.application)
        rig.call(done)
        asking.join(5)
    assert asking.status == 200


def test_a_drain_is_each_sidecars_own(rig: Rig) -> None:
    other = Application()
    port = rig.listen(peers=(rig.listen(other),))
    rig.start()
    asking = Asking(port, f"/drain/{TOKEN}")
    ((_, done),) = rig.hook(rig.application)
    rig.call(done)
    asking.join(5)
    assert asking.status == 200
    assert other.hooks == []


def test_a_port_that_is_taken_is_an_oserror(rig: Rig) -> None:
    port = rig.listen()
    rig.start()
    with pytest.raises(OSError, match=re.compile("address", re.I)):
        Probes(rig.loop, "127.0.0.1", port, rig.application)


def test_suspending_and_resuming_are_answered_at_once(rig: Rig) -> None:
    port = rig.listen()
    rig.start()
    assert ask(port, "/suspend/wrong").status == 404
    assert ask(port, f"/suspend/{TOKEN}", "HEAD").status == 405
    assert ask(port, "/readyz").status == 200
    assert ask(port, f"/suspend/{TOKEN}").status == 200
    assert ask(port, "/readyz").status == 503
    assert ask(port, f"/resume/{TOKEN}").status == 200
    assert ask(port, "/readyz").status == 200
