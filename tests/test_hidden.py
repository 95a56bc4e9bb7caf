"""Networks with a hidden counterexample: their least margin is what is said, attacks miss it, searches decide them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from nnsym.ir.rational.oracle import minimum_margin
from nnsym.judge.method import Settings
from nnsym.judge.registry import resolve
from nnsym.replay import Outcome, replay_once
from nnsym.results.clock import Clock, Deadline
from nnsym.testing.hidden import hidden


@pytest.mark.parametrize("least", [-0.0625, 0.0625])
def test_the_least_margin_is_what_is_said(least: float) -> None:
    """At the point exactly, and nowhere less: of thousands of points, and by the oracle where the network is small."""
    rng = np.random.default_rng(0)
    for seed in range(4):
        case = hidden(seed, inputs=3, width=8, least=least)
        (x,) = case.query.inputs
        assert Fraction(case.query.margin(case.query.values(case.point))) == case.least == Fraction(least)
        near = case.point[x] + rng.uniform(-0.02, 0.02, (2000, 3))
        rows = case.query.rows.value(case.query.values({x: np.concatenate([near, rng.uniform(-1, 1, (2000, 3))])}))
        assert rows.min() >= least
    shallow = hidden(7000539, inputs=2, width=4, least=0.25)  # above an eighth: the rest lies higher still
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 80)] * 2), -1).reshape(-1, 2)
    assert shallow.query.rows.value(shallow.query.values({shallow.query.inputs[0]: grid})).min() >= 0.25
    small = hidden(1, inputs=1, width=2, least=least)
    assert minimum_margin(small.query, max_unstable=16).margin == Fraction(least)


def test_attacks_miss_what_searches_find() -> None:
    found, missed = 0, 0
    for seed in range(4):
        case = hidden(seed, inputs=4, width=12)
        assert replay_once(case.query, case.point, deadline=Deadline.after(5.0)).outcome is Outcome.CONFIRMED
        missed += resolve("attack").judge(case.query, Clock(5.0), Settings()).status == "unknown"
        found += resolve("bab").judge(case.query, Clock(20.0), Settings()).status == "falsified"
    assert (found, missed) == (4, 4)


@pytest.mark.slow
@pytest.mark.parametrize(("text", "count"), [("bab", 50), ("bab:smear:float64", 50), ("bab:early", 10), ("crown", 50)])
def test_nobody_verifies_them(text: str, count: int) -> None:
    """Violated ones of all sizes, down to a depth of 2^-12; their twins are not falsified."""
    for seed in range(count):
        size = {"inputs": 2 + seed % 5, "width": (4, 8, 16, 32)[seed % 4]}
        for sign in (-1.0, 1.0):
            case = hidden(seed, **size, least=sign * 2.0 ** -(2 + seed % 11))
            result = resolve(text).judge(case.query, Clock(2.0), Settings())
            assert result.status != ("verified" if case.violated else "falsified"), (text, seed)
            assert result.lower <= case.least <= result.upper, (text, seed)
