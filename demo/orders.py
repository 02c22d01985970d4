"""The queue's other side: makes the demonstration's queue, sends orders at an even pace, counts what is left."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from carrier_sidecar.sqs.credentials.files import read_profile
from carrier_sidecar.sqs.region import NoRegion, choose_region
from carrier_sidecar.url import parse_url
from demo.ledger import Ledger

VISIBILITY_S = 10  # short, so that what a dead handler had in hand comes back while one watches
SLOW_NOTE = "gift wrapping takes a while"
ITEMS = ("blue kettle", "two cups", "tea for a month", "a tray", "sugar tongs")


class NoQueue(Exception):
    """The queue can't be made or found; the text says why."""


def region_of(endpoint: str, environ: Mapping[str, str]) -> str:
    """The region that the sidecar will sign for. NoQueue where none can be found, or the endpoint is no URL."""
    try:
        host = parse_url(endpoint).host
        return choose_region(environ.get("CARRIER_SQS_REGION", ""), host, environ, read_profile(environ).region)
    except (ValueError, NoRegion) as error:
        raise NoQueue(f"CARRIER_SQS_ENDPOINT: {error}") from None


class Orders:
    """One queue at `endpoint`. Without CARRIER_SQS_QUEUE_NAME it makes its own and removes it at the end."""

    def __init__(self, endpoint: str, ledger: Ledger, real: bool) -> None:
        region = region_of(endpoint, os.environ)
        self._ledger = ledger
        self._run = f"{int(time.time()):x}{os.getpid():x}"
        self.name = os.environ.get("CARRIER_SQS_QUEUE_NAME", "") if real else ""
        self._own = not self.name
        self.name = self.name or f"carrier-demo-{self._run}"
        self._client: Any = boto3.client("sqs", endpoint_url=endpoint, region_name=region)
        try:
            if self._own:
                attributes = {"VisibilityTimeout": str(VISIBILITY_S)}
                self._url = self._client.create_queue(QueueName=self.name, Attributes=attributes)["QueueUrl"]
            else:
                self._url = self._client.get_queue_url(QueueName=self.name)["QueueUrl"]
        except (BotoCoreError, ClientError) as error:
            raise NoQueue(f"the queue {self.name} at {endpoint} can't be used: {error}") from error
        self._next = 0
        self._slow_wanted = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.slow_order = ""
        self.error = ""

    def order_of(self, body: str) -> str:
        """The order's number in a body that this run sent; empty for any other."""
        try:
            order = json.loads(body)
        except ValueError:
            return ""
        if not isinstance(order, dict) or order.get("run") != self._run:
            return ""
        return str(order.get("order", ""))

    def start(self, total: int, per_s: float) -> None:
        self._thread = threading.Thread(target=self._send_all, args=(total, per_s), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(30)

    @property
    def sending(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def want_slow_order(self) -> None:
        """The next order is one that the handler takes seconds for; its number will be in `slow_order`."""
        self._slow_wanted.set()

    def left(self) -> int:
        """Messages in the queue, visible or not (a real queue's figure is approximate)."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)

    def remove(self) -> None:
        if self._own:
            self._client.delete_queue(QueueUrl=self._url)

    def _send_all(self, total: int, per_s: float) -> None:
        began = time.monotonic()
        try:
            while self._next < total and not self._stop.is_set():
                due = min(total, int((time.monotonic() - began) * per_s) + 1)
                if due <= self._next:
                    self._stop.wait(0.02)
                    continue
                self._send(min(10, due - self._next))
        except (BotoCoreError, ClientError) as error:
            self.error = f"{type(error).__name__}: {error}"

    def _send(self, count: int) -> None:
        entries = []
        for _ in range(count):
            self._next += 1
            order: dict[str, Any] = {"run": self._run, "order": self._next, "item": ITEMS[self._next % len(ITEMS)]}
            if self._slow_wanted.is_set() and not self.slow_order:
                order["note"] = SLOW_NOTE
                self.slow_order = str(self._next)
            self._ledger.sent(str(self._next), time.monotonic())
            entries.append({"Id": str(self._next), "MessageBody": json.dumps(order)})
        answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
        for failed in answer.get("Failed", []):
            self._ledger.unsent(failed["Id"])
