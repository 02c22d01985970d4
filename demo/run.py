"""`make demo`: a real SQS API, a sample handler, a producer of orders and the sidecar, in four acts with an account.

Options, by environment: DEMO_MESSAGES (3000) · CARRIER_SQS_ENDPOINT, to use that SQS instead of a local one
(credentials and region as usual; CARRIER_SQS_QUEUE_NAME for an existing, empty queue, otherwise one is made and
removed).
Exit code 0 when the account balances, 1 when it doesn't.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable

from demo.ledger import Ledger
from demo.orders import SLOW_NOTE, NoQueue, Orders
from demo.processes import Child, all_ended, python
from demo.screen import GREEN, RED, YELLOW, Screen

ACT_1_S = 8.0
SLOW_S = 5
HANDLER_DELAY = "80ms"  # long enough that something is in flight when one looks
HANDLER_DOWN_S = 5.0
SENDING_S = 34.0  # the producer spreads the orders over this
NO_PROGRESS_S = 25.0  # longer than the queue's visibility timeout
TICK_S = 0.2

# What the sidecar says in its log and is worth showing: the beginning of the message, and how it looks here.
SHOWN = (
    ("the handler is offline", "the handler is offline; nothing is received", YELLOW),
    ("the handler answers", "the handler answers; receiving", GREEN),
    ("draining", "draining: nothing more is received", YELLOW),
    ("drained", "drained", GREEN),
    ("not everything could be finished", "not everything could be finished in time", RED),
)


class DemoFailed(Exception):
    """Something ended that should not have; the text says what to look at."""


class Demo:
    def __init__(self, total: int, screen: Screen) -> None:
        self.total = total
        self.screen = screen
        self.ledger = Ledger()
        self.children: list[Child] = []
        self.orders: Orders | None = None
        self.sidecar: Child | None = None
        self.handler: Child | None = None
        self.handler_port = 0
        self.probe_port = free_port()

    # The cast

    def start_queue(self) -> None:
        endpoint = os.environ.get("CARRIER_SQS_ENDPOINT", "")
        real = bool(endpoint)
        if not real:
            found: list[str] = []
            server = self.child("the SQS server", python("-m", "demo.sqs_server"), found.append, PYTHONPATH=".")
            self.until(lambda: bool(found), server, "a local SQS server")
            endpoint = found[0]
            os.environ.update(
                CARRIER_SQS_ENDPOINT=endpoint,
                AWS_ACCESS_KEY_ID="demo",
                AWS_SECRET_ACCESS_KEY="demo",
                AWS_REGION="us-east-1",
                AWS_DEFAULT_REGION="us-east-1",
            )
            for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
                os.environ.pop(name, None)
        self.orders = Orders(endpoint, self.ledger, real)
        self.screen.event(f"queue {self.orders.name} at {endpoint}" + ("" if real else " (moto)"))

    def start_handler(self) -> None:
        ready: list[int] = []

        def line(text: str) -> None:
            if not text.startswith("{"):
                return
            entry = json.loads(text)
            if "listening" in entry:
                ready.append(int(entry["listening"].rsplit(":", 1)[1]))
                return
            assert self.orders is not None
            order = self.orders.order_of(entry["body"])
            if order:
                self.ledger.reached(order, entry, time.monotonic())

        options = [
            "--json",
            "--port",
            str(self.handler_port),
            "--delay",
            HANDLER_DELAY,
            "--delay-if",
            f"{SLOW_NOTE}={SLOW_S}s",
        ]
        self.handler = self.child("the handler", python("-m", "carrier_sidecar", "echo", *options), line)
        self.until(lambda: bool(ready), self.handler, "the handler")
        self.handler_port = ready[0]
        self.screen.event(f"handler listens on 127.0.0.1:{self.handler_port}")

    def start_sidecar(self) -> None:
        assert self.orders is not None
        handler = f"http://127.0.0.1:{self.handler_port}"
        self.sidecar = self.child(
            "the sidecar",
            python("-m", "carrier_sidecar"),
            self.sidecar_says,
            CARRIER_SQS_QUEUE_NAME=self.orders.name,
            CARRIER_SQS_BATCH_SIZE="10",
            CARRIER_SQS_RECEIVERS="2",
            CARRIER_SQS_RECEIVER_WORKERS="10",
            CARRIER_WEBHOOK_ENDPOINT=f"{handler}/orders",
            CARRIER_WEBHOOK_HEALTH_CHECK_ENDPOINT=f"{handler}/healthz",
            CARRIER_WEBHOOK_HEALTH_CHECK_INTERVAL="1s",
            CARRIER_PROBE_ADDRESS=f"127.0.0.1:{self.probe_port}",
        )
        self.screen.event("sidecar started: 2 receivers, 20 messages with the handler at once")

    def child(self, name: str, argv: list[str], on_line: Callable[[str], None], **environment: str) -> Child:
        child = Child(name, argv, on_line, **environment)
        self.children.append(child)
        return child

    def sidecar_says(self, text: str) -> None:
        try:
            message = str(json.loads(text).get("msg", ""))
        except (ValueError, AttributeError):
            return
        for beginning, shown, style in SHOWN:
            if message.startswith(beginning):
                self.screen.event(f"sidecar: {shown}", style)

    # Watching

    def tick(self) -> None:
        """A moment passes; the live line is brought up to date."""
        time.sleep(TICK_S)
        ledger = self.ledger
        per_s, p50_ms, p99_ms = ledger.recent(time.monotonic())
        self.screen.status(
            f"{per_s:4.0f}/s   in flight {self.in_flight():>2}   delivered {ledger.delivered:>5,}   "
            f"retried {ledger.retried}   p50 {shown_ms(p50_ms)}  p99 {shown_ms(p99_ms)}"
        )
        if self.orders is not None and self.orders.error:
            raise DemoFailed(f"sending orders failed: {self.orders.error}")

    def in_flight(self) -> str:
        """From the sidecar's own metrics; a dash when it is not there."""
        connection = http.client.HTTPConnection("127.0.0.1", self.probe_port, timeout=1)
        try:
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
        except (OSError, http.client.HTTPException):
            return "–"
        finally:
            connection.close()
        values = [
            line.rsplit(" ", 1)[1] for line in lines if line.startswith(("carrier_in_flight{", "carrier_in_flight "))
        ]
        return str(sum(int(float(value)) for value in values)) if values else "–"

    def watch(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.tick()
            self.insist_on_sidecar()

    def insist_on_sidecar(self) -> None:
        if self.sidecar is not None and self.sidecar.exit_code is not None:
            raise DemoFailed(self.ended(self.sidecar))

    def until(self, reached: Callable[[], bool], child: Child, what: str) -> None:
        ends = time.monotonic() + 20
        while not reached():
            if child.exit_code is not None:
                child.wait(1)
                raise DemoFailed(self.ended(child))
            if time.monotonic() > ends:
                raise DemoFailed(f"{what} did not come up within 20 s")
            time.sleep(0.02)

    def ended(self, child: Child) -> str:
        return f"{child.name} ended with {child.exit_code}:\n  " + "\n  ".join(child.last_lines)

    # The acts

    def act_1(self) -> None:
        self.screen.heading(
            "Act 1 of 4 · Steady flow", "Orders come in, the sidecar POSTs each to the handler on localhost."
        )
        assert self.orders is not None
        self.orders.start(self.total, self.total / SENDING_S)
        self.watch(ACT_1_S)

    def act_2(self) -> None:
        self.screen.heading(
            "Act 2 of 4 · A slow message",
            f"One order takes the handler {SLOW_S} s. It holds one slot, and nobody else up.",
        )
        assert self.orders is not None
        self.orders.want_slow_order()
        before = self.ledger.delivered
        ends = time.monotonic() + SLOW_S + 10
        while time.monotonic() < ends:
            self.watch(TICK_S)
            if self.orders.slow_order and self.ledger.has_reached(self.orders.slow_order):
                break
        others = self.ledger.delivered - before - 1
        self.screen.event(f"order {self.orders.slow_order} is done; {others:,} others were delivered meanwhile", GREEN)

    def act_3(self) -> None:
        self.screen.heading(
            "Act 3 of 4 · The handler goes down",
            "It is killed, and comes back. Meanwhile nothing is received: what is not",
            "received burns no receive counts and ends in no dead-letter queue.",
        )
        assert self.handler is not None
        before = self.ledger.retried
        self.handler.send(signal.SIGKILL)
        self.handler.wait(5)
        self.screen.event("handler killed", RED)
        self.watch(HANDLER_DOWN_S)
        self.start_handler()
        self.watch(5.0)
        self.screen.event(f"delivered in a second try so far: {self.ledger.retried - before}")

    def act_4(self) -> None:
        self.screen.heading(
            "Act 4 of 4 · SIGTERM in mid-flight",
            "It stops receiving, lets the handler finish, settles and exits.",
            "A new sidecar goes on.",
        )
        assert self.sidecar is not None
        busy = self.in_flight()
        began = time.monotonic()
        self.sidecar.send(signal.SIGTERM)
        self.screen.event(f"SIGTERM; messages in flight: {busy}", YELLOW)
        code = self.sidecar.wait(30)
        took_s = time.monotonic() - began
        if code is None:
            raise DemoFailed("the sidecar did not end within 30 s of SIGTERM")
        self.screen.event(f"exit code {code} after {took_s:.2f} s", GREEN if code == 0 else RED)
        self.start_sidecar()
        self.finish()

    def finish(self) -> None:
        """Until all orders are delivered, or nothing moves any more."""
        assert self.orders is not None
        seen, since = -1, time.monotonic()
        while self.orders.sending or self.ledger.delivered < self.ledger.sent_count:
            self.tick()
            self.insist_on_sidecar()
            if self.ledger.delivered != seen:
                seen, since = self.ledger.delivered, time.monotonic()
            elif time.monotonic() - since > NO_PROGRESS_S:
                self.screen.event(f"nothing was delivered for {NO_PROGRESS_S:.0f} s", RED)
                return

    def account(self) -> bool:
        assert self.orders is not None
        assert self.sidecar is not None
        self.orders.stop()
        self.sidecar.send(signal.SIGTERM)
        code = self.sidecar.wait(30)
        self.screen.clear_status()
        ledger = self.ledger
        ends = time.monotonic() + 10
        left = self.orders.left()
        while not ledger.balances(left) and time.monotonic() < ends:
            time.sleep(0.5)
            left = self.orders.left()
        balances = ledger.balances(left) and code == 0
        paint = self.screen.paint
        counts = "   ".join(f"{count}×: {times:,}" for count, times in ledger.receive_counts.items())
        self.screen.heading("The account")
        self.screen.line(f"  orders sent                    {ledger.sent_count:>8,}")
        self.screen.line(f"  different orders delivered     {ledger.delivered:>8,}")
        self.screen.line(f"  left in the queue              {left:>8,}")
        self.screen.line(f"  delivered more than once       {ledger.duplicates:>8,}")
        self.screen.line(f"  deliveries by receive count     {counts}")
        if ledger.strangers:
            self.screen.line(f"  deliveries of unknown orders   {ledger.strangers:>8,}")
        if code != 0:
            self.screen.line(f"  the sidecar's exit code        {code!s:>8}")
        verdict = "sent = delivered + left: it balances" if balances else "IT DOES NOT BALANCE"
        self.screen.line(f"\n  {paint(('✓ ' if balances else '✗ ') + verdict, '1', GREEN if balances else RED)}")
        return balances

    def play(self) -> bool:
        try:
            self.screen.heading("Carrier: SQS → sidecar → HTTP handler", f"{self.total:,} orders, about 40 seconds.")
            self.start_queue()
            self.start_handler()
            self.start_sidecar()
            self.act_1()
            self.act_2()
            self.act_3()
            self.act_4()
            return self.account()
        finally:
            self.screen.clear_status()
            if self.orders is not None:
                self.orders.stop()
                self.orders.remove()


def shown_ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def main() -> int:
    screen = Screen()
    messages = os.environ.get("DEMO_MESSAGES") or "3000"
    if not messages.isdecimal() or not int(messages):
        screen.event(f"DEMO_MESSAGES={messages}: how many orders? A whole number from 1 on", RED)
        return 2
    total = int(messages)
    demo = Demo(total, screen)
    with all_ended(demo.children):
        try:
            return 0 if demo.play() else 1
        except (DemoFailed, NoQueue) as error:
            screen.event(str(error), RED)
            return 1
        except KeyboardInterrupt:
            screen.line("interrupted")
            return 130


if __name__ == "__main__":
    sys.exit(main())
