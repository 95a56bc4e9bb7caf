"""The graph that a certificate states is the query's: at points its outputs have the query's values."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from certificates import certificate

from nnsym.certify.statement import written
from nnsym.check.checker import Checker
from nnsym.check.problem import Case
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.node import Node, affine, concatenate, maximum, new_input, pointwise, product
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Hinge, Univariate, absolute, clip, leaky_relu, relu, sign


def hinge(left: list[float], right: list[float]) -> Hinge:
    return Hinge(np.array(left, float), np.array(right, float))


FUNCTIONS = {
    "relu": relu(), "absolute": absolute(), "leaky": leaky_relu(0.1), "clip": clip(-0.25, 0.5), "sign": sign(),
    "some relus": hinge([0, 0, 0, 0], [1, 0, 1, -1]), "some kinks": hinge([0, -1, 0.5, 1], [1, 1, 1, 1]),
    "some absolutes": hinge([-1, -1, -1, -1], [1, 1, 2, 0.5]), "lines": hinge([0.5, 1, -1, 0], [0.5, 1, -1, 0]),
}  # fmt: skip


@pytest.mark.parametrize("name", [*FUNCTIONS])
def test_a_stated_graph_has_the_values_of_the_query(name: str) -> None:
    rng = np.random.default_rng(len(name))
    fn: Univariate = FUNCTIONS[name]
    x = new_input("x", 3)
    h = affine(((Dense(rng.integers(-8, 9, (4, 3)) / 8), x),), rng.integers(-8, 9, 4) / 8)
    f = pointwise(fn, h)
    parts: tuple[Node, ...] = (f, maximum(h, [[0, 3], [1, 2], [1, -1], [0, 1]]), product(f, h))
    y = affine(tuple((Dense(rng.integers(-8, 9, (4, 4)) / 8), part) for part in parts), rng.integers(-8, 9, 4) / 8)
    rows = Rows.of(concatenate((y, f)))
    query = Query("graph", {x: Box(-np.ones(3), np.ones(3))}, rows, Atoms(np.arange(8), True, True))
    graph, text, _, called = written(query)
    problem = Checker(certificate(text, [["l"]], {"name": "query", "graph": graph}), {}, "reference")
    outputs = [problem.problem.places[n].node for n in problem.problem.places if n not in called.values()]
    for point in rng.integers(-8, 9, (6, 3)) / 8:
        exact = tuple(Fraction(float(v)) for v in point)
        bits, values = problem.forward(Case(exact, exact))
        found = [Fraction(v, 1 << bits) for node in outputs for v in values[node].lower]
        known = query.values({x: to_fractions(point[None])}, exact=True)
        wanted = [v for node in query.rows.parts for v in known[node][0].tolist()]
        assert found == wanted
