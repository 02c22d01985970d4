"""An API server's objects in memory, as the controller's client sees them: versions, conflicts, lists, watches."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from typing import Any

from carrier_operator.kube.client import ApiError

Json = dict[str, Any]


class StubApi:
    """Stands for Client. Objects are kept by path; `refuse` answers every write whose path contains a text with a
    status; `writes` has method, path and body of each that was made.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.refuse: dict[str, int] = {}
        self.writes: list[tuple[str, str, Json]] = []
        self._version = 0
        self._watchers: list[tuple[str, str, asyncio.Queue[Json]]] = []

    # -- as a person does it -----------------------------------------------------------------------------------------

    def put(self, path: str, document: Json) -> Json:
        """Creates or replaces an object."""
        self._version += 1
        folder, _, name = path.rpartition("/")
        document = copy.deepcopy(document)
        document.setdefault("metadata", {}).update(name=name, resourceVersion=str(self._version))
        kind = "MODIFIED" if path in self.objects else "ADDED"
        self.objects[path] = document
        self._tell(folder, name, kind, document)
        return document

    def delete(self, path: str) -> None:
        document = self.objects.pop(path)
        folder, _, name = path.rpartition("/")
        self._tell(folder, name, "DELETED", document)

    def _tell(self, folder: str, name: str, kind: str, document: Json) -> None:
        for watched, wanted, queue in self._watchers:
            if watched == folder and wanted in ("", name):
                queue.put_nowait({"type": kind, "object": copy.deepcopy(document)})

    # -- as Client does it -------------------------------------------------------------------------------------------

    async def request(self, method: str, path: str, *, body: Any = None, content_type: str = "", **_: Any) -> Any:
        await asyncio.sleep(0.01)
        if method == "GET":
            return copy.deepcopy(self._at(path))
        self.writes.append((method, path, body))
        for part, status in self.refuse.items():
            if part in path:
                raise ApiError(status, "Told", "told to")
        if method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            if path in self.objects:
                raise ApiError(409, "AlreadyExists", "")
            return copy.deepcopy(self.put(path, body))
        there = self._at(path)
        wanted = body["metadata"].get("resourceVersion")
        if wanted is not None and wanted != there["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "")
        if method == "PUT":
            if there.get("type") != body.get("type"):
                raise ApiError(422, "Invalid", "type: field is immutable")
            return copy.deepcopy(self.put(path, body))
        return copy.deepcopy(self.put(path, _merged(there, body, apply="apply" in content_type)))

    def _at(self, path: str) -> Json:
        if path not in self.objects:
            raise ApiError(404, "NotFound", path)
        return self.objects[path]

    async def pages(self, path: str, query: Any = None) -> AsyncIterator[Json]:
        await asyncio.sleep(0.01)
        name = (query or {}).get("fieldSelector", "").partition("=")[2]
        items = [
            copy.deepcopy(it)
            for at, it in self.objects.items()
            if at.rpartition("/")[0] == path and name in ("", it["metadata"]["name"])
        ]
        yield {"metadata": {"resourceVersion": str(self._version)}, "items": items}

    async def watch(self, path: str, version: str, query: Any = None, **_: Any) -> AsyncIterator[Json]:
        queue: asyncio.Queue[Json] = asyncio.Queue()
        name = (query or {}).get("fieldSelector", "").partition("=")[2]
        self._watchers.append((path, name, queue))
        for at, document in self.objects.items():
            folder, its_name = at.rsplit("/", 1)
            if (
                folder == path
                and name in ("", its_name)
                and int(document["metadata"]["resourceVersion"]) > int(version)
            ):
                queue.put_nowait({"type": "MODIFIED", "object": copy.deepcopy(document)})
        while True:
            yield await queue.get()


def _merged(there: Json, patch: Json, *, apply: bool) -> Json:
    """A merge patch; in an apply, lists of named objects are merged by name."""
    out = copy.deepcopy(there)
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = _merged(out[key], value, apply=apply)
        elif apply and isinstance(value, list) and isinstance(out.get(key), list):
            named = {it["name"]: it for it in value}
            out[key] = [_merged(it, named.get(it["name"], {}), apply=True) for it in out[key]]
        else:
            out[key] = copy.deepcopy(value)
    return out
