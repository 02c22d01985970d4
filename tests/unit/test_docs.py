import pathlib

import pytest

from tools.docs import PAGES, render

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("path", PAGES)
def test_generated_pages_are_up_to_date(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == render(path), "run `make docs`"
