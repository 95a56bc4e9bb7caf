"""Monotone networks of all sizes, whose least margin is known: what small random ones do not show.

No weight is negative and every function rises, so that each node is least at the lower corner of the box and greatest
at the upper one. Interval bounds are tight there in exact arithmetic, whatever the depth: a claim that is too good for
many neurons, for inputs far from zero or for tiny numbers alone is refuted at one of two points. Every second row is
turned round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.node import Input, Node, Point, Pointwise, affine, concatenate, maximum, new_input, pointwise, product
from nnsym.ir.query import Query
from nnsym.ir.rational.oracle import OracleAnswer
from nnsym.ir.rows import Rows
from nnsym.ir.smooth_functions import Sigmoid, Tanh
from nnsym.ir.univariate import Univariate, relu
from nnsym.testing.random_nets import Random, shifted

RELU = relu()
#: The size of the largest bias: float64 ends at 1.8e308.
_LARGEST = 1e300


@final
@dataclass(frozen=True, kw_only=True)
class Shape:
    """A size: the elements of each input, the neurons of each layer, the rows, the box, the numbers.

    A ``third`` of the radius is added in rationals, so that no float is an end; ``unit`` is the size of a weight. The
    last layer is multiplied by another of its size where ``squared``. Where ``uneven`` each element has a thousandth of
    the width of that before it, and the last is a point. Without a bias (not ``biased``) ends that are 0
    stay 0, and opposites opposites; where ``pooled`` maxima of neighbours end every layer.
    """

    name: str
    inputs: tuple[int, ...] = (2,)
    widths: tuple[int, ...] = (4,)
    rows: int = 2
    centre: float = 0.0
    radius: float = 0.75
    unit: float = 1.0
    fn: Univariate = RELU
    integer: bool = False
    third: bool = False
    squared: bool = False
    strict: bool = False
    uneven: bool = False
    biased: bool = True
    pooled: bool = False

    def query(self, seed: int = 0) -> Query:
        """Some row is at most 0 (below 0 where ``strict``)."""
        rng = np.random.default_rng([seed, *self.name.encode()])
        inputs = tuple(new_input(f"x{k}", n, integer=[self.integer] * n) for k, n in enumerate(self.inputs))
        h, size = concatenate(inputs), self.radius or 1.0
        shift = np.full(h.size, self.centre)
        h = self._pool(h) if self.pooled and not self.widths else h
        for width in self.widths:
            h = pointwise(self.fn, self._rising(rng, h, np.ones(width), size, shift))
            h = self._pool(h) if self.pooled else h
            size, shift = size * self.unit, np.zeros(width)
        if self.squared:
            h = product(h, pointwise(self.fn, self._rising(rng, h, np.ones(h.size), size, shift)))
        y = self._rising(rng, h, (-1.0) ** np.arange(self.rows), size, shift if self.widths else shift * 0)
        formula = Atoms(np.arange(self.rows), strict=self.strict, soft=True, every=False)
        return Query(self.name, {x: self._box(x.size) for x in inputs}, Rows.of(y), formula)

    def _rising(self, rng: Random, x: Node, signs: Array, size: float, shift: Array) -> Node:
        """Weights that are not negative, times signs; about half of the neurons are open where x is about its shift."""
        weights = rng.random((len(signs), x.size)) * (2 * self.unit / x.size)
        bias = rng.normal(size=len(signs)) * min(size * self.unit, _LARGEST) - weights @ shift
        bias = bias if self.biased else np.zeros(len(signs))
        return affine(((Dense(signs[:, None] * weights), x),), signs * bias)

    def _pool(self, h: Node) -> Node:
        """The maximum of each neighbouring pair, twice, so that the size stays."""
        return maximum(h, np.arange(h.size)[:, None] // 2 * 2 + np.array([[0, 1]]))

    def _box(self, size: int) -> Box:
        if not self.third:
            share = np.append(1e-3 ** np.arange(size - 1), 0.0) if self.uneven else np.ones(size)
            return Box(self.centre - self.radius * share, self.centre + self.radius * share)
        middle, radius = Fraction(self.centre), Fraction(self.radius) + Fraction(self.radius) / 3
        ends = to_fractions(np.array([middle - radius, middle + radius], dtype=object))
        return Box(np.repeat(ends[:1], size), np.repeat(ends[1:], size))


#: What a guest may refuse together, by its name.
SHAPES: Mapping[str, tuple[Shape, ...]] = {
    "more of everything": (
        Shape(name="many neurons", inputs=(1,), widths=(100,)),
        Shape(name="many inputs", inputs=(40,)),
        Shape(name="many rows", rows=60),
        Shape(name="many layers", widths=(3,) * 12),
        Shape(name="some of everything", inputs=(12,), widths=(24, 24, 24), rows=12),
        Shape(name="hundreds of neurons", inputs=(1,), widths=(300,)),
        Shape(name="one of each", inputs=(1,), widths=(1,), rows=1),
        Shape(name="no layer", widths=()),
    ),
    "boxes of other sizes": (
        Shape(name="far below zero", centre=-1e4),
        Shape(name="below zero", centre=-8.0),
        Shape(name="above zero", centre=8.0),
        Shape(name="far above zero", centre=1e4),
        Shape(name="wide", radius=1e3),
        Shape(name="very wide", radius=1e6),
        Shape(name="narrow", radius=1e-3),
        Shape(name="very narrow", radius=1e-7, centre=0.3),
        Shape(name="a point", radius=0.0, centre=0.3),
        Shape(name="between rationals", third=True),
        Shape(name="uneven", inputs=(3,), uneven=True),
        Shape(name="from zero", centre=0.5, radius=0.5, biased=False),
        Shape(name="up to zero", centre=-0.5, radius=0.5, biased=False),
        Shape(name="about zero", widths=(), biased=False),
    ),
    "numbers of other sizes": (
        Shape(name="large numbers", radius=1e8, unit=1e8),
        Shape(name="larger numbers", radius=1e12, unit=1e8),
        Shape(name="numbers beyond float32", radius=1e30, unit=1e30),
        Shape(name="numbers beyond float64", radius=1e150, unit=1e150),
        Shape(name="small numbers", radius=1e-12, unit=1e-12),
        Shape(name="numbers below float32", radius=1e-30, unit=1e-30),
        Shape(name="numbers below float64", radius=1e-150, unit=1e-150),
    ),
    "strict conclusions": (Shape(name="strict", strict=True),),
    "several inputs": (Shape(name="three inputs", inputs=(1, 2, 1)),),
    "integer inputs": (
        Shape(name="whole", integer=True, radius=2.5),
        Shape(name="one whole", inputs=(1,), integer=True),
    ),
    "products": (Shape(name="a product", squared=True),),
    "maxima": (
        Shape(name="pooled", pooled=True),
        Shape(name="pooled from zero", centre=0.5, radius=0.5, biased=False, pooled=True),
        Shape(name="pooled up to zero", centre=-0.5, radius=0.5, widths=(), biased=False, pooled=True),
        Shape(name="pooled large numbers", radius=1e8, unit=1e8, pooled=True),
        Shape(name="pooled small numbers", radius=1e-12, unit=1e-12, pooled=True),
    ),
    "smooth functions": (Shape(name="tanh", fn=Tanh()), Shape(name="sigmoid", fn=Sigmoid(), widths=(4, 4))),
}

#: What nobody bounds exactly within a fraction of a second: for clocks.
LARGE = Shape(name="large", inputs=(8,), widths=(120, 120))


def ends(query: Query) -> tuple[Point, Point]:
    """The lower and the upper corner, in rationals: whole numbers where inputs are integer."""
    low, high = {}, {}
    for x, box in query.boxes.items():
        low[x] = _whole(to_fractions(box.lower), x, up=True)
        high[x] = _whole(to_fractions(box.upper), x, up=False)
    return low, high


def just(query: Query, sign: int) -> tuple[Query, OracleAnswer]:
    """The query with its rows moved by one number, so that its least margin is ``sign`` 2^-12 of their size.

    The answer has a corner where the margin is attained, in float64 where functions are smooth.
    """
    exact = all(node.fn.exact for node in query.nodes if isinstance(node, Pointwise))
    corners = [point if exact else {x: v.astype(float) for x, v in point.items()} for point in ends(query)]
    rows = [to_fractions(query.rows.value(query.values(point, exact=exact))) for point in corners]
    lowest, point = min(zip((row.min() for row in rows), corners, strict=True), key=lambda one: one[0])
    size = max(abs(value) for row in rows for value in row) or Fraction(1)
    margin = sign * size / 2**12
    return shifted(query, margin - lowest), OracleAnswer(margin=margin, point=point)


def _whole(values: Array, x: Input, *, up: bool) -> Array:
    rounded = [(-(-v // 1) if up else v // 1) if whole else v for v, whole in zip(values, x.integer, strict=True)]
    found: Array = to_fractions(np.array(rounded, dtype=object))
    return found


def halves(query: Query) -> Iterator[Mapping[Input, Box]]:
    """The box itself, both halves of its first element, and the corner where everything is least."""
    x = query.inputs[0]
    box = query.boxes[x]
    middle = (box.lower[0] + box.upper[0]) / 2
    yield query.boxes
    for side in (0, 1):
        lower, upper = box.lower.copy(), box.upper.copy()
        (upper if side == 0 else lower)[0] = middle
        yield {**query.boxes, x: Box(lower, upper)}
    yield {**query.boxes, x: Box(box.lower, box.lower)}
