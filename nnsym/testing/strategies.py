"""Hypothesis strategies over the random networks and queries; importing this module needs hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from nnsym.ir.network import Network
from nnsym.ir.query import Query
from nnsym.testing.random_nets import KINDS, random_network, random_query

_SEEDS = st.integers(0, 2**16)


def networks(kinds: tuple[str, ...] = KINDS, **sizes: int) -> st.SearchStrategy[Network]:
    """Random networks of the given kinds; ``sizes`` go to :func:`random_network`."""
    return st.builds(lambda kind, seed: random_network(kind, seed, **sizes), st.sampled_from(kinds), _SEEDS)


def queries(
    kinds: tuple[str, ...] = KINDS, *, tight: st.SearchStrategy[bool] | None = None, **sizes: int
) -> st.SearchStrategy[Query]:
    """Random queries about random networks; ``tight`` draws which of them have a margin within 2^-12 of 0."""
    return st.builds(
        lambda network, seed, close: random_query(network, seed, tight=close, max_unstable=24),
        networks(kinds, **sizes),
        _SEEDS,
        st.booleans() if tight is None else tight,
    )
