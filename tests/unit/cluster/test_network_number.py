"""Two clusters on one machine never share a number."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.cluster import network_number


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_a_number_is_taken_until_it_is_given_back() -> None:
    first = network_number.take()
    second = network_number.take()
    assert first.number != second.number
    first.close()
    third = network_number.take()
    assert third.number == first.number
    second.close()
    third.close()


def test_a_cluster_knows_whether_it_is_the_only_one() -> None:
    first = network_number.take()
    assert not network_number.others(first.number)
    second = network_number.take()
    assert network_number.others(first.number)
    second.close()
    assert not network_number.others(first.number)
    first.close()
