"""What an SQS endpoint can do wrong, over real sockets: each gives the right kind of error and a clear sentence."""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import json
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from carrier_sidecar import message as kinds
from carrier_sidecar.loop.selecting import SelectingLoop
from carrier_sidecar.message import Message, QueueError
from carrier_sidecar.settings import parse
from carrier_sidecar.sqs.queue import SqsQueue
from tests.contract.sqs_client import KEYS, Client
from tests.wire.scripted_server import Scripted, close_after, http, ok, refusal, reset_after, scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

URL = "http://elsewhere.example:9324/000000000000/orders"


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as running:
        yield running


@pytest.fixture
def client(server: Scripted) -> Iterator[Client]:
    """Open on the scripted server; the look-up is its first answer."""
    made = Client(server.url, "orders")
    server.answers = [ok({"QueueUrl": URL})]
    made.open()
    server.played = 0
    server.requests.clear()
    yield made
    made.close()


def failure(act: Callable[[], Any]) -> QueueError:
    with pytest.raises(QueueError) as raised:
        act()
    assert raised.value.detail
    assert "\n" not in raised.value.detail
    return raised.value


def wire_message(body: str, **more: Any) -> dict[str, Any]:
    digest = hashlib.md5(body.encode()).hexdigest()
    return {"MessageId": "m", "ReceiptHandle": "r", "Body": body, "MD5OfBody": digest, **more}


def test_an_endpoint_where_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = Client(f"http://127.0.0.1:{unused.getsockname()[1]}", "orders")
        error = failure(client.open)
    assert (error.kind, error.code, error.answered) == (kinds.NETWORK, "refused", False)
    assert "GetQueueUrl on orders at http://127.0.0.1:" in error.detail


def test_a_host_name_that_does_not_exist() -> None:
    error = failure(Client("http://sqs.nowhere.invalid", "orders").open)
    assert (error.kind, error.code) == (kinds.NETWORK, "resolve")
    assert "sqs.nowhere.invalid" in error.detail


def test_credentials_that_are_missing(server: Scripted) -> None:
    error = failure(Client(server.url, "orders", environ={}).open)
    assert error.kind == kinds.CREDENTIALS
    assert "AWS_ACCESS_KEY_ID is not set" in error.detail
    assert server.requests == []


REFUSALS = [
    (refusal("QueueDoesNotExist"), kinds.NO_QUEUE, "no such queue"),
    (refusal("AccessDeniedException", "User: arn:aws:iam::1:user/x is not authorized"), kinds.DENIED, "arn:aws:iam::1"),
    (refusal("ExpiredTokenException", "expired", "403 Forbidden"), kinds.CREDENTIALS, "check the credentials"),
    (refusal("UnrecognizedClientException", "invalid", "403 Forbidden"), kinds.CREDENTIALS, "AKIDTEST"),
    (
        refusal("InvalidSignatureException", "Credential should be scoped to a valid region.", "403 Forbidden"),
        kinds.CREDENTIALS,
        "region us-east-1",
    ),
    (refusal("RequestThrottled", "slower", "403 Forbidden"), kinds.THROTTLED, "slower"),
    (refusal("KmsThrottled"), kinds.THROTTLED, "KmsThrottled"),
    (refusal("KmsAccessDenied"), kinds.KMS, "kms:Decrypt"),
    (refusal("InternalFailure", "oops", "500 Internal Server Error"), kinds.UNAVAILABLE, "oops"),
    (http(b"<html>503</html>", "503 Service Unavailable"), kinds.UNAVAILABLE, "HTTP status 503"),
    (http(b"", "429 Too Many Requests"), kinds.THROTTLED, "HTTP status 429"),
    (http(b"<html>login</html>", "302 Found", "Location: http://portal/"), kinds.INVALID, "not that of SQS"),
    (http(b"\x00\xff" * 500, "400 Bad Request"), kinds.INVALID, "HTTP status 400"),
    (http(b"[" * 100_000, "403 Forbidden"), kinds.DENIED, "HTTP status 403"),
]


@pytest.mark.parametrize(("answer", "kind", "part"), REFUSALS)
def test_refusals(server: Scripted, client: Client, answer: bytes, kind: str, part: str) -> None:
    server.answers = [answer]
    error = failure(client.receive)
    assert (error.kind, error.answered) == (kind, True)
    assert part in error.detail
    (settled,) = client.delete([Message("m", "r", b"")])
    assert settled is not None
    assert settled.kind == kind
    server.answers = [ok({"Messages": [wire_message("after")]})]
    assert [message.body for message in client.receive()] == [b"after"]


