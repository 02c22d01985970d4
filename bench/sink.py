"""The handler of the benchmark: answers 200 to every POST and remembers when each message came first.

With --slow-every N each N-th message (by its own number) is answered after --slow-s seconds, the others at once.
Reports (JSON lines): ready, first (the first POST came), arrivals (when asked).
"""

from __future__ import annotations

import argparse
from array import array

from bench.wire import Connection, Server, now, report

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class Sink:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.slow_every = arguments.slow_every
        self.slow_s = arguments.slow_s
        self.arrivals = array("d")
        self.seen = 0
        self.duplicates = 0
        self.last_answer_at = 0.0
        self.server = Server(self.request, self.command)

    def request(self, connection: Connection, head: bytes, body: bytes) -> None:
        if not body.endswith(b'"}'):
            self.server.send(connection, OK)  # a health check
            return
        moment = now()
        n = int(body[-14:-2])
        arrivals = self.arrivals
        if n >= len(arrivals):
            arrivals.extend([0.0] * (n + 1000 - len(arrivals)))
        if arrivals[n]:
            self.duplicates += 1
        else:
            arrivals[n] = moment
            self.seen += 1
            if self.seen == 1:
                report(event="first", at=moment)
        if self.slow_every and n % self.slow_every == self.slow_every - 1:
            self.server.call_at(moment + self.slow_s, lambda: self.answer(connection))
        else:
            self.answer(connection)

    def answer(self, connection: Connection) -> None:
        self.last_answer_at = now()
        self.server.send(connection, OK)

    def command(self, words: list[str]) -> None:
        if words[0] == "stats":
            report(
                event="stats",
                seen=self.seen,
                duplicates=self.duplicates,
                last_answer_at=self.last_answer_at,
                connections=self.server.accepted,
            )
        elif words[0] == "arrivals":
            report(event="arrivals", at=list(self.arrivals))


def main() -> None:
    parser = argparse.ArgumentParser(description="The benchmark's handler; see the module's docstring.")
    parser.add_argument("--slow-every", type=int, default=0, help="each N-th message is slow; 0: none")
    parser.add_argument("--slow-s", type=float, default=2.0, help="seconds that a slow message takes")
    Sink(parser.parse_args()).server.run()


if __name__ == "__main__":
    main()
