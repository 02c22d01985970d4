"""`carrier-sidecar check` against an SQS that allows, refuses or is missing, and a handler that is there or not."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator

import pytest

from carrier_sidecar import check

Answer = tuple[int, dict[str, object]]

DENIED: Answer = (
    400,
    {"__type": "com.amazon.coral.service#AccessDeniedException", "message": "User: arn:x is not authorized"},
)
BAD_RECEIPT: Answer = (
    400,
    {"__type": "com.amazonaws.sqs#ReceiptHandleIsInvalid", "message": "The input receipt handle is invalid."},
)
NO_QUEUE: Answer = (
    400,
    {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "The specified queue does not exist."},
)


class Server:
    """An SQS that answers as told, and a handler with a health endpoint, on one port."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.health = 200
        self.authorization: str | None = None
        self.attributes: dict[str, str] = {
            "VisibilityTimeout": "45",
            "QueueArn": "arn:aws:sqs:eu-west-1:123456789012:orders",
            "ApproximateNumberOfMessages": "7",
            "RedrivePolicy": json.dumps(
                {"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:dead", "maxReceiveCount": 5}
            ),
        }
        self.answers: dict[str, Answer] = {
            "GetQueueUrl": (200, {"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"}),
            "ChangeMessageVisibility": BAD_RECEIPT,
            "DeleteMessage": BAD_RECEIPT,
        }
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                action = self.headers["X-Amz-Target"].partition(".")[2]
                outer.seen.append(action)
                self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = outer.answers.get(action, (200, {"Attributes": outer.attributes}))
                self.answer(status, json.dumps(answer).encode())

            def do_GET(self) -> None:
                outer.seen.append(self.path)
                outer.authorization = self.headers["Authorization"]
                self.answer(outer.health, b"")

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.environ = {
            "CARRIER_SQS_ENDPOINT": self.url,
            "CARRIER_SQS_QUEUE_NAME": "orders",
            "CARRIER_SQS_REGION": "eu-west-1",
            "CARRIER_WEBHOOK_ENDPOINT": self.url,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "very-secret",
        }
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def check(self, **changes: str) -> tuple[int, dict[str, tuple[str, str]], dict[str, object]]:
        """Exit code, (status, text and remedy) of the last finding of each name, the whole page."""
        written: list[str] = []
        code = check.main(["-o", "json"], self.environ | changes, written.append)
        text = "".join(written)
        assert "very-secret" not in text
        page = json.loads(text)
        return code, {it["name"]: (it["status"], f"{it['text']} {it['remedy']}") for it in page["checks"]}, page


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def test_everything_works(server: Server) -> None:
    code, found, page = server.check(CARRIER_WEBHOOK_HEALTH_CHECK_ENDPOINT=server.url + "/healthz")
    assert code == 0
    assert {name: status for name, (status, _) in found.items()} == {
        "settings": "ok",
        "credentials": "ok",
        "queue": "ok",
        "attributes": "ok",
        "extend": "ok",
        "delete": "ok",
        "receive": "skip",
        "handler": "ok",
        "health": "ok",
    }
    assert page["grant"] == []
    assert "AKIDEXAMPLE" in found["credentials"][1]
    assert "45s" in found["attributes"][1]


def test_nothing_is_received_or_posted(server: Server) -> None:
    server.check(CARRIER_WEBHOOK_HEALTH_CHECK_ENDPOINT=server.url + "/healthz")
    assert server.seen == ["GetQueueUrl", "GetQueueAttributes", "ChangeMessageVisibility", "DeleteMessage", "/healthz"]


def test_the_queue_refused_says_what_to_grant_and_skips_the_rest(server: Server) -> None:
    server.answers["GetQueueUrl"] = DENIED
    code, found, page = server.check()
    assert code == 1
    assert found["queue"][0] == "fail"
    assert "arn:x is not authorized" in found["queue"][1]
    assert found["delete"][0] == "skip"
    assert found["handler"][0] == "ok"
    assert page["grant"] == [{"Effect": "Allow", "Action": ["sqs:GetQueueUrl"], "Resource": "<the queue's ARN>"}]


def test_a_missing_queue_may_be_missing_access(server: Server) -> None:
    server.answers["GetQueueUrl"] = NO_QUEUE
    code, found, _ = server.check()
    assert code == 1
    assert "no such queue" in found["queue"][1]
    assert "access to it is missing" in found["queue"][1]


def test_a_queue_given_by_url_that_does_not_exist_is_found_out(server: Server) -> None:
    server.answers["GetQueueAttributes"] = NO_QUEUE
    del server.environ["CARRIER_SQS_QUEUE_NAME"]
    code, found, _ = server.check(CARRIER_SQS_QUEUE_URL=server.url + "/123456789012/orders")
    assert code == 1
    assert found["attributes"][0] == "fail"
    assert found["delete"][0] == "skip"


def test_refused_permissions_are_graded_and_granted_together(server: Server) -> None:
    for action in ("GetQueueAttributes", "ChangeMessageVisibility", "DeleteMessage"):
        server.answers[action] = DENIED
    code, found, page = server.check()
    assert code == 1
    assert [found[name][0] for name in ("attributes", "extend", "delete")] == ["warn", "warn", "fail"]
    assert page["grant"] == [
        {
            "Effect": "Allow",
            "Action": ["sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage"],
            "Resource": "arn:aws:sqs:eu-west-1:123456789012:orders",
        }
    ]


def test_what_may_be_missing_is_no_failure(server: Server) -> None:
    for action in ("GetQueueAttributes", "ChangeMessageVisibility"):
        server.answers[action] = DENIED
    assert server.check()[0] == 0


