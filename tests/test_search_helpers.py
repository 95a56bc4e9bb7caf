"""Hidden rows in several processes: the same bounds, fewer where a helper is lost; one that nobody waits for ends."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

import nnsym as nn
from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.refine import refined
from nnsym.ir.query import Query
from nnsym.results.clock import Deadline
from nnsym.search.helpers import helping
from nnsym.solvers.workers.runner import Returned, Workers
from tests.kept import inside, relu_query

LIMITS: dict[str, Any] = {"dtype": "float32", "memory": 2.0**31, "trees": 2.0**29}


def hidden() -> Query:
    return relu_query(2, widths=(12, 12, 10), radius=0.8)


def searched(query: Query, helpers: int) -> Engine:
    with helping(query, helpers, **LIMITS) as aside:
        return refined(query, rounds=8, aside=aside, deadline=Deadline.after(100.0))


@pytest.mark.parametrize("helpers", [1, 3])
def test_bounds_are_those_of_one_process(helpers: int) -> None:
    query = hidden()
    alone, together, plain = refined(query, rounds=8), searched(query, helpers), Engine(query, dtype="float32")
    values = query.values(inside(query, np.random.default_rng(2), 50), exact=True)
    better = 0
    for node in alone.plan.arguments:
        one, two, least = alone.ranges[node], together.ranges[node], plain.ranges[node]
        assert np.allclose(one.lower, two.lower, rtol=0, atol=1e-5)
        assert np.allclose(one.upper, two.upper, rtol=0, atol=1e-5)
        assert (values[node] >= two.lower).all()
        assert (values[node] <= two.upper).all()
        better += int((two.lower > least.lower).sum())
    assert better > 0


def test_a_lost_helper_has_found_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its elements keep the bounds that are known, and others are searched for all the same."""
    query, asked = hidden(), []

    def lost(self: Workers, lane: str, job: Any, progress: Any = None) -> Returned:
        asked.append(job.payload)
        return Returned(error="killed")

    monkeypatch.setattr(Workers, "run", lost)
    found, plain = searched(query, 1), Engine(query, dtype="float32")
    assert asked
    first = next(n for n in plain.plan.arguments if n not in plain.plan.straight)
    narrower = found.ranges[first].lower[0] > plain.ranges[first].lower[0]
    assert narrower.any()
    assert not narrower[asked[0].chosen].any()


def test_who_is_interrupted_waits_for_no_helper() -> None:
    query = relu_query(2, widths=(64, 64, 64), radius=2.0)
    first, layer = Engine(query, dtype="float32").plan.arguments[:2]
    begun = time.monotonic()
    with helping(query, 1, **LIMITS) as aside:
        aside({first: Engine(query).ranges[first]}, layer, np.arange(64), 10**6, Deadline.after(1000.0))
    assert time.monotonic() - begun < 100


def test_a_search_says_with_helpers_what_it_says_alone() -> None:
    f, x = nn.zoo.random_mlp(3, widths=(24, 24, 24, 24, 3)), nn.Variable(24, name="x")
    y = f(x)
    p = nn.forall(x, where=nn.box(x, -0.2, 0.2), then=y[0] - y[1] <= 1.0)
    one, two = (nn.verify(p, f"bab:gap:refine=4{more}") for more in ("", ":workers=2"))
    assert one.status == two.status
