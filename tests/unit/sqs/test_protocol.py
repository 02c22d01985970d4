"""Bodies of requests and answers."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrier_sidecar.message import BAD_RECEIPT, MALFORMED, MISSING, QueueError
from carrier_sidecar.sqs.protocol import (
    SYSTEM_ATTRIBUTES,
    decode_batch,
    decode_receive,
    encode_delete_batch,
    encode_receive,
    encode_visibility_batch,
    quoted,
)

URL = "http://localhost:9324/000000000000/orders"
hostile_text = st.text(st.characters(codec=None), max_size=50)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


def wire(**entry: Any) -> bytes:
    return json.dumps({"Messages": [{"MessageId": "m1", "ReceiptHandle": "r1", "Body": "b", **entry}]}).encode()


def test_a_receive_asks_for_what_is_used_under_both_names() -> None:
    body = json.loads(encode_receive(URL, 10, 30, 20))
    assert body == {
        "QueueUrl": URL,
        "MaxNumberOfMessages": 10,
        "VisibilityTimeout": 30,
        "WaitTimeSeconds": 20,
        "MessageAttributeNames": ["Body.ContentType"],
        "MessageSystemAttributeNames": list(SYSTEM_ATTRIBUTES),
        "AttributeNames": list(SYSTEM_ATTRIBUTES),
    }
    body = json.loads(encode_receive(URL, 1, 30, 0, "attempt", ["All"]))
    assert body["ReceiveRequestAttemptId"] == "attempt"
    assert body["MessageAttributeNames"] == ["All"]


@given(st.lists(hostile_text, min_size=1, max_size=10), hostile_text)
def test_receipts_and_urls_of_any_text_survive_the_encoding(receipts: list[str], url: str) -> None:
    body = json.loads(encode_delete_batch(quoted(url), receipts))
    assert body == {
        "QueueUrl": url,
        "Entries": [{"Id": str(index), "ReceiptHandle": receipt} for index, receipt in enumerate(receipts)],
    }
    seconds = [index * 7 for index in range(len(receipts))]
    body = json.loads(encode_visibility_batch(quoted(url), receipts, seconds))
    assert [entry["VisibilityTimeout"] for entry in body["Entries"]] == seconds
    assert [entry["ReceiptHandle"] for entry in body["Entries"]] == receipts


def test_a_whole_message() -> None:
    attributes = {
        "Body.ContentType": {"DataType": "String", "StringValue": "text/plain"},
        "Blob": {"DataType": "Binary", "BinaryValue": "AAECAw=="},
    }
    system = {
        "ApproximateReceiveCount": "3",
        "ApproximateFirstReceiveTimestamp": "1767225600001",
        "SentTimestamp": "1767225600000",
        "MessageGroupId": "g",
        "AWSTraceHeader": "Root=1-2-3",
    }
    body = "grüße"
    digest = hashlib.md5(body.encode()).hexdigest()
    (found,), skipped = decode_receive(
        wire(Body=body, MD5OfBody=digest, MessageAttributes=attributes, Attributes=system)
    )
    assert skipped == 0
    assert (found.id, found.receipt, found.body, found.fault) == ("m1", "r1", body.encode(), None)
    assert (found.content_type, found.receive_count, found.group) == ("text/plain", "3", "g")
    assert (found.first_receive_time, found.sent_time) == ("1767225600001", "1767225600000")
    assert found.attributes == attributes
    assert found.system == system


def test_a_group_on_a_standard_queue_says_whose_a_message_is_but_orders_nothing() -> None:
    (found,), _ = decode_receive(wire(Attributes={"MessageGroupId": "tenant"}), fifo=False)
    assert (found.group, found.group_id) == (None, "tenant")


@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 1 << 20])
def test_the_md5_sum_is_checked_at_every_size(size: int) -> None:
    body = "x" * size
    (sound,), _ = decode_receive(wire(Body=body, MD5OfBody=hashlib.md5(body.encode()).hexdigest()))
    assert sound.fault is None
    (damaged,), _ = decode_receive(wire(Body=body, MD5OfBody=hashlib.md5(body.encode() + b"!").hexdigest()))
    assert damaged.fault is not None
    assert "MD5" in damaged.fault
    assert damaged.body == body.encode()


@pytest.mark.parametrize(
    "entry",
    [
        {"MessageId": None},
        {"MessageId": ""},
        {"MessageId": 5},
        {"ReceiptHandle": None},
        {"ReceiptHandle": ""},
        {"ReceiptHandle": ["r"]},
    ],
)
def test_a_message_without_id_or_receipt_is_skipped_and_reported(entry: dict[str, Any]) -> None:
    assert decode_receive(wire(**entry)) == ([], 1)


@pytest.mark.parametrize("entry", [None, 5, "x", []])
def test_what_is_no_message_is_skipped_and_reported(entry: object) -> None:
    good = {"MessageId": "m", "ReceiptHandle": "r", "Body": "b"}
    messages, skipped = decode_receive(json.dumps({"Messages": [entry, good]}).encode())
    assert ([found.id for found in messages], skipped) == (["m"], 1)


@pytest.mark.parametrize(
    ("entry", "part"), [({"Body": None}, "no body"), ({"Body": 7}, "no body"), ({"Body": "\ud800"}, "Unicode")]
)
def test_a_body_that_can_not_be_delivered_is_a_fault(entry: dict[str, Any], part: str) -> None:
    (found,), _ = decode_receive(wire(**entry))
    assert found.fault is not None
    assert part in found.fault


@pytest.mark.parametrize(
    ("value", "expected"),
    [("12", "12"), (12, "12"), (True, ""), (-1, ""), ("1\r\nX: y", ""), ("²", ""), ("", ""), (None, ""), ([], "")],
)
def test_what_becomes_a_header_is_a_number_or_nothing(value: object, expected: str) -> None:
    names = ("ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp", "SentTimestamp")
    (found,), _ = decode_receive(wire(Attributes=dict.fromkeys(names, value)))
    assert (found.receive_count, found.first_receive_time, found.sent_time) == (expected,) * 3


def test_attributes_of_a_wrong_form_are_left_out() -> None:
    wrong: dict[str, Any] = {
        "a": 1,
        "b": {"DataType": "String"},
        "c": {"StringValue": 5},
        "d": {"StringValue": "x", "StringListValues": []},
        "Body.ContentType": {"StringValue": ["text/plain"]},
    }
    (found,), _ = decode_receive(wire(MessageAttributes=wrong))
    assert found.attributes == {"d": {"StringValue": "x"}}
    assert found.content_type is None
    nothing: object
    for nothing in ([], {}, "x", {"a": None}):
        (found,), _ = decode_receive(wire(MessageAttributes=nothing, Attributes="x"))
        assert found.attributes is None


@pytest.mark.parametrize("body", [b"", b"{}", b'{"Messages":null}', b'{"Messages":[]}', b'{"messages":[1]}'])
def test_no_messages(body: bytes) -> None:
    assert decode_receive(body) == ([], 0)


MALFORMED_BODIES = [b"[]", b"5", b"null", b"{", b"\xff", b"<xml/>", b"[" * 100_000, b"1" * 5000]


@pytest.mark.parametrize("body", [*MALFORMED_BODIES, b'{"Messages":{}}', b'{"Messages":"x"}'])
def test_an_answer_that_can_not_be_read_is_malformed(body: bytes) -> None:
    with pytest.raises(QueueError) as raised:
        decode_receive(body)
    assert raised.value.kind == MALFORMED
    assert raised.value.answered


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_answer_crashes_the_decoders(body: bytes) -> None:
    kinds: list[str] = []
    for decode in (decode_receive, lambda data: decode_batch(data, 3)):
        try:
            decode(body)
        except QueueError as error:
            kinds.append(error.kind)
    assert set(kinds) <= {MALFORMED}


@given(
    st.dictionaries(
        st.sampled_from(["MessageId", "ReceiptHandle", "Body", "MD5OfBody", "Attributes", "MessageAttributes"]),
        json_values,
    )
)
def test_no_message_crashes_the_decoder(entry: dict[str, Any]) -> None:
    messages, skipped = decode_receive(wire(**entry))
    assert len(messages) + skipped == 1


def batch(successful: object, failed: object = None) -> bytes:
    return json.dumps({"Successful": successful, "Failed": failed}).encode()


def ids(*names: object) -> list[dict[str, object]]:
    return [{"Id": name} for name in names]


@pytest.mark.parametrize(
    "body", [batch(ids("0", "1", "2")), batch(ids("2", "0", "1"), []), batch(ids("1", "1", "0", "9", "x", "2"))]
)
def test_all_succeeded_in_any_order(body: bytes) -> None:
    assert decode_batch(body, 3) is None


def test_failed_entries_are_told_by_position() -> None:
    failure = {"Id": "1", "Code": "ReceiptHandleIsInvalid", "SenderFault": True, "Message": "no"}
    outcome = decode_batch(batch(ids("2", "0"), [failure]), 3)
    assert outcome is not None
    assert outcome[0] is None
    assert outcome[2] is None
    assert outcome[1] is not None
    assert outcome[1].kind == BAD_RECEIPT


def test_an_entry_in_both_lists_has_failed() -> None:
    outcome = decode_batch(batch(ids("0"), [{"Id": "0", "Code": "InternalError", "SenderFault": False}]), 1)
    assert outcome is not None
    assert outcome[0] is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        batch([], []),
        batch(None, None),
        batch(ids("2", "03", "", None, 0, [], "٠")),
        batch([None, 5, "0", []]),
        batch([], ids("5")),
    ],
)
def test_an_entry_in_neither_list_is_missing(body: bytes) -> None:
    outcome = decode_batch(body, 2)
    assert outcome is not None
    assert [error.kind for error in outcome if error] == [MISSING, MISSING]


@pytest.mark.parametrize("body", [*MALFORMED_BODIES, batch({}), batch("x"), batch([], {}), batch([], "x")])
def test_a_batch_answer_that_can_not_be_read_is_malformed(body: bytes) -> None:
    with pytest.raises(QueueError) as raised:
        decode_batch(body, 2)
    assert raised.value.kind == MALFORMED
