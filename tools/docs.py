"""Writes the generated reference pages (`make docs`); a test holds that they are up to date."""

import importlib
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Path of a page and the function that gives its text.
PAGES = {
    "docs/settings.md": "tools.settings_reference:render",
    "crds/carrierbindings.yaml": "carrier_operator.crds:crd_yaml",
    "helm/carrier/crds/carrierbindings.yaml": "carrier_operator.crds:crd_yaml",
    "docs/carrierbinding.md": "carrier_operator.reference:binding_page",
    "docs/selection.md": "carrier_operator.reference:selection_page",
    "docs/injector-settings.md": "carrier_operator.reference:injector_page",
    "docs/controller-settings.md": "carrier_operator.reference:controller_page",
    "docs/troubleshooting.md": "carrier_operator.reference:troubleshooting_page",
}


def render(path: str) -> str:
    """The text that the page should have."""
    module, _, function = PAGES[path].partition(":")
    text: str = getattr(importlib.import_module(module), function)()
    return text


def main() -> int:
    sys.path[:0] = [str(ROOT), str(ROOT / "sidecar"), str(ROOT / "operator")]
    for name in PAGES:
        path = ROOT / name
        text = render(name)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"{name} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
