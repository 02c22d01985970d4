import json
import pathlib
import re
from collections.abc import Callable

import pytest

from carrier_sidecar import notes
from carrier_sidecar.log import EACH, FREQUENT, MAX_KEYS, Log

SOURCES = pathlib.Path(__file__).parents[3] / "sidecar/carrier_sidecar"


class Lines:
    """An output in memory, with timers that fire when the test says so."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.dropped = 0
        self.finished = False
        self.report_lost: Callable[[int], bytes] | None = None
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.later: Callable[[float, Callable[[], None]], object] | None = None

    def write(self, line: bytes) -> None:
        self.written.append(line)

    def finish(self) -> None:
        self.finished = True

    def parsed(self) -> list[dict[str, object]]:
        assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in self.written)
        parsed = [json.loads(line) for line in self.written]
        self.written.clear()
        return parsed


class Rig:
    def __init__(self, *, level: str = "info", coloured: bool = False, timers: bool = True) -> None:
        self.wall = 1_700_000_000.25
        self.lines = Lines()
        self.log = Log(
            lambda: self.wall,
            level=level,
            coloured=coloured,
            lines=self.lines,
            later=(lambda seconds, callback: self.lines.timers.append((seconds, callback))) if timers else None,
        )

    def receive_failed(self, kind: str = "network") -> None:
        self.log.note("receive_failed", {"kind": kind, "error": f"request {self.wall}"})

    def fire(self) -> None:
        """Let the time of the next timer come."""
        seconds, callback = self.lines.timers.pop(0)
        self.wall += seconds
        callback()


def test_a_line_is_shaped_as_slogs() -> None:
    rig = Rig()
    rig.log.note("starting", {"slots": 20, "delay_ms": 1.5, "fifo": False, "region": None})
    assert rig.lines.written == [
        b'{"time":"2023-11-14T22:13:20.250000Z","level":"INFO","msg":"starting","source":"main",'
        b'"slots":20,"delay_ms":1.5,"fifo":false,"region":null}\n'
    ]


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["DEBUG", "INFO", "WARN", "ERROR"]),
        ("info", ["INFO", "WARN", "ERROR"]),
        ("warn", ["WARN", "ERROR"]),
        ("error", ["ERROR"]),
    ],
)
def test_lines_below_the_level_are_left_out(level: str, written: list[str]) -> None:
    rig = Rig(level=level)
    for name in ("received_again", "starting", "setting_warning", "setting_error"):
        rig.log.note(name, {})
    assert [line["level"] for line in rig.lines.parsed()] == written
    for free in ("debug", "info", "warn", "error"):
        rig.log.write(free, "main", "free", {})
    assert [line["level"] for line in rig.lines.parsed()] == written


def test_a_disabled_note_asks_for_no_time() -> None:
    log = Log(lambda: pytest.fail("looked at the clock"), level="error", lines=Lines())
    log.note("starting", {})


@pytest.mark.parametrize(
    "value",
    [
        "line\nbreak",
        '"quoted"',
        "\x1b[31mred",
        "\udcff",
        "é漢",
        float("nan"),
        float("inf"),
        object(),
        b"x",
        [1],
        {1: 2},
    ],
)
@pytest.mark.parametrize("coloured", [False, True])
def test_any_value_makes_one_whole_line(value: object, coloured: bool) -> None:
    rig = Rig(coloured=coloured)
    rig.log.note("starting", {"value": value})
    (line,) = rig.lines.written
    assert line.count(b"\n") == 1
    assert b"\x1b[31m" not in line
    if not coloured:
        assert "value" in json.loads(line, parse_constant=lambda word: pytest.fail(word))


def test_coloured_lines_read_well() -> None:
    rig = Rig(coloured=True)
    rig.log.note("receive_failed", {"kind": "network", "error": "no route", "empty": "", "count": 3})
    (line,) = rig.lines.written
    plain = re.sub(r"\x1b\[\d+m", "", line.decode())
    assert re.fullmatch(
        r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\.250 ERR failed to receive messages source=sqs kind=network "
        r'error="no route" empty="" count=3\n',
        plain,
    )


def test_a_repeated_trouble_is_counted_instead_of_repeated() -> None:
    rig = Rig()
    for _ in range(100):
        rig.receive_failed()
        rig.wall += 0.1
    (line,) = rig.lines.parsed()
    assert "repeated" not in line
    assert len(rig.lines.timers) == 1
    rig.fire()
    (line,) = rig.lines.parsed()
    assert line["repeated"] == 99
    assert str(line["error"]).startswith("request 1700000010")  # the newest of them


def test_a_trouble_that_goes_on_is_one_line_each_30_s() -> None:
    rig = Rig(timers=False)
    for _ in range(3000):
        rig.receive_failed()
        rig.wall += 0.1
    lines = rig.lines.parsed()
    assert len(lines) == 10
    assert sum(int(str(line.get("repeated", 1))) for line in lines) <= 3000
    rig.log.close()
    (last,) = rig.lines.parsed()
    assert sum(int(str(line.get("repeated", 1))) for line in [*lines, last]) == 3000


def test_different_troubles_are_told_apart() -> None:
    rig = Rig()
    for kind in ("network", "throttled", "network", "throttled"):
        rig.receive_failed(kind)
    assert [line["kind"] for line in rig.lines.parsed()] == ["network", "throttled"]


def test_a_trouble_that_comes_back_later_is_a_line_at_once() -> None:
    rig = Rig()
    rig.receive_failed()
    rig.wall += 31
    rig.receive_failed()
    lines = rig.lines.parsed()
    assert len(lines) == 2
    assert not any("repeated" in line for line in lines)


def test_a_clock_set_back_silences_nothing() -> None:
    rig = Rig()
    rig.receive_failed()
    rig.wall -= 3600
    rig.receive_failed()
    assert len(rig.lines.parsed()) == 2


def test_the_number_of_troubles_remembered_is_bounded() -> None:
    rig = Rig()
    for number in range(MAX_KEYS * 3):
        rig.receive_failed(f"kind {number}")
        rig.receive_failed(f"kind {number}")
    assert len(rig.log._repeats) == MAX_KEYS
    lines = rig.lines.parsed()
    assert len([line for line in lines if line.get("repeated") == 1]) == MAX_KEYS * 2  # said when they were forgotten


def test_what_has_not_occurred_again_is_forgotten() -> None:
    rig = Rig()
    rig.receive_failed()
    rig.receive_failed()
    rig.fire()  # says it
    rig.receive_failed("other")
    rig.wall += 40
    rig.receive_failed("third")
    rig.receive_failed("third")
    rig.fire()
    assert len(rig.log._repeats) == 1


def test_at_level_debug_every_line_is_written() -> None:
    rig = Rig(level="debug")
    for _ in range(5):
        rig.receive_failed()
    assert len(rig.lines.parsed()) == 5


@pytest.mark.parametrize("name", sorted(EACH))
def test_what_names_a_message_or_a_setting_is_never_left_out(name: str) -> None:
    rig = Rig()
    for _ in range(3):
        rig.log.note(name, {"message_id": "m"})
    assert len(rig.lines.parsed()) == 3


def test_what_comes_as_often_as_messages_is_counted_even_below_a_warning() -> None:
    assert {notes.NOTES[name][0] for name in FREQUENT} == {"info"}
    rig = Rig()
    for _ in range(3):
        rig.log.note("retry_asked_for", {"reason": "status 429"})
    assert len(rig.lines.parsed()) == 1


def test_the_end_says_what_was_counted() -> None:
    rig = Rig()
    rig.receive_failed()
    rig.receive_failed()
    rig.log.close()
    rig.log.close()
    assert [line.get("repeated") for line in rig.lines.parsed()] == [None, 1]
    assert rig.lines.finished


def test_the_line_about_lost_lines_says_how_many() -> None:
    lines = Rig().lines
    assert lines.report_lost is not None
    line = json.loads(lines.report_lost(7))
    assert (line["level"], line["count"]) == ("WARN", 7)


def test_every_note_in_the_source_has_its_row() -> None:
    used = set()
    for path in SOURCES.rglob("*.py"):
        used |= set(re.findall(r"\bnote\(\s*\"(\w+)\"", path.read_text(encoding="utf-8")))
    assert used
    assert used <= notes.NOTES.keys()


def test_names_in_the_rules_are_notes() -> None:
    assert notes.NOTES.keys() >= EACH | FREQUENT
