"""Tangents: cuts that close a smooth function's relaxation to the convex hull of its graph over an interval.

For an increasing f, convex left of 0 and concave right of it, the upper side of the hull over [l, u] is the line from
``(l, f(l))`` that touches f at some d, and f itself from d on; the lower side is the same turned around. The triangle
has one line on either side; at a point of the relaxation the tightest one is

    y <= f(d) + f'(d) (h - d),    d = max(h, the tangent point),    and below likewise

or the chord where there is no tangent point. Rounds of these rows converge to the hull, which no finite number of
lines is.

Numbers: slopes are any floats, offsets are made for them and rounded outward, with the evaluation error of f
(``nnsym.ir.functions.curves``, ``nnsym.ir.functions.sigmoidal``).

Emits: rows of two terms, at most two a neuron and round.

Source: the envelope of a convex-concave function, McCormick, Mathematical Programming 10, 1976, section 3; as lines for
networks Zhang et al., NeurIPS 2018, table 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.builder import RowTerms, row_block
from nnsym.encoding import Cut, Separator
from nnsym.ir.array import Array
from nnsym.ir.names import node_names
from nnsym.ir.node import Pointwise
from nnsym.ir.smooth_functions import Smooth
from nnsym.program import RowBlock, Tag
from nnsym.separation.scene import Scene


@final
@dataclass(frozen=True, kw_only=True)
class Tangents(Cut):
    """The family; see the module."""

    name: str = "tangents"
    summary: str = "smooth functions along their curve"
    source: str = "McCormick 1976, section 3"

    def separator(self, scene: Scene) -> Separator:
        names = node_names(scene.query.nodes)
        smooth = [(n, n.fn) for n in scene.query.nodes if isinstance(n, Pointwise) and isinstance(n.fn, Smooth)]

        def separate(point: Array) -> Iterator[RowBlock]:
            for node, fn in smooth:
                interval, h, y = scene.bounds[node.parents[0]], scene.ids[node.parents[0]], scene.ids[node]
                value = np.where(h >= 0, point[h], 0.0)  # a column of -1 is the constant 0
                low, below, high, above = fn.lines(interval.lower, interval.upper, value)
                for sign, slope, offset in ((1.0, high, above), (-1.0, low, below)):
                    excess = sign * (point[y] - slope * value - offset)
                    bad = np.flatnonzero(excess > scene.tolerance * np.hypot(1.0, slope))
                    if len(bad):
                        terms: RowTerms = [(sign, y[bad]), (-sign * slope[bad], h[bad])]
                        side = "below its tangent" if sign > 0 else "above its tangent"
                        origin = f"{names[node]}: y {side}"
                        yield row_block(terms, upper=sign * offset[bad], tag=Tag.CUT, origin=origin)

        return separate


TANGENTS = Tangents()
