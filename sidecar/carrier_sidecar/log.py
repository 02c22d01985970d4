"""Log lines: one JSON object a line (or coloured text for people), in the shape of Go's slog.

`time`, `level`, `msg`, `source`, then fields with units in their names. What is logged stands in `notes`; where it goes
in `output`. The same trouble over and over is one line at once and then one every 30 s that says how often. Callers
pass no secrets, bodies or receipt handles; nothing here could tell.
"""

from __future__ import annotations

from time import gmtime, localtime

from carrier_sidecar.json_text import dumps
from carrier_sidecar.notes import DEBUG, ERROR, INFO, NOTES, WARN
from carrier_sidecar.output import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    class Lines(Protocol):
        """Where lines go: see output.Output."""

        later: Callable[[float, Callable[[], None]], object] | None
        report_lost: Callable[[int], bytes] | None
        dropped: int

        def write(self, line: bytes) -> None: ...
        def finish(self) -> None: ...


LEVELS = {DEBUG: 0, INFO: 1, WARN: 2, ERROR: 3}
REPEAT_S = 30.0
MAX_KEYS = 200
# Notes of which each one is worth a line: they end something, or name a message that somebody will look for.
EACH = frozenset({"cut_off", "setting_warning", "setting_error", "late_delete", "delete_too_late", "limit_reached"})
# Notes below a warning that can come as often as messages or checks do.
FREQUENT = frozenset({"retry_asked_for", "handler_awaited"})
# Fields that tell one trouble from another. The rest (ids, numbers, error texts with request ids in them) varies.
_TELLING = ("kind", "code", "action", "reason", "state", "step")

_NAMES = {DEBUG: "DEBUG", INFO: "INFO", WARN: "WARN", ERROR: "ERROR"}
_COLOURED = {DEBUG: "DBG", INFO: "\x1b[92mINF\x1b[0m", WARN: "\x1b[93mWRN\x1b[0m", ERROR: "\x1b[91mERR\x1b[0m"}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class _Repeat:
    """A note that occurred lately: when its last line was written, how often it occurred since, and with what."""

    __slots__ = ("count", "fields", "line_at", "row")

    def __init__(self, row: tuple[str, str, str], line_at: float) -> None:
        self.row = row
        self.line_at = line_at
        self.count = 0
        self.fields: Mapping[str, object] = {}


