"""Fuzzed reviews: a few of them, and that the judge notices handlers which break the rules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bench.fuzz_reviews import Fuzz, run
from carrier_operator.inject import Injection, inject
from carrier_operator.injector import review, server

Wrapped = Callable[..., Any]


def complaints(count: int, seed: int = 7) -> list[str]:
    fuzz = Fuzz(seed)
    asyncio.run(run(fuzz, count, say=lambda line: None))
    return fuzz.complaints


def test_fuzzed_reviews_are_answered_or_refused() -> None:
    fuzz = Fuzz(7)
    asyncio.run(run(fuzz, 300, say=lambda line: None))
    assert fuzz.complaints == []
    assert fuzz.outcomes["with a patch"] > 20
    assert fuzz.outcomes["400"] > 50


def test_a_review_depends_on_seed_and_number_alone() -> None:
    assert Fuzz(3).review(17) == Fuzz(3).review(17)
    assert Fuzz(3).review(17) != Fuzz(4).review(17)


def updates_are_answered(body: bytes) -> review.Review:
    return review.decode(body.replace(b'"UPDATE"', b'"CREATE"').replace(b'"DELETE"', b'"CREATE"'))


def other_encodings_are_read(body: bytes) -> review.Review:
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        try:
            return review.decode(body.decode(encoding).encode())
        except UnicodeError:
            continue
    return review.decode(body)


def a_container_gets_lost(*args: Any, **kwargs: Any) -> Injection:
    done = inject(*args, **kwargs)
    if done.patch:
        done.patch.append({"op": "remove", "path": "/spec/containers/0"})
    return done


def the_pod_asks_in_vain(pod: Any, namespace: str, bindings: Any, *rest: Any, **kwargs: Any) -> Injection:
    return inject(pod, namespace, bindings[:1], *rest, **kwargs)


def others_annotations_get_lost(*args: Any, **kwargs: Any) -> Injection:
    done = inject(*args, **kwargs)
    for operation in done.patch:
        if operation["path"] == "/metadata":
            operation["value"]["annotations"]["someone/elses"] = "x"
        elif operation["path"].endswith("/annotations"):
            operation["value"]["someone/elses"] = "x"
    return done


def defect(*_: Any, **__: Any) -> Injection:
    raise KeyError("x")


def a_token_each_time(pod: Any, *rest: Any, **kwargs: Any) -> Injection:
    done = inject(pod, *rest, **kwargs)
    if done.injected and not done.patch:
        done.patch.append({"op": "add", "path": "/spec/x", "value": 1})
    return done


@pytest.mark.parametrize("broken", [updates_are_answered, other_encodings_are_read])
def test_the_judge_notices_what_should_have_been_refused(broken: Wrapped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "decode", broken)
    assert complaints(400)


@pytest.mark.parametrize(
    "broken", [a_container_gets_lost, the_pod_asks_in_vain, others_annotations_get_lost, a_token_each_time, defect]
)
def test_the_judge_notices_a_wrong_patch(broken: Wrapped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "inject", broken)
    assert complaints(150)
