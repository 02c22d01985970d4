"""`carrier-sidecar settings`: the variables, the values in force and where each comes from, for people or as JSON.

Reads nothing but the environment that it is given, and shows no secrets. Exits 2, like the sidecar itself, when the
environment can't be used, and then says why below the table.
"""

from __future__ import annotations

import json
import os
import sys

from carrier_sidecar.settings import SettingsError, parse
from carrier_sidecar.settings_table import ROWS, Row
from carrier_sidecar.settings_values import describe_allowed, show_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from carrier_sidecar.settings import Settings

USAGE = "usage: carrier-sidecar settings [-o text|json]"
_LIMITS = ("RETRY_", "GIVE_UP_", "DEAD_LETTER", "RATE_", "BREAKER_", "SUSPENDED")
SECTIONS = (
    ("Queue", ("SQS_", "MAX_IN_FLIGHT")),
    ("Handler", ("WEBHOOK_",)),
    ("Retries, dead letters, limits", _LIMITS),
    ("Sidecar", ("",)),
)
_WIDEST_VALUE = 60


def main(
    arguments: Sequence[str],
    environ: Mapping[str, str] = os.environ,
    write: Callable[[str], object] = sys.stdout.write,
) -> int:
    """The exit code: 0, or 2 for bad settings or arguments. `write` takes the output."""
    form = "text"
    if arguments:
        flag, _, joined = arguments[0].partition("=")
        words = [joined, *arguments[1:]] if joined else list(arguments[1:])
        if flag not in ("-o", "--output") or len(words) != 1 or words[0] not in ("text", "json"):
            write(USAGE + "\n")
            return 0 if arguments[0] in ("-h", "--help") else 2
        form = words[0]
    problems: tuple[str, ...] = ()
    try:
        settings = parse(environ)
    except SettingsError as error:
        settings, problems = error.settings, error.problems
    write(render_json(settings, problems) if form == "json" else render_text(settings, problems))
    return 2 if problems else 0


def section(row: Row) -> str:
    """Title of the group that the row belongs to."""
    return next(title for title, stems in SECTIONS if row.attribute.upper().startswith(stems))


def render_text(settings: Settings, problems: Sequence[str]) -> str:
    """Three aligned columns in groups, then problems and warnings."""
    cells = [(row, _shown(settings, row), settings.origin[row.attribute]) for row in ROWS]
    name_width = max(len(row.name) for row in ROWS)
    value_width = min(_WIDEST_VALUE, max(len(shown) for _, shown, _ in cells))
    lines = [f"{'VARIABLE':{name_width}}  {'VALUE':{value_width}}  FROM"]
    title = ""
    for row, shown, origin in cells:
        if section(row) != title:
            title = section(row)
            lines += ["", title]
        origin = "environment" if origin == row.name else origin
        lines.append(f"{row.name:{name_width}}  {shown:{value_width}}  {origin}".rstrip())
    lines.append("")
    lines += [f"error: {problem}" for problem in problems]
    lines += [f"warning: {warning}" for warning in settings.warnings]
    return "\n".join(lines).rstrip("\n").encode("utf-8", "backslashreplace").decode() + "\n"


def render_json(settings: Settings, problems: Sequence[str]) -> str:
    """The same for machines: values with their types (durations in seconds), and what each row allows."""
    rows = [
        {
            "name": row.name,
            "value": show_value(row, _value(settings, row)) if _hidden(row) else _value(settings, row),
            "origin": settings.origin[row.attribute],
            "default": row.default,
            "type": row.kind,
            "allowed": describe_allowed(row),
            "what": row.what,
            "go": row.go,
            "secret": row.secret,
        }
        for row in ROWS
    ]
    page = {"settings": rows, "problems": list(problems), "warnings": list(settings.warnings)}
    return json.dumps(page, indent=2) + "\n"


def _shown(settings: Settings, row: Row) -> str:
    value = _value(settings, row)
    if value is None and row.attribute in settings.bad:
        return "(not allowed)" if settings.origin[row.attribute] != "default" else "(missing)"
    return show_value(row, value) or "-"


def _value(settings: Settings, row: Row) -> object:
    value: object = getattr(settings, row.attribute)
    return value


def _hidden(row: Row) -> bool:
    return row.secret or row.kind == "URL"
