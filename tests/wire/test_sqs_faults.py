"""SQS misbehaving, seen from the whole process: nothing is lost, nothing is delivered twice, nothing spins."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.process.handler import Reply
from tests.process.sidecar import wait_until
from tests.process.world import World
from tests.simulation.sqs_faults import ALWAYS, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OUTAGE_S = 0.7
MIB = 1 << 20


@pytest.fixture
def world() -> Iterator[World]:
    with World(visibility_s=300) as made:
        yield made
        for sidecar in made.sidecars:
            assert not sidecar.other_output, sidecar.log()


def malformed(raw: bytes) -> Callable[[str], Fault]:
    return lambda action: Fault(action, times=ALWAYS, raw=raw)


def refused(code: str, status: int) -> Callable[[str], Fault]:
    return lambda action: Fault(action, times=ALWAYS, code=code, status=status)


WHOLE_CALLS = {
    "500": refused("InternalError", 500),
    "503": refused("ServiceUnavailable", 503),
    "throttled": refused("RequestThrottled", 400),
    "429": refused("NoSuchCodeAtAll", 429),
    "closed before the answer": lambda action: Fault(action, times=ALWAYS, close_before=True),
}
# Answers that can't be read: the call was carried out all the same, so for receives they hide messages.
UNREADABLE = {
    "not JSON": malformed(b'{"Successful": [{"Id"'),
    "HTML": malformed(b"<html><body>Welcome to the hotel's WLAN</body></html>"),
    "a list": malformed(b"[1, 2, 3]"),
    "nothing": malformed(b""),
    "not UTF-8": malformed(b'{"Successful": "\xff\xfe"}'),
    "lists of nonsense": malformed(b'{"Successful": [7, null, {"Id": 5}], "Failed": [null, "x"]}'),
    "no lists": malformed(b'{"Successful": 7, "Failed": "none"}'),
    "deep": malformed(b"[" * 100_000),
    "lost": lambda action: Fault(action, times=ALWAYS, close_after=True),
}
ENTRIES = {
    "all failed": lambda action: Fault(action, times=ALWAYS, fail=range(10), code="InternalError", status=500),
    "every other failed": lambda action: Fault(
        action, times=ALWAYS, fail=range(0, 10, 2), code="ServiceUnavailable", status=500
    ),
    "in neither list": lambda action: Fault(action, times=ALWAYS, omit=range(0, 10, 3)),
    "all in neither list": lambda action: Fault(action, times=ALWAYS, omit=range(10)),
}


def cases(*groups: dict[str, Callable[[str], Fault]]) -> pytest.MarkDecorator:
    both = {name: fault for group in groups for name, fault in group.items()}
    return pytest.mark.parametrize("fault", both.values(), ids=both.keys())


@cases(WHOLE_CALLS)
def test_receives_that_fail(world: World, fault: Callable[[str], Fault]) -> None:
    sidecar = world.start()
    world.send(20)
    world.wait_until_empty()
    planned = world.sqs.plan(fault("ReceiveMessage"))
    world.send(5)  # ends the long poll that was begun before
    wait_until(lambda: sidecar.metrics()["carrier_gate_open"] and planned.times < ALWAYS, 5, sidecar.log)
    polls, cpu_s = world.count("ReceiveMessage"), sidecar.cpu_s()
    time.sleep(OUTAGE_S)
    assert world.count("ReceiveMessage") - polls <= 15, "it asks again and again"
    assert sidecar.cpu_s() - cpu_s <= 0.3
    planned.times = 0
    world.send(20)
    world.wait_until_empty(6.0)
    assert len(sidecar.lines) < 20, "the log is flooded"
    assert sum(value for name, value in sidecar.metrics().items() if name.startswith("carrier_receive_errors")) >= 1
    world.account().balances()


@cases(
    {"500": WHOLE_CALLS["500"], "closed before the answer": WHOLE_CALLS["closed before the answer"]},
    UNREADABLE,
    ENTRIES,
)
def test_deletes_that_fail(world: World, fault: Callable[[str], Fault]) -> None:
    """The messages are delivered once, and deleted when SQS is well again."""
    sidecar = world.start()
    planned = world.sqs.plan(fault("DeleteMessageBatch"))
    world.send(40)
    wait_until(lambda: world.handler.accepted.total() == 40, 10, sidecar.log)
    cpu_s = sidecar.cpu_s()
    calls = world.count("DeleteMessageBatch")
    time.sleep(OUTAGE_S)
    assert sidecar.cpu_s() - cpu_s <= 0.4
    assert world.count("DeleteMessageBatch") - calls <= 120, "no backoff"
    planned.times = 0
    world.wait_until_empty(5.0)
    wait_until(lambda: sidecar.metrics()['carrier_in_flight{state="accepted"}'] == 0, 5, sidecar.log)
    assert len(sidecar.lines) < 30, "the log is flooded"
    assert sum(value for name, value in sidecar.metrics().items() if name.startswith("carrier_settle_failures")) >= 1
    world.account().balances()


@pytest.mark.parametrize(
    "raw", [b"{", b"", b'{"Messages": [7, null, {}]}', b"[" * 100_000], ids=["broken off", "empty", "nonsense", "deep"]
)
def test_receives_that_can_not_be_read(world: World, raw: bytes) -> None:
    """What was in such an answer comes back by its visibility timeout."""
    planned = world.sqs.plan(Fault("ReceiveMessage", times=ALWAYS, raw=raw))
    sidecar = world.start()
    polls, cpu_s = world.count("ReceiveMessage"), sidecar.cpu_s()
    for _ in range(10):  # each ends a long poll
        world.send(1)
        time.sleep(OUTAGE_S / 10)
    assert world.count("ReceiveMessage") - polls <= 40
    assert sidecar.cpu_s() - cpu_s <= 0.4
    planned.times = 0
    world.send(1)  # ends the poll that met the fault before
    wait_until(lambda: bool(world.send(1)) and bool(world.handler.accepted), 5, sidecar.log)
    left = len(world.messages)
    assert left >= 1
    assert len(world.account().lost) == 0
    assert not world.account().duplicates


def test_a_wrong_md5_is_not_posted_and_counted(world: World) -> None:
    def change(answer: dict[str, Any]) -> dict[str, Any]:
        for message in answer.get("Messages", []):
            if message["Body"].startswith("broken"):
                message["Body"] += " by the wire"
        return answer

    world.sqs.plan(Fault("ReceiveMessage", times=ALWAYS, edit=change))
    sidecar = world.start()
    keys = world.send(3, prefix="broken") + world.send(3)
    wait_until(lambda: sidecar.metrics()["carrier_bad_messages_total"] == 3, 10, sidecar.log)
    wait_until(lambda: len(world.messages) == 3, 10, sidecar.log)
    assert not any(world.handler.tries[key] for key in keys[:3])
    assert sidecar.metrics()['carrier_undelivered_total{reason="bad_message"}'] == 3
    (line, *_) = sidecar.notes("not_delivered", reason="bad_message")
    assert "MD5" in line["fault"]
    world.account().balances(left=3)


def test_ten_bodies_of_one_mebibyte_fully_escaped(world: World) -> None:
    sidecar = world.start(CARRIER_WEBHOOK_REQUEST_TIMEOUT="20s")
    bodies = [f"m{number} " + "é" * ((MIB - 10) // 2) for number in range(10)]
    sizes = {}

    def weigh(post: Any) -> Reply:
        sizes[post.key] = len(post.body)
        return Reply()

    world.handler.script = weigh
    world.send_bodies(bodies)
    world.wait_until_empty()
    world.account().balances()
    assert sizes == {body.split(" ")[0]: len(body.encode()) for body in bodies}
    assert sidecar.peak_rss_bytes() < 200 * MIB


def test_bytes_in_hand_stay_under_their_bound(world: World) -> None:
    world.handler.script = lambda post: Reply(delay_s=0.3)
    sidecar = world.start(CARRIER_MAX_IN_FLIGHT_BYTES=str(3 * MIB))
    world.send(1, pad=MIB - 100)  # what a message weighs must be learnt first
    world.wait_until_empty()
    world.send(20, pad=MIB - 100)
    most = 0.0
    deadline = time.monotonic() + 30
    while world.messages and time.monotonic() < deadline:
        most = max(most, sidecar.metrics()["carrier_in_flight_bytes"])
        time.sleep(0.02)
    world.account().balances()
    assert MIB < most <= 3 * MIB
    assert sidecar.peak_rss_bytes() < 60 * MIB


def test_an_empty_body_and_binary_attributes_pass(world: World) -> None:
    """SQS takes no empty body, but other servers do."""
    seen = []

    def keep(post: Any) -> Reply:
        seen.append(post)
        return Reply()

    def empty(answer: dict[str, Any]) -> dict[str, Any]:
        for message in answer.get("Messages", []):
            message["Body"] = ""
            message["MD5OfBody"] = "d41d8cd98f00b204e9800998ecf8427e"
        return answer

    world.handler.script = keep
    world.sqs.plan(Fault("ReceiveMessage", times=ALWAYS, edit=empty))
    world.start(CARRIER_WEBHOOK_ATTRIBUTE_HEADERS="*")
    binary = {"DataType": "Binary", "BinaryValue": "AAECAwT/"}
    world.send_bodies(["empty"], MessageAttributes={"Blob": binary})
    world.wait_until_empty()
    (post,) = seen
    assert post.body == b""
    assert post.headers["content-length"] == "0"
    assert post.headers["x-carrier-attribute-blob"] == "AAECAwT/"


def test_an_unreachable_endpoint_is_tried_until_it_is_there(world: World) -> None:
    world.sqs.down()
    sidecar = world.start(wait=False)
    sidecar.wait_for("queue_unreachable")
    assert "queue" in sidecar.not_ready()
    cpu_s = sidecar.cpu_s()
    time.sleep(OUTAGE_S)
    assert sidecar.cpu_s() - cpu_s <= 0.1
    world.send(10)
    world.sqs.up()
    world.wait_until_empty(5)
    assert not sidecar.not_ready()
    assert len(sidecar.lines) < 15
    world.account().balances()


def test_an_unreachable_endpoint_does_not_hold_up_the_end(world: World) -> None:
    world.sqs.down()
    sidecar = world.start(wait=False)
    sidecar.wait_for("queue_unreachable")
    sidecar.terminate()
    assert sidecar.wait(3) == 0


def test_a_refused_delete_stops_receiving_and_is_said(world: World) -> None:
    denied = world.sqs.plan(Fault("DeleteMessageBatch", times=ALWAYS, code="AccessDenied", status=403))
    sidecar = world.start()
    world.send(100)
    sidecar.wait_for("delete_denied")
    wait_until(lambda: sidecar.not_ready() == ["delete_denied"], 5, sidecar.log)
    time.sleep(0.5)
    assert world.handler.accepted.total() < 60, "it goes on delivering what it cannot delete"
    denied.times = 0
    world.wait_until_empty(10)
    assert not sidecar.not_ready()
    world.account().balances()


def test_attributes_that_may_not_be_read_are_no_reason_to_stop(world: World) -> None:
    world.sqs.plan(Fault("GetQueueAttributes", times=ALWAYS, code="AccessDenied", status=403))
    sidecar = world.start()
    world.send(10)
    world.wait_until_empty()
    sidecar.wait_for("attributes_refused")
    receives = [params for action, _, params in world.sqs.seen if action == "ReceiveMessage"]
    assert {params["VisibilityTimeout"] for params in receives} == {30}
    world.account().balances()


def test_a_server_whose_clock_is_off_by_an_hour(world: World) -> None:
    world.sqs.clock_offset_s = 3600.0
    sidecar = world.start()
    world.send(20)
    world.wait_until_empty()
    sidecar.wait_for("clock_corrected")
    world.account().balances()
    world.sqs.clock_offset_s = -1800.0  # and steps while we run
    world.send(20)
    world.wait_until_empty()
    world.account().balances()
