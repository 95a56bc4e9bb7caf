"""Lower bounds that do not trust the solver: weak duality evaluated with outward rounding.

For ``min c x`` over ``b_lo <= A x <= b_up``, ``l <= x <= u`` and ANY row multipliers y,

    c x  >=  sum_{y_i > 0} y_i b_lo_i + sum_{y_i < 0} y_i b_up_i + sum_j min(r_j l_j, r_j u_j),   r = c - A^T y,

because ``c x = y (A x) + r x``. With all columns bounded it is finite whatever y a solver returned; r is enclosed with
the a-priori error ``gamma_n sum |a||y|``. With ``c = 0`` a positive value proves that no point exists (Farkas).

Source: Neumaier and Shcherbina, Safe bounds in linear and mixed-integer linear programming, Math. Program. 99 (2004),
section 2; error terms from Higham, Accuracy and Stability of Numerical Algorithms, section 3.1.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from nnsym.ir.array import Array
from nnsym.program import Program
from nnsym.solvers.arrays import LinearModel
from nnsym.write.linear import linear_blocks

_UNIT = 2.0**-53
_TINY = 2.0**-1022  # covers the absolute error of products that underflow
#: Nonzeros (times disjuncts) up to which rational evaluation is fast enough to be tried.
EXACT_NONZEROS = 20_000


def gamma(count: Array | float) -> Any:
    """``n u / (1 - n u)`` with a little room for its own rounding: the relative error of n operations."""
    steps = (np.asarray(count, dtype=np.float64) + 4) * _UNIT
    return steps / (1 - steps) * (1 + 2.0**-40)


def lower_bound(model: LinearModel, lower: Array, upper: Array, duals: Array, cost: Array | None = None) -> float:
    """A float64 not above the optimum of the LP with column bounds ``lower, upper``, from row duals.

    Multipliers on an infinite side are dropped (that is allowed: any y will do). ``cost`` replaces the model's.
    """
    y = project(model, duals)
    cost = model.cost if cost is None else cost
    count = len(cost)
    row = np.repeat(y, np.diff(model.indptr))
    weights = model.data * row
    with np.errstate(over="ignore", invalid="ignore"):
        reduced = cost - np.bincount(model.indices, weights=weights, minlength=count)
        size = np.abs(cost) + np.bincount(model.indices, weights=np.abs(weights), minlength=count)
        touched = (model.data != 0) & (row != 0)
        entries = np.bincount(model.indices[touched], minlength=count)
        error = np.where(entries == 0, 0.0, gamma(2 * entries + 2) * size + (entries + 1) * _TINY)
        terms = np.concatenate([_row_terms(model, y), _least(reduced - error, reduced + error, lower, upper)])
        return _sum_down(terms)


def project(model: LinearModel, duals: Array) -> Array:
    """The multipliers without those whose side of the row is infinite, and without NaN or infinity."""
    y = np.where(np.isfinite(duals), duals, 0.0)
    idle = (y > 0) & np.isneginf(model.row_lower) | (y < 0) & np.isposinf(model.row_upper)
    kept: Array = np.where(idle, 0.0, y)
    return kept


def _row_terms(model: LinearModel, y: Array) -> Array:
    used = y != 0
    terms: Array = y[used] * np.where(y > 0, model.row_lower, model.row_upper)[used]
    return terms


def _least(low: Array, high: Array, lower: Array, upper: Array) -> Array:
    """``min r x`` over the boxes of r and x; 0 times infinity is 0."""
    # One more rounding of r's ends than the error term counts: widen by an ulp.
    exact = low == high
    low, high = np.where(exact, low, np.nextafter(low, -np.inf)), np.where(exact, high, np.nextafter(high, np.inf))
    corners = [np.where(r == 0, 0.0, r * x) for r in (low, high) for x in (lower, upper)]
    least: Array = np.minimum.reduce(corners)
    return np.where(np.isnan(least), -np.inf, least)


def _sum_down(terms: Array) -> float:
    """A float64 not above the sum of numbers each of which carries one rounding."""
    if np.isneginf(terms).any() or not np.isfinite(terms).all():
        return -np.inf
    nonzero = terms[terms != 0]
    total, size = float(np.sum(nonzero)), float(np.sum(np.abs(nonzero)))
    if len(nonzero) == 0:
        return 0.0
    return float(np.nextafter(total - (float(gamma(len(nonzero) + 2)) * size + len(nonzero) * _TINY), -np.inf))


def proves_empty(model: LinearModel, lower: Array, upper: Array, ray: Array) -> bool:
    """Does a Farkas ray prove, rounding included, that the LP has no feasible point? Either sign is tried."""
    zero = np.zeros(len(lower))
    return any(lower_bound(model, lower, upper, sign * ray, zero) > 0 for sign in (1.0, -1.0))


def certify_exact(program: Program, duals: Array) -> Fraction | None:
    """The best exact value of the bound, over the multipliers and simple rationals near them.

    Uses the program's exact numbers where it carries some. None where a needed bound is infinite or the
    program is too large.
    """
    if program.nnz > EXACT_NONZEROS or program.implications or program.products:
        return None
    rows = _exact_rows(program)
    low, high = program.exact_bounds if program.exact_bounds is not None else (program.lower, program.upper)
    objective = program.objective if program.objective is not None else -1
    found = None
    for y in _candidates(duals):
        value = _exact_value(rows, low.tolist(), high.tolist(), y, objective)
        if value is not None and (found is None or value > found):
            found = value
    return found


_Row = tuple[list[Any], list[int], Any, Any]  # coefficients, columns, lower, upper


def _exact_rows(program: Program) -> list[_Row]:
    rows: list[_Row] = []
    for _, block in linear_blocks(program, "certificate"):
        data, low, high = block.exact if block.exact is not None else (block.data, block.lower, block.upper)
        values, columns, ends = data.tolist(), block.indices.tolist(), block.indptr.tolist()
        for k, (a, b) in enumerate(pairwise(ends)):
            rows.append((values[a:b], columns[a:b], low[k], high[k]))
    return rows


def _candidates(duals: Array) -> list[list[Fraction]]:
    exact = [Fraction(float(v)) if np.isfinite(v) else Fraction(0) for v in duals]
    near = [[v.limit_denominator(size) for v in exact] for size in (64, 10**4)]
    return [exact, *(y for y in near if y != exact)]


def _exact_value(
    rows: list[_Row], low: list[Any], high: list[Any], y: list[Fraction], objective: int
) -> Fraction | None:
    total = Fraction(0)
    reduced: dict[int, Fraction] = {objective: Fraction(1)} if objective >= 0 else {}
    for (values, columns, lower, upper), multiplier in zip(rows, y, strict=True):
        side = lower if multiplier > 0 else upper
        if multiplier == 0 or side in (np.inf, -np.inf):
            continue
        total += multiplier * Fraction(side)
        for value, column in zip(values, columns, strict=True):
            reduced[column] = reduced.get(column, Fraction(0)) - multiplier * Fraction(value)
    for column, r in reduced.items():
        end = low[column] if r > 0 else high[column]
        if r == 0:
            continue
        if end in (np.inf, -np.inf):
            return None
        total += r * Fraction(end)
    return total
