"""Convex combinations of points, with ordered sets and with a logarithmic number of binaries."""

from __future__ import annotations

import pickle
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import ceil, log2
from typing import Any

import numpy as np
import pytest
from neurons import program_of

from nnsym.bounds.methods import compute
from nnsym.encode.point import complete, residual
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.errors import InputError
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Piecewise, Univariate, absolute, clip, leaky_relu, relu
from nnsym.judge.programs.methods import default_solver
from nnsym.program import ColumnBlock, Role, role_of
from nnsym.solvers.base import Goal, Limits, Status
from nnsym.solvers.registry import find
from nnsym.testing.check_encoding import check_encoding
from tests.depth import drawn

BOTH = ("log", "sos2")
#: Nine lines, up and down, between the breakpoints -4 ... 3.
SAW = Piecewise(
    np.arange(-4.0, 4.0),
    [0.0, 1.0, -1.0, 2.0, -1.0, 0.5, -2.0, 1.0, 0.0],
    [0.0, 4.0, -2.0, 4.0, 1.0, 1.0, 3.5, -2.5, 0.5],
    [0.0, 1.0, 0.0, 2.0, 1.0, 1.5, -0.5, 0.5],
    "saw",
)
FUNCTIONS: dict[str, tuple[Univariate, float, float]] = {
    "relu": (relu(), -1.0, 2.0),
    "leaky": (leaky_relu(0.1), -0.3, 0.7),
    "abs": (absolute(), -2.0, 1.5),
    "clip": (clip(-1.0, 1.5), -2.0, 2.5),
    "clip, one kink": (clip(-1.0, 1.5), -2.0, 0.1),
    "saw": (SAW, -4.75, 3.3),
    "saw, five lines": (SAW, -1.7, 1.9),
}


def here(name: str) -> bool:
    return find(default_solver(find_encoding(name))).availability().available


def neuron(fn: Univariate, low: float, high: float, d: tuple[float, float]) -> Query:
    """Minimise ``d . (h, y)`` for one neuron."""
    h = new_input("h", 1)
    rows = Rows.of(affine(((Dense(np.array([[d[0]]])), h), (Dense(np.array([[d[1]]])), pointwise(fn, h)))))
    return Query(
        "one", {h: Box(np.array([low]), np.array([high]))}, rows, Atoms(np.array([0]), strict=False, soft=True)
    )


def root(query: Query, name: str) -> float:
    encoding = find_encoding(name).relax()
    found = find("highs").solve(encode(query, compute(query, "ibp"), encoding), Limits(seconds=30), Goal(decide=False))
    assert found.status is Status.OPTIMAL
    return found.objective


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("which", FUNCTIONS)
def test_the_relaxation_of_one_neuron_is_its_hull(name: str, which: str) -> None:
    """In every direction it goes as far as the graph's corners do."""
    fn, low, high = FUNCTIONS[which]
    corners = [low, high, *(t for t in getattr(fn, "breaks", np.zeros((1, 1)))[0] if low < t < high)]
    at = np.array(sorted({*corners, 0.0} if low < 0 < high else corners))
    for angle in np.linspace(0, 2 * np.pi, drawn(24, 12), endpoint=False):
        d = (float(np.cos(angle)), float(np.sin(angle)))
        least = min(d[0] * at + d[1] * fn.value(at[:, None])[:, 0])
        assert root(neuron(fn, low, high, d), name) == pytest.approx(least, abs=1e-7), angle


@pytest.mark.parametrize("name", BOTH)
def test_runs_satisfy_every_row_exactly(name: str) -> None:
    """At rough numbers too; that nothing else does is proved (tests/test_prove.py)."""
    steps = drawn(32, 8)
    for fn, low, high in FUNCTIONS.values():
        query = neuron(fn, low, high, (0.0, 1.0))
        program = encode(query, compute(query, "ibp"), find_encoding(name))
        (h,) = query.boxes
        for k in range(steps + 1):
            value = Fraction(low) + (Fraction(high) - Fraction(low)) * Fraction(k, steps)
            point = complete(program, query, {h: np.array([value], dtype=object)}, exact=True)
            assert residual(program, point) == (0.0, ""), (fn.name, value)


@pytest.mark.parametrize("count", range(2, 10))
def test_n_lines_take_a_logarithmic_number_of_binaries(count: int) -> None:
    breaks = SAW.breaks[0][: count - 1]
    low, high = float(breaks[0]) - 0.5, float(breaks[-1]) + 0.5
    program = program_of(lambda x: pointwise(SAW, x), [low], [high], "log")
    assert program.n_binary == ceil(log2(count))
    ordered = program_of(lambda x: pointwise(SAW, x), [low], [high], "sos2")
    assert ordered.n_binary == 0
    assert [len(block.indices) for block in ordered.sets] == [count + 1]
    assert [block.most for block in ordered.sets] == [2]


@pytest.mark.slow
@pytest.mark.parametrize("name", BOTH)
def test_they_pass_the_kit(name: str) -> None:
    if not here(name):
        pytest.skip(f"no solver for {name}")
    check_encoding(name, kinds=("dense", "abs", "clip", "sign", "maxpool"), seeds=range(2))


@pytest.mark.parametrize("name", BOTH)
def test_optima_are_those_of_big_m(name: str) -> None:
    if not here(name):
        pytest.skip(f"no solver for {name}")
    rng = np.random.default_rng(3)
    for fn in (clip(-1.0, 1.0), SAW):
        x = new_input("x", 3)
        y = x
        for width in (4, 3):
            weights = Dense(rng.integers(-8, 9, (width, y.size)) / 4)
            y = pointwise(fn, affine(((weights, y),), rng.integers(-4, 5, width) / 4))
        rows = Rows.of(affine(((Dense(np.array([[1.0, -1.0, 0.5]])), y),)))
        query = Query("net", {x: Box(-np.ones(3), np.ones(3))}, rows, Atoms(np.array([0]), strict=False, soft=True))
        optima = []
        for e in (name, "bigm"):
            encoding = find_encoding(e)
            program = encode(query, compute(query, "ibp"), encoding)
            optima.append(
                find(default_solver(encoding)).solve(program, Limits(seconds=60), Goal(decide=False)).objective
            )
        assert optima[0] == pytest.approx(optima[1], abs=1e-6)
        assert root(query, name) <= optima[0] + 1e-6


def test_roles_are_a_closed_list_and_others_bring_their_value() -> None:
    with pytest.raises(InputError, match=r"no role of columns is called 'bits'.*phase"):
        role_of("bits")
    assert ColumnBlock("a", Role.AUX, np.zeros(1, int), 0, None, lambda values: np.zeros(1)).name(0) == "a[0].aux"


def test_a_value_does_not_go_to_other_processes() -> None:
    block: Any = ColumnBlock("a", Role.AUX, np.zeros(1, int), 0, None, lambda values: np.zeros(1))
    assert pickle.loads(pickle.dumps(block)).value is None


def test_neighbours_of_an_ordered_set_may_both_be_positive() -> None:
    program = program_of(lambda x: pointwise(SAW, x), [-1.7], [1.9], "sos2")
    (block,) = program.sets
    members = block.indices
    for k, j in product(range(len(members)), repeat=2):
        point = to_fractions(np.zeros(program.n_columns))
        point[members[[k, j]]] = Fraction(1, 2)
        lone = replace(program, rows=(), blocks=())
        assert residual(lone, point)[0] == (abs(k - j) > 1), (k, j)