CUT = http(json.dumps({"Messages": [wire_message("x" * 1000)]}).encode())[:700]


@pytest.mark.parametrize("how", [reset_after, close_after])
def test_an_answer_that_breaks_off_is_asked_for_once_more(
    server: Scripted, client: Client, how: Callable[[bytes], Any]
) -> None:
    server.answers = [how(CUT), ok({"Messages": [wire_message("whole")]})]
    assert [message.body for message in client.receive()] == [b"whole"]
    server.played = 0
    server.answers = [how(CUT)]
    error = failure(client.receive)
    assert (error.kind, error.answered) == (kinds.NETWORK, False)
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "answer",
    [
        http(b"{"),
        http(b"null"),
        http(b'"\xff"'),
        http(b'{"Messages": "m"}'),
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ],
)
def test_answers_that_can_not_be_read(server: Scripted, client: Client, answer: bytes) -> None:
    server.answers = [answer]
    assert failure(client.receive).kind == kinds.MALFORMED


def test_more_than_can_be_an_answer_is_refused(server: Scripted, client: Client) -> None:
    server.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n{"]
    error = failure(client.receive)
    assert (error.kind, error.code) == (kinds.MALFORMED, "too_large")


def test_entries_in_neither_list_twice_and_of_unknown_ids(server: Scripted, client: Client) -> None:
    batch = [Message(f"m{index}", f"r{index}", b"") for index in range(4)]
    failed = [{"Id": "2", "Code": "ReceiptHandleIsInvalid", "SenderFault": True}, {"Id": "77"}, None]
    server.answers = [ok({"Successful": [{"Id": "3"}, {"Id": "0"}, {"Id": "0"}, {"Id": []}, 5], "Failed": failed})]
    outcome = [error.kind if error else None for error in client.delete(batch)]
    assert outcome == [None, kinds.MISSING, kinds.BAD_RECEIPT, None]


@pytest.mark.parametrize("answer", [http(b""), http(b"{}"), http(b"", "200 OK", "X-Nothing: here")])
def test_an_empty_answer(server: Scripted, client: Client, answer: bytes) -> None:
    server.answers = [answer]
    assert client.receive() == []
    (error,) = client.delete([Message("m", "r", b"")])
    assert error is not None
    assert error.kind == kinds.MISSING


def test_a_body_of_one_mebibyte(server: Scripted, client: Client) -> None:
    server.answers = [ok({"Messages": [wire_message("é" * (1 << 19))]})]
    (message,) = client.receive()
    assert message.body == "é".encode() * (1 << 19)
    assert message.fault is None


def test_ten_bodies_of_one_mebibyte_fully_escaped(server: Scripted, client: Client) -> None:
    escaped = "\\u0078" * (1 << 20)
    digest = hashlib.md5(b"x" * (1 << 20)).hexdigest()
    entries = ",".join(
        f'{{"MessageId":"m{index}","ReceiptHandle":"r","MD5OfBody":"{digest}","Body":"{escaped}"}}'
        for index in range(10)
    )
    server.answers = [http(f'{{"Messages":[{entries}]}}'.encode())]
    messages = client.receive()
    assert [len(message.body) for message in messages] == [1 << 20] * 10
    assert all(message.fault is None for message in messages)


def test_an_empty_body(server: Scripted, client: Client) -> None:
    server.answers = [ok({"Messages": [wire_message("")]})]
    (message,) = client.receive()
    assert (message.body, message.fault) == (b"", None)


def test_binary_attributes(server: Scripted, client: Client) -> None:
    value = base64.b64encode(bytes(range(256))).decode()
    attributes = {"Blob": {"DataType": "Binary.png", "BinaryValue": value}}
    server.answers = [ok({"Messages": [wire_message("b", MessageAttributes=attributes)]})]
    (message,) = client.receive()
    assert message.attributes == attributes


def test_a_wrong_md5(server: Scripted, client: Client) -> None:
    server.answers = [ok({"Messages": [wire_message("damaged", MD5OfBody="0" * 32), wire_message("sound")]})]
    damaged, sound = client.receive()
    assert damaged.fault is not None
    assert "MD5" in damaged.fault
    assert sound.fault is None


def test_hostile_receipts_come_back_as_they_were(server: Scripted, client: Client) -> None:
    receipt = 'a"b\\c\r\nd\x00\u2028\U0001f600},{'
    server.answers = [ok({"Messages": [wire_message("b", ReceiptHandle=receipt)]}), ok({"Successful": [{"Id": "0"}]})]
    messages = client.receive()
    assert client.delete(messages) == [None]
    assert server.bodies()[-1]["Entries"] == [{"Id": "0", "ReceiptHandle": receipt}]


def test_an_answer_in_many_small_chunks(server: Scripted, client: Client) -> None:
    body = json.dumps({"Messages": [wire_message("chunked")]}).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[at : at + 7]), body[at : at + 7]) for at in range(0, len(body), 7))

    def play(connection: socket.socket) -> None:
        data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        for at in range(0, len(data), 50):
            connection.sendall(data[at : at + 50])

    server.answers = [play]
    assert [message.body for message in client.receive()] == [b"chunked"]


