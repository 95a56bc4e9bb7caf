"""What each encoding writes of a hidden layer at the least, formula by formula.

The leanest form that has the same relaxation: a column that only names another one is left out, so a partition writes
no column h beside the sums it is cut into, and Balas' formulation no second half. Formulas are those of the
encoding's own docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from nnsym.ir.array import Array
from nnsym.program import CaseForm
from tests.benchmarks.floor import Hidden, Layer, Lists

#: Rows of open neurons ``y = max(h, 0)``: columns h and y, and l < 0 < u.
Neurons = Callable[[Lists, Array, Array, Array, Array], None]


def single(neurons: Neurons) -> Layer:
    """Encodings that speak of one neuron at a time, over a column h."""

    def layer(lists: Lists, d: Hidden) -> Array:
        h = lists.affine_columns(d)
        ids, k = np.where(d.lower >= 0, h, -1), d.open
        ids[k] = y = lists.column(np.zeros(len(k)), d.upper[k])
        neurons(lists, h[k], y, d.lower[k], d.upper[k])
        return ids

    return layer


def phase(lists: Lists, count: int) -> Array:
    return lists.column(np.zeros(count), np.ones(count), 1)


def chord(lists: Lists, h: Array, y: Array, l: Array, u: Array) -> None:  # noqa: E741
    lists.row((u - l, y), (-u, h), upper=-u * l)


def big_m(lists: Lists, y: Array, z: Array, parts: Array, b: Array | float, l: Array, u: Array) -> None:  # noqa: E741
    """The rows over a pre-activation that is the sum of ``parts`` (a row of columns each) and b."""
    h = [(-1.0, part) for part in parts.T]
    lists.row((1.0, y), *h, lower=b)
    lists.row((1.0, y), (-u, z), upper=0.0)
    lists.row((1.0, y), *h, (-l, z), upper=b - l)


def bigm(lists: Lists, h: Array, y: Array, l: Array, u: Array) -> None:  # noqa: E741
    big_m(lists, y, phase(lists, len(y)), h[:, None], 0.0, l, u)


def triangle(lists: Lists, h: Array, y: Array, l: Array, u: Array) -> None:  # noqa: E741
    lists.row((1.0, y), (-1.0, h), lower=0.0)
    chord(lists, h, y, l, u)


def line(slope: Callable[[Array, Array], Array]) -> Neurons:
    """One line below, by l and u."""

    def neurons(lists: Lists, h: Array, y: Array, l: Array, u: Array) -> None:  # noqa: E741
        s = slope(l, u)
        some = s != 0  # y >= 0 is a bound
        lists.row((1.0, y[some]), (-s[some], h[some]), lower=0.0)
        chord(lists, h, y, l, u)

    return neurons


def indicator(lists: Lists, h: Array, y: Array, l: Array, u: Array) -> None:  # noqa: E741
    guarded(lists, h, y)
    chord(lists, h, y, l, u)


def guarded(lists: Lists, h: Array, y: Array, *_: Array) -> None:
    z, one = phase(lists, len(y)), np.ones((len(y), 1))
    lists.row((1.0, y), (-1.0, h), lower=0.0)
    lists.implications.append((z, 0, one, y[:, None]))
    lists.implications.append((z, 1, np.hstack((one, -one)), np.stack((y, h), 1)))


def smt(lists: Lists, h: Array, y: Array, l: Array, u: Array) -> None:  # noqa: E741
    guarded(lists, h, y)
    slope = u / (u - l)
    grid = 2.0 ** (np.frexp(slope)[1] - 4)
    slope = np.round(slope / grid) * grid
    top = np.maximum(-slope * l, (1 - slope) * u)
    grid = 2.0 ** (np.frexp(top)[1] - 4)
    lists.row((1.0, y), (-slope, h), upper=np.ceil(top / grid) * grid)


def sos1(lists: Lists, h: Array, y: Array, l: Array, u: Array) -> None:  # noqa: E741
    q = lists.column(np.zeros(len(y)), np.full(len(y), np.inf))
    lists.row((1.0, y), (-1.0, h), (-1.0, q), lower=0.0, upper=0.0)
    chord(lists, h, y, l, u)
    lists.sets.append(np.stack((y, q), 1))


def copies(lists: Lists, part: Array, low: Array, high: Array, z: Array) -> Array:
    """Columns that are ``part`` where z is 1 and 0 elsewhere; ``low <= part <= high``."""
    copy = lists.column(np.minimum(low, 0.0), np.maximum(high, 0.0))
    for side, some in (("upper", high != 0), ("lower", low != 0)):  # copy >= 0 and copy <= 0 are bounds
        at, p, c, guard = (high if side == "upper" else low)[some], part[some], copy[some], z[some]
        lists.row((1.0, c), (-at, guard), **{side: 0.0})
        lists.row((1.0, p), (-1.0, c), (at, guard), **{side: at})
        lists.row((1.0, part[~some]), (-1.0, copy[~some]), **{side: 0.0})
    return copy


def cases(form: CaseForm) -> Neurons:
    """y by cases over h, in one of the textbook's forms."""
    return lambda lists, h, y, *_: lists.cases.append((form, h, y))