def test_an_outage_is_no_missing_permission(server: Server) -> None:
    server.answers["DeleteMessage"] = (500, {"__type": "InternalFailure"})
    code, found, page = server.check()
    assert code == 1
    assert found["delete"][0] == "fail"
    assert page["grant"] == []


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"RedrivePolicy": ""}, "no dead-letter queue"),
        ({"RedrivePolicy": '{"deadLetterTargetArn": "arn:a", "maxReceiveCount": "2"}'}, "maxReceiveCount is 2"),
        ({"VisibilityTimeout": "5"}, "raised to 10 s"),
    ],
)
def test_settings_of_the_queue_that_go_badly_with_ours_are_warnings(
    server: Server, attributes: dict[str, str], expected: str
) -> None:
    server.attributes |= attributes
    code, found, _ = server.check()
    assert code == 0
    assert found["attributes"][0] == "warn"
    assert expected in found["attributes"][1]


def test_without_credentials_each_source_is_named(server: Server) -> None:
    del server.environ["AWS_ACCESS_KEY_ID"], server.environ["AWS_SECRET_ACCESS_KEY"]
    nowhere = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent", "HOME": "/nonexistent"}
    code, found, _ = server.check(**nowhere, AWS_SHARED_CREDENTIALS_FILE="/nonexistent")
    assert code == 1
    assert found["credentials"][0] == "fail"
    assert "AWS_ACCESS_KEY_ID is not set" in found["credentials"][1]
    assert found["queue"][0] == "skip"
    assert server.seen == []


def test_a_handler_that_is_not_there(server: Server) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound, not listening: refuses
        code, found, _ = server.check(CARRIER_WEBHOOK_ENDPOINT=f"http://127.0.0.1:{bound.getsockname()[1]}")
    assert code == 1
    assert found["handler"][0] == "fail"
    assert "refused" in found["handler"][1]


def test_a_handler_that_is_not_well(server: Server) -> None:
    server.health = 503
    code, found, _ = server.check(CARRIER_WEBHOOK_HEALTH_CHECK_ENDPOINT=server.url + "/healthz")
    assert code == 1
    assert found["health"][0] == "fail"
    assert "status 503" in found["health"][1]


def test_the_health_check_authenticates_as_the_sidecar_does(server: Server) -> None:
    url = server.url.replace("://", "://user:word@")
    code, found, page = server.check(CARRIER_WEBHOOK_HEALTH_CHECK_ENDPOINT=url)
    assert (code, found["health"][0]) == (0, "ok")
    assert server.authorization == "Basic dXNlcjp3b3Jk"
    assert "word@" not in json.dumps(page)


@pytest.mark.parametrize("variable", ["CARRIER_WEBHOOK_CA_FILE", "CARRIER_WEBHOOK_BEARER_TOKEN_FILE"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_file_that_cannot_be_read_is_named(server: Server, scheme: str, variable: str) -> None:
    changes = {"CARRIER_WEBHOOK_ENDPOINT": f"{scheme}://localhost:1", variable: "/nonexistent/file"}
    code, found, _ = server.check(**changes)
    assert code == 1
    assert found["settings"][0] == "fail"
    assert f"{variable}='/nonexistent/file'" in found["settings"][1]
    assert found["handler"][0] == "fail"


def test_files_are_looked_at_also_when_another_setting_is_bad(server: Server) -> None:
    code, _, page = server.check(
        CARRIER_WEBHOOK_ENDPOINT="localhost",
        CARRIER_WEBHOOK_CA_FILE="/nonexistent/ca",
        CARRIER_WEBHOOK_BEARER_TOKEN_FILE="/nonexistent/token",
    )
    assert code == 1
    said = json.dumps(page)
    for part in ("CARRIER_WEBHOOK_ENDPOINT", "/nonexistent/ca", "/nonexistent/token"):
        assert part in said


def test_bad_settings_are_all_said_and_nothing_is_tried(server: Server) -> None:
    code, found, page = server.check(CARRIER_SQS_BATCH_SIZE="11", CARRIER_LOG_LEVEL="loud", CARRIER_TYPO="")
    assert code == 1
    assert list(found) == ["settings"]
    checks = page["checks"]
    assert isinstance(checks, list)
    assert [it["status"] for it in checks] == ["fail", "fail", "warn"]
    assert server.seen == []


@pytest.mark.parametrize("arguments", [("-o",), ("-o", "yaml"), ("all",)])
def test_wrong_arguments_give_the_usage(arguments: tuple[str, ...]) -> None:
    written: list[str] = []
    assert check.main(arguments, {}, written.append) == 2
    assert written == [check.USAGE + "\n"]


def test_where_dead_letters_go_is_looked_at_when_they_are_on(server: Server) -> None:
    _, found, _ = server.check(CARRIER_DEAD_LETTERS="true")
    assert found["dead letters"][0] == "ok"
    assert "arn:aws:sqs:eu-west-1:123456789012:dead" in found["dead letters"][1]
    del server.attributes["RedrivePolicy"]
    code, found, _ = server.check(CARRIER_DEAD_LETTERS="true")
    assert code == 1
    assert "CARRIER_DEAD_LETTER_QUEUE" in found["dead letters"][1]
    server.answers["GetQueueUrl"] = NO_QUEUE
    code, found, _ = server.check(
        CARRIER_SQS_QUEUE_NAME="", CARRIER_SQS_QUEUE_URL=server.url + "/1/orders", CARRIER_DEAD_LETTER_QUEUE="missing"
    )
    assert code == 1
    assert found["dead letters"][0] == "fail"
    assert "missing" in found["dead letters"][1]
