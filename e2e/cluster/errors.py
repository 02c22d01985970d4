"""The two ways in which there can be no cluster."""

from __future__ import annotations


class ClusterError(Exception):
    """Something that should have worked did not; one line for people, with the place to look at."""


class Unavailable(ClusterError):
    """This machine lacks something that a cluster needs: what, in one line. Tests report it instead of running."""
