"""The queue port against the in-memory SQS on a simulated network, in virtual time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from carrier_sidecar.message import (
    BAD_RECEIPT,
    CLOCK_SKEW,
    CREDENTIALS,
    DENIED,
    KMS,
    MALFORMED,
    MISSING,
    NETWORK,
    THROTTLED,
    UNAVAILABLE,
    QueueError,
)
from carrier_sidecar.sqs.credentials.values import Credentials
from tests.contract.sqs_client import Client
from tests.simulation.loop import SimLoop
from tests.simulation.memory_sqs_server import MemorySqsServer
from tests.simulation.sqs_faults import ALWAYS, Fault

if TYPE_CHECKING:
    from carrier_sidecar.message import Message

PORT = 9324


class World:
    """Client and server on one simulated loop; `orders` exists and is open."""

    def __init__(self, **options: Any) -> None:
        self.loop = SimLoop()
        self.server = MemorySqsServer(self.loop, host="sqs.test", port=PORT)
        self.polls = self.server.polls
        self.client = Client(f"http://sqs.test:{PORT}", "orders", loop=self.loop, wait_s=20, **options)
        self.queue_url = self.server.sqs.call("CreateQueue", {"QueueName": "orders"}, self.loop.wall())["QueueUrl"]
        self.client.open()
        self.faults = self.server.faults
        self.seen = self.server.seen
        self.seen.clear()

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.polls.send(self.queue_url, body)

    def received(self, *bodies: str) -> list[Message]:
        self.send(*bodies)
        return self.client.receive_all(len(bodies))

    def fail(self, act: Any) -> QueueError:
        with pytest.raises(QueueError) as raised:
            act()
        return raised.value

    def dates(self) -> list[str]:
        return [headers["x-amz-date"] for _, headers, _ in self.seen]


@pytest.fixture
def world() -> World:
    return World()


# Receiving


def test_a_receive_waits_twenty_seconds_and_passes_its_visibility(world: World) -> None:
    started = world.loop.now()
    assert world.client.receive(count=7, visibility_s=33) == []
    assert 20.0 <= world.loop.now() - started < 20.1
    ((_, _, params),) = world.seen
    assert (params["WaitTimeSeconds"], params["VisibilityTimeout"], params["MaxNumberOfMessages"]) == (20, 33, 7)
    assert "ReceiveRequestAttemptId" not in params


def test_the_time_that_counts_is_that_of_sending(world: World) -> None:
    started = world.loop.now()
    world.loop.call_at(started + 5, lambda: world.send("late"))
    assert len(world.client.receive()) == 1
    assert world.client.sent_at == started
    assert world.loop.now() >= started + 5


def test_a_signed_receive_is_used_again_for_half_a_minute(world: World) -> None:
    for _ in range(5):
        world.client.receive()  # 20 s each
    dates = world.dates()
    assert dates[0] == dates[1]
    assert len(set(dates)) == 3
    world.client.receive(count=3)
    world.client.receive(count=10, visibility_s=31)
    assert world.seen[-2][2]["MaxNumberOfMessages"] == 3
    assert world.seen[-1][2]["VisibilityTimeout"] == 31


def test_signed_receives_are_dropped_when_the_credentials_change(world: World) -> None:
    world.client.receive()
    world.client.queue.credentials._credentials = Credentials("AKNEW", "s", "tok", None, "test")
    world.client.receive()
    assert "AKNEW" in world.seen[-1][1]["authorization"]
    assert world.seen[-1][1]["x-amz-security-token"] == "tok"


def test_a_receive_without_an_answer_ends_ten_seconds_after_its_wait(world: World) -> None:
    world.loop.network.endpoint("sqs.test", PORT).stalled = True
    started = world.loop.now()
    error = world.fail(world.client.receive)
    assert (error.kind, error.code, error.answered) == (NETWORK, "timeout", False)
    assert world.loop.now() - started == pytest.approx(30.0, abs=0.1)


def test_messages_without_id_or_receipt_are_left_out_and_reported(world: World) -> None:
    world.send("one", "two")

    def spoil(answer: dict[str, Any]) -> dict[str, Any]:
        del answer["Messages"][0]["ReceiptHandle"]
        return answer

    world.faults.plan(Fault("ReceiveMessage", edit=spoil))
    assert [message.body for message in world.client.receive()] == [b"two"]
    assert world.client.queue.skipped == 1
    assert ("messages_skipped", {"messages": 1}) in world.client.notes


def test_a_wrong_md5_is_a_fault_and_not_a_loss(world: World) -> None:
    world.send("one")

    def spoil(answer: dict[str, Any]) -> dict[str, Any]:
        answer["Messages"][0]["MD5OfBody"] = "0" * 32
        return answer

    world.faults.plan(Fault("ReceiveMessage", edit=spoil))
    (message,) = world.client.receive()
    assert message.fault is not None


def test_an_abandoned_receive_takes_no_message(world: World) -> None:
    world.client.queue.receive(0, 10, 30, "")
    world.loop.run_for(1)
    world.client.queue.abandon(0)
    world.loop.run_for(1)
    world.send("one")
    (message,) = world.client.receive()
    assert message.receive_count == "1"
    world.client.queue.abandon(5)  # nothing there: nothing happens


def test_a_receive_abandoned_before_it_could_be_refused_is_not_heard_of(world: World) -> None:
    world.client.queue.credentials._credentials = None
    world.client.queue.receive(3, 10, 30, "")
    world.client.queue.abandon(3)
    world.loop.run_for(5)
    assert world.client._outcomes == {}


def test_each_receiver_has_its_own_outcome(world: World) -> None:
    for receiver in range(3):
        world.client.queue.receive(receiver, 1, 30, "")
    world.send("a", "b", "c")
    bodies = {world.client.wait(receiver)[0].body for receiver in range(3)}
    assert bodies == {b"a", b"b", b"c"}


# FIFO


def test_the_attempt_id_goes_along_and_is_good_for_a_lost_answer() -> None:
    world = World()
    world.server.sqs.call("CreateQueue", {"QueueName": "f.fifo", "Attributes": {"FifoQueue": "true"}}, 0)
    client = Client(f"http://sqs.test:{PORT}", "f.fifo", loop=world.loop, wait_s=20)
    url = client.open()
    world.polls.send(url, "a1", MessageGroupId="a", MessageDeduplicationId="1")
    world.faults.plan(Fault("ReceiveMessage", close_after=True))
    (message,) = client.receive(attempt_id="attempt-7")  # sent again at once, with the same id
    assert message.receive_count == "1"
    attempts = [params["ReceiveRequestAttemptId"] for action, _, params in world.seen if action == "ReceiveMessage"]
    assert attempts == ["attempt-7", "attempt-7"]


# Settling


def test_settles_name_the_receipts_that_were_noted_for_them(world: World) -> None:
    (message,) = world.received("one")
    receipt, message.receipt = message.receipt, "newer"
    message.delete_receipt = message.change_receipt = receipt
    assert world.client.change_visibility([message], [60]) == [None]
    assert world.client.delete([message]) == [None]
    assert [params["Entries"][0]["ReceiptHandle"] for _, _, params in world.seen[-2:]] == [receipt, receipt]


def test_failed_and_missing_entries_are_told_by_position(world: World) -> None:
    messages = world.received("a", "b", "c", "d")
    fault = Fault("DeleteMessageBatch", fail=[1], omit=[3], code="InternalError", status=500)
    world.faults.plan(fault)
    errors = world.client.delete(messages)
    assert [error.kind if error else None for error in errors] == [None, UNAVAILABLE, None, MISSING]
    assert world.client.delete([messages[1], messages[3]]) == [None, None]


def test_a_call_that_fails_as_a_whole_is_told_for_each(world: World) -> None:
    messages = world.received("a", "b")
    world.faults.plan(Fault("DeleteMessageBatch", code="AccessDenied", status=403))
    errors = world.client.delete(messages)
    assert [error.kind for error in errors if error] == [DENIED, DENIED]


def test_a_settle_ends_after_ten_seconds(world: World) -> None:
    messages = world.received("a")
    world.faults.plan(Fault("DeleteMessageBatch", delay_s=60))
    started = world.loop.now()
    (error,) = world.client.delete(messages)
    assert error is not None
    assert error.kind == NETWORK
    assert world.loop.now() - started == pytest.approx(10.0, abs=0.1)


@pytest.mark.parametrize(("visibility_s", "timeout_s"), [(30, 5.0), (10, 2.0), (43200, 10.0), (0, 10.0)])
def test_an_extension_that_hangs_leaves_time_for_two_more(world: World, visibility_s: int, timeout_s: float) -> None:
    messages = world.received("a")
    world.faults.plan(Fault("ChangeMessageVisibilityBatch", delay_s=60))
    started = world.loop.now()
    (error,) = world.client.change_visibility(messages, [visibility_s])
    assert error is not None
    assert world.loop.now() - started == pytest.approx(timeout_s, abs=0.1)


def test_a_settle_whose_connection_broke_at_once_is_sent_again(world: World) -> None:
    messages = world.received("a")
    world.faults.plan(Fault("DeleteMessageBatch", close_before=True))
    assert world.client.delete(messages) == [None]


def test_but_only_once(world: World) -> None:
    messages = world.received("a")
    world.faults.plan(Fault("DeleteMessageBatch", close_before=True, times=2))
    (error,) = world.client.delete(messages)
    assert error is not None
    assert (error.kind, error.answered) == (NETWORK, False)
    assert world.server.actions().count("DeleteMessageBatch") == 2


def test_not_when_it_broke_later(world: World) -> None:
    messages = world.received("a")
    world.faults.plan(Fault("DeleteMessageBatch", delay_s=3, close_before=True))
    (error,) = world.client.delete(messages)
    assert error is not None
    assert error.kind == NETWORK


def test_a_send_is_never_repeated_when_it_may_have_arrived(world: World) -> None:
    world.faults.plan(Fault("SendMessage", close_after=True))
    error = world.fail(lambda: world.client.send("once"))
    assert error.kind == NETWORK
    assert world.server.actions().count("SendMessage") == 1


# What a server may answer


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("RequestThrottled", 400, THROTTLED),
        ("InternalError", 500, UNAVAILABLE),
        ("AccessDeniedException", 400, DENIED),
        ("KmsAccessDenied", 400, KMS),
    ],
)
def test_refusals_have_their_kind_and_say_what_and_where(world: World, code: str, status: int, kind: str) -> None:
    world.faults.plan(Fault("ReceiveMessage", code=code, status=status, message="so there"))
    error = world.fail(world.client.receive)
    assert (error.kind, error.code, error.answered) == (kind, code, True)
    assert error.detail.startswith(
        f"ReceiveMessage on orders of account 000000000000 at http://sqs.test:9324/: {code}: so there"
    )


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("AccessDenied", ["signed by AKIDTEST from environment, region us-east-1", "grant sqs:ReceiveMessage"]),
        ("QueueDoesNotExist", ["no such queue in this account and region, or access to it is missing"]),
        ("KmsAccessDenied", ["kms:Decrypt"]),
        ("InvalidClientTokenId", ["check the credentials and the region"]),
    ],
)
def test_a_refusal_that_somebody_must_mend_says_how(world: World, code: str, parts: list[str]) -> None:
    world.faults.plan(Fault("ReceiveMessage", code=code))
    detail = world.fail(world.client.receive).detail
    for part in parts:
        assert part in detail


def test_an_error_about_another_queue_names_that_one(world: World) -> None:
    error = world.fail(lambda: world.client.call("GetQueueUrl", QueueName="dead"))
    assert error.detail.startswith("GetQueueUrl on dead at ")
    world.faults.plan(Fault("SendMessage", code="KmsAccessDenied"))
    url = "http://elsewhere/111122223333/dead"
    error = world.fail(lambda: world.client.call("SendMessage", QueueUrl=url, MessageBody="x"))
    assert error.detail.startswith("SendMessage on dead of account 111122223333 at ")
    assert "kms:GenerateDataKey" in error.detail


def test_a_refused_batch_names_the_permission_of_single_calls(world: World) -> None:
    messages = world.received("a")
    world.faults.plan(Fault("ChangeMessageVisibilityBatch", code="AccessDenied"))
    (error,) = world.client.change_visibility(messages, [30])
    assert error is not None
    assert "grant sqs:ChangeMessageVisibility on the queue" in error.detail


@pytest.mark.parametrize("raw", [b"[]", b"{", b"\xff\xfe", b'{"Messages": 5}', b"[" * 50_000])
def test_garbage_is_malformed(world: World, raw: bytes) -> None:
    world.faults.plan(Fault("ReceiveMessage", raw=raw))
    world.send("one")
    error = world.fail(world.client.receive)
    assert (error.kind, error.answered) == (MALFORMED, True)
    world.faults.plan(Fault("DeleteMessageBatch", raw=raw.replace(b"Messages", b"Failed")))
    (failed,) = world.client.delete(world.received("two"))
    assert failed is not None
    assert failed.kind == MALFORMED


def test_a_host_that_does_not_answer(world: World) -> None:
    world.loop.network.endpoint("sqs.test", PORT).refuse = True
    world.client.queue.pool.close()
    error = world.fail(world.client.receive)
    assert (error.kind, error.code) == (NETWORK, "refused")


# Credentials and clocks


def test_without_credentials_nothing_is_sent(world: World) -> None:
    messages = world.received("a")
    world.seen.clear()
    world.client.queue.credentials._credentials = None
    error = world.fail(world.client.receive)
    assert (error.kind, error.answered) == (CREDENTIALS, False)
    (failed,) = world.client.delete(messages)
    assert failed is not None
    assert failed.kind == CREDENTIALS
    assert world.seen == []


def test_opening_without_credentials_says_what_was_tried() -> None:
    loop = SimLoop()
    client = Client("http://sqs.test:9324", "orders", loop=loop, environ={})
    with pytest.raises(QueueError) as raised:
        client.open()
    assert raised.value.kind == CREDENTIALS
    assert "environment: AWS_ACCESS_KEY_ID is not set" in raised.value.detail


def test_opening_without_a_region_says_what_to_set() -> None:
    client = Client("http://sqs.test:9324", "orders", loop=SimLoop(), problem="set CARRIER_SQS_REGION")
    with pytest.raises(QueueError) as raised:
        client.open()
    assert raised.value.detail == "set CARRIER_SQS_REGION"


def test_expired_credentials_are_asked_for_anew(world: World) -> None:
    store = world.client.queue.credentials
    store._credentials = Credentials("AKOLD", "s", "t", world.loop.wall() + 3600, "test")
    world.faults.plan(Fault("ReceiveMessage", code="ExpiredToken", status=403))
    assert world.fail(world.client.receive).kind == CREDENTIALS
    world.loop.run_for(5)
    assert store.current is not None
    assert store.current.access_key == "AKIDTEST"


@pytest.mark.parametrize("offset_s", [-7200.0, 7200.0, 360.0])
def test_a_wrong_clock_is_corrected_and_the_call_repeated(offset_s: float) -> None:
    world = World()
    world.server.clock_offset_s = offset_s
    world.send("one")
    world.loop.run_for(31)  # what was signed before is no longer used
    (message,) = world.client.receive()
    assert message.body == b"one"
    assert world.client.clock.offset_s == pytest.approx(offset_s, abs=2)
    assert [name for name, _ in world.client.notes] == ["clock_corrected"]
    world.seen.clear()
    assert world.client.delete([message]) == [None]
    assert len(world.seen) == 1


def test_a_clock_that_stays_refused_is_an_error_and_no_loop(world: World) -> None:
    world.faults.plan(Fault("ReceiveMessage", code="RequestTimeTooSkewed", status=403, times=ALWAYS))
    world.server.clock_offset_s = 15.0
    error = world.fail(world.client.receive)
    assert error.kind == CLOCK_SKEW
    first, second = world.dates()
    assert first != second


def test_a_clock_that_drifts_is_seen_on_good_answers(world: World) -> None:
    world.server.clock_offset_s = 250.0  # more than is tolerated, less than is refused
    world.client.receive()
    world.client.receive()
    world.client.receive()
    world.client.receive()
    assert world.client.clock.offset_s == pytest.approx(250.0, abs=2)


# Start and end


def test_a_given_url_is_not_looked_up() -> None:
    world = World()
    client = Client(f"http://sqs.test:{PORT}", "", loop=world.loop, queue_url="http://elsewhere:1/000000000000/orders")
    world.seen.clear()
    assert client.open() == "http://elsewhere:1/000000000000/orders"
    assert world.seen == []
    assert client.queue.name == "orders"
    world.send("one")
    assert len(client.receive()) == 1


def test_the_owners_account_is_passed_on(world: World) -> None:
    client = Client(f"http://sqs.test:{PORT}", "orders", loop=world.loop, queue_owner="000000000000")
    client.open()
    assert world.seen[-1][2] == {"QueueName": "orders", "QueueOwnerAWSAccountId": "000000000000"}


def test_an_answer_without_a_url_is_malformed(world: World) -> None:
    client = Client(f"http://sqs.test:{PORT}", "orders", loop=world.loop)
    world.faults.plan(Fault("GetQueueUrl", raw=b"{}"))
    assert world.fail(client.open).kind == MALFORMED
    assert client.open() == world.queue_url


@pytest.mark.parametrize("found", [{}, {"VisibilityTimeout": "x", "RedrivePolicy": "{"}, {"VisibilityTimeout": None}])
def test_attributes_that_can_not_be_read_have_defaults(world: World, found: dict[str, Any]) -> None:
    world.faults.plan(Fault("GetQueueAttributes", raw=json.dumps({"Attributes": found}).encode()))
    attributes = world.client.attributes()
    assert attributes.visibility_timeout_s == 30
    assert attributes.max_receive_count is None


def test_closed_it_is_silent(world: World) -> None:
    messages = world.received("a")
    world.client.queue.receive(0, 10, 30, "")
    world.client.queue.delete(messages)
    world.client.queue.close()
    world.loop.run_for(60)
    assert world.client._outcomes == {}


def test_connections_are_used_again(world: World) -> None:
    for _ in range(20):
        world.client.delete(world.received("x"))
    assert world.loop.network.endpoint("sqs.test", PORT).connected == 1


def test_a_connection_that_the_server_closed_while_idle_costs_nothing(world: World) -> None:
    messages = world.received("a")
    for connection in list(world.server.server._connections):
        connection.close()
    assert world.client.delete(messages) == [None]


def test_an_unknown_receipt_is_not_quoted(world: World) -> None:
    (message,) = world.received("a")
    message.receipt = "top-secret"
    (error,) = world.client.delete([message])
    assert error is not None
    assert error.kind == BAD_RECEIPT
    assert "top-secret" not in error.detail
