"""The floor: a model written by hand as NumPy arrays for one kind of network, and passed to a solver.

No graph, no names, no rounding, no checks, no other layer than dense ReLU: what no general tool can undercut by much.
This file is what all floors share; what an encoding writes of a hidden layer is in :mod:`tests.benchmarks.floors`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import highspy
import numpy as np

from nnsym.ir.array import Array
from nnsym.program import CaseForm
from tests.benchmarks.models import Instance


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Hidden:
    """A hidden layer ``y = max(h, 0)``; x are columns within low and high, and ``lower <= h <= upper``.

    ``h = W x + b``, or in short numbers ``|h - W x - b| <= slack``.
    """

    weight: Array
    bias: Array
    slack: Array
    x: Array
    low: Array
    high: Array
    lower: Array
    upper: Array

    @property
    def open(self) -> Array:
        return np.flatnonzero((self.lower < 0) & (self.upper > 0))


class Lists:
    """Columns, rows, implications, special ordered sets and definitions by cases as they come."""

    def __init__(self) -> None:
        self.columns = 0
        self.implications: list[tuple[Array, int, Array, Array]] = []
        self.sets: list[Array] = []
        self.cases: list[tuple[CaseForm, Array, Array]] = []
        self.parts: dict[str, list[Array]] = {
            name: [] for name in ("lower", "upper", "row_lower", "row_upper", "lengths", "indices", "data", "integer")
        }

    def add(self, **parts: Array) -> None:
        for name, part in parts.items():
            self.parts[name].append(part)

    def column(self, lower: Array, upper: Array, integer: int = 0) -> Array:
        first, self.columns = self.columns, self.columns + len(lower)
        self.add(lower=lower, upper=upper, integer=np.full(len(lower), integer, np.int32))
        return np.arange(first, self.columns, dtype=np.int32)

    def dense(self, data: Array, indices: Array, lower: Array, upper: Array) -> None:
        """One row for each of ``data``."""
        lengths = np.full(len(lower), data.shape[1], np.int32)
        self.add(data=data.ravel(), indices=indices.ravel(), lengths=lengths, row_lower=lower, row_upper=upper)

    def row(
        self, *terms: tuple[Array | float, Array], lower: Array | float = -np.inf, upper: Array | float = np.inf
    ) -> None:
        """``lower <= sum of coefficient * column <= upper``, elementwise."""
        count = len(terms[0][1])
        data, indices = np.empty((count, len(terms))), np.empty((count, len(terms)), np.int32)
        for k, (coefficient, column) in enumerate(terms):
            data[:, k], indices[:, k] = coefficient, column
        sides = (np.broadcast_to(np.asarray(side, float), count) for side in (lower, upper))
        self.dense(data, indices, *sides)

    def affine(self, weight: Array, x: Array, head: Array, lower: Array, upper: Array) -> None:
        """``lower <= W x - head <= upper``; x is one row for all, or a row each."""
        data, indices = np.empty((len(head), weight.shape[1] + 1)), np.empty((len(head), weight.shape[1] + 1), np.int32)
        data[:, :-1], data[:, -1] = weight, -1.0
        indices[:, :-1], indices[:, -1] = x, head
        self.dense(data, indices, lower, upper)

    def affine_columns(self, d: Hidden) -> Array:
        """Columns h and the rows that define them."""
        h = self.column(d.lower, d.upper)
        self.affine(d.weight, d.x, h, -d.bias - d.slack, -d.bias + d.slack)
        return h


#: What an encoding writes of a hidden layer; returns the columns of y, -1 where y is 0.
Layer = Callable[[Lists, Hidden], Array]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Arrays:
    """``min t``: columns and CSR rows in HiGHS's order, and what only other solvers take.

    An implication is ``(guard, value, data, columns)``: where a guard has that value, ``data @ columns <= 0``.
    """

    matrix: dict[str, Array]
    implications: list[tuple[Array, int, Array, Array]]
    sets: list[Array]
    cases: list[tuple[CaseForm, Array, Array]]


def floor_arrays(instance: Instance, layer: Layer, bits: int | None = None) -> Arrays:
    """``min t``, ``t = y_0 - y_1``; with ``bits`` in short numbers."""
    lists = Lists()
    boxes = [wider(*box, bits) for box in ((instance.lower, instance.upper), *instance.intervals)]
    low, high = boxes[0]
    x, kept = lists.column(low, high), np.ones(len(low), bool)
    for number, ((weight, bias), (lower, upper)) in enumerate(zip(instance.layers, boxes[1:], strict=True), 1):
        w, b, e = shorter(weight[:, kept], bias, np.maximum(np.abs(low), np.abs(high)), bits)
        d = Hidden(weight=w, bias=b, slack=e, x=x, low=low, high=high, lower=lower, upper=upper)
        ids = layer(lists, d) if number < len(instance.layers) else lists.affine_columns(d)
        kept = ids >= 0
        x, low, high = ids[kept], np.maximum(lower, 0.0)[kept], upper[kept]
    t = lists.column(lower[:1] - upper[1:2], upper[:1] - lower[1:2])
    lists.row((1.0, x[:1]), (-1.0, x[1:2]), (-1.0, t), lower=0.0, upper=0.0)
    whole = {name: np.concatenate(parts) for name, parts in lists.parts.items()}
    cost = np.zeros(lists.columns)
    cost[-1] = 1.0
    starts = np.concatenate(([0], np.cumsum(whole["lengths"]))).astype(np.int32)
    first = {"cost": cost, **{name: whole[name] for name in ("lower", "upper", "row_lower", "row_upper")}}
    matrix = {**first, "starts": starts, **{name: whole[name] for name in ("indices", "data", "integer")}}
    return Arrays(matrix=matrix, implications=lists.implications, sets=lists.sets, cases=lists.cases)


def wider(lower: Array, upper: Array, bits: int | None) -> tuple[Array, Array]:
    """Outward to multiples of ``2^-bits``."""
    return (
        (lower, upper)
        if bits is None
        else (np.floor(lower * 2.0**bits) / 2.0**bits, np.ceil(upper * 2.0**bits) / 2.0**bits)
    )


def shorter(weight: Array, bias: Array, most: Array, bits: int | None) -> tuple[Array, Array, Array]:
    """``(W', b', e)`` with numbers of ``bits`` bits and ``|W x + b - W' x - b'| <= e`` for ``|x| <= most``."""
    if bits is None:
        return weight, bias, np.zeros(len(bias))
    largest = np.maximum(np.abs(weight).max(axis=1), np.abs(bias))
    step = np.exp2(np.ceil(np.log2(largest)) - bits)
    w, b = np.round(weight / step[:, None]) * step[:, None], np.round(bias / step) * step
    return w, b, step * np.ceil((np.abs(weight - w) @ most + np.abs(bias - b)) / step)


def floor_highs(arrays: Arrays) -> Any:
    """A Highs object that holds the arrays."""
    m, highs = arrays.matrix, highspy.Highs()
    highs.setOptionValue("output_flag", False)
    sizes = (len(m["lower"]), len(m["row_lower"]), len(m["data"]))
    rowwise, minimise = int(highspy.MatrixFormat.kRowwise), int(highspy.ObjSense.kMinimize)
    status = highs.passModel(*sizes, rowwise, minimise, 0.0, *m.values())
    if status != highspy.HighsStatus.kOk:
        raise ValueError(status.name)
    return highs


def floor_gurobi(arrays: Arrays, env: Any) -> Any:
    """A Gurobi model that holds the arrays, its implications as indicator constraints, and its sets."""
    import gurobipy
    import scipy.sparse as sp

    m, model = arrays.matrix, gurobipy.Model(env=env)
    x = model.addMVar(len(m["cost"]), m["lower"], m["upper"], m["cost"], np.where(m["integer"] > 0, "B", "C"))
    rows = sp.csr_matrix((m["data"], m["indices"], m["starts"]), shape=(len(m["row_lower"]), len(m["cost"])))
    equal, below = m["row_lower"] == m["row_upper"], np.isinf(m["row_lower"])
    for some, sense, side in (
        (equal, "=", "row_upper"),
        (below, "<", "row_upper"),
        (~equal & ~below, ">", "row_lower"),
    ):
        model.addMConstr(rows[some], x, sense, m[side][some])
    variables = x.tolist() if arrays.implications or arrays.sets else []
    for guard, value, data, indices in arrays.implications:
        for g, a, j in zip(guard.tolist(), data.tolist(), indices.tolist(), strict=True):
            row = gurobipy.LinExpr(a, [variables[k] for k in j])
            model.addGenConstrIndicator(variables[g], bool(value), row, "<", 0.0)
    for members in arrays.sets:
        for pair in members.tolist():
            model.addSOS(gurobipy.GRB.SOS_TYPE1, [variables[k] for k in pair])
    model.update()
    return model
