from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from carrier_operator.controller.lease import CREATE, LOST, READ, RENEW, TAKE, Elector, Record


def held(by: str, renewed: str = "t0", version: str = "1", duration_s: int = 15) -> Record:
    return Record(by, renewed, duration_s, 0, version)


def leader(now: float = 0.0) -> Elector:
    elector = Elector("me")
    elector.absent()
    elector.wrote(held("me"), now)
    return elector


def test_where_there_is_no_lease_it_is_made() -> None:
    elector = Elector("me")
    assert elector.step(0) == READ
    elector.absent()
    assert elector.step(0) == CREATE
    elector.wrote(held("me"), 0)
    assert elector.leading
    assert elector.step(2) == RENEW


def test_a_lease_that_is_free_is_taken_at_once() -> None:
    elector = Elector("me")
    elector.saw(held(""), 0)
    assert elector.step(0) == TAKE


def test_a_holder_is_waited_for_as_long_as_its_record_changes() -> None:
    elector = Elector("me")
    for second in range(0, 60, 2):
        elector.saw(held("other", renewed=f"t{second}"), second)
        assert elector.step(second) == READ


def test_a_holder_that_is_silent_for_its_duration_is_followed() -> None:
    elector = Elector("me")
    elector.saw(held("other"), 100)
    elector.saw(held("other"), 114.9)
    assert elector.step(114.9) == READ
    elector.saw(held("other"), 115)
    assert elector.step(115) == TAKE


def test_the_clock_of_the_holder_does_not_matter() -> None:
    elector = Elector("me")
    elector.saw(held("other", renewed="1999-01-01T00:00:00Z"), 0)
    assert elector.step(0) == READ


def test_a_leader_writes_until_ten_seconds_after_it_sent_its_last_renewal() -> None:
    elector = leader(0)
    assert elector.may_write(9.9)
    assert not elector.may_write(10)
    elector.wrote(held("me", "t1"), 8)
    assert elector.may_write(17.9)


def test_a_leader_that_could_not_renew_in_time_has_lost_for_good() -> None:
    elector = leader(0)
    elector.refused()
    assert elector.step(9) == READ
    assert elector.step(10) == LOST
    elector.wrote(held("me", "t9"), 9)
    assert elector.step(11) == LOST
    assert not elector.may_write(11)


def test_a_process_that_was_stopped_knows_on_waking() -> None:
    elector = leader(0)
    assert not elector.may_write(3600)
    assert elector.step(3600) == LOST


def test_another_holder_in_the_record_is_a_loss() -> None:
    elector = leader(0)
    elector.saw(held("other"), 3)
    assert elector.step(3) == LOST
    assert not elector.may_write(3)


def test_a_lease_deleted_under_its_leader_is_a_loss() -> None:
    elector = leader(0)
    elector.absent()
    assert elector.step(1) == LOST


def test_a_conflict_is_looked_at_before_the_next_renewal() -> None:
    elector = leader(0)
    elector.refused()
    assert elector.step(2) == READ
    elector.saw(held("me", version="7"), 2)
    assert elector.step(2) == RENEW
    assert elector.may_write(2)


def test_releasing_ends_it() -> None:
    elector = leader(0)
    assert elector.released("now")["holderIdentity"] == ""
    assert not elector.may_write(0)


def test_transitions_count_changes_of_holder() -> None:
    elector = Elector("me")
    elector.saw(Record("", "t", 15, 4, "1"), 0)
    assert elector.wanted("now")["leaseTransitions"] == 5
    elector.wrote(Record("me", "now", 15, 5, "2"), 0)
    assert elector.wanted("later")["leaseTransitions"] == 5
    assert "acquireTime" not in elector.wanted("later")


class Cluster:
    """A Lease with optimistic locking; candidates with clocks of their own that are stopped, cut off and slow."""

    def __init__(self) -> None:
        self.record: Record | None = None
        self.version = 0

    def write(self, elector: Elector, sent_at: float, text: str) -> None:
        base = elector.record
        if (base.resource_version if base else None) != (self.record.resource_version if self.record else None):
            elector.refused()
            return
        wanted = elector.wanted(text)
        self.version += 1
        transitions = wanted["leaseTransitions"]
        assert isinstance(transitions, int)
        self.record = Record(elector.identity, text, elector.duration_s, transitions, str(self.version))
        elector.wrote(self.record, sent_at)


MOVES = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.sampled_from(["turn", "cut off", "stop"]), st.floats(0.1, 12)), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(moves=MOVES, skew=st.floats(-1e6, 1e6))
def test_two_candidates_never_may_write_at_once(moves: list[tuple[int, str, float]], skew: float) -> None:
    cluster = Cluster()
    electors = [Elector("a"), Elector("b")]
    skews = [0.0, skew]
    now = 0.0
    for who, what, passes_s in moves:
        elector, mine = electors[who], now + skews[who]
        if what == "turn":
            step = elector.step(mine)
            if step == READ:
                if cluster.record is None:
                    elector.absent()
                else:
                    elector.saw(cluster.record, mine)
            elif step in (CREATE, TAKE, RENEW):
                cluster.write(elector, mine, f"{now}")
            elif step == LOST:
                electors[who] = Elector(f"{elector.identity}'")
        elif what == "cut off":
            elector.refused()
        now += passes_s
        assert sum(it.may_write(now + skews[index]) for index, it in enumerate(electors)) <= 1
