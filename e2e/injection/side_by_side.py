"""Tests of a module that run at the same time, each in a thread: what they do most is wait for pods.

    @side_by_side
    def test_something(world: World) -> object: ...

The module takes in the fixture `running`; `world` is of session scope (conftest.py). When the first of its tests
begins, all that are selected begin; each then waits for its own. What a test returns is shown in the summary
(conftest.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

Body = Callable[[Any], object]


def side_by_side(body: Body) -> Callable[[dict[str, Future[object]], Any], None]:
    """A test that waits for the end of `body`, which got the fixture `world` as its argument."""

    def test(running: dict[str, Future[object]], record_property: Any) -> None:
        account = running[body.__name__].result()
        if account is not None:
            record_property("account", account)

    test.__name__ = body.__name__
    test.__doc__ = body.__doc__
    test.__dict__["body"] = body
    return test


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest, world: Any) -> Iterator[dict[str, Future[object]]]:
    """By the name of each selected test of the module, its run."""
    bodies: dict[str, Body] = {
        item.name: item.function.__dict__["body"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module and "body" in item.function.__dict__
    }
    with ThreadPoolExecutor(max_workers=len(bodies)) as pool:
        yield {name: pool.submit(body, world) for name, body in bodies.items()}
