"""`carrier-sidecar echo`: a sample handler that prints what it gets and answers as it is told to.

For trying out a queue, a retry policy or a binding before the real handler exists. It is no part of the sidecar's
process in production, so it may import what it likes; what it prints comes from a queue and is escaped.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time

from carrier_sidecar.go_values import parse_duration
from carrier_sidecar.http1.server import Server
from carrier_sidecar.loop.selecting import SelectingLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carrier_sidecar.http1.requests import Request
    from carrier_sidecar.http1.server import Responder
    from carrier_sidecar.loop.api import Loop

HEALTH_PATH = "/healthz"
HEADERS_OF_INTEREST = ("content-type", "traceparent", "x-amzn-trace-id")
HEADER_PREFIX = "x-carrier-"
MAX_BODY = 4 << 20  # bytes; SQS allows 1 MiB
LINGER_S = 10.0  # how long a signal waits for answers that are still due


def printable(text: str) -> str:
    """With everything that a terminal could take for a command written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(body: bytes, limit: int) -> str:
    """The body's first `limit` bytes for people: as UTF-8 where it is, escaped where it isn't."""
    text = printable(body[:limit].decode("utf-8", "backslashreplace"))
    return text if len(body) <= limit else f"{text} … ({len(body) - limit} bytes more)"


class Echo:
    """Decides each answer, and counts. `write` gets whole lines without their end; None prints nothing."""

    def __init__(
        self, loop: Loop, options: argparse.Namespace, write: Callable[[str], object], chance: Callable[[], float]
    ) -> None:
        self._loop = loop
        self._options = options
        self._write = write
        self._chance = chance
        self.answered = 0
        self.failed = 0
        self.pending = 0
        self.seen: set[str] = set()
        self.stopping = False

    def handle(self, request: Request, responder: Responder) -> None:
        """Called by the server for every request."""
        if request.path == HEALTH_PATH:
            responder.answer(200, b"ok\n")
            return
        began = self._loop.now()
        self.pending += 1
        delay_s = self._delay_s(request.body)
        if delay_s:
            self._loop.call_at(began + delay_s, lambda: self._answer(request, responder, began))
        else:
            self._answer(request, responder, began)

    def _delay_s(self, body: bytes) -> float:
        for text, delay_s in self._options.delay_if:
            if text in body:
                return float(delay_s)
        return float(self._options.delay)

    def _answer(self, request: Request, responder: Responder, began: float) -> None:
        options = self._options
        self.pending -= 1
        status = options.status
        headers: list[tuple[str, str]] = []
        if options.fail_rate and self._chance() < options.fail_rate:
            status = options.fail_status
            if options.retry_after is not None:
                status = 503 if status == 500 else status
                headers.append(("Retry-After", options.retry_after))
        if not responder.waiting:
            status = 0  # the client is gone
        elif 200 <= status < 300:
            self.answered += 1
            self.seen.add(request.headers.get("x-carrier-message-id", ""))
        else:
            self.failed += 1
        # Printed before it is answered: what was answered has been printed, whatever happens to this process next.
        self._print(request, status, self._loop.now() - began)
        responder.answer(status, b"", headers=headers)

    def _print(self, request: Request, status: int, took_s: float) -> None:
        options = self._options
        if options.quiet:
            return
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.startswith(HEADER_PREFIX) or name in HEADERS_OF_INTEREST
        }
        if options.json:
            line = {
                "time": round(self._loop.wall(), 3),
                "method": request.method,
                "path": request.target,
                "status": status,
                "took_ms": round(took_s * 1000, 1),
                "headers": headers,
                "size": len(request.body),
                "body": request.body[: options.limit].decode("utf-8", "replace"),
            }
            self._write(json.dumps(line))
            return
        clock = time.strftime("%H:%M:%S", time.localtime(self._loop.wall()))
        answer = str(status) if status else "too late: the client has gone"
        self._write(f"{clock}  {printable(request.method)} {printable(request.target)}  →  {answer}")
        for name, value in headers.items():
            self._write(f"          {name}: {printable(value)}")
        self._write(f"          {shown(request.body, options.limit)}" if request.body else "          (empty body)")

    def summary(self) -> str:
        """One sentence for the end."""
        different = len(self.seen - {""})
        return f"{self.answered} accepted ({different} different messages), {self.failed} refused"


