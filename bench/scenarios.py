"""What is measured: each scenario makes one trial with one program and returns its figures by name.

Units stand in the names. CPU is the program's own (user and system, all threads), from the first message handed out to
the last delete. No budgets here: those are in budgets.py.
"""

from __future__ import annotations

import heapq
import subprocess
import sys
import time
from collections.abc import Callable

from bench.trial import Subject, Trial

Figures = dict[str, float]

SLOW_S = 2.0
SLOW_EVERY = 20  # 5 %


def percentile(values: list[float], percent: float) -> float:
    """Of sorted values; nearest rank."""
    return values[min(len(values) - 1, int(len(values) * percent / 100))]


def load(subject: Subject, *, size: int, concurrency: tuple[int, int, int], total: int, rate: float = 0) -> Figures:
    """CPU per message and throughput with a backlog; with a rate, latency from arrival in the queue to the handler."""
    with Trial(subject, size=size, concurrency=concurrency, total=total, rate=rate) as trial:
        done = trial.wait(trial.stub, "done", 120)
        figures = {
            "cpu_us": done["cpu_s"] / total * 1e6,
            "messages_per_s": total / (done["at"] - done["first_at"]),
            "receives_per_batch": done["receives"] / (total / concurrency[0]),
            "handler_connections": trial.sink.ask("stats")["connections"],
            "duplicates": trial.sink.ask("stats")["duplicates"],
        }
        if rate:
            arrived, reached = trial.stub.ask("arrivals")["at"], trial.sink.ask("arrivals")["at"]
            # The first tenth is warming up: connections are opened, averages learnt.
            warm = total // 10
            delays = sorted((reached[n] - arrived[n]) * 1000 for n in range(warm, total))
            for percent in (50, 90, 99):
                figures[f"latency_p{percent}_ms"] = percentile(delays, percent)
    return figures


def memory(subject: Subject, *, tls: str, total: int = 20_000) -> Figures:
    """RSS and private dirty in MB, TLS towards SQS: idle after a few messages, and after a load."""
    with Trial(subject, total=20, tls=tls) as trial:
        trial.wait(trial.stub, "done", 30)
        time.sleep(1.0)
        rss, dirty = trial.memory()
        figures = {"idle_rss_mb": rss, "idle_dirty_mb": dirty}
        trial.stub.tell(f"add {total}")
        trial.wait(trial.stub, "done", 120)
        time.sleep(1.0)
        figures["loaded_rss_mb"], figures["loaded_dirty_mb"] = trial.memory()
    return figures


def flat(subject: Subject, *, tls: str, total: int = 1_000_000) -> Figures:
    """Memory over a million messages: private dirty after the first tenth, the most afterwards, and at the end."""
    samples: list[float] = []
    with Trial(subject, total=total // 10, tls=tls) as trial:
        trial.wait(trial.stub, "done", 600)
        early = trial.memory()[1]
        trial.stub.tell(f"add {total - total // 10}")
        while trial.stub.poll("done", 2.0) is None:
            samples.append(trial.memory()[1])
            seen = trial.stub.ask("stats")["deleted"]
            print(f"\r  {seen:>9,} messages, {samples[-1]:.2f} MB private dirty ", end="", file=sys.stderr)
            if trial.process.poll() is not None or seen == total:
                break
        print(file=sys.stderr)
        time.sleep(1.0)
        return {
            "early_dirty_mb": early,
            "most_dirty_mb": max(samples, default=early),
            "end_dirty_mb": trial.memory()[1],
        }


def start(subject: Subject, *, tls: str) -> Figures:
    """From the start of the process to the first message at the handler, TLS towards SQS, in ms."""
    with Trial(subject, total=10, tls=tls) as trial:
        first = trial.wait(trial.sink, "first", 30)
        return {"start_ms": (first["at"] - trial.started_at) * 1000}


def idle(subjects: list[Subject], *, tls: str, minutes: float = 1.0) -> dict[str, Figures]:
    """CPU and receive calls per minute with an empty queue, all programs at the same time."""
    trials = [Trial(subject, total=1, tls=tls) for subject in subjects]
    entered: list[Trial] = []
    try:
        for trial in trials:
            entered.append(trial.__enter__())
            trial.wait(trial.stub, "done", 30)
        time.sleep(5.0)
        before = [(trial.cpu_seconds(), trial.stub.ask("stats")["receives"], trial.wakeups()) for trial in trials]
        time.sleep(minutes * 60)
        # On a virtual machine that was idle, waking up costs a multiple of what is done then; so the wake-ups are told,
        # and what they cost a process that does nothing else.
        after = [(trial.cpu_seconds(), trial.stub.ask("stats")["receives"], trial.wakeups()) for trial in trials]
        bare_ms = bare_wakeup_ms(after[0][2] - before[0][2])
        figures = {}
        for trial, (cpu_s, receives, woken), (cpu_now_s, receives_now, woken_now) in zip(
            trials, before, after, strict=True
        ):
            figures[trial.subject.name] = {
                "idle_cpu_ms_per_minute": (cpu_now_s - cpu_s) * 1000 / minutes,
                "idle_receives_per_minute": (receives_now - receives) / minutes,
                "idle_wakeups_per_minute": (woken_now - woken) / minutes,
                "idle_bare_ms_per_minute": bare_ms * (woken_now - woken) / minutes,
            }
        return figures
    finally:
        for trial in entered:
            trial.__exit__()


def bare_wakeup_ms(times: int) -> float:
    """CPU that one wake-up costs a process that only sleeps and wakes, as often as that in a quarter of a minute."""
    times = max(1, min(times, 30) // 4)
    program = (
        "import select, time; e = select.epoll(); e.poll(1.0); began = time.process_time()\n"
        f"for _ in range({times}): e.poll({15 / times})\n"
        f"print((time.process_time() - began) * 1000 / {times})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)


def ideal_slow_s(total: int, slots: int) -> float:
    """How long the slow mix takes when each slot takes the next message once it is free, and the rest costs nothing."""
    free_at = [0.0] * slots
    for n in range(total):
        begins = heapq.heappop(free_at)
        heapq.heappush(free_at, begins + (SLOW_S if n % SLOW_EVERY == SLOW_EVERY - 1 else 0.0))
    return max(free_at)


def slow(subject: Subject, *, total: int) -> Figures:
    """5 % of the messages take 2 s, 20 slots: how much longer it takes than the ideal schedule."""
    with Trial(subject, total=total, slow_every=SLOW_EVERY) as trial:
        done = trial.wait(trial.stub, "done", 240)
        took_s = done["at"] - done["first_at"]
        return {
            "times_ideal": took_s / ideal_slow_s(total, 20),
            "messages_per_s": total / took_s,
            "duplicates": trial.sink.ask("stats")["duplicates"],
        }


LOADS: dict[str, Callable[[Subject], Figures]] = {
    "256": lambda subject: load(subject, size=256, concurrency=(10, 2, 10), total=20_000),
    "16k": lambda subject: load(subject, size=16_384, concurrency=(10, 2, 10), total=10_000),
    "single": lambda subject: load(subject, size=256, concurrency=(1, 1, 1), total=1_500),
    "paced": lambda subject: load(subject, size=256, concurrency=(10, 2, 10), total=2_500, rate=500),
}
