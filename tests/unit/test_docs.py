import pathlib
import re

import pytest

from tools.docs import PAGES, render

ROOT = pathlib.Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("e2e/*.md"), *ROOT.glob("helm/*/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("path", PAGES)
def test_generated_pages_are_up_to_date(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == render(path), "run `make docs`"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda it: str(it.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(document: pathlib.Path) -> None:
    dead = [target for target in LINK.findall(prose(document)) if "://" not in target and not leads(document, target)]
    assert dead == []


def prose(document: pathlib.Path) -> str:
    """Its text without the code in it."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def leads(document: pathlib.Path, target: str) -> bool:
    """Is there such a file and, after #, such a heading in it?"""
    name, _, heading = target.partition("#")
    file = document.parent / name if name else document
    if not file.exists():
        return False
    headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE) if heading else []
    return not heading or heading in {re.sub(r"[^\w\- ]", "", it.lower()).replace(" ", "-") for it in headings}