def duration(text: str) -> float:
    """A Go duration, or a plain number of seconds, in seconds."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parse_duration(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no duration: 250ms, 2s, 1m30s or seconds") from None
    if not 0 <= seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}: not negative, and less than 11 days")
    return seconds


def conditional_delay(text: str) -> tuple[bytes, float]:
    """`TEXT=DURATION`."""
    wanted, equals, delay = text.rpartition("=")
    if not equals or not wanted:
        raise argparse.ArgumentTypeError(f"{text!r}: write TEXT=DURATION")
    return wanted.encode(), duration(delay)


def rate(text: str) -> float:
    """A share between 0 and 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a number from 0 to 1")
    return value


def port_number(text: str) -> int:
    """A port to listen on, 0 for any free one."""
    if not (text.isascii() and text.isdigit()) or int(text[:6]) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: a port from 0 to 65535")
    return int(text)


def status_code(text: str) -> int:
    """A final HTTP status."""
    if not text.isdigit() or not 200 <= int(text) <= 599:
        raise argparse.ArgumentTypeError(f"{text!r}: a status from 200 to 599")
    return int(text)


def header_text(text: str) -> str:
    """What can stand in a header."""
    if not text.isascii() or not text.isprintable():
        raise argparse.ArgumentTypeError("printable ASCII only")
    return text


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        prog="carrier-sidecar echo",
        description="A sample handler: prints every request and answers it. GET /healthz gets 200 and is not printed.",
    )
    options.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    options.add_argument(
        "--port", type=port_number, default=9000, help="port to listen on (%(default)s; 0: any free one)"
    )
    options.add_argument(
        "--delay", type=duration, default=0.0, metavar="DURATION", help="answer after this: 250ms, 2s (at once)"
    )
    options.add_argument(
        "--delay-if",
        type=conditional_delay,
        action="append",
        default=[],
        metavar="TEXT=DURATION",
        help="answer requests whose body holds TEXT after DURATION; may be given several times",
    )
    options.add_argument(
        "--fail-rate", type=rate, default=0.0, metavar="SHARE", help="refuse this share of the requests, 0 to 1 (0)"
    )
    options.add_argument(
        "--fail-status", type=status_code, default=500, metavar="STATUS", help="how they are refused (%(default)s)"
    )
    options.add_argument(
        "--retry-after",
        type=header_text,
        metavar="SECONDS",
        help="refuse with this Retry-After (seconds or an HTTP date), and with 503 unless --fail-status says otherwise",
    )
    options.add_argument(
        "--status", type=status_code, default=200, metavar="STATUS", help="answer the others with this (%(default)s)"
    )
    options.add_argument(
        "--limit", type=int, default=2000, metavar="BYTES", help="print this much of a body (%(default)s)"
    )
    options.add_argument("--json", action="store_true", help="print one JSON object a line")
    options.add_argument("--quiet", action="store_true", help="print the summary at the end only")
    return options


def main(arguments: Sequence[str]) -> int:
    """Runs until SIGTERM or SIGINT; a second one does not wait for answers that are due. 2: the port is taken."""
    command = parser()
    options = command.parse_args(arguments)
    if options.retry_after is not None and not options.fail_rate:
        command.error("--retry-after goes with refusals: say how many by --fail-rate (1 for all)")
    loop = SelectingLoop()

    def write(line: str) -> None:
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            loop.stop()

    echo = Echo(loop, options, write, random.random)
    try:
        server = Server(loop, options.host, options.port, echo.handle, max_body=MAX_BODY)
    except OSError as error:
        print(f"carrier-sidecar echo: cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)
        return 2

    def end() -> None:
        if echo.stopping:
            loop.stop()
            return
        echo.stopping = True
        server.close()
        stop_when_done(loop.now() + LINGER_S)

    def stop_when_done(latest: float) -> None:
        if not echo.pending or loop.now() >= latest:
            loop.call_soon(loop.stop)
        else:
            loop.call_at(loop.now() + 0.05, lambda: stop_when_done(latest))

    loop.on_signal(signal.SIGTERM, end)
    loop.on_signal(signal.SIGINT, end)
    host = f"[{options.host}]" if ":" in options.host else options.host
    write(json.dumps({"listening": f"http://{host}:{server.port}"}) if options.json else f"http://{host}:{server.port}")
    loop.run()
    loop.close()
    print(echo.summary(), file=sys.stderr)
    return 0
