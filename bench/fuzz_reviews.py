"""Fuzzed reviews against the injector's own handler: `python -m bench.fuzz_reviews 100000 --seed 1`.

Realistic reviews (review_corpus.py) are broken in one to four places, as documents or as bytes, and given to the
handler in this process. review_judge.py says what may come back: an answer for a pod's creation only, with sidecars of
accepted bindings of its namespace only, the rest of the pod as it was; a reason for everything else; never a crash.
What was injected is reviewed once more and must stay as it is. Each review depends on the seed and its number alone, so
`--only NUMBER` repeats one. Not a benchmark: see injector.py.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import collections
import contextlib
import copy
import json
import logging
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jsonpatch
from aiohttp import web

from bench import review_corpus
from bench.review_judge import Judge
from carrier_operator.container import ClusterFacts
from carrier_operator.inject import inject
from carrier_operator.injector.server import State, Webhook
from carrier_operator.injector.telemetry import Telemetry
from carrier_operator.log import JsonFormatter
from carrier_operator.policy import Policy
from carrier_operator.stores import BindingStore

Json = dict[str, Any]
Path = tuple[Any, ...]
PROGRESS_EVERY_S = 5.0
COMPLAINTS_SHOWN = 5
IMAGE = "carrier/sidecar:1"

_TEXTS = (
    "", " ", "\x00", "\n", "\ud800", "~1/~0", "../..", "$(A)", "é\u202e", "x" * 3000, "true", "Pod", "CREATE", "0", "-",
    "carrier-orders", "orders", '"', "carrier.dev/inject",
)  # fmt: skip
_NUMBERS = (0, -1, 1, 8080, 65536, 2**63, 10**400, -0.0, 0.5, 1e308, float("inf"), float("nan"))
_REQUEST: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("operation", ("UPDATE", "DELETE", "CONNECT", "create", "CREATE ", None, ["CREATE"])),
    ("subResource", ("status", "ephemeralcontainers", "", None)),
    ("resource", ({"group": "", "version": "v1", "resource": "secrets"}, "pods", {"resource": "pods"}, None)),
    ("namespace", ("", "billing", "kube-public", "SHOP", None, 3)),
    ("uid", ("", None, 7, "\ud800", "u" * 5000)),
    ("object", (None, [], {}, {"kind": "Pod"}, {"apiVersion": "v1", "kind": "Pod"})),
    ("dryRun", (None, "true", 1, True)),
    ("name", (None, 1, "x")),
)


def junk(rng: random.Random, depth: int = 0) -> Any:
    """Any JSON value, most of them small."""
    what = rng.randrange(6 if depth < 3 else 4)
    if what == 0:
        return rng.choice((None, True, False))
    if what == 1:
        return rng.choice(_NUMBERS)
    if what in (2, 3):
        return rng.choice(_TEXTS)
    if what == 4:
        return [junk(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(_TEXTS): junk(rng, depth + 1) for _ in range(rng.randrange(4))}


def places(value: Any, path: Path = ()) -> list[Path]:
    """The paths of everything in a document, its own excepted."""
    found: list[Path] = []
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found.append((*path, key))
        found += places(child, (*path, key))
    return found


def at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def _replace(rng: random.Random, document: Json, path: Path) -> None:
    at(document, path[:-1])[path[-1]] = junk(rng)


def _delete(rng: random.Random, document: Json, path: Path) -> None:
    del at(document, path[:-1])[path[-1]]


def _double(rng: random.Random, document: Json, path: Path) -> None:
    """An item once more in its list; a value under a second name."""
    parent, key = at(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent.insert(rng.randint(0, len(parent)), copy.deepcopy(parent[key]))
    else:
        parent[rng.choice(_TEXTS)] = copy.deepcopy(parent[key])


def _graft(rng: random.Random, document: Json, path: Path) -> None:
    """Something else of the same document in this place."""
    at(document, path[:-1])[path[-1]] = copy.deepcopy(at(document, rng.choice(places(document))))


def _retype(rng: random.Random, document: Json, path: Path) -> None:
    value = at(document, path)
    at(document, path[:-1])[path[-1]] = rng.choice((str(value), [value], {"name": value}, None))


def _nest(rng: random.Random, document: Json, path: Path) -> None:
    value: Any = at(document, path)
    for _ in range(rng.choice((3, 100, 400))):
        value = [value] if rng.random() < 0.5 else {"a": value}
    at(document, path[:-1])[path[-1]] = value


def _request(rng: random.Random, document: Json, path: Path) -> None:
    """The request's own fields, nearly right."""
    request = document.get("request")
    if isinstance(request, dict):
        key, values = rng.choice(_REQUEST)
        request[key] = copy.deepcopy(rng.choice(values))


