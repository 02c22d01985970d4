from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from carrier_operator.controller.certificate_policy import (
    FORGET_PREVIOUS,
    MAKE_CA,
    MAKE_LEAF,
    PUBLISH,
    Certificate,
    Observed,
    look_again_in_s,
    next_step,
)

NAMES = frozenset({"injector.svc"})
CA = Certificate("ca1", 0, 900)
NEW_CA = Certificate("ca2", 600, 1500)
LEAF = Certificate("leaf1", 0, 300, signer="ca1", names=NAMES)
NEW_LEAF = Certificate("leaf2", 600, 900, signer="ca2", names=NAMES)


def what(seen: Observed, now: float) -> str | None:
    step = next_step(seen, now, NAMES)
    return step.what if step else None


def test_at_the_beginning_there_is_nothing() -> None:
    assert what(Observed(None, None), 0) == MAKE_CA
    assert what(Observed(CA, None), 0) == PUBLISH
    assert what(Observed(CA, None, bundle=[CA]), 0) == MAKE_LEAF
    assert what(Observed(CA, LEAF, bundle=[CA], served=["leaf1"]), 0) is None


def test_a_leaf_is_renewed_after_two_thirds_of_its_life() -> None:
    seen = Observed(CA, LEAF, bundle=[CA], served=["leaf1"], published_s=99)
    assert what(seen, 199) is None
    assert what(seen, 200) == MAKE_LEAF


def test_a_new_ca_is_trusted_beside_the_old_before_a_leaf_of_it_is_made() -> None:
    assert what(Observed(CA, LEAF, bundle=[CA], served=["leaf1"]), 600) == MAKE_CA
    leaf = Certificate("leaf1", 550, 850, signer="ca1", names=NAMES)
    step = next_step(Observed(NEW_CA, leaf, bundle=[CA], previous=[CA], served=["leaf1"]), 601, NAMES)
    assert step is not None
    assert (step.what, step.trust) == (PUBLISH, ("ca2", "ca1"))
    both = {"bundle": [NEW_CA, CA], "previous": [CA], "served": ["leaf1"]}
    assert what(Observed(NEW_CA, leaf, **both, published_s=1), 602) is None  # type: ignore[arg-type]  # see above
    assert what(Observed(NEW_CA, leaf, **both, published_s=6), 607) == MAKE_LEAF  # type: ignore[arg-type]  # see above


def test_the_old_ca_goes_once_every_ready_injector_serves_the_new_leaf() -> None:
    for served in (["leaf2", "leaf1"], ["leaf2", None]):
        assert what(Observed(NEW_CA, NEW_LEAF, bundle=[NEW_CA, CA], previous=[CA], served=served), 610) is None
    step = next_step(Observed(NEW_CA, NEW_LEAF, bundle=[NEW_CA, CA], previous=[CA], served=["leaf2"]), 610, NAMES)
    assert step is not None
    assert (step.what, step.trust) == (PUBLISH, ("ca2",))
    assert what(Observed(NEW_CA, NEW_LEAF, bundle=[NEW_CA], previous=[CA], served=["leaf2"]), 610) == FORGET_PREVIOUS


def test_an_expired_ca_is_dropped_whoever_serves_what() -> None:
    step = next_step(Observed(NEW_CA, NEW_LEAF, bundle=[NEW_CA, CA], served=["leaf1"]), 901, NAMES)
    assert step is not None
    assert step.trust == ("ca2",)


def test_a_deleted_ca_secret_heals_without_a_gap() -> None:
    """What caBundle trusts is kept while the injectors serve by it."""
    assert what(Observed(None, LEAF, bundle=[CA], served=["leaf1"]), 10) == MAKE_CA
    made = Certificate("ca9", 10, 910)
    step = next_step(Observed(made, LEAF, bundle=[CA], served=["leaf1"]), 10, NAMES)
    assert step is not None
    assert step.trust == ("ca9", "ca1")
    assert what(Observed(made, LEAF, bundle=[made, CA], served=["leaf1"], published_s=1), 11) is None
    assert what(Observed(made, LEAF, bundle=[made, CA], served=["leaf1"], published_s=6), 16) == MAKE_LEAF


def test_a_deleted_leaf_secret_is_made_again() -> None:
    assert what(Observed(CA, None, bundle=[CA], served=["leaf1"], published_s=99), 10) == MAKE_LEAF


def test_a_ca_bundle_that_somebody_emptied_or_filled_is_put_right() -> None:
    stranger = Certificate("x", 0, 99999)
    for bundle in ([], [stranger], [CA, stranger]):
        step = next_step(Observed(CA, LEAF, bundle=bundle, served=["leaf1"], published_s=9), 10, NAMES)
        assert step is not None
        assert (step.what, step.trust) == (PUBLISH, ("ca1",))


def test_an_expired_leaf_is_not_waited_with() -> None:
    assert what(Observed(CA, LEAF, bundle=[CA], served=["leaf1"], published_s=0.1), 301) == MAKE_LEAF


