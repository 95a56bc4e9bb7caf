"""One layer of neurons as a scene for families of cuts, and the exact truth about rows."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import product

import numpy as np
from neurons import query_of
from scipy.optimize import linprog

from nnsym.bounds.methods import compute
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode_columns
from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.univariate import Univariate, relu
from nnsym.program import Program, RowBlock
from nnsym.relaxation.forms import Forms
from nnsym.separation.scene import Scene


def layer_scene(
    weight: Array, bias: Array, lower: Array, upper: Array, encoding: str = "triangle", fn: Univariate | None = None
) -> Scene:
    """``fn(W x + b)`` over a box, as a program of an encoding on intervals."""
    x = new_input("x", len(lower))
    y = pointwise(fn if fn is not None else relu(), affine(((Dense(weight), x),), bias))
    query = query_of(y, {x: lower}, {x: upper})
    bounds = compute(query, "ibp")
    encoded = encode_columns(query, bounds, find_encoding(encoding))
    program = encoded.program
    forms = Forms(program, lambda: 60.0)
    return Scene(query=query, bounds=bounds, program=program, ids=encoded.ids, forms=forms)


def inequalities(program: Program, blocks: Iterable[RowBlock]) -> tuple[Array, Array]:
    """``(A, b)`` with ``A x <= b`` for the finite sides of all rows, in full."""
    above, limits = [], []
    for block in blocks:
        for k in range(len(block)):
            line = np.zeros(program.n_columns)
            span = slice(block.indptr[k], block.indptr[k + 1])
            line[block.indices[span]] = block.data[span]
            for direction, limit in ((1.0, block.upper[k]), (-1.0, -block.lower[k])):
                if np.isfinite(limit):
                    above.append(direction * line)
                    limits.append(limit)
    return np.array(above), np.array(limits)


def columns_at(scene: Scene, x: Array) -> Array:
    """A point of the program with the input at ``x`` and neurons where the layer puts them; rationals for rationals."""
    point = to_fractions(np.zeros(scene.program.n_columns))
    values = scene.query.values({scene.query.inputs[0]: to_fractions(x)})
    for node, ids in scene.ids.items():
        point[ids[ids >= 0]] = to_fractions(values[node])[ids >= 0]
    return point


def corners(lower: Array, upper: Array) -> Array:
    """All corners of a box."""
    return np.array(list(product(*zip(lower, upper, strict=True))))


def excess(block: RowBlock, point: Array) -> list[Fraction]:
    """By how much each row ``a x <= q`` is exceeded, exactly."""
    data, upper = to_fractions(block.data), to_fractions(block.upper)
    ends = zip(block.indptr[:-1], block.indptr[1:], strict=True)
    return [
        sum((data[k] * point[block.indices[k]] for k in range(a, b)), Fraction(0)) - upper[i]
        for i, (a, b) in enumerate(ends)
    ]


def envelope(x: Array, points: Array, values: Array) -> float:
    """The concave envelope at ``x`` of a function given at points: its best convex combination."""
    answer = linprog(
        -values, A_eq=np.vstack((points.T, np.ones(len(points)))), b_eq=np.append(x, 1.0), bounds=(0, None)
    )
    assert answer.status == 0
    return float(-answer.fun)
