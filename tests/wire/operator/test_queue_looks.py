"""The controller's looks at queues, against moto and against servers that mislead."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiobotocore.session import get_session
from aiohttp import web
from moto.server import ThreadedMotoServer

from carrier_operator.container import ClusterFacts
from carrier_operator.controller import queue_check
from carrier_operator.controller import settings as controller_settings
from carrier_operator.controller.queue_looks import QueueLooks
from carrier_operator.controller.world import World
from carrier_operator.policy import Policy

REGION = "us-west-2"
ACCOUNT = "123456789012"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    server.stop()


@pytest.fixture(autouse=True)
def identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "controller")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def make(endpoint: str, name: str, **attributes: str) -> None:
    async def call() -> None:
        async with get_session().create_client("sqs", endpoint_url=endpoint, region_name=REGION) as sqs:
            await sqs.create_queue(QueueName=name, Attributes=attributes)

    asyncio.run(call())


def document(endpoint: str, name: str, **queue: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "orders", "namespace": "shop", "uid": "u", "resourceVersion": "1", "generation": 1},
        "spec": {"queue": {"name": name, "endpoint": endpoint, "region": REGION, **queue}},
    }


def look(
    endpoint: str, subject: dict[str, Any], allowed: str = "*", listed: str | None = None
) -> tuple[str, dict[str, Any]]:
    """The reason and the status after one look; empty where none came."""
    settings = controller_settings.read(
        {
            "CARRIER_OPERATOR_SIDECAR_IMAGE": "x",
            "CARRIER_CONTROLLER_QUEUE_ENDPOINTS": listed or endpoint,
            "CARRIER_CONTROLLER_QUEUES": f"shop=arn:aws:sqs:{REGION}:{ACCOUNT}:{allowed}",
        }
    )

    async def run() -> tuple[str, dict[str, Any]]:
        marked = asyncio.Event()
        looks = QueueLooks(settings, lambda key: marked.set())
        world = World(Policy(), ClusterFacts("x", native=True), lambda key: None, lambda it: None, auto_native=False)
        world.put_binding(subject)
        task = asyncio.create_task(looks.run(world))
        try:
            async with asyncio.timeout(20 if allowed == "*" and listed is None else 2):
                await marked.wait()
        except TimeoutError:
            pass
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        finding, status = looks.latest(world.bindings["shop", "orders"])
        return (finding.reason.code if finding else ""), status or {}

    return asyncio.run(run())


def test_a_queue_is_described(moto: str) -> None:
    make(moto, "dead")
    policy = {"deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead", "maxReceiveCount": 5}
    make(moto, "orders", RedrivePolicy=json.dumps(policy), VisibilityTimeout="45")
    reason, status = look(moto, document(moto, "orders"))
    assert reason == "Verified"
    assert (status["visible"], status["inFlight"], status["visibilityTimeout"]) == (0, 0, "45s")
    assert status["maxReceiveCount"] == 5


def test_a_queue_that_is_not_there(moto: str) -> None:
    assert look(moto, document(moto, "typo"))[0] == "QueueNotFound"


def test_a_queue_without_dead_letters(moto: str) -> None:
    make(moto, "plain")
    assert look(moto, document(moto, "plain"))[0] == "NoDeadLetterQueue"


def test_a_queue_that_is_not_listed_is_not_looked_at(moto: str) -> None:
    make(moto, "secret")
    assert look(moto, document(moto, "secret"), allowed="orders*") == ("", {})


def test_an_endpoint_that_is_not_listed_is_not_called(moto: str) -> None:
    assert look(moto, document(moto, "orders"), listed="http://127.0.0.1:1") == ("", {})


def test_nobody_at_the_endpoint() -> None:
    assert look("http://127.0.0.1:1", document("http://127.0.0.1:1", "orders"))[0] == "Unreachable"


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]", "[fd00:ec2::254]"])
def test_a_link_local_address_is_not_called(host: str) -> None:
    endpoint = f"http://{host}"
    assert look(endpoint, document(endpoint, "orders"))[0] == "EndpointRefused"


def resolves(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Every name leads to these addresses, one after the other and then to the last; the names that were asked for."""
    real, asked = socket.getaddrinfo, list[str]()

    def getaddrinfo(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        if host != "sqs.example":
            return real(host, port, *more, **named)
        address = answers[min(len(asked), len(answers) - 1)]
        asked.append(str(host))
        return real(address, port, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254"])
def test_a_name_that_leads_to_a_link_local_address_is_not_called(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    resolves(monkeypatch, address)
    endpoint = "http://sqs.example"
    assert look(endpoint, document(endpoint, "orders"))[0] == "EndpointRefused"


def test_a_name_that_leads_elsewhere_the_second_time_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at is the address that is connected to, not only one that the name had a moment before."""
    asked = resolves(monkeypatch, "127.0.0.1", "127.0.0.2")
    real = queue_check.is_off_limits
    monkeypatch.setattr(queue_check, "is_off_limits", lambda address: address == "127.0.0.2" or real(address))
    with socket.create_server(("127.0.0.2", 0)) as off_limits:
        endpoint = f"http://sqs.example:{off_limits.getsockname()[1]}"
        assert look(endpoint, document(endpoint, "orders"))[0] == "Unreachable"
        off_limits.setblocking(False)
        with pytest.raises(BlockingIOError):
            off_limits.accept()
    assert len(asked) >= 2


def test_a_host_name_that_is_none() -> None:
    endpoint = f"http://{'x' * 70}.example"
    assert look(endpoint, document(endpoint, "orders"))[0] == "Unreachable"


class Misleading:
    """A server that answers as told, and counts who comes to the place where nobody should be led."""

    def __init__(self) -> None:
        self.lured = 0
        self.url = ""
        self.answer: Any = None

    async def handle(self, request: web.Request) -> web.Response:
        if request.path.startswith("/lure"):
            self.lured += 1
            return web.json_response({"Attributes": {}})
        found: web.Response = self.answer(request)
        return found


@asynccontextmanager
async def misleading() -> AsyncIterator[Misleading]:
    server = Misleading()
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", server.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def ask_misleading(answer: Any) -> tuple[str, int]:
    async def run() -> tuple[str, int]:
        async with misleading() as server:
            server.answer = lambda request: answer(server, request)
            found = await asyncio.to_thread(look, server.url, document(server.url, "orders"))
            return found[0], server.lured

    return asyncio.run(run())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    def answer(server: Misleading, _: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": f"{server.url}/lure"})

    assert ask_misleading(answer) == ("Unreachable", 0)


DEEP = "[" * 50_000
ANSWERS: dict[str, Any] = {
    "a list": [],
    "null": None,
    "a text": "x",
    "a number for the URL": {"QueueUrl": 5},
    "a list for the URL": {"QueueUrl": ["http://x"]},
    "attributes that are a list": {"QueueUrl": "u", "Attributes": [1]},
    "attributes that are a text": {"QueueUrl": "u", "Attributes": "x"},
    "attributes of numbers": {"QueueUrl": "u", "Attributes": {"VisibilityTimeout": 5, "QueueArn": "ARN"}},
    "attributes of objects": {"QueueUrl": "u", "Attributes": {"RedrivePolicy": {}, "QueueArn": "ARN"}},
    "a policy that is deep": {"QueueUrl": "u", "Attributes": {"RedrivePolicy": DEEP, "QueueArn": "ARN"}},
    "huge numbers": {"QueueUrl": "u", "Attributes": {"ApproximateNumberOfMessages": "9" * 5000, "QueueArn": "ARN"}},
    "a long URL": {"QueueUrl": "u" * 100_000, "Attributes": {"QueueArn": "ARN"}},
}


@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_of_any_shape_is_lived_through(what: str) -> None:
    """A word of the list comes out of it, and never an error, which would end the controller."""
    text = json.dumps(ANSWERS[what]).replace("ARN", f"arn:aws:sqs:{REGION}:{ACCOUNT}:orders")

    def answer(_: Misleading, __: web.Request) -> web.Response:
        return web.Response(text=text, content_type="application/x-amz-json-1.0")

    assert ask_misleading(answer)[0] in ("Unreachable", "QueueNotFound", "NoDeadLetterQueue")


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"{", DEEP.encode()])
@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_body_that_is_no_json_is_lived_through(status: int, body: bytes) -> None:
    def answer(_: Misleading, __: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    assert ask_misleading(answer)[0] == "Unreachable"


def test_a_queue_url_that_leads_elsewhere_is_not_followed() -> None:
    def answer(server: Misleading, request: web.Request) -> web.Response:
        if request.headers["X-Amz-Target"].endswith("GetQueueUrl"):
            return web.json_response({"QueueUrl": f"{server.url}/lure/orders"})
        return web.json_response({"Attributes": {"QueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:orders"}})

    assert ask_misleading(answer)[1] == 0


def test_an_answer_about_another_queue_is_dropped() -> None:
    def answer(server: Misleading, request: web.Request) -> web.Response:
        if request.headers["X-Amz-Target"].endswith("GetQueueUrl"):
            return web.json_response({"QueueUrl": f"{server.url}/{ACCOUNT}/orders"})
        other = {"QueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:salaries", "ApproximateNumberOfMessages": "7"}
        return web.json_response({"Attributes": other})

    assert ask_misleading(answer)[0] == "QueueNotFound"


def test_what_a_server_says_is_not_passed_on() -> None:
    def answer(_: Misleading, __: web.Request) -> web.Response:
        return web.json_response(
            {"__type": "com.amazonaws.sqs#AccessDenied", "message": "role/x is secret"}, status=403
        )

    assert ask_misleading(answer)[0] == "AccessDenied"
