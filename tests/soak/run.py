"""A soak run from its start to its verdict."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.soak.schedule import KINDS, schedule
from tests.soak.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.schedule import Event

TICK_S = 0.02
FIFO_RATE = 0.1  # of the rate; of a group one message at a time is with the handler
TIDY_EVERY_S = 5.0
SHOW_EVERY_S = 10.0
# At the end, once all is well: hidden messages come back, and backoffs pass.
SETTLE_S = 60.0
# Private memory that the untouched sidecar may have gained since a fifth of the run.
GROWTH_BYTES = 2 << 20


class Soak:
    """`show(line)` is called for progress."""

    def __init__(self, seed: int, length_s: float, rate: float, queue: str = "both", only: str = "") -> None:
        self.seed = seed
        self.length_s = length_s
        self.show: Callable[[str], None] = lambda line: None
        self._rates = {"standard": rate, "fifo": rate * FIFO_RATE if queue == "both" else rate}
        kinds = ("standard", "fifo") if queue == "both" else (queue,)
        wanted = only.split(",") if only else [kind.name for kind in KINDS]
        self.events = schedule(seed, length_s, tuple(kind for kind in KINDS if kind.name in wanted))
        self.stages = [Stage(seed, fifo=kind == "fifo") for kind in kinds]
        self._memory: dict[str, list[tuple[float, int]]] = {stage.name: [] for stage in self.stages}
        self._took_s = 0.0
        self._begin_at = 0.0

    def run(self) -> list[str]:
        """All of it; what was wrong."""
        self.show(f"seed {self.seed}: {len(self.events)} faults in {self.length_s:g} s")
        problems: list[str] = []
        try:
            self._inject()
            problems = self._settle()
            for stage in self.stages:
                problems += self._judge(stage)
        except AssertionError as error:
            problems.append(str(error))
            for stage in self.stages:
                problems += [f"{stage.name}: {problem}" for problem in stage.problems()]
        finally:
            self._took_s = time.monotonic() - self._begin_at
            for stage in self.stages:
                stage.close()
        return problems

    def _inject(self) -> None:
        self._begin_at = time.monotonic()
        waiting = list(self.events)
        active: list[Event] = []
        owed = dict.fromkeys(self._rates, 0.0)
        last_s = tidied_s = shown_s = 0.0
        while True:
            now_s = time.monotonic() - self._begin_at
            for event in [event for event in active if event.until_s <= now_s]:
                active.remove(event)
                for stage in self.stages:
                    stage.end(event)
            if now_s >= self.length_s:
                break
            while waiting and waiting[0].at_s <= now_s:
                event = waiting.pop(0)
                self.show(f"  {event}")
                active.append(event)
                for stage in self.stages:
                    stage.begin(event)
            for stage in self.stages:
                rate = self._rates[stage.name]
                owed[stage.name] = min(owed[stage.name] + (now_s - last_s) * rate, rate)
                owed[stage.name] -= stage.pump(int(owed[stage.name]))
                stage.look_after()
            last_s = now_s
            if now_s - tidied_s > TIDY_EVERY_S:
                tidied_s = now_s
                self._tidy(now_s)
            if now_s - shown_s > SHOW_EVERY_S:
                shown_s = now_s
                self.show(f"{now_s:7.1f} s  " + "; ".join(stage.progress() for stage in self.stages))
            time.sleep(TICK_S)

    def _tidy(self, now_s: float) -> None:
        for stage in self.stages:
            stage.tidy()
            self._memory[stage.name].append((now_s, private_bytes(stage.steady.pid)))
            wrong = stage.problems()
            if wrong:
                raise AssertionError(f"{stage.name}: found at {now_s:.0f} s")

    def _settle(self) -> list[str]:
        """Everything is well now: all that was sent must be delivered and deleted, and the sidecars must end well."""
        self.show("all is well: waiting for the rest")
        deadline = time.monotonic() + SETTLE_S
        while any(stage.world.messages or stage.shaken is None for stage in self.stages):
            for stage in self.stages:
                stage.look_after()
            if time.monotonic() > deadline:
                return [stage.stuck() for stage in self.stages if stage.world.messages]
            time.sleep(0.05)
        problems = []
        for stage in self.stages:
            self._memory[stage.name].append((self.length_s, private_bytes(stage.steady.pid)))
            for sidecar in (stage.steady, stage.shaken):
                if sidecar is not None:
                    sidecar.terminate()
                    code = sidecar.wait(10)
                    if code != 0:
                        problems.append(f"{stage.name}: a sidecar ended with {code}: {sidecar.log()}")
        return problems

    def _judge(self, stage: Stage) -> list[str]:
        problems = [f"{stage.name}: {problem}" for problem in stage.problems()]
        lost = stage.ledger.lost(stage.keys_in_queue())
        if lost:
            problems.append(f"{stage.name}: {len(lost)} messages are lost: {lost[:20]}")
        early = [bytes_ for at_s, bytes_ in self._memory[stage.name] if at_s >= self.length_s / 5]
        if early and early[-1] - early[0] > GROWTH_BYTES:
            samples = [f"{bytes_ / 1e6:.1f}" for bytes_ in early]
            problems.append(f"{stage.name}: the memory of the untouched sidecar grew (MB): {samples}")
        return problems

    def report(self) -> list[str]:
        """What happened, in a few lines."""
        lines = [f"soak: seed {self.seed}, {len(self.events)} faults, {self._took_s:.0f} s"]
        for stage in self.stages:
            ledger = stage.ledger
            memory = [bytes_ / 1e6 for _, bytes_ in self._memory[stage.name]] or [0.0]
            lines.append(
                f"  {stage.name}: sent {ledger.sent}, delivered {ledger.delivered()}, duplicates {ledger.duplicates}, "
                f"unexplained {len(ledger.unexplained)}; sidecars {stage.started}; "
                f"private memory {memory[0]:.1f} to {memory[-1]:.1f} MB"
            )
            lines += [f"    {count} times {reason}" for reason, count in ledger.reasons.most_common()]
        return lines


def private_bytes(pid: int) -> int:
    """Private memory of a process."""
    total = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            total += int(line.split()[1]) * 1024
    return total
