"""One sidecar process on the simulated loop, as it is seen from outside: its log, its probes, its end."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING, Any

from carrier_sidecar.http1.client import Origin, Pool
from carrier_sidecar.run import Sidecar, build
from tests.simulation.process import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from carrier_sidecar.http1.failures import Failure
    from carrier_sidecar.http1.responses import Response
    from tests.simulation.loop import SimLoop

TOKEN = "token-of-this-pod"


class Lines:
    """The log's output: a list of what was written."""

    def __init__(self) -> None:
        self.later: Callable[[float, Callable[[], None]], object] | None = None
        self.report_lost: Callable[[int], bytes] | None = None
        self.dropped = 0
        self.written: list[dict[str, Any]] = []

    def write(self, line: bytes) -> None:
        self.written.append(json.loads(line))

    def finish(self) -> None:
        pass


class Asked:
    """A question to a probe: `status` is 0 until the answer has come, at `at`; -1 when none will."""

    def __init__(self, loop: SimLoop, port: int, path: str) -> None:
        self.status = 0
        self.at = 0.0
        self.body = b""
        self._loop = loop
        pool = Pool(loop, Origin("127.0.0.1", port), connect_timeout_s=1.0, max_body=1 << 20)
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
        pool.request(head.encode(), self, None)

    def answered(self, response: Response) -> None:
        self.status, self.body, self.at = response.status, response.body, self._loop.now()

    def failed(self, failure: Failure) -> None:
        self.status, self.at = -1, self._loop.now()


class Running:
    """`exits`: the exit code, once it has ended; `ended_at`: when that was."""

    def __init__(self, loop: SimLoop, environ: Mapping[str, str], *, probe_port: int, seed: int) -> None:
        self.process = Process(loop)
        self.lines = Lines()
        self.exits: list[int] = []
        self.ended_at = 0.0
        self._loop = loop
        self._probe_port = probe_port
        chance = random.Random(seed)
        variables = {
            "CARRIER_PROBE_ADDRESS": f"127.0.0.1:{probe_port}",
            "CARRIER_DRAIN_TOKEN": TOKEN,
            **environ,
        }
        built = build(
            self.process,
            variables,
            self._done,
            draw=chance.random,
            new_id=lambda: f"{chance.getrandbits(64):x}",
            lines=self.lines,
        )
        assert isinstance(built, Sidecar), self.lines.written
        self.sidecar = built
        self.process.on_signal(15, built.on_signal)
        built.start()

    def _done(self, exit_code: int) -> None:
        self.exits.append(exit_code)
        self.ended_at = self._loop.now()
        self._loop.call_soon(self._close)

    def _close(self) -> None:
        self.sidecar.close()
        self.process.end()

    def kill(self) -> None:
        """SIGKILL, or the end of the node."""
        self.process.end()

    def terminate(self) -> None:
        """SIGTERM."""
        self.process.signal(15)

    def notes(self, message: str) -> list[dict[str, Any]]:
        """The log lines with that text in their message."""
        return [line for line in self.lines.written if message in line["msg"]]

    def ask(self, path: str) -> Asked:
        """Begin to ask; the answer comes as time passes."""
        return Asked(self._loop, self._probe_port, path)

    def get(self, path: str) -> Asked:
        """Ask, and wait for the answer."""
        asked = self.ask(path)
        self._loop.run_while(lambda: not asked.status, 60)
        return asked

    def reasons(self) -> list[str]:
        """What /readyz gives as reasons; [] when it says ready."""
        asked = self.get("/readyz")
        page = json.loads(asked.body)
        reasons = [each["reason"] for each in page["reasons"]]
        assert all(each["message"] for each in page["reasons"])
        assert (asked.status, page["ready"]) == ((503, False) if reasons else (200, True))
        return reasons

    def figures(self) -> dict[str, float]:
        """What /metrics says: values by name and labels."""
        text = self.get("/metrics").body.decode()
        return {name: float(value) for name, value in re.findall(r"^([a-z].*) (\S+)$", text, re.M)}