MUTATIONS: tuple[tuple[Callable[[random.Random, Json, Path], None], int], ...] = (
    (_replace, 6), (_delete, 4), (_double, 3), (_graft, 3), (_retype, 3), (_nest, 1), (_request, 3),
)  # fmt: skip


def break_document(rng: random.Random, document: Json) -> None:
    """One to four places of a review, changed. Favours the pod, and what injection reads of it."""
    kinds, weights = zip(*MUTATIONS, strict=True)
    for _ in range(rng.choices((1, 2, 3, 4), (6, 3, 1, 1))[0]):
        found = places(document)
        if not found:
            return
        inside = [path for path in found if len(path) > 3]
        path = rng.choice(inside if inside and rng.random() < 0.8 else found)
        rng.choices(kinds, weights)[0](rng, document, path)


def break_bytes(rng: random.Random, body: bytes) -> bytes:
    """The document's text, damaged: cut, flipped, spliced, in another encoding."""
    where, long = rng.randrange(len(body)), rng.randint(1, 200)
    what = rng.randrange(7)
    if what == 0:
        return body[:where]
    if what == 1:
        return body[:where] + bytes((body[where] ^ (1 << rng.randrange(8)),)) + body[where + 1 :]
    if what == 2:
        return body[:where] + rng.randbytes(rng.randint(1, 4)) + body[where:]
    if what == 3:
        return body[:where] + body[where + long :]
    if what == 4:
        return body[: where + long] + body[where:]
    if what == 5:
        return rng.choice((body.decode().encode("utf-16"), body.decode().encode("utf-32"), b"\xef\xbb\xbf" + body))
    return body.replace(b'"operation"', b'"operation": "DELETE", "operation"')


class _Request:
    """As much of a request as the handler reads."""

    def __init__(self, body: bytes) -> None:
        self.content_type = "application/json"
        self._body = body

    async def read(self) -> bytes:
        return self._body


class _LogFailed(Exception):
    """A line could not be logged."""


class _Log(logging.StreamHandler[Any]):
    """Writes every line to nowhere, as the process writes it to standard output; what fails is raised."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        raise _LogFailed from sys.exc_info()[1]


@contextlib.contextmanager
def _deep_documents() -> Iterator[None]:
    """What the handler could read with the usual limit, the judge can copy and compare."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10 * limit)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


