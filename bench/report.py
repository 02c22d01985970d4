"""The result as a table for people, in the terminal and in docs/performance.md, and as JSON for programs."""

from __future__ import annotations

import json
import platform
from pathlib import Path

from bench.budgets import ROWS
from bench.scenarios import Figures

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
Results = dict[str, dict[str, Figures]]  # scenario → program → figures


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def table(results: Results, ours: str, baseline: str, others: list[str]) -> tuple[list[list[str]], bool]:
    """Rows of cells, the heading first, and whether every budget that could be judged was met."""
    programs = [ours, baseline, *others]
    rows = [["", *programs, *(f"{ours} / {other}" for other in programs[1:]), "budget", ""]]
    met_all = True
    for row in ROWS:
        figures = results.get(row.scenario)
        if not figures or row.figure not in figures.get(ours, {}):
            continue
        value = figures[ours][row.figure]
        cells = [row.title]
        cells += [number(figures[name][row.figure]) if name in figures else "–" for name in programs]
        for other in programs[1:]:
            reference = figures.get(other, {}).get(row.figure)
            cells.append(ratio(value, reference))
        limit = row.limit(figures.get(baseline))
        met = limit is None or value <= limit
        met_all = met_all and met
        cells += [row.wording(), "" if limit is None else "met" if met else "MISSED"]
        rows.append(cells)
    return rows, met_all


def ratio(value: float, reference: float | None) -> str:
    if not reference or not value:
        return "–"
    return f"1/{reference / value:.1f}" if value < reference else f"{value / reference:.2f}"


def plain(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for at, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
        if at == 0:
            lines.append("─" * (sum(widths) + 2 * len(widths) - 2))
    return "\n".join(lines)


def markdown(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cell.strip() for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def machine() -> dict[str, str]:
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = {line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line}
        model = ", ".join(sorted(names)) or model
    return {"processor": model, "system": f"{platform.system()} {platform.release()}"}


def write_json(path: Path, results: Results, notes: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"notes": notes, "results": results}, indent=2) + "\n")


def write_page(page: Path, section: str) -> None:
    """Replaces what stands between the markers; without markers the section goes to the end."""
    text = page.read_text() if page.exists() else "# Performance\n"
    if BEGIN not in text:
        text = f"{text.rstrip()}\n\n{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    page.write_text(f"{before}{BEGIN}\n\n{section.strip()}\n\n{END}{after}")
