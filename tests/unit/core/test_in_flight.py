"""The messages in hand."""

from __future__ import annotations

from carrier_sidecar.in_flight import ACCEPTED, HELD, MAX_REMEMBERED, POSTING, WAITING, InFlight
from carrier_sidecar.message import Message

NOW = 100.0


def message(name: str, group: str | None = None, sequence: int | None = None) -> Message:
    system = {"SequenceNumber": str(sequence)} if sequence is not None else None
    made = Message(name, f"{name}/1", b"12345", group=group, system=system)
    made.visible_at = NOW + 30
    return made


def holding(*messages: Message) -> InFlight:
    hand = InFlight()
    for each in messages:
        hand.add(each, NOW)
    return hand


def taken(hand: InFlight, now: float = NOW) -> list[str]:
    found = []
    while (each := hand.take(now)) is not None:
        found.append(each.id)
    return found


def test_messages_go_to_the_handler_in_the_order_of_their_receive() -> None:
    hand = holding(message("a"), message("b"), message("c"))
    assert taken(hand) == ["a", "b", "c"]
    assert (hand.waiting, hand.posting) == (0, 3)


def test_bytes_are_counted_until_the_body_is_not_needed_any_more() -> None:
    a, b = message("a"), message("b")
    hand = holding(a, b)
    hand.take(NOW)
    assert hand.bytes == 10
    hand.move(a, ACCEPTED)
    assert hand.bytes == 5
    assert a.body == b""
    hand.remove(b)
    assert hand.bytes == 0
    hand.remove(a)
    assert hand.bytes == 0
    assert len(hand) == 0


def test_counts_follow_the_states() -> None:
    a, b = message("a"), message("b")
    hand = holding(a, b)
    hand.take(NOW)
    hand.move(a, ACCEPTED)
    hand.remove(b)
    assert (hand.waiting, hand.posting) == (0, 0)


def test_what_was_given_back_meanwhile_is_not_taken() -> None:
    a, b = message("a"), message("b")
    hand = holding(a, b)
    hand.remove(a)
    assert taken(hand) == ["b"]


def test_one_whose_visibility_has_run_out_is_not_begun_until_it_is_confirmed() -> None:
    a = message("a")
    hand = holding(a)
    assert taken(hand, NOW + 30) == []
    assert a.state == WAITING
    a.visible_at = NOW + 60
    hand.confirmed(a, NOW + 30)
    assert taken(hand, NOW + 30) == ["a"]


def test_of_a_group_one_at_a_time_groups_side_by_side() -> None:
    hand = holding(message("r1", "red"), message("r2", "red"), message("b1", "blue"))
    assert taken(hand) == ["r1", "b1"]


def test_the_next_of_a_group_follows_once_the_one_before_is_delivered() -> None:
    first = message("r1", "red")
    hand = holding(first, message("r2", "red"))
    hand.take(NOW)
    hand.offer("red", NOW)
    assert taken(hand) == []
    hand.move(first, ACCEPTED)
    hand.offer("red", NOW)
    assert taken(hand) == ["r2"]


def test_nothing_follows_a_delivered_head_whose_visibility_has_run_out() -> None:
    first, second = message("r1", "red"), message("r2", "red")
    second.visible_at = NOW + 100
    hand = holding(first, second)
    hand.take(NOW)
    hand.move(first, ACCEPTED)
    hand.offer("red", NOW + 30)
    assert taken(hand, NOW + 30) == []
    first.visible_at = NOW + 90
    first.lapsed = True
    hand.offer("red", NOW + 30)
    assert taken(hand, NOW + 30) == []


def test_a_held_head_keeps_its_group_still() -> None:
    first = message("r1", "red")
    hand = holding(first, message("r2", "red"))
    hand.take(NOW)
    hand.move(first, HELD)
    hand.offer("red", NOW)
    assert taken(hand) == []


def test_an_earlier_member_handed_out_again_goes_before_later_ones() -> None:
    """By its sequence number, which is longer than a float holds."""
    base = 18849496460467696128
    first, second = message("r2", "red", base + 2), message("r3", "red", base + 3)
    hand = holding(first, second)
    first.visible_at = NOW  # so that nothing is begun
    again = message("r1", "red", base + 1)
    hand.add(again, NOW)
    assert [member.id for member in hand.groups["red"].members] == ["r1", "r2", "r3"]
    assert taken(hand) == ["r1"]


def test_one_with_the_handler_is_not_overtaken_in_the_order() -> None:
    second = message("r2", "red", 2)
    hand = holding(second)
    hand.take(NOW)
    hand.add(message("r1", "red", 1), NOW)
    assert [member.id for member in hand.groups["red"].members] == ["r2", "r1"]
    assert taken(hand) == []


def test_delivered_members_are_no_followers() -> None:
    first, second, third = (message(f"r{number}", "red") for number in (1, 2, 3))
    hand = holding(first, second, third)
    hand.move(second, ACCEPTED)
    assert hand.groups["red"].followers(first) == [third]


def test_a_group_without_members_is_forgotten() -> None:
    a = message("a", "red")
    hand = holding(a)
    hand.remove(a)
    assert not hand.groups


def test_remembered_ids_are_bounded_and_the_oldest_goes_first() -> None:
    hand = InFlight()
    for number in range(MAX_REMEMBERED + 5):
        hand.remember(f"m{number}")
    assert len(hand.remembered) == MAX_REMEMBERED
    assert "m4" not in hand.remembered
    assert "m5" in hand.remembered


def test_messages_are_found_by_state() -> None:
    hand = holding(message("a"), message("b"))
    hand.take(NOW)
    assert [each.id for each in hand.in_state(POSTING)] == ["a"]
    assert [each.id for each in hand.in_state(WAITING, POSTING)] == ["a", "b"]
