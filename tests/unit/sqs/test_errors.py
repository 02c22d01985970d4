"""What the server's codes mean."""

from __future__ import annotations

import json

import pytest

from carrier_sidecar import message as m
from carrier_sidecar.sqs.errors import CODES, KINDS, answer_error, between, entry_error, plain_code, tidy


@pytest.mark.parametrize(("code", "kind"), [(code, kind) for kind, codes in CODES.items() for code in codes])
@pytest.mark.parametrize(
    "form", ["{}", "com.amazonaws.sqs#{}", "AWS.SimpleQueueService.{}", "{}:http://aws.example/doc"]
)
def test_each_code_in_each_form_has_its_kind(code: str, kind: str, form: str) -> None:
    error = answer_error(400, json.dumps({"__type": form.format(code), "message": "so it is"}).encode())
    assert (error.kind, error.code, error.answered) == (kind, code, True)


def test_no_code_stands_for_two_kinds() -> None:
    assert len(KINDS) == sum(len(codes) for codes in CODES.values())


SENTENCES = [
    ("SignatureDoesNotMatch", "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z", m.CLOCK_SKEW),
    ("InvalidSignatureException", "Signature not yet current: 20260101T000000Z is still later than", m.CLOCK_SKEW),
    ("SignatureDoesNotMatch", "The request signature we calculated does not match", m.CREDENTIALS),
    ("SignatureDoesNotMatch", "Credential should be scoped to a valid region. ", m.CREDENTIALS),
    ("InvalidParameterValue", "Value AQEB for parameter ReceiptHandle is invalid. Reason: expired.", m.BAD_RECEIPT),
    (
        "InvalidParameterValue",
        "Value AQ for parameter ReceiptHandle is invalid. Reason: not available for visibility timeout change.",
        m.NOT_IN_FLIGHT,
    ),
    ("InvalidParameterValue", "Value 50000 for parameter VisibilityTimeout is invalid.", m.INVALID),
    ("KmsAccessDenied", "The ciphertext refers to a key that can't be used", m.KMS),
    ("KmsDisabled", "", m.KMS),
    ("KMS.NotFoundException", "", m.KMS),
]


@pytest.mark.parametrize(("code", "sentence", "kind"), SENTENCES)
def test_a_code_of_several_meanings_is_decided_by_the_sentence(code: str, sentence: str, kind: str) -> None:
    assert answer_error(400, json.dumps({"__type": code, "Message": sentence}).encode()).kind == kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, m.INVALID),
        (400, m.INVALID),
        (401, m.CREDENTIALS),
        (403, m.DENIED),
        (404, m.INVALID),
        (408, m.UNAVAILABLE),
        (413, m.INVALID),
        (429, m.THROTTLED),
        (500, m.UNAVAILABLE),
        (502, m.UNAVAILABLE),
        (503, m.UNAVAILABLE),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad gateway</html>", b"[]", b'{"__type": 5, "message": []}', b"\xff", b"[" * 10**5]
)
def test_without_a_known_code_the_status_decides(status: int, kind: str, body: bytes) -> None:
    error = answer_error(status, body)
    assert error.kind == kind
    assert str(status) in error.detail


def test_an_unknown_code_is_kept_and_the_status_decides() -> None:
    error = answer_error(503, b'{"__type":"com.amazonaws.sqs#NewThing","message":"later"}')
    assert (error.kind, error.code, error.detail) == (m.UNAVAILABLE, "NewThing", "NewThing: later")


def test_xml_as_older_servers_answer_it() -> None:
    body = b"<Error><Code>AWS.SimpleQueueService.NonExistentQueue</Code><Message>a &lt;b&gt; &amp;lt;</Message>"
    error = answer_error(400, body)
    assert (error.kind, error.detail) == (m.NO_QUEUE, "NonExistentQueue: a <b> &lt;")
    assert between(b"<Code>x", b"<Code>", b"</Code>") == ""


@pytest.mark.parametrize(
    ("code", "sentence", "sender_fault", "kind"),
    [
        ("ReceiptHandleIsInvalid", "x", True, m.BAD_RECEIPT),
        ("InternalError", "x", False, m.UNAVAILABLE),
        ("SomethingNew", "x", False, m.UNAVAILABLE),
        ("SomethingNew", "x", True, m.INVALID),
        (None, None, None, m.INVALID),
        ([], {}, "yes", m.INVALID),
        ("AWS.SimpleQueueService.MessageNotInflight", "", True, m.NOT_IN_FLIGHT),
        ("RequestThrottled", "", False, m.THROTTLED),
    ],
)
def test_a_failed_entry(code: object, sentence: object, sender_fault: object, kind: str) -> None:
    assert entry_error(code, sentence, sender_fault).kind == kind


def test_a_receipt_handle_is_never_repeated() -> None:
    body = json.dumps(
        {"__type": "ReceiptHandleIsInvalid", "message": 'The input receipt handle "AQEBsecret" is not valid'}
    )
    assert "AQEBsecret" not in answer_error(400, body.encode()).detail


def test_a_sentence_is_cut_before_what_is_secret() -> None:
    text = "The signature does not match.\n\nThe Canonical String for this request is\nx-amz-security-token:T0K"
    assert tidy(text) == "The signature does not match."
    assert tidy("token " + "A" * 500 + " refused\x1b[31m") == "token *** refused?[31m"
    assert len(tidy("word " * 1000)) == 400
    arn = "arn:aws:sts::123456789012:assumed-role/" + "r" * 100
    assert arn in tidy(f"User: {arn} is not authorized")


def test_a_code_loses_its_namespace() -> None:
    assert plain_code("com.amazonaws.sqs#AWS.SimpleQueueService.NonExistentQueue") == "NonExistentQueue"
