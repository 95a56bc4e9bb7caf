"""Single-line relaxations: the slopes, and by LP duality the very bounds that linear propagation finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from neurons import program_of, query_of

from nnsym.bounds.engine.backward.linear import Backward
from nnsym.bounds.engine.forward.interval import domain
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.methods import compute
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.ir.node import Input, new_input, pointwise
from nnsym.ir.univariate import Hinge, absolute, leaky_relu, relu
from nnsym.program import Program
from nnsym.solvers.base import Goal, Limits, Status
from nnsym.solvers.registry import find
from nnsym.testing.check_encoding import check_encoding
from nnsym.testing.random_nets import random_network
from tests.depth import drawn

NAMES = ("zero", "parallel", "adaptive")


@pytest.mark.parametrize(
    ("fn", "lo", "hi", "slopes"),
    [
        (relu(), -1.0, 3.0, (0.0, 0.75, 1.0)),
        (relu(), -3.0, 1.0, (0.0, 0.25, 0.0)),
        (leaky_relu(0.25), -1.0, 1.0, (0.25, 0.625, 1.0)),
        (absolute(), -1.0, 3.0, (0.0, 0.5, 1.0)),
        (Hinge(np.array([0.5]), np.array([-0.5]), "roof"), -3.0, 1.0, (0.0, 0.25, 0.5)),
    ],
)
def test_slopes(fn, lo, hi, slopes):
    for name, slope in zip(NAMES, slopes, strict=True):
        program = program_of(lambda x: pointwise(fn, x), [lo], [hi], f"line-{name}")
        (row,) = (b for b in program.rows if "line through the origin" in b.origin)
        sign = row.data[0]
        assert sign * -row.data[1:].sum() == slope
        assert row.lower.tolist() == [0.0]


def optimum(program: Program) -> float:
    answer = find("highs").solve(program, Limits(seconds=60), Goal(decide=False))
    assert answer.status is Status.OPTIMAL
    return answer.objective


def without_column_bounds(program: Program, inputs: int) -> Program:
    """Columns behind the inputs are held by rows only."""
    lower, upper = program.lower.copy(), program.upper.copy()
    for block in program.blocks[inputs:]:
        if block.role in ("pre", "post", "value"):
            span = slice(block.start, block.start + len(block.index))
            lower[span], upper[span] = -1e4, 1e4
    return replace(program, lower=lower, upper=upper)


@pytest.mark.parametrize("kind", ["dense", "leaky", "residual"])
@pytest.mark.parametrize("name", NAMES)
def test_the_lp_is_the_backward_bound_for_equal_intermediate_bounds(kind, name):
    strict = 0
    for seed in range(3):
        x = new_input("x", 2)
        y = random_network(kind, seed, width=5).apply((x,)).output("y")
        query = query_of(y, {x: -np.ones(2)}, {x: np.ones(2)})
        bounds = compute(query, "ibp")
        maps = Maps("cpu")
        with torch.no_grad():
            line = Backward(query, domain(query, None, maps)[0], maps, fixed={}, lower=name)
            line.run(bounds)
            line.prepare(query.spec[0])
            below = line.backward(query.spec[0], torch.arange(y.size)).lower[0].numpy()
        rows = replace(bounds.rows, lower=np.full(y.size, -1e4), upper=np.full(y.size, 1e4))
        program = encode(query, replace(bounds, rows=rows), find_encoding(f"line-{name}"))
        inputs = sum(isinstance(node, Input) for node in query.nodes)
        free = optimum(without_column_bounds(program, inputs))
        assert free == pytest.approx(below.min(), abs=1e-6)
        held = optimum(program)
        triangle = optimum(encode(query, replace(bounds, rows=rows), find_encoding("triangle")))
        assert free - 1e-7 <= held <= triangle + 1e-7
        strict += free < triangle - 1e-3
    assert strict


@pytest.mark.parametrize("name", NAMES)
def test_conformance(name):
    kinds = ("dense", "abs", "residual", "maxpool", "tanh")
    check_encoding(f"line-{name}", kinds=kinds, seeds=range(drawn(2, 1)), runs=2, bounds=("ibp",))
