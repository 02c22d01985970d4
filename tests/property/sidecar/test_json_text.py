"""The short way to JSON agrees with the standard library's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from carrier_sidecar import json_text

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


def outcome(load: Any, text: str | bytes) -> object:
    """The value, written so that types count, or that there is none."""
    try:
        return repr(load(text))
    except (ValueError, RecursionError):
        return "refused"


@given(VALUES)
def test_writing_agrees(value: Any) -> None:
    assert json_text.dumps(value) == json.dumps(value, separators=(",", ":"))


@given(VALUES, st.sampled_from([None, 1]))
def test_reading_agrees(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    assert repr(json_text.loads(text)) == repr(json.loads(text))


@given(st.text(alphabet='{}[]":, \t\n\r\\u0019.eE+-truefalsnNaIity\x00\x1fé', max_size=30))
@example("")
@example(" ")
@example("{} x")
@example('{"a":1}\n')
@example("\ufeff{}")
@example("-Infinity")
@example('"\x01"')
@example('{"a":1,"a":2}')
def test_reading_anything_agrees(text: str) -> None:
    assert outcome(json_text.loads, text) == outcome(json.loads, text)


@given(st.binary(max_size=20))
def test_bytes_that_are_no_utf8_json_are_refused_with_a_value_error(data: bytes) -> None:
    try:
        json.loads(data.decode("utf-8"))
    except ValueError:
        with pytest.raises(ValueError):
            json_text.loads(data)


def test_what_json_does_not_know_is_written_as_text() -> None:
    assert json_text.dumps({"a": {1}, ("no", "key"): 1}) == '{"a":"{1}"}'


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(RecursionError):
        json_text.dumps(value)


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(RecursionError):
        json_text.loads("[" * 100_000)


def test_an_interpreter_without_the_c_code_reads_and_writes_the_same() -> None:
    program = (
        "import sys; sys.modules['_json'] = None\n"
        "from carrier_sidecar import json_text\n"
        """print(json_text.dumps(json_text.loads(b' {"a": [1, "\\\\u00e9"]} ')))"""
    )
    sidecar = str(Path(json_text.__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": sidecar}
    )
    assert done.stdout == '{"a":[1,"\\u00e9"]}\n'


def test_texts_that_break_off_are_refused_where_the_package_json_was_never_imported() -> None:
    """There the C code has no exception to raise."""
    program = (
        "import sys; from carrier_sidecar import json_text\n"
        """for text in ("", "{", "[1,2", '{"a": "x', '{"a"', '{"a":"\\\\u12'):\n"""
        "    try: print(json_text.loads(text))\n"
        "    except ValueError: pass\n"
        "print('json.decoder' in sys.modules)"
    )
    sidecar = str(Path(json_text.__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {sidecar!r}); {program}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    assert done.stdout in ("False\n", "True\n")  # True from 3.13 on, which imports it then
