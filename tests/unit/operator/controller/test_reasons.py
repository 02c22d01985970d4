"""The list of reasons against the code that gives them: all of it is said, and nothing else is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import carrier_operator
from carrier_operator import reference
from carrier_operator.controller import reasons
from carrier_operator.selection import SKIPS

PACKAGE = Path(carrier_operator.__file__).parent
THE_LIST = PACKAGE / "controller/reasons.py"
NAMES = {name: it for name, it in vars(reasons).items() if isinstance(it, reasons.Reason)}


def used_names() -> set[str]:
    """NAME of every `reasons.NAME` outside of the list."""
    nodes = [
        node for path in PACKAGE.rglob("*.py") if path != THE_LIST for node in ast.walk(ast.parse(path.read_text()))
    ]
    of_the_list = (it for it in nodes if isinstance(it, ast.Attribute) and isinstance(it.value, ast.Name))
    return {it.attr for it in of_the_list if isinstance(it.value, ast.Name) and it.value.id == "reasons"}


def calls() -> Iterator[ast.Call]:
    """Every call in the controller, but for those that make the list."""
    for path in (PACKAGE / "controller").glob("*.py"):
        if path != THE_LIST:
            yield from (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def test_every_reason_of_the_list_is_given_by_the_code() -> None:
    assert set(NAMES.values()) == set(reasons.REASONS), "a reason without a name"
    assert sorted(NAMES.keys() - used_names()) == []


def test_no_reason_is_made_outside_of_the_list() -> None:
    makers = {"Reason", "_reason"}
    made = [
        it
        for it in calls()
        if (it.func.id if isinstance(it.func, ast.Name) else getattr(it.func, "attr", "")) in makers
    ]
    assert made == []


def test_findings_advice_and_events_take_their_word_from_the_list() -> None:
    """The word is the first argument of Finding and Advice, and the third of an Event: never a text of its own."""
    place_of_word = {"Finding": 0, "Advice": 0, "_tell": 2}
    seen = set()
    for call in calls():
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        if name in place_of_word and len(call.args) > place_of_word[name]:
            assert not isinstance(call.args[place_of_word[name]], (ast.Constant, ast.JoinedStr)), ast.unparse(call)
            seen.add(name)
    assert seen == place_of_word.keys()


def test_words_are_such_as_the_api_server_takes_and_no_two_of_a_kind_are_alike() -> None:
    codes = [(it.of, it.code) for it in reasons.REASONS]
    assert len(codes) == len(set(codes))
    assert all(it.code.isalpha() and it.code[0].isupper() for it in reasons.REASONS)


def test_the_page_has_every_reason_and_names_every_skip_that_people_are_told_of() -> None:
    page = reference.troubleshooting_page()
    for reason in reasons.REASONS:
        assert (reason.status in (reasons.TRUE, reasons.FALSE, reasons.UNKNOWN)) == (reason.of in reasons.TYPES)
        assert f"| `{reason.code}` |" in page
        assert reason.meaning.endswith(".")
        # What is False wants something done.
        assert reason.remedy or reason.status != reasons.FALSE, reason
    assert all(f"`{skip.code}`" in page for skip in SKIPS if skip.unexpected)
    assert page.count("](selection.md#reasons)") == 1
    assert "## Reasons\n" in reference.selection_page()