def test_a_leaf_of_a_ca_that_is_lost_is_replaced_at_once() -> None:
    """Nothing trusts it any more: waiting until its successor is trusted everywhere would only prolong that."""
    made = Certificate("ca9", 10, 910)
    assert what(Observed(made, LEAF, bundle=[made], served=["leaf1"], published_s=0.1), 10) == MAKE_LEAF


def test_a_leaf_that_lacks_a_name_or_whose_ca_is_another_is_replaced() -> None:
    for leaf in (Certificate("l", 0, 300, signer="ca1"), Certificate("l", 0, 300, signer="ca0", names=NAMES)):
        assert what(Observed(CA, leaf, bundle=[CA], published_s=9), 10) == MAKE_LEAF


def test_without_a_webhook_configuration_there_is_nothing_to_publish() -> None:
    assert what(Observed(CA, None, bundle=None), 0) == MAKE_LEAF
    assert what(Observed(CA, LEAF, bundle=None), 0) is None


def test_when_to_look_again() -> None:
    assert look_again_in_s(Observed(CA, LEAF, bundle=[CA], published_s=9), 0) == 60
    assert look_again_in_s(Observed(CA, LEAF, bundle=[CA], published_s=9), 190) == 10
    assert look_again_in_s(Observed(NEW_CA, LEAF, bundle=[NEW_CA, CA], published_s=9), 190) == 1


class World:
    """Secrets, a webhook configuration and injectors that pick up changes late, some of them never."""

    def __init__(self, injectors: int) -> None:
        self.ca: Certificate | None = None
        self.leaf: Certificate | None = None
        self.previous: list[Certificate] = []
        self.bundle: list[Certificate] = []
        self.api_server: list[Certificate] = []  # what it has seen of caBundle
        self.published_at: float | None = None
        self.served: list[Certificate | None] = [None] * injectors
        self.made = 0
        self.known: dict[str, Certificate] = {}

    def act(self, now: float) -> None:
        published_s = 0.0 if self.published_at is None else now - self.published_at
        ready = [it for it in self.served if it is not None]
        seen = Observed(
            self.ca, self.leaf, bundle=self.bundle, previous=self.previous, published_s=published_s,
            served=[it.fingerprint for it in ready],
        )  # fmt: skip
        step = next_step(seen, now, NAMES)
        if step is None:
            return
        self.made += 1
        if step.what == MAKE_CA:
            self.previous = [it for it in (self.ca, *self.previous) if it is not None and now < it.not_after]
            self.ca = Certificate(f"ca{self.made}", now, now + 180)
            self.known[self.ca.fingerprint] = self.ca
            self.published_at = None
        elif step.what == PUBLISH:
            self.bundle = [self.known[it] for it in step.trust]
            if self.published_at is None:
                self.published_at = now
        elif step.what == MAKE_LEAF:
            assert self.ca is not None
            end = min(now + 60, self.ca.not_after)
            self.leaf = Certificate(f"leaf{self.made}", now, end, signer=self.ca.fingerprint, names=NAMES)
        else:
            self.previous = []


@settings(max_examples=60, deadline=None)
@given(
    injectors=st.integers(1, 3),
    # A third of a leaf's life, 20 s, has to do for two authorities, one after the other, and the slowest injector.
    lags=st.lists(st.integers(0, 8), min_size=3, max_size=3),
    api_lag=st.integers(0, 3),
    trouble=st.lists(
        st.tuples(st.integers(30, 590), st.sampled_from(["ca", "leaf", "bundle"])),
        max_size=3,
        unique_by=lambda it: it[1],
    ),
)
def test_no_review_ever_meets_a_certificate_that_is_not_trusted(
    injectors: int, lags: list[int], api_lag: int, trouble: list[tuple[int, str]]
) -> None:
    """Ten minutes of three-minute CAs and one-minute leaves; Secrets deleted in between."""
    world = World(injectors)
    history: list[list[Certificate]] = []
    leaves: list[Certificate | None] = []
    emptied_until = -1
    lost: set[str] = set()  # CAs of which neither a Secret nor caBundle is left: nobody can restore trust in them
    for now in range(600):
        for when, thing in trouble:
            if when != now:
                continue
            if thing == "ca":
                world.ca, world.previous, world.published_at = None, [], None
            elif thing == "leaf":
                world.leaf = None
            else:
                world.bundle = []
                emptied_until = now + api_lag + 2  # until it is restored, nothing is trusted
            left = {it.fingerprint for it in (world.ca, *world.previous, *world.bundle) if it is not None}
            lost |= world.known.keys() - left
        for _ in range(3):
            world.act(now)
        history.append(list(world.bundle))
        leaves.append(world.leaf)
        world.api_server = history[max(0, now - api_lag)]
        for index in range(injectors):
            seen = leaves[max(0, now - lags[index])]
            if seen is not None:
                world.served[index] = seen
        if now <= emptied_until:
            continue
        trusted = {it.fingerprint for it in world.api_server if now < it.not_after}
        for served in world.served:
            if served is not None and now > api_lag:
                assert now < served.not_after, f"expired at {now}"
                assert served.signer in trusted | lost, f"not trusted at {now}"
