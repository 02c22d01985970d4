"""The demonstration's account: it must not balance when something was lost or came from nowhere."""

from __future__ import annotations

from typing import Any

from demo.ledger import WINDOW_S, Ledger


def entry(status: int = 200, receive_count: int = 1) -> dict[str, Any]:
    return {"status": status, "headers": {"x-carrier-receive-count": str(receive_count)}}


def filled(*orders: str) -> Ledger:
    ledger = Ledger()
    for order in orders:
        ledger.sent(order, 0.0)
    return ledger


def test_all_delivered_balances_with_an_empty_queue() -> None:
    ledger = filled("1", "2")
    for order in ("1", "2"):
        ledger.reached(order, entry(), 1.0)
    assert ledger.balances(0)
    assert not ledger.balances(1)


def test_a_lost_order_does_not_balance() -> None:
    ledger = filled("1", "2")
    ledger.reached("1", entry(), 1.0)
    assert not ledger.balances(0)
    assert ledger.balances(1)  # unless it is still in the queue


def test_a_duplicate_is_counted_and_hides_no_loss() -> None:
    ledger = filled("1", "2")
    ledger.reached("1", entry(), 1.0)
    ledger.reached("1", entry(receive_count=2), 2.0)
    assert (ledger.delivered, ledger.duplicates, ledger.retried) == (1, 1, 1)
    assert not ledger.balances(0)
    assert ledger.receive_counts == {1: 1, 2: 1}


def test_a_refused_request_is_no_delivery() -> None:
    ledger = filled("1")
    ledger.reached("1", entry(status=500), 1.0)
    assert not ledger.has_reached("1")
    assert not ledger.balances(0)


def test_an_order_that_nobody_sent_does_not_balance() -> None:
    ledger = filled("1")
    ledger.reached("1", entry(), 1.0)
    ledger.reached("7", entry(), 1.0)
    assert ledger.strangers == 1
    assert not ledger.balances(0)


def test_what_the_queue_did_not_take_was_not_sent() -> None:
    ledger = filled("1", "2")
    ledger.unsent("2")
    ledger.reached("1", entry(), 1.0)
    assert ledger.balances(0)


def test_rate_and_percentiles_are_of_the_last_seconds() -> None:
    ledger = filled("1", "2", "3")
    ledger.reached("1", entry(), 1.0)
    ledger.reached("2", entry(), 10.0)
    ledger.reached("3", entry(), 11.0)
    per_s, p50_ms, p99_ms = ledger.recent(11.5)
    assert per_s == 2 / WINDOW_S
    assert (p50_ms, p99_ms) == (11_000.0, 11_000.0)
    assert ledger.recent(100.0) == (0.0, None, None)
