"""Probes refute a solver's word: what they evaluate, and what the verdict makes of it."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest
from random_properties import nested_query

from nnsym.bounds.methods import compute
from nnsym.encode.point import complete
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.ir.domain import Box
from nnsym.ir.formula import Atoms, conjunction
from nnsym.ir.node import new_input
from nnsym.ir.query import Query
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.ir.rows import Rows, stack
from nnsym.judge.method import Settings
from nnsym.judge.probe import least_margin, margins, nominal_violation, spread
from nnsym.judge.programs.methods import milp
from nnsym.judge.programs.solving import judge_program
from nnsym.program import Feature
from nnsym.results.clock import Clock
from nnsym.solvers import registry
from nnsym.solvers.base import Answer, Availability, Status
from nnsym.testing.random_nets import KINDS, random_network, random_query


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "conv"])
def test_no_probe_lies_below_the_least_margin(kind):
    for seed in range(3):
        query = (random_query if seed else nested_query)(random_network(kind, seed, width=3), seed)
        assert least_margin(query, count=20) >= float(minimum_margin(query).margin) - 1e-9


def test_margins_are_those_of_each_point_moved_into_the_box_and_onto_the_grid():
    x = new_input("x", 2, integer=np.array([True, False]))
    query = Query("grid", {x: Box(np.zeros(2), np.ones(2) * 3)}, Rows.of(x), Atoms(np.array([0, 1]), False, soft=True))
    found = margins(query, {x: np.array([[1.4, 0.5], [0.0, 0.25], [5.0, -1.0]])})
    assert found.tolist() == [1.0, 0.25, 3.0]


def test_points_cover_the_box_and_fill_in_for_missing_sides():
    low, high = np.array([1.0, -np.inf, -np.inf, 2.0]), np.array([2.0, 3.0, -4.0, np.inf])
    points = spread(low, high, count=9)
    assert points[0].tolist() == [1.5, 1.5, -4.0, 2.0]
    assert ((points >= low) & (points <= high)).all()
    assert {1.0, 2.0} >= set(points[2::2, 0].tolist())
    assert len(np.unique(points[:, 0])) > 5
    assert spread(np.zeros(0), np.zeros(0), count=3).shape == (3, 0)


def test_the_nominal_run_finds_a_wrong_row():
    query = random_query(random_network("dense", 0), 0)
    program = encode(query, compute(query, "ibp"), find_encoding("bigm"))
    assert nominal_violation(query, program)[0] < 1e-12
    block = program.rows[0]
    block.upper.setflags(write=True)
    block.lower.setflags(write=True)
    block.lower[:], block.upper[:] = block.lower + 1.0, block.upper + 1.0
    worst, origin = nominal_violation(query, program)
    assert worst == pytest.approx(1.0)
    assert origin == block.origin


class Liar:
    """A lane that gives the answer it was made with."""

    name, exact = "liar", False
    accepts = frozenset(Feature)

    def __init__(self, **said):
        self.said = said

    def availability(self):
        return Availability(available=True)

    def solve(self, program, limits, goal, progress=None):
        return Answer(solver="liar", tau=1e-6, **self.said)


def positive(lower, precondition=None):
    """x must be positive on [lower, 1], where ``precondition <= x`` if one is given."""
    x = new_input("x", 1)
    rows, formula = Rows.of(x), Atoms(np.array([0]), strict=False, soft=True)
    if precondition is not None:
        rows = stack([rows, Rows.constants([precondition]) - Rows.of(x)])
        formula = conjunction(formula, Atoms(np.array([1]), strict=False, soft=False))
    return Query("positive", {x: Box(np.array([lower]), np.array([1.0]))}, rows, formula)


def judged(monkeypatch, query, **said):
    lanes = registry.lanes()
    monkeypatch.setattr(registry, "lanes", lambda: MappingProxyType({**lanes, "liar": Liar(**said)}))
    return judge_program(query, milp("bigm", solver="liar", bounds="ibp"), Clock(60), Settings(shortcut=False))


@pytest.mark.parametrize("precondition", [None, -0.25])
def test_infeasible_is_not_believed_where_an_input_meets_the_precondition(monkeypatch, precondition):
    result = judged(monkeypatch, positive(-0.5, precondition), status=Status.INFEASIBLE, bound=np.inf)
    assert (result.status, result.reason) == ("unknown", "infeasible_unconfirmed")
    empty = judged(monkeypatch, positive(-0.5, 2.0), status=Status.INFEASIBLE, bound=np.inf)
    assert (empty.status, empty.vacuous) == ("verified", True)


def test_a_lower_bound_above_the_margin_of_a_probe_is_not_believed(monkeypatch):
    result = judged(monkeypatch, positive(-0.5), status=Status.OPTIMAL, bound=0.25)
    assert (result.status, result.reason) == ("unknown", "solver_refuted")
    assert result.lower == -0.5  # what the intervals prove


def test_a_lower_bound_above_the_margin_at_the_solvers_own_point_is_not_believed(monkeypatch):
    x = new_input("x", 40)  # no probe hits the corner at the origin
    rows = Rows.of(x).combine(np.ones((1, 40)))
    query = Query("corner", {x: Box(-np.ones(40) / 8, np.ones(40))}, rows, Atoms(np.array([0]), False, soft=True))
    program = encode(query, compute(query, "ibp"), find_encoding("bigm"))
    origin = complete(program, query, {x: np.full(40, 1 / 64)})
    assert least_margin(query) > 2.0
    result = judged(monkeypatch, query, status=Status.OPTIMAL, bound=2.0, objective=2.0, point=origin)
    assert (result.status, result.reason) == ("unknown", "solver_refuted")
    believed = judged(monkeypatch, query, status=Status.OPTIMAL, bound=0.625, objective=0.625, point=origin)
    assert (believed.status, believed.trust, believed.lower) == ("verified", "solver", 0.625)
    assert believed.upper == 0.625
