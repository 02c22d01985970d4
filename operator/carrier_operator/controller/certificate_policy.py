"""When certificates are renewed, and in which order, so that no review ever meets one that is not trusted. Pure.

Nothing is remembered between two looks: the next step follows from what stands in the Secrets and in the webhook's
configuration, and from what the injectors serve. A new CA comes in four steps, each seen done before the next:

1. the CA is made; the one before it stays in the Secret (`previous`)
2. caBundle trusts both
3. a leaf of the new CA is made, once API servers have had time to read caBundle
4. caBundle trusts the new CA alone, once every ready injector serves the new leaf

An interrupted rotation goes on where it stood, a deleted Secret is made anew: what caBundle trusts is kept for as long
as somebody may serve by it.
"""

from __future__ import annotations

from collections.abc import Sequence

RENEW_AT = 2 / 3  # of a certificate's life
SETTLE_S = 5.0  # for API servers to see a changed caBundle; they watch, so it takes them less than one


class Certificate:
    """Times are Unix seconds; `signer` is the fingerprint of the CA that signed a leaf."""

    __slots__ = ("fingerprint", "names", "not_after", "not_before", "signer")

    def __init__(
        self,
        fingerprint: str,
        not_before: float,
        not_after: float,
        *,
        signer: str | None = None,
        names: frozenset[str] = frozenset(),
    ) -> None:
        self.fingerprint = fingerprint
        self.not_before = not_before
        self.not_after = not_after
        self.signer = signer
        self.names = names

    def renew_at(self) -> float:
        """From when on it is to be replaced."""
        return self.not_before + (self.not_after - self.not_before) * RENEW_AT


class Observed:
    """What stands. `bundle` is None where there is no webhook configuration; `served` has, for each ready injector, the
    fingerprint of the leaf that it serves, or None where it could not be asked; `published_s` is for how long we have
    seen the present CA in caBundle (0: it is not there); `no_ca` and `no_leaf` say why there is none that can be used.
    """

    __slots__ = ("bundle", "ca", "leaf", "no_ca", "no_leaf", "previous", "published_s", "served")

    def __init__(
        self,
        ca: Certificate | None,
        leaf: Certificate | None,
        *,
        bundle: Sequence[Certificate] | None = (),
        previous: Sequence[Certificate] = (),
        served: Sequence[str | None] = (),
        published_s: float = 0.0,
        no_ca: str = "there is none",
        no_leaf: str = "there is none",
    ) -> None:
        self.no_ca = no_ca
        self.no_leaf = no_leaf
        self.ca = ca
        self.leaf = leaf
        self.bundle = None if bundle is None else tuple(bundle)
        self.previous = tuple(previous)
        self.served = tuple(served)
        self.published_s = published_s


NOT_YET = "it is not valid yet: the clock by which it was made was ahead of this one"
MAKE_CA, PUBLISH, MAKE_LEAF, FORGET_PREVIOUS = "MAKE_CA", "PUBLISH", "MAKE_LEAF", "FORGET_PREVIOUS"


class Step:
    """What to do: one of the words above; for PUBLISH the fingerprints that caBundle is to hold, in order."""

    __slots__ = ("trust", "what", "why")

    def __init__(self, what: str, why: str, trust: tuple[str, ...] = ()) -> None:
        self.what = what
        self.why = why
        self.trust = trust


def next_step(seen: Observed, now: float, names: frozenset[str], settle_s: float = SETTLE_S) -> Step | None:
    """The one thing to do now; None: nothing. `names` are those that the leaf must carry."""
    ca = seen.ca
    if ca is None:
        return Step(MAKE_CA, seen.no_ca)
    if now < ca.not_before:
        return Step(MAKE_CA, NOT_YET)
    if now >= ca.renew_at():
        return Step(MAKE_CA, "two thirds of its life are over")
    trust = (ca.fingerprint, *_still_needed(seen, ca, now))
    if seen.bundle is not None and tuple(it.fingerprint for it in seen.bundle) != trust:
        return Step(PUBLISH, "caBundle differs", trust)
    why = _leaf_due(seen, ca, now, names)
    if why is not None and _leaf_may_change(seen, now, settle_s):
        return Step(MAKE_LEAF, why)
    if why is None and seen.previous and len(trust) == 1:
        return Step(FORGET_PREVIOUS, "every ready injector serves the present CA's leaf")
    return None


def _still_needed(seen: Observed, ca: Certificate, now: float) -> list[str]:
    """Older CAs that somebody may still serve by, newest first, each once."""
    leaf = seen.leaf
    everyone_new = (
        leaf is not None and leaf.signer == ca.fingerprint and all(it == leaf.fingerprint for it in seen.served)
    )
    if everyone_new:
        return []
    older = {it.fingerprint: it for it in (*(seen.bundle or ()), *seen.previous)}
    older.pop(ca.fingerprint, None)
    alive = [it for it in older.values() if now < it.not_after]
    return [it.fingerprint for it in sorted(alive, key=lambda it: (-it.not_after, it.fingerprint))]


def _leaf_due(seen: Observed, ca: Certificate, now: float, names: frozenset[str]) -> str | None:
    leaf = seen.leaf
    if leaf is None:
        return seen.no_leaf
    if now < leaf.not_before:
        return NOT_YET
    if leaf.signer != ca.fingerprint:
        return "another CA signed it"
    if now >= leaf.renew_at():
        return "two thirds of its life are over"
    return None if names <= leaf.names else "it lacks a name"


def _leaf_may_change(seen: Observed, now: float, settle_s: float) -> bool:
    """A leaf that works stays until the next one is trusted everywhere; in place of none, any is better."""
    trusted = {it.fingerprint for it in seen.bundle or ()}
    leaf = seen.leaf
    # Where the Secret is gone, what is served is the leaf that was in it.
    works = bool(seen.served) and (leaf is None or (leaf.not_before <= now < leaf.not_after and leaf.signer in trusted))
    return not works or seen.bundle is None or seen.published_s >= settle_s


def look_again_in_s(seen: Observed, now: float, longest_s: float = 60.0) -> float:
    """When to look again though nothing tells of a change: at the next due time, soon while a rotation is under way."""
    due = [it.renew_at() - now for it in (seen.ca, seen.leaf) if it is not None]
    rotating = len(seen.bundle or ()) > 1 or bool(seen.previous) or not seen.published_s
    return max(0.2, min([longest_s, *due, *([1.0] if rotating else [])]))
