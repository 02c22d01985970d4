"""YAML in and out, several documents in one stream: order, and everything that is not changed, is kept."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml


class BadInput(Exception):
    """What was given can't be used; the message is for the user."""


class _Loader(yaml.SafeLoader):
    """Scalars as kubectl reads them: PyYAML alone would make dates of `2001-01-01` and a number of `22:22`."""


def _resolvers(first: str, resolvers: list[Any]) -> list[Any]:
    kept = []
    for tag, pattern in resolvers:
        if tag == "tag:yaml.org,2002:timestamp":
            continue
        if tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
            pattern = _WITHOUT_BASE_60[tag]
        kept.append((tag, pattern))
    return kept


_WITHOUT_BASE_60 = {
    "tag:yaml.org,2002:int": re.compile(r"^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]*|[-+]?[1-9][0-9_]*|[-+]?0x[0-9a-fA-F_]+)$"),
    "tag:yaml.org,2002:float": re.compile(
        r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
}
_Loader.yaml_implicit_resolvers = {
    first: _resolvers(first, resolvers) for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# Numbers to other readers of YAML, text to PyYAML: `1e3` in a name must stay quoted.
_NUMBER_ELSEWHERE = re.compile(r"[-+]?(0o[0-7]+|(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)")
_BOUNDARY = re.compile(r"^---(?=\s|$)", re.M)


class _Dumper(yaml.SafeDumper):
    """Without anchors, text of several lines as a block."""

    def ignore_aliases(self, data: Any) -> bool:
        """Manifests are read by people: nothing is abbreviated."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else "'" if _NUMBER_ELSEWHERE.fullmatch(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def read_text(path: str) -> str:
    """A file's text, or standard input's for `-`. BadInput."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: {error}") from error


class Document:
    """One document of a stream and the text that it stood in, which is given out again when nothing was changed."""

    __slots__ = ("text", "value")

    def __init__(self, value: Any, text: str) -> None:
        self.value = value
        self.text = text


def parse(text: str, where: str) -> list[Document]:
    """All documents of a stream, empty ones left out. BadInput."""
    found = []
    try:
        for part in _BOUNDARY.split(text):
            values = [it for it in yaml.load_all(part, Loader=_Loader) if it is not None]
            found += [Document(value, part) for value in values]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadInput(f"{where}: {error}") from error
    return found


def files(path: str) -> list[str]:
    """The manifests at a path: itself, or the YAML and JSON files of a folder by name."""
    folder = Path(path)
    if path == "-" or not folder.is_dir():
        return [path]
    return [str(it) for it in sorted(folder.iterdir()) if it.suffix in (".yaml", ".yml", ".json") and it.is_file()]


def stream(documents: list[tuple[Document, Any]]) -> str:
    """A stream of documents, each with what it has become; unchanged ones as they were, comments included."""
    texts = [
        before.text.strip("\n") if after == before.value else to_yaml(after).strip("\n") for before, after in documents
    ]
    return "---\n".join(f"{text}\n" for text in texts)


def to_yaml(value: Any) -> str:
    """One document."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=4096)
    return text


def dump(value: Any, form: str) -> str:
    """One value as `json` or `yaml`."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n" if form == "json" else to_yaml(value)
