"""A stub SQS for the benchmark: hands out prepared messages and accepts every delete.

It speaks the JSON protocol and nothing else, checks no signature, never makes a message visible again, and answers
after a millisecond. Messages are there from the start (a backlog) or arrive evenly at a rate (long polls wait).
Run by bench/run.py; `python -m bench.stub_sqs --help` for use by hand.

Reports (JSON lines): ready, first (a message was handed out), done (the last one was deleted), stats (when asked).
"""

from __future__ import annotations

import argparse
import hashlib
import json
from array import array
from collections import deque

from bench.wire import Connection, Server, cpu_seconds, now, report

ACCOUNT = "000000000000"
HANDLE_PADDING = "AQEB" + "wJnKyrHigUMZj6rYigCgxlaS3SLy0a" * 10  # real handles are some 300 to 400 characters long
SENT_MS = 1_700_000_000_000


class Bodies:
    """Order documents of one size (bytes). The number stands at the end, so that MD5 of the rest is done once."""

    def __init__(self, size: int) -> None:
        start, end = '{"type":"order.created","items":[', '],"n":"000000000000"}'
        item = '{"sku":"KT-1042","quantity":2,"price_cents":2995,"name":"kettle, blue","gift":false},'
        room = size - len(start) - len(end)
        text = (item * (room // len(item)))[:-1]
        text += " " * (room - len(text))
        self._plain = (start + text + '],"n":"').encode()
        self._escaped = json.dumps(self._plain.decode()).encode()[1:-1]
        self._md5 = hashlib.md5(self._plain)

    def message(self, n: int) -> bytes:
        """Message number n as it stands in an answer to ReceiveMessage."""
        tail = b'%012d"}' % n
        md5 = self._md5.copy()
        md5.update(tail)
        return (
            b'{"MessageId":"%08x-5dc1-4a3e-9b7a-0242ac120002","ReceiptHandle":"%b%012d","MD5OfBody":"%b","Body":"%b%012d\\"}",'
            b'"Attributes":{"SenderId":"AIDAIENQZJOLO23YVJ4VO","ApproximateFirstReceiveTimestamp":"%d",'
            b'"ApproximateReceiveCount":"1","SentTimestamp":"%d"}}'
            % (n, HANDLE_PADDING.encode(), n, md5.hexdigest().encode(), self._escaped, n, SENT_MS + n, SENT_MS + n)
        )


class Stub:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.bodies = Bodies(arguments.size)
        self.latency_s = arguments.latency_ms / 1000
        self.rate = arguments.rate
        self.total = 0
        self.given = 0
        self.arrived_at = array("d")
        self.started_at = 0.0
        self.deleted = bytearray()
        self.deleted_count = 0
        self.duplicate_deletes = 0
        self.receives = 0
        self.full_receives = 0
        self.empty_receives = 0
        self.other_calls: dict[str, int] = {}
        self.first_receive_at = 0.0
        self.pid = 0
        self.first_cpu_s = 0.0
        self.polls: deque[list[object]] = deque()  # [connection, count, ends at, still waiting]
        self.server = Server(self.request, self.command, self.connection_closed, arguments.tls)
        self.url = f"{'https' if arguments.tls else 'http'}://127.0.0.1:{self.server.port}"
        if arguments.total:
            self.add(arguments.total)

    # Messages

    def add(self, count: int) -> None:
        """More messages: at once, or one by one at the rate, starting now."""
        self.total += count
        self.deleted.extend(bytes(count))
        self.started_at = now()
        if not self.rate:
            self.arrived_at.extend([self.started_at] * count)
            self.feed()
        else:
            self.arrive()

    def arrive(self) -> None:
        moment = now()
        due = min(self.total, int((moment - self.started_at) * self.rate) + 1)
        while len(self.arrived_at) < due:
            self.arrived_at.append(self.started_at + len(self.arrived_at) / self.rate)
        self.feed()
        if len(self.arrived_at) < self.total:
            self.server.call_at(self.started_at + len(self.arrived_at) / self.rate, self.arrive)

    def feed(self) -> None:
        """Gives what is there to the polls that wait, the longest waiting first."""
        while self.polls and self.given < len(self.arrived_at):
            poll = self.polls.popleft()
            if poll[3]:
                poll[3] = False
                self.give(poll[0], poll[1])  # type: ignore[arg-type]  # a list of four different things

    def give(self, connection: Connection, count: int) -> None:
        count = min(count, len(self.arrived_at) - self.given)
        numbers = range(self.given, self.given + count)
        self.given += count
        if count and not self.first_receive_at:
            self.first_receive_at = now()
            if self.pid:
                self.first_cpu_s = cpu_seconds(self.pid)
            report(event="first", at=self.first_receive_at)
        if count == 10:
            self.full_receives += 1
        elif not count:
            self.empty_receives += 1
        message = self.bodies.message
        body = b'{"Messages":[' + b",".join([message(n) for n in numbers]) + b"]}" if count else b"{}"
        self.answer(connection, body)

    # Calls

    def request(self, connection: Connection, head: bytes, body: bytes) -> None:
        at = head.find(b"AmazonSQS.")
        if at < 0:
            self.answer(connection, b'{"__type":"com.amazonaws.sqs#InvalidAction","message":"JSON protocol only"}', 400)
            return
        end = head.find(b"\r", at)
        action = head[at + 10 : end if end > 0 else None].decode()
        call = json.loads(body)
        if action == "ReceiveMessage":
            self.receives += 1
            count = call.get("MaxNumberOfMessages", 1)
            if self.given < len(self.arrived_at):
                self.give(connection, count)
            else:
                self.wait(connection, count, call.get("WaitTimeSeconds", 0))
        elif action == "DeleteMessageBatch":
            handles = [(entry["Id"], entry["ReceiptHandle"]) for entry in call["Entries"]]
            self.answer(connection, entries_answer([entry_id for entry_id, _ in handles]))
            self.delete([handle for _, handle in handles])
        elif action == "DeleteMessage":
            self.answer(connection, b"{}")
            self.delete([call["ReceiptHandle"]])
        else:
            self.other_calls[action] = self.other_calls.get(action, 0) + 1
            if action == "ChangeMessageVisibilityBatch":
                self.answer(connection, entries_answer([entry["Id"] for entry in call["Entries"]]))
            elif action == "GetQueueUrl":
                self.answer(connection, json.dumps({"QueueUrl": f"{self.url}/{ACCOUNT}/{call['QueueName']}"}).encode())
            elif action == "GetQueueAttributes":
                attributes = {
                    "VisibilityTimeout": "30",
                    "QueueArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:bench",
                    "ApproximateNumberOfMessages": str(self.total - self.given),
                }
                self.answer(connection, json.dumps({"Attributes": attributes}).encode())
            else:
                self.answer(connection, b"{}")

    def wait(self, connection: Connection, count: int, seconds: float) -> None:
        poll: list[object] = [connection, count, now() + seconds, True]
        self.polls.append(poll)

        def end() -> None:
            if poll[3]:
                poll[3] = False
                self.polls.remove(poll)
                self.give(connection, 0)

        self.server.call_at(now() + seconds, end)

    def connection_closed(self, connection: Connection) -> None:
        for poll in list(self.polls):
            if poll[0] is connection:
                poll[3] = False
                self.polls.remove(poll)

    def delete(self, handles: list[str]) -> None:
        for handle in handles:
            n = int(handle[-12:])
            if self.deleted[n]:
                self.duplicate_deletes += 1
            else:
                self.deleted[n] = 1
                self.deleted_count += 1
        if self.deleted_count == self.total:
            self.stats("done")

    def answer(self, connection: Connection, body: bytes, status: int = 200) -> None:
        data = (
            b"HTTP/1.1 %d OK\r\nx-amzn-RequestId: 8f1e6f7e-0000-5000-8000-000000000000\r\n"
            b"Content-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
        )
        if self.latency_s:
            self.server.call_at(now() + self.latency_s, lambda: self.server.send(connection, data))
        else:
            self.server.send(connection, data)

    # Control

    def command(self, words: list[str]) -> None:
        if words[0] == "pid":
            self.pid = int(words[1])
        elif words[0] == "add":
            # CPU is counted from the first message of what is added last.
            self.first_receive_at = 0.0
            self.add(int(words[1]))
        elif words[0] == "stats":
            self.stats("stats")
        elif words[0] == "arrivals":
            report(event="arrivals", at=list(self.arrived_at))

    def stats(self, event: str) -> None:
        report(
            event=event,
            at=now(),
            first_at=self.first_receive_at,
            cpu_s=cpu_seconds(self.pid) - self.first_cpu_s if self.pid else 0.0,
            given=self.given,
            deleted=self.deleted_count,
            duplicate_deletes=self.duplicate_deletes,
            receives=self.receives,
            full_receives=self.full_receives,
            empty_receives=self.empty_receives,
            other_calls=self.other_calls,
            connections=self.server.accepted,
        )


def entries_answer(ids: list[str]) -> bytes:
    return b'{"Successful":[' + ",".join([f'{{"Id":"{entry_id}"}}' for entry_id in ids]).encode() + b'],"Failed":[]}'


def main() -> None:
    parser = argparse.ArgumentParser(description="A stub SQS for benchmarks; see the module's docstring.")
    parser.add_argument("--size", type=int, default=256, help="bytes of each message's body")
    parser.add_argument("--total", type=int, default=0, help="messages in the queue")
    parser.add_argument("--rate", type=float, default=0, help="they arrive evenly at this rate a second; 0: at once")
    parser.add_argument("--latency-ms", type=float, default=1.0, help="every call is answered after this")
    parser.add_argument("--tls", help="folder with cert.pem and key.pem; plain HTTP without")
    Stub(parser.parse_args()).server.run()


if __name__ == "__main__":
    main()
