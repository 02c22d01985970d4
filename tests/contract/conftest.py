"""The SQS servers, each started once for all the suites that want it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract import sqs_servers
from tests.contract.elasticmq import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.sqs_servers import Server


@pytest.fixture(scope="session", params=["memory", "moto", pytest.param("elasticmq", marks=pytest.mark.java)])
def sqs_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    start = sqs_servers.SERVERS[request.param]()
    try:
        running = start.__enter__()
    except Unavailable as why:
        pytest.skip(str(why))
    try:
        yield running
    finally:
        start.__exit__(None, None, None)