class Log:
    """`wall` tells Unix seconds; `level` is the least serious level that is written; `coloured` lines are for people;
    `lines` is where they go, standard output by default. At level debug nothing is left out as a repetition.

    `later(seconds, callback)`, which may be set afterwards, calls back once: without it, repetitions are told and lines
    that could not be written are tried again at the next line only.
    """

    __slots__ = ("_armed", "_coloured", "_lines", "_repeats", "_rows", "_second", "_stamp", "_wall", "level")

    def __init__(
        self,
        wall: Callable[[], float],
        *,
        level: str = INFO,
        coloured: bool = False,
        lines: Lines | None = None,
        later: Callable[[float, Callable[[], None]], object] | None = None,
    ) -> None:
        self._lines: Lines = lines or Output()
        self._lines.report_lost = self._lost
        self._lines.later = later
        self._wall = wall
        self._coloured = coloured
        self._repeats: dict[tuple[object, ...], _Repeat] = {}
        self._armed = False
        self._second = -1
        self._stamp = ""
        self.level = LEVELS[level]
        self._rows = {name: row for name, row in NOTES.items() if LEVELS[row[0]] >= self.level}

    @property
    def dropped(self) -> int:
        """Lines that were lost so far."""
        return self._lines.dropped

    def note(self, name: str, fields: Mapping[str, object]) -> None:
        """Log a row of notes.NOTES with its fields."""
        row = self._rows.get(name)
        if row is None:
            return
        if self.level == 0 or name in EACH or (row[0] == INFO and name not in FREQUENT):
            self._write(self._wall(), row, fields, 0)
        else:
            self._write_unless_repeated((name, *[fields.get(field) for field in _TELLING]), row, fields)

    def write(self, level: str, source: str, message: str, fields: Mapping[str, object]) -> None:
        """Log a line that is no row of the table (the statistics line)."""
        if LEVELS[level] >= self.level:
            self._write(self._wall(), (level, source, message), fields, 0)

    def close(self) -> None:
        """Before the end: say what was counted and not said yet, and give the output a moment to take the rest."""
        now = self._wall()
        for repeat in self._repeats.values():
            self._say(repeat, now)
        self._repeats.clear()
        self._lines.finish()

    # -- repetitions ---------------------------------------------------------------------------------------------------

    def _write_unless_repeated(
        self, key: tuple[object, ...], row: tuple[str, str, str], fields: Mapping[str, object]
    ) -> None:
        now = self._wall()
        repeat = self._repeats.get(key)
        if repeat is None:
            if len(self._repeats) >= MAX_KEYS:
                self._say(self._repeats.pop(next(iter(self._repeats))), now)
            self._repeats[key] = _Repeat(row, now)
            self._write(now, row, fields, 0)
            return
        repeat.count += 1
        repeat.fields = fields
        if not 0 <= now - repeat.line_at < REPEAT_S:  # below 0: the wall clock was set back
            if repeat.count == 1:
                repeat.count = 0
                repeat.line_at = now
                self._write(now, row, fields, 0)
            else:
                self._say(repeat, now)
        elif not self._armed and self._lines.later is not None:
            self._armed = True
            self._lines.later(REPEAT_S - (now - repeat.line_at), self._say_due)

    def _say(self, repeat: _Repeat, now: float) -> None:
        if repeat.count:
            count, repeat.count, repeat.line_at = repeat.count, 0, now
            self._write(now, repeat.row, repeat.fields, count)

    def _say_due(self) -> None:
        """The timer's: say what is due, forget what has not occurred again, and wait for the rest."""
        self._armed = False
        now = self._wall()
        wait_s = REPEAT_S
        for key, repeat in list(self._repeats.items()):
            age_s = now - repeat.line_at
            if not 0 <= age_s < REPEAT_S - 0.5:
                if repeat.count:
                    self._say(repeat, now)
                else:
                    del self._repeats[key]
            elif repeat.count:
                wait_s = min(wait_s, REPEAT_S - age_s)
        if any(repeat.count for repeat in self._repeats.values()) and self._lines.later is not None:
            self._armed = True
            self._lines.later(wait_s, self._say_due)

    # -- lines ---------------------------------------------------------------------------------------------------------

    def _lost(self, count: int) -> bytes:
        return self._line(self._wall(), (WARN, "log", "log lines were lost"), {"count": count}, 0)

    def _write(self, now: float, row: tuple[str, str, str], fields: Mapping[str, object], repeated: int) -> None:
        self._lines.write(self._line(now, row, fields, repeated))

    def _line(self, now: float, row: tuple[str, str, str], fields: Mapping[str, object], repeated: int) -> bytes:
        level, source, message = row
        if self._coloured:
            return self._text(now, level, source, message, fields, repeated).encode("utf-8", "backslashreplace")
        second = int(now // 1)
        if second != self._second:
            self._second = second
            at = gmtime(second)
            self._stamp = (
                f"{at.tm_year:04}-{at.tm_mon:02}-{at.tm_mday:02}T{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
            )
        line: dict[str, object] = {
            "time": f"{self._stamp}.{int((now - second) * 1e6):06}Z",
            "level": _NAMES[level],
            "msg": message,
            "source": source,
        }
        for name, value in fields.items():
            line[name] = value if type(value) is not float or -1e300 < value < 1e300 else str(value)
        if repeated:
            line["repeated"] = repeated
        return dumps(line).encode("ascii") + b"\n"

    def _text(
        self, now: float, level: str, source: str, message: str, fields: Mapping[str, object], repeated: int
    ) -> str:
        at = localtime(now)
        day = f"{_MONTHS[at.tm_mon - 1]} {at.tm_mday:2} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
        text = (
            f"\x1b[2m{day}.{int(now % 1 * 1000):03}\x1b[0m {_COLOURED[level]} {message} \x1b[2msource=\x1b[0m{source}"
        )
        for name, value in fields.items():
            text += f" \x1b[2m{name}=\x1b[0m{_shown(value)}"
        if repeated:
            text += f" \x1b[2mrepeated=\x1b[0m{repeated}"
        return text + "\n"


def _shown(value: object) -> str:
    """A value in a coloured line: quoted where it could be misread, so that no value can forge a line or a colour."""
    if not isinstance(value, str):
        value = dumps(value)
        return value if value.isprintable() and " " not in value else value.replace("\x1b", "\\u001b")
    if value and value.isprintable() and not any(char in value for char in ' "='):
        return value
    return dumps(value)
