"""Random networks and queries: deterministic, well formed, tight where asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from nnsym.errors import InputError
from nnsym.ir.query import Query
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.testing.random_nets import KINDS, SMOOTH_KINDS, random_network, random_query, tighten
from nnsym.testing.strategies import queries


@pytest.mark.parametrize("kind", [*KINDS, *SMOOTH_KINDS])
def test_seeds_decide_everything(kind: str) -> None:
    assert random_network(kind, 1).hash == random_network(kind, 1).hash != random_network(kind, 2).hash
    hashes = {random_query(random_network(kind, 1), seed).hash for seed in (0, 0, 1)}
    assert len(hashes) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_tight_margins(kind: str) -> None:
    network = random_network(kind, 2, width=3)
    margins = {minimum_margin(random_query(network, seed, tight=True)).margin for seed in range(2)}
    assert margins <= {-(2.0**-12), 0.0, 2.0**-12, np.inf}


def test_tighten_leaves_the_precondition_alone() -> None:
    for seed in range(40):
        query = random_query(random_network("dense", 0), seed)
        if len(query.formula.parts if hasattr(query.formula, "parts") else ()) and query.formula.parts[0].soft is False:  # type: ignore[union-attr]
            moved = tighten(query, 0.0)
            changed = moved.rows.constant != query.rows.constant
            assert not changed[-1]
            assert changed[:-1].all()
            return
    pytest.fail("no query with a precondition")


def test_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="dense"):
        random_network("transformer", 0)


@settings(max_examples=10, deadline=None)
@given(queries(kinds=("dense", "maxpool"), width=3))
def test_strategy_gives_queries(query: Query) -> None:
    assert not query.empty_box
    assert len(query.labels) == len(query.rows)
