"""The gate: open while nobody holds it shut."""

from __future__ import annotations

import pytest

from carrier_sidecar.gate import DELETE_DENIED, DRAINING, OFFLINE, PAUSED, QUEUE, REASONS, STARTING, Gate


def test_it_is_open_without_reasons() -> None:
    gate = Gate()
    assert gate.receives
    assert gate.posts


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_stops_receiving(reason: str) -> None:
    assert not Gate(reason).receives


@pytest.mark.parametrize("reason", [STARTING, OFFLINE, PAUSED, DRAINING])
def test_some_stop_posting_too(reason: str) -> None:
    assert not Gate(reason).posts


@pytest.mark.parametrize("reason", [QUEUE, DELETE_DENIED])
def test_what_concerns_the_queue_alone_lets_what_is_in_hand_be_posted(reason: str) -> None:
    assert Gate(reason).posts


def test_it_opens_only_when_the_last_reason_is_gone() -> None:
    gate = Gate(STARTING, QUEUE)
    assert gate.open(STARTING)
    assert not gate.receives
    assert gate.posts
    assert gate.open(QUEUE)
    assert gate.receives


def test_a_reason_counts_once() -> None:
    gate = Gate()
    assert gate.shut(OFFLINE)
    assert not gate.shut(OFFLINE)
    assert gate.open(OFFLINE)
    assert not gate.open(OFFLINE)
    assert gate.receives


def test_every_reason_has_a_sentence_for_people() -> None:
    assert all(text for _, text in REASONS.values())
