"""JSON Patch (RFC 6902) and JSON Pointer (RFC 6901): the few operations that lead from one document to another.

Pure. Lists are compared from both ends: what is inserted or removed in the middle is inserted or removed, the rest is
compared item by item.
"""

from __future__ import annotations

from typing import Any

Operation = dict[str, Any]


def escape(part: str) -> str:
    """One reference token of a JSON Pointer."""
    return part.replace("~", "~0").replace("/", "~1")


def pointer(*parts: str | int) -> str:
    """A JSON Pointer of these reference tokens."""
    return "".join(f"/{escape(str(part))}" for part in parts)


def diff(old: Any, new: Any) -> list[Operation]:
    """Operations that make `new` of `old`; none when they are equal. Neither is changed."""
    operations: list[Operation] = []
    _diff(old, new, "", operations)
    return operations


def _same(old: Any, new: Any) -> bool:
    """Equality as JSON has it: true is not 1."""
    if isinstance(old, bool) != isinstance(new, bool):
        return False
    if isinstance(old, dict):
        return isinstance(new, dict) and old.keys() == new.keys() and all(_same(old[key], new[key]) for key in old)
    if isinstance(old, list):
        return isinstance(new, list) and len(old) == len(new) and all(map(_same, old, new))
    return bool(old == new)


def _diff(old: Any, new: Any, path: str, operations: list[Operation]) -> None:
    if old is new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old:
            if key not in new:
                operations.append({"op": "remove", "path": f"{path}/{escape(key)}"})
        for key, value in new.items():
            if key in old:
                _diff(old[key], value, f"{path}/{escape(key)}", operations)
            else:
                operations.append({"op": "add", "path": f"{path}/{escape(key)}", "value": value})
    elif isinstance(old, list) and isinstance(new, list):
        _diff_lists(old, new, path, operations)
    elif not _same(old, new):
        operations.append({"op": "replace", "path": path, "value": new})


def _diff_lists(old: list[Any], new: list[Any], path: str, operations: list[Operation]) -> None:
    if len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            _diff(before, after, f"{path}/{index}", operations)
        return
    start = 0
    while start < min(len(old), len(new)) and _related(old[start], new[start]):
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and _related(old[-1 - end], new[-1 - end]):
        end += 1
    for index in range(start):
        _diff(old[index], new[index], f"{path}/{index}", operations)
    middle_old, middle_new = old[start : len(old) - end], new[start : len(new) - end]
    for index in range(len(middle_old) - 1, -1, -1):
        operations.append({"op": "remove", "path": f"{path}/{start + index}"})
    for index, value in enumerate(middle_new):
        where = "-" if end == 0 else str(start + index)
        operations.append({"op": "add", "path": f"{path}/{where}", "value": value})
    for offset in range(end, 0, -1):
        _diff(old[-offset], new[-offset], f"{path}/{len(new) - offset}", operations)


def _related(old: Any, new: Any) -> bool:
    """Are these the same item, perhaps changed? By name where items have one."""
    if isinstance(old, dict) and isinstance(new, dict) and "name" in old and "name" in new:
        return bool(old["name"] == new["name"])
    return _same(old, new)
