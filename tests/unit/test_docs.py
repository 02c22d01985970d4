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


def test_the_operators_page_names_metrics_that_exist_and_all_of_them() -> None:
    telemetry = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("operator/carrier_operator/*/*.py"))
    metric = re.compile(r"carrier_(?:injector|controller)_\w+")
    page = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    assert set(metric.findall(page)) == set(re.findall(r'"(carrier_(?:injector|controller)_\w+)"', telemetry))


def test_the_operators_page_names_everything_that_the_chart_s_roles_are_about() -> None:
    roles = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("helm/carrier/templates/*-rbac.yaml"))
    resources = {name.strip() for group in re.findall(r"resources: \[(.*)\]", roles) for name in group.split(",")}
    page = (ROOT / "docs/operating.md").read_text(encoding="utf-8").lower()
    rights = page.split("\n## rights\n")[1].split("\n## ")[0]
    spelled = {"customresourcedefinitions": "crd", "carrierbindings/status": "status"}
    assert {it for it in resources if spelled.get(it, it.removesuffix("s")) not in rights} == set()
    assert len(resources) > 10
