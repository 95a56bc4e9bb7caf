"""The elements of a hinge that bounds leave open: before a program is made, and found again in a finished one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import final

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.ir.array import Array
from nnsym.ir.node import Node, Pointwise
from nnsym.ir.univariate import Hinge


@final
@dataclass(frozen=True, eq=False)
class OpenHinges:
    """The elements of a hinge that bounds leave open, as convex functions ``sign * y = max(a h, b h)``, a < b.

    ``index`` numbers them; ``h`` and ``y`` are column ids; ``l < 0 < u`` bound h. Concave elements
    (``left > right``) have sign -1.
    """

    index: Array
    h: Array
    y: Array
    l: Array  # noqa: E741
    u: Array
    a: Array
    b: Array
    sign: Array


def stable(l: Array, u: Array, left: Array, right: Array, h: Array) -> Array:  # noqa: E741
    """Where bounds leave one line of a hinge, or its argument is 0 throughout."""
    return np.asarray((l >= 0) | (u <= 0) | (left == right) | (h < 0))


def opened(index: Array, h: Array, y: Array, l: Array, u: Array, left: Array, right: Array) -> OpenHinges:  # noqa: E741
    """The elements ``index`` of a node, whose slopes, bounds and columns are given for all of its elements."""
    left, right = left[index], right[index]
    sign = np.where(left <= right, 1.0, -1.0)
    return OpenHinges(index, h[index], y[index], l[index], u[index], sign * left, sign * right, sign)


def of_columns(ids: Mapping[Node, Array], bounds: Bounds, node: Pointwise) -> OpenHinges:
    """The open elements of a hinge in a finished program, by the columns of its nodes."""
    fn = node.fn
    assert isinstance(fn, Hinge)
    left, right = fn.slopes(node.size)
    interval, h = bounds[node.parents[0]], ids[node.parents[0]]
    l, u = interval.lower, interval.upper  # noqa: E741
    return opened(np.flatnonzero(~stable(l, u, left, right, h)), h, ids[node], l, u, left, right)


def bounded(open_: OpenHinges) -> OpenHinges:
    """Those of the open elements whose bounds are finite."""
    finite = np.isfinite(open_.l) & np.isfinite(open_.u)
    return OpenHinges(*(getattr(open_, f.name)[finite] for f in fields(open_)))
