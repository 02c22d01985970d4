"""The sidecar that a team would write in an afternoon with the usual libraries: what ours is measured against.

aiobotocore and aiohttp on uvloop; takes the same environment as the real one (those variables that matter for moving
messages). Honest on purpose: one session, one client, keep-alive to the handler, batch receives and batch deletes, no
needless work per message. What it does not have: heartbeat, drain, health gate, duplicates, metrics.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import Any

import aiohttp
import uvloop
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

log = logging.getLogger("baseline")

ENDPOINT = os.environ["CARRIER_SQS_ENDPOINT"]
QUEUE_NAME = os.environ["CARRIER_SQS_QUEUE_NAME"]
BATCH_SIZE = int(os.environ.get("CARRIER_SQS_BATCH_SIZE", "1"))
RECEIVERS = int(os.environ.get("CARRIER_SQS_RECEIVERS", "1"))
WORKERS = int(os.environ.get("CARRIER_SQS_RECEIVER_WORKERS", "1")) or BATCH_SIZE
WEBHOOK = os.environ.get("CARRIER_WEBHOOK_ENDPOINT", "http://localhost:9000")
CONTENT_TYPE = os.environ.get("CARRIER_WEBHOOK_DEFAULT_CONTENT_TYPE", "application/json")
TIMEOUT_S = 60


async def deliver(http: aiohttp.ClientSession, message: dict[str, Any]) -> bool:
    attributes = message.get("MessageAttributes", {})
    headers = {
        "Content-Type": attributes.get("Body.ContentType", {}).get("StringValue", CONTENT_TYPE),
        "X-Carrier-Receive-Count": message["Attributes"]["ApproximateReceiveCount"],
        "X-Carrier-First-Receive-Time": message["Attributes"]["ApproximateFirstReceiveTimestamp"],
    }
    try:
        async with http.post(WEBHOOK, data=message["Body"].encode(), headers=headers) as response:
            await response.read()
            return 200 <= response.status < 300
    except (aiohttp.ClientError, TimeoutError) as error:
        log.warning("delivery failed: %s", error)
        return False


async def work(inbox: asyncio.Queue[dict[str, Any]], http: aiohttp.ClientSession, done: list[dict[str, Any]]) -> None:
    while True:
        message = await inbox.get()
        if await deliver(http, message):
            done.append(message)
        inbox.task_done()


async def receive(sqs: Any, queue_url: str, http: aiohttp.ClientSession) -> None:
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    done: list[dict[str, Any]] = []
    workers = [asyncio.create_task(work(inbox, http, done)) for _ in range(WORKERS)]
    try:
        while True:
            answer = await sqs.receive_message(
                QueueUrl=queue_url,
                MaxNumberOfMessages=BATCH_SIZE,
                WaitTimeSeconds=20,
                AttributeNames=["ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp"],
                MessageAttributeNames=["All"],
            )
            for message in answer.get("Messages", []):
                inbox.put_nowait(message)
            await inbox.join()
            if done:
                entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(done)]
                done.clear()
                await sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)
    finally:
        for task in workers:
            task.cancel()


async def run() -> None:
    config = AioConfig(max_pool_connections=RECEIVERS * 2, read_timeout=30)
    connector = aiohttp.TCPConnector(limit=RECEIVERS * WORKERS)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with (
        get_session().create_client("sqs", endpoint_url=ENDPOINT, config=config) as sqs,
        aiohttp.ClientSession(connector=connector, timeout=timeout) as http,
    ):
        queue_url = (await sqs.get_queue_url(QueueName=QUEUE_NAME))["QueueUrl"]
        receivers = [asyncio.create_task(receive(sqs, queue_url, http)) for _ in range(RECEIVERS)]
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, lambda: [task.cancel() for task in receivers])
        await asyncio.gather(*receivers, return_exceptions=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    uvloop.run(run())
