"""The SQS servers that the contract suite runs against, and what each is known to lack."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from carrier_sidecar.loop.selecting import SelectingLoop
from tests.contract import elasticmq
from tests.simulation.memory_sqs_server import MemorySqsServer

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a server may lack. Each is used by at least one test, which says what it would check.
ATTEMPT_IDS = "ReceiveRequestAttemptId"
ONE_MIB = "bodies of 1 MiB"
TWELVE_HOURS = "the limit of 12 hours from the receive"
FIFO_RECEIPTS = "receipts of FIFO messages that expire"
ACCOUNTS = "accounts"
NOT_IN_FLIGHT = "refusal to hide what is visible"
OLD_RECEIPTS = "receipts that a newer receive made worthless"


class Server:
    """`url` of the API, `lacks` from above."""

    def __init__(self, name: str, url: str, lacks: frozenset[str]) -> None:
        self.name = name
        self.url = url
        self.lacks = lacks


@contextlib.contextmanager
def moto() -> Iterator[Server]:
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        lacks = {ATTEMPT_IDS, FIFO_RECEIPTS, ACCOUNTS, NOT_IN_FLIGHT, OLD_RECEIPTS}
        yield Server("moto", f"http://{host}:{port}", frozenset(lacks))
    finally:
        server.stop()


@contextlib.contextmanager
def elastic_mq() -> Iterator[Server]:
    with elasticmq.running() as url:
        lacks = {ONE_MIB, FIFO_RECEIPTS, ACCOUNTS, TWELVE_HOURS, NOT_IN_FLIGHT}
        yield Server("ElasticMQ", url, frozenset(lacks))


@contextlib.contextmanager
def memory() -> Iterator[Server]:
    """On a loop in a thread of its own, so that clients of any kind can talk to it."""
    loop = SelectingLoop()
    server = MemorySqsServer(loop)
    thread = threading.Thread(target=loop.run, name="memory SQS")
    thread.start()
    try:
        yield Server("memory", server.url, frozenset())
    finally:
        loop.stop()
        loop.wake()
        thread.join()
        server.close()


SERVERS = {"memory": memory, "moto": moto, "elasticmq": elastic_mq}