# The whole side as the environment describes it: TLS and proxies


class Opened:
    """A queue made from settings, and how opening it ended."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.loop = SelectingLoop()
        environ = {**KEYS, "HOME": "/nonexistent", "PATH": os.environ["PATH"], **environ}
        self.queue = SqsQueue.from_settings(self.loop, parse(environ), environ)
        self.error: QueueError | None = None
        self.queue.open(self._done)
        self.loop.call_at(self.loop.now() + 20, self.loop.stop)
        self.loop.run()
        self.queue.close()
        self.loop.close()

    def _done(self, error: QueueError | None) -> None:
        self.error = error
        self.loop.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[Scripted]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with scripted(context) as running:
        running.url = running.url.replace("http:", "https:")
        running.answers = [ok({"QueueUrl": URL})]
        yield running


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_tls_with_an_authority_of_ones_own(secure: Scripted, certificate: Path, variable: str) -> None:
    opened = Opened(
        {"CARRIER_SQS_ENDPOINT": secure.url, "CARRIER_SQS_QUEUE_NAME": "orders", variable: str(certificate)}
    )
    assert opened.error is None
    assert opened.queue.url == URL


def test_tls_with_an_unknown_authority(secure: Scripted) -> None:
    opened = Opened({"CARRIER_SQS_ENDPOINT": secure.url, "CARRIER_SQS_QUEUE_NAME": "orders"})
    assert opened.error is not None
    assert (opened.error.kind, opened.error.code) == (kinds.NETWORK, "tls")
    assert "certificate" in opened.error.detail
    assert secure.requests == []


def test_plain_http_through_a_proxy(server: Scripted) -> None:
    server.answers = [ok({"QueueUrl": URL})]
    opened = Opened(
        {
            "CARRIER_SQS_ENDPOINT": "http://sqs.example.test/base",
            "CARRIER_SQS_QUEUE_NAME": "orders",
            "HTTP_PROXY": server.url.replace("//", "//user:pass@"),
        }
    )
    assert opened.error is None
    head = server.requests[0].decode("latin-1")
    assert head.startswith("POST http://sqs.example.test/base HTTP/1.1\r\n")
    assert "\r\nHost: sqs.example.test\r\n" in head
    assert "Proxy-Authorization: Basic" in head


def test_a_proxy_that_refuses_the_tunnel(server: Scripted) -> None:
    server.answers = [http(b"", "407 Proxy Authentication Required")]
    opened = Opened(
        {
            "CARRIER_SQS_ENDPOINT": "https://sqs.us-west-2.amazonaws.com",
            "CARRIER_SQS_QUEUE_NAME": "orders",
            "HTTPS_PROXY": server.url,
        }
    )
    assert opened.error is not None
    assert (opened.error.kind, opened.error.code) == (kinds.NETWORK, "proxy")
    assert server.requests[0].startswith(b"CONNECT sqs.us-west-2.amazonaws.com:443 HTTP/1.1\r\n")


def test_a_proxy_variable_that_is_no_url() -> None:
    opened = Opened(
        {"CARRIER_SQS_ENDPOINT": "http://sqs.example.test", "CARRIER_SQS_QUEUE_NAME": "q", "HTTP_PROXY": "ftp://x"}
    )
    assert opened.error is not None
    assert opened.error.kind == kinds.INVALID
    assert "HTTP_PROXY" in opened.error.detail


def test_aws_without_a_region() -> None:
    opened = Opened({"CARRIER_SQS_ENDPOINT": "https://sqs.amazonaws.com", "CARRIER_SQS_QUEUE_NAME": "orders"})
    assert opened.error is not None
    assert "CARRIER_SQS_REGION" in opened.error.detail