class Fuzz:
    """One run: reviews by number, what came of them, and complaints."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.complaints: list[str] = []
        self._bindings = BindingStore(Policy())
        for document in review_corpus.bindings():
            self._bindings.put(document)
        self._cluster = ClusterFacts(IMAGE, native=True)
        telemetry = Telemetry(
            cache_age_s=lambda: 0.0, bindings=lambda: 0.0, certificate_not_after=lambda: None, ready=lambda: 1.0
        )
        self._webhook = Webhook(self._bindings, lambda: self._cluster, State(list), telemetry)
        self._judge = Judge(IMAGE)

    def review(self, number: int) -> tuple[bytes, bool]:
        """Review of this number, and whether it is whole."""
        rng = random.Random(f"{self.seed}/{number}")
        document = review_corpus.review(rng)
        if rng.random() < 0.2:  # the second call of a reinvocation
            request = document["request"]
            namespace = request["namespace"]
            done = inject(request["object"], namespace, self._bindings.of(namespace), self._cluster, "token-of-the-pod")
            request["object"] = copy.deepcopy(done.pod)
        what = rng.random()
        if 0.1 <= what < 0.85 or what > 0.97:
            break_document(rng, document)
        # Lone surrogates can only stand there escaped; the rest is written as Go writes it.
        body = json.dumps(document, ensure_ascii=rng.random() < 0.2 or "\\ud800" in json.dumps(document)).encode()
        if what >= 0.85:
            body = break_bytes(rng, body)
        return body, what < 0.1

    async def one(self, number: int) -> None:
        """Gives one review to the handler, and what it injected once more."""
        with _deep_documents():
            body, whole = self.review(number)
        answer = await self._ask(number, body, whole)
        if answer is None:
            return
        patch = json.loads(answer)["response"].get("patch")
        self.outcomes["without a patch" if patch is None else "with a patch"] += 1
        if patch is None:
            return
        document = json.loads(body)
        request = document["request"]
        with _deep_documents():
            request["object"] = jsonpatch.apply_patch(request["object"], json.loads(base64.b64decode(patch)))
        again = await self._ask(number, json.dumps(document).encode(), whole)
        if again is None or b'"patch"' in again:
            self.complaints.append(f"review {number}: what was injected is not left as it is")

    async def _ask(self, number: int, body: bytes, whole: bool) -> bytes | None:
        """The answer, None for a refusal; complaints are noted."""
        try:
            response = await self._webhook.handle(_Request(body))  # type: ignore[arg-type]  # read() and content_type
        except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked for
            self.outcomes["crash"] += 1
            self.complaints.append(f"review {number}: {type(error).__name__}: {error}")
            return None
        self.outcomes[str(response.status)] += 1
        text = response.body
        payload = bytes(text) if isinstance(text, (bytes, bytearray)) else b""
        try:
            with _deep_documents():
                complaint = self._judge.complaint(body, whole, response.status, payload)
        except Exception as error:  # noqa: BLE001 - an answer that can't be judged is looked at by people
            complaint = f"can't be judged: {type(error).__name__}: {error}"
        if complaint:
            self.complaints.append(f"review {number}: {complaint}")
        return payload if response.status == web.HTTPOk.status_code else None


async def run(fuzz: Fuzz, count: int, *, say: Callable[[str], None]) -> None:
    """Reviews 0 to `count` - 1, with a line of progress now and then."""
    began = said = time.monotonic()
    for number in range(count):
        await fuzz.one(number)
        now = time.monotonic()
        if now - said >= PROGRESS_EVERY_S:
            said = now
            rate = (number + 1) / (now - began)
            say(f"{number + 1:,} of {count:,}, {rate:,.0f}/s, {len(fuzz.complaints)} complaints")


def main(argv: list[str]) -> int:
    """Exit code 0: nothing to complain about."""
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz_reviews", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="this review alone, shown with what is wrong about its answer")
    options = parser.parse_args(argv)
    fuzz = Fuzz(options.seed)
    with open(os.devnull, "w", encoding="utf-8", errors="backslashreplace") as nowhere:
        log = _Log(nowhere)
        log.setFormatter(JsonFormatter())
        logging.basicConfig(level=logging.INFO, handlers=[log], force=True)
        if options.only is not None:
            print(fuzz.review(options.only)[0].decode(errors="backslashreplace"))
            asyncio.run(fuzz.one(options.only))
        else:
            asyncio.run(run(fuzz, options.count, say=lambda line: print(line, file=sys.stderr, flush=True)))
    outcomes = ", ".join(f"{word}: {number:,}" for word, number in sorted(fuzz.outcomes.items()))
    print(f"seed {options.seed}: {outcomes}; {len(fuzz.complaints)} complaints")
    for complaint in fuzz.complaints[:COMPLAINTS_SHOWN]:
        print(f"  {complaint[:1000]}")
    return 1 if fuzz.complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
