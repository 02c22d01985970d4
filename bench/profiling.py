"""Where the sidecar's time goes, by function: `make bench PROFILE=1`."""

from __future__ import annotations

import json
import linecache
import tempfile
from pathlib import Path
from typing import Any

from bench.trial import ROOT, Subject, Trial

TOP = 25


def profile(ours: Subject, *, size: int = 256, total: int = 200_000) -> str:
    """Runs the backlog scenario under the sampler and returns a Markdown section."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "profile.json")
        python = ours.argv[0]
        environment = {**ours.environment, "PYTHONPATH": f"{ROOT / 'sidecar'}:{ROOT}"}
        sampled = Subject("ours, sampled", [python, "-OO", "-m", "bench.sampler", str(target)], environment)
        with Trial(sampled, size=size, total=total) as trial:
            trial.wait(trial.stub, "done", 120)
        seen: dict[str, Any] = json.loads(target.read_text())
    samples = sum(seen["functions"].values())
    user_s, system_s = seen["user_s"], seen["system_s"]
    text = [
        f"{total:,} messages of {size} B at 10/2/10, {samples:,} samples by CPU time: "
        f"{system_s / (user_s + system_s):.0%} of the time in the kernel, "
        f"{user_s / (user_s + system_s):.0%} in the interpreter and its C code. "
        "Time in C and in the kernel counts for the function, and the line, that called it.",
        "",
        "| share | function |",
        "|---|---|",
    ]
    ranked = sorted(seen["functions"].items(), key=lambda item: -item[1])
    text += [f"| {count / samples:.1%} | `{name}` |" for name, count in ranked[:TOP]]
    text += ["", "| share | line |", "|---|---|"]
    ranked = sorted(seen["lines"].items(), key=lambda item: -item[1])
    for name, count in ranked[:TOP]:
        file, function, line = name.rsplit(":", 2)
        number = int(line) if line.isdigit() else 0  # a frame may be between lines
        source = linecache.getline(str(ROOT / "sidecar" / file), number).strip().replace("|", "\\|")
        text.append(f"| {count / samples:.1%} | {Path(file).name}, {function}: `{source}` |")
    return "\n".join(text)