def balas(lists: Lists, d: Hidden) -> Array:
    """A copy of every input for every open neuron."""
    h = lists.affine_columns(d)
    ids, k = np.where(d.lower >= 0, h, -1), d.open
    ids[k] = y = lists.column(np.zeros(len(k)), d.upper[k])
    z, shape = phase(lists, len(k)), (len(k), len(d.x))
    x, low, high, guard = (np.broadcast_to(v, shape).ravel() for v in (d.x, d.low, d.high, z[:, None]))
    made = np.column_stack((copies(lists, x, low, high, guard).reshape(shape), z))
    zero = np.zeros(len(k))
    lists.affine(np.column_stack((d.weight[k], d.bias[k])), made, y, zero, zero)
    big_m(lists, y, z, h[k][:, None], 0.0, d.lower[k], d.upper[k])
    return ids


def partition(count: int) -> Layer:
    """A copy of each of ``count`` sums that the terms of an open neuron, sorted by weight, are cut into."""

    def layer(lists: Lists, d: Hidden) -> Array:
        ids, k, on = np.full(len(d.bias), -1), d.open, d.lower >= 0
        ids[on] = lists.column(d.lower[on], d.upper[on])
        lists.affine(d.weight[on], d.x, ids[on], -d.bias[on], -d.bias[on])
        order = np.argsort(d.weight[k], axis=1)
        weight, x = np.take_along_axis(d.weight[k], order, 1), d.x[order]
        ends = (np.arange(count) * len(d.x) + count - 1) // count
        left, right = weight * d.low[order], weight * d.high[order]
        low, high = (np.add.reduceat(v, ends, axis=1) for v in (np.minimum(left, right), np.maximum(left, right)))
        t = lists.column(low.ravel(), high.ravel()).reshape(low.shape)
        zero = np.zeros(len(k))
        for n, (w, j) in enumerate(zip(np.split(weight, ends[1:], 1), np.split(x, ends[1:], 1), strict=True)):
            lists.affine(w, j, t[:, n], zero, zero)
        ids[k] = y = lists.column(zero, d.upper[k])
        z = phase(lists, len(k))
        s = copies(lists, t.ravel(), low.ravel(), high.ravel(), np.repeat(z, count)).reshape(t.shape)
        lists.row((1.0, y), *((-1.0, part) for part in s.T), (-d.bias[k], z), lower=0.0, upper=0.0)
        big_m(lists, y, z, t, d.bias[k], d.lower[k], d.upper[k])
        return ids

    return layer


#: By the name of the encoding.
FLOORS: Mapping[str, Layer] = MappingProxyType(
    {
        "triangle": single(triangle),
        "line-zero": single(line(lambda low, high: np.zeros(len(low)))),
        "line-parallel": single(line(lambda low, high: high / (high - low))),
        "line-adaptive": single(line(lambda low, high: np.where(high >= -low, 1.0, 0.0))),
        "bigm": single(bigm),
        **{f"partition{count}": partition(count) for count in (2, 3, 4)},
        "balas": balas,
        "indicator": single(indicator),
        "sos1": single(sos1),
        "smt": single(smt),
        "smt-short12": single(smt),
        "smt-textbook": single(cases(CaseForm.OR)),
        "smt-ite": single(cases(CaseForm.ITE)),
        "smt-implies": single(cases(CaseForm.IMPLIES)),
    }
)
