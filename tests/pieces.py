"""Piecewise-linear functions for tests: strategies, two hinges that make a clip, points where things may go wrong."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from nnsym.ir.linear import Scale, identity
from nnsym.ir.node import Node, affine, constant, pointwise
from nnsym.ir.univariate import Piecewise, clip, relu, sign

#: Continuous from 0 to 3 breakpoints, not monotone, neither convex nor concave; the numbers are short.
ZIGZAG = Piecewise([-1.0, 0.0, 1.5], [0.0, 1.0, -2.0, 0.5], [-0.5, 0.5, 0.5, -3.25], [-0.5, 0.5, -2.5], "zigzag")
#: Jumps of both kinds: closed on the left at -1, closed on the right at 0, a point apart at 1.
STAIRS = Piecewise([-1.0, 0.0, 1.0], [0.0, 0.5, 0.0, -1.0], [-1.0, 1.0, 0.25, 1.5], [-1.0, 0.25, 2.0], "stairs")
FUNCTIONS = {"clip": clip(-1.0, 1.5), "sign": sign(), "zigzag": ZIGZAG, "stairs": STAIRS}


@st.composite
def functions(draw: st.DrawFn, *, rough: bool = False, continuous: bool = False) -> Piecewise:
    """Up to three breakpoints; ``rough`` numbers are no short dyadic ones, so that float arithmetic rounds."""
    unit = draw(st.sampled_from([0.1, 0.7])) if rough else 0.25
    breaks = sorted(draw(st.sets(st.integers(-6, 6), min_size=1, max_size=3)))
    slopes = draw(st.lists(st.integers(-4, 4), min_size=len(breaks) + 1, max_size=len(breaks) + 1))
    offsets = [draw(st.integers(-4, 4))]
    for k, t in enumerate(breaks):  # (in units: t * slope is one of unit^2)
        offsets.append(offsets[k] + (slopes[k] - slopes[k + 1]) * t)
    jumps = [0 if continuous else draw(st.sampled_from([0, 0, 1, -2])) for _ in breaks]
    lines = np.array(offsets, dtype=float) + np.cumsum([0, *jumps])
    t, a, b = np.array(breaks) * unit, np.array(slopes, dtype=float), lines * unit
    ends = [a[:-1] * t + b[:-1], a[1:] * t + b[1:]]
    at = np.array([draw(st.sampled_from([e, f, *([] if continuous else [0.0])])) for e, f in zip(*ends, strict=True)])
    return Piecewise(t, a, b, at)


@st.composite
def intervals(draw: st.DrawFn, fn: Piecewise) -> tuple[float, float]:
    """Ends at breakpoints, next to them and anywhere; often a point."""
    near = [np.nextafter(t, s) for t in fn.breaks[0] for s in (-np.inf, t, np.inf)]
    ends = st.one_of(st.sampled_from(near), st.integers(-16, 16).map(lambda k: k / 8), st.floats(-3, 3))
    low, high = sorted((draw(ends), draw(ends)))
    return float(low), float(high)


def critical(fn: Piecewise, low: float, high: float) -> np.ndarray:
    """Exact points of an interval: its ends, a grid, breakpoints and what is next to them, as Fractions."""
    a, b = Fraction(low), Fraction(high)
    some = [a + (b - a) * Fraction(k, 8) for k in range(9)]
    some += [Fraction(t) + d for t in fn.breaks[0] for d in (0, Fraction(1, 10**15), -Fraction(1, 10**15))]
    return np.array([x for x in some if a <= x <= b], dtype=object)


def two_hinges(x: Node, low: float, high: float) -> Node:
    """``low + relu(x - low) - relu(x - high)``: a clip as a chain of hinges."""
    one = identity(x.size)
    first = pointwise(relu(), affine(((one, x),), np.full(x.size, -low)))
    second = pointwise(relu(), affine(((one, x),), np.full(x.size, -high)))
    less = affine(((one, first), (one, constant(np.full(x.size, low)))))
    return affine(((one, less), (Scale(np.full(x.size, -1.0)), second)))
