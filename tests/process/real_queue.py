"""A queue on an SQS server that is not ours (moto, ElasticMQ), filled and looked at through botocore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import botocore.config
import botocore.session

from tests.process.sidecar import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable


class RealQueue:
    """Made anew under that name. `url` is the server's address for sidecars; `sent` collects the keys."""

    def __init__(self, url: str, name: str, visibility_s: int) -> None:
        self.url = url
        self.name = name
        self.sent: list[str] = []
        self._fifo = name.endswith(".fifo")
        session = botocore.session.get_session()
        config = botocore.config.Config(retries={"max_attempts": 1}, connect_timeout=5, read_timeout=30)
        self._client: Any = session.create_client(
            "sqs",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            config=config,
        )
        attributes = {"VisibilityTimeout": str(visibility_s)}
        if self._fifo:
            attributes["FifoQueue"] = "true"
        self._queue_url = self._client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def send(self, bodies: Iterable[str], group: str = "") -> None:
        wanted = list(bodies)
        self.sent += [body.split(" ", 1)[0] for body in wanted]
        for start in range(0, len(wanted), 10):
            entries = []
            for number, body in enumerate(wanted[start : start + 10]):
                entry = {"Id": str(number), "MessageBody": body}
                if self._fifo:
                    entry |= {"MessageGroupId": group, "MessageDeduplicationId": body}
                entries.append(entry)
            answer = self._client.send_message_batch(QueueUrl=self._queue_url, Entries=entries)
            assert not answer.get("Failed")

    def counts(self) -> tuple[int, int]:
        """Messages that can be received now, and hidden ones."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._client.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    @property
    def empty(self) -> bool:
        return self.counts() == (0, 0)

    def take_rest(self) -> list[str]:
        """The keys of all that can be received, which hides them: for the account at the end."""
        keys: list[str] = []
        while True:
            answer = self._client.receive_message(
                QueueUrl=self._queue_url, MaxNumberOfMessages=10, VisibilityTimeout=600, WaitTimeSeconds=0
            )
            if not answer.get("Messages"):
                return keys
            keys += [message["Body"].split(" ", 1)[0] for message in answer["Messages"]]

    def close(self) -> None:
        self._client.delete_queue(QueueUrl=self._queue_url)
        self._client.close()
