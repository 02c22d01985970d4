"""moto's SQS (and STS) on the address that pods reach, and queues on it with an account of every message by its id."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import botocore.config
import botocore.session
import pytest

REGION = "us-east-1"
_POLL_S = 0.05
_KEYS = {"aws_access_key_id": "e2e", "aws_secret_access_key": "e2e"}


@contextmanager
def receives_in_turn() -> Iterator[None]:
    """For the length of the block moto hands out a message once: its calls are not kept apart from one another."""
    from moto.sqs import models

    backend: Any = models.SQSBackend
    receive = backend.receive_message
    lock = threading.Lock()

    def in_turn(self: Any, name: str, count: int, wait_s: int, *more: Any) -> Any:
        until = time.monotonic() + wait_s
        while True:
            with lock:
                found = receive(self, name, count, 0, *more)
            if found or time.monotonic() > until:
                return found
            time.sleep(_POLL_S)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "receive_message", in_turn)
        yield


class SqsServer:
    """A way in to the one SQS of this process. Several may stand side by side; they have the same queues."""

    def __init__(self, address: str, port: int = 0) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address=address, port=port, verbose=False)
        self._server.start()
        self.url = f"http://{address}:{self._server.get_host_and_port()[1]}"

    def stop(self) -> None:
        self._server.stop()


class Closed:
    """An address at which nothing listens yet."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._kept = socket.socket()
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.bind((address, 0))
        self._port: int = self._kept.getsockname()[1]
        self.url = f"http://{address}:{self._port}"

    def open(self) -> SqsServer:
        """From now on it is one of the SQS servers."""
        self._kept.close()
        return SqsServer(self._address, self._port)


class Queue:
    """Made anew under that name. `sent` collects message ids."""

    def __init__(self, url: str, name: str, visibility_s: int = 30) -> None:
        self.name = name
        self.sent: list[str] = []
        config = botocore.config.Config(retries={"max_attempts": 1}, connect_timeout=5, read_timeout=30)
        self._client: Any = botocore.session.get_session().create_client(
            "sqs", endpoint_url=url, region_name=REGION, config=config, **_KEYS
        )
        made = self._client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": str(visibility_s)})
        self._url = made["QueueUrl"]

    def send(self, messages: Iterable[dict[str, Any]]) -> None:
        """One message for each object, see handler.py."""
        for message in messages:
            answer = self._client.send_message(QueueUrl=self._url, MessageBody=json.dumps(message))
            self.sent.append(answer["MessageId"])

    def counts(self) -> tuple[int, int]:
        """Messages that can be received now, and hidden ones."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    @property
    def empty(self) -> bool:
        return self.counts() == (0, 0)

    def take_rest(self) -> Counter[str]:
        """Id → how often it had been received, for all that can be received; they are hidden afterwards."""
        rest: Counter[str] = Counter()
        while True:
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=600,
                WaitTimeSeconds=0,
                AttributeNames=["ApproximateReceiveCount"],
            )
            if not answer.get("Messages"):
                return rest
            for message in answer["Messages"]:
                rest[message["MessageId"]] = int(message["Attributes"]["ApproximateReceiveCount"]) - 1
