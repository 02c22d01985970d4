"""How a letter looks; pure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrier_sidecar.dead_letter import Letter
from carrier_sidecar.disposition import Answer, judge, no_answer
from carrier_sidecar.message import Message
from carrier_sidecar.sqs.dead_letters import ATTRIBUTE, MOST_BYTES, _beside, iso_time, send_params

URL = "http://h/123456789012/dead"


def letter(body: bytes = b"body", answer: Answer | None = None, **more: Any) -> Letter:
    message = Message("id-1", "receipt", body, receive_count="3", **more)
    return Letter(message, "no such customer", answer or judge(422, {}, lambda: 0.0), 1_767_323_045.6781)


def attribute(text: str, kind: str = "String") -> dict[str, str]:
    return {"DataType": kind, "StringValue": text}


def test_a_letter_is_the_message_and_why_it_is_there() -> None:
    binary = {"DataType": "Binary.png", "BinaryValue": "AAEC"}
    params: Any = send_params(
        letter("bödy".encode(), attributes={"a": attribute("1", "Number.int"), "b": binary}), URL, "q"
    )
    assert params["QueueUrl"] == URL
    assert params["MessageBody"] == "bödy"
    said = params["MessageAttributes"].pop(ATTRIBUTE)
    assert params["MessageAttributes"] == {"a": attribute("1", "Number.int"), "b": binary}
    assert said["DataType"] == "String"
    assert json.loads(said["StringValue"]) == {
        "reason": "no such customer",
        "status": 422,
        "receiveCount": 3,
        "time": "2026-01-02T03:04:05.678Z",
        "queue": "q",
        "messageId": "id-1",
    }
    assert set(params) == {"QueueUrl", "MessageBody", "MessageAttributes"}


def test_no_answer_has_no_status() -> None:
    params: Any = send_params(letter(answer=no_answer("timeout")), URL, "q")
    assert json.loads(params["MessageAttributes"][ATTRIBUTE]["StringValue"])["status"] is None


@pytest.mark.parametrize(("count", "room"), [(0, True), (9, True), (10, False)])
def test_the_reason_goes_along_where_there_is_room_among_ten_attributes(count: int, room: bool) -> None:
    attributes = {f"a{number}": attribute("x") for number in range(count)}
    params: Any = send_params(letter(attributes=attributes), URL, "q")
    assert (ATTRIBUTE in params["MessageAttributes"]) is room
    assert len(params["MessageAttributes"]) == count + room


def test_a_letter_that_became_one_before_says_the_newest_reason() -> None:
    attributes = {f"a{number}": attribute("x") for number in range(9)} | {ATTRIBUTE: attribute("old")}
    params: Any = send_params(letter(attributes=attributes), URL, "q")
    assert len(params["MessageAttributes"]) == 10
    assert json.loads(params["MessageAttributes"][ATTRIBUTE]["StringValue"])["reason"] == "no such customer"


@pytest.mark.parametrize(("free", "room"), [(1000, True), (10, False), (0, False)])
def test_the_reason_is_left_out_of_a_message_that_has_no_bytes_free(free: int, room: bool) -> None:
    params: Any = send_params(letter(b"x" * (MOST_BYTES - free)), URL, "q")
    assert (ATTRIBUTE in params.get("MessageAttributes", {})) is room


def test_a_bare_letter_is_the_message_alone() -> None:
    bare = letter(system={"AWSTraceHeader": "Root=1"})
    bare.bare = True
    assert set(send_params(bare, URL, "q")) == {"QueueUrl", "MessageBody"}


def test_xrays_header_stays() -> None:
    params: Any = send_params(letter(system={"AWSTraceHeader": "Root=1-a-b"}), URL, "q")
    assert params["MessageSystemAttributes"] == {"AWSTraceHeader": attribute("Root=1-a-b")}


def test_on_a_fifo_queue_group_and_deduplication_id_stay() -> None:
    found = letter(group="g", system={"MessageGroupId": "g", "MessageDeduplicationId": "d"})
    params = send_params(found, URL + ".fifo", "q.fifo")
    assert (params["MessageGroupId"], params["MessageDeduplicationId"]) == ("g", "d")
    params = send_params(letter(), URL + ".fifo", "q.fifo")
    assert (params["MessageGroupId"], params["MessageDeduplicationId"]) == ("id-1", "id-1")
    assert "MessageGroupId" not in send_params(found, URL, "q")


@pytest.mark.parametrize(
    ("url", "account", "found"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/orders", "123456789012",
         "https://sqs.eu-west-1.amazonaws.com/123456789012/dead"),
        ("http://h:9324/queue/orders", "123456789012", ""),
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/orders", "999999999999", ""),
        ("", "123456789012", ""),
    ],
)  # fmt: skip
def test_a_queue_of_the_same_account_has_its_url_beside_ours(url: str, account: str, found: str) -> None:
    assert _beside(url, account, "dead") == found


@given(st.integers(0, 4_102_444_800_000))
def test_times_read_back(milliseconds: int) -> None:
    import datetime

    text = iso_time(milliseconds / 1000)
    parsed = datetime.datetime.fromisoformat(text)
    assert round(parsed.timestamp() * 1000) == milliseconds
    assert text.endswith("Z")
    assert len(text) == 24
