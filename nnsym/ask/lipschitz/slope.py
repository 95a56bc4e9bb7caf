"""The slope between two points, from below: what falsifies a Lipschitz constant."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from nnsym.ask.lipschitz.constant import Slope
from nnsym.ask.lipschitz.space import Space
from nnsym.bounds.lipschitz.norms import Norm
from nnsym.bounds.points.steep import steep_pairs
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.evaluate import evaluate
from nnsym.ir.exact import round_down, round_up, to_fractions
from nnsym.ir.intervals import interval_run
from nnsym.ir.node import Affine
from nnsym.ir.rational.scaled import evaluate_scaled
from nnsym.results.clock import Deadline

_REPLAY = 0.3  # of the time
_REPLAYED = 8  # of the steepest pairs that floats propose
_RATIONAL = 2_000_000  # coefficients up to which values are computed in rationals


def steepest(space: Space, p: Norm, q: Norm, *, seed: int, deadline: Deadline) -> Slope | None:
    """The steepest pair of points that was found and evaluated by the deadline; None if there is none."""
    soon = deadline.share(1 - _REPLAY)
    try:
        pairs = steep_pairs(space.root, space.x, space.place(), p=p, q=q, seed=seed, deadline=soon)
    except UnsupportedError:
        return None
    found: Slope | None = None
    for a, b in pairs[:_REPLAYED]:
        if deadline.passed:
            break
        if space.holds(a) and space.holds(b):
            slope = slope_between(space, a, b, p, q)
            found = slope if found is None or slope.value > found.value else found
    return found


def slope_between(space: Space, a: Array, b: Array, p: Norm, q: Norm) -> Slope:
    """``|f(a) - f(b)|_q / |a - b|_p`` rounded down: in rationals, or from intervals of the values."""
    work = sum(m.nnz for n in space.nodes if isinstance(n, Affine) for m in n.maps)
    rational = work <= _RATIONAL
    rises: Array
    if rational:
        try:
            values = [evaluate_scaled((space.root,), {space.x: v})[space.root].fractions() for v in (a, b)]
            rises = np.abs(values[0] - values[1])
        except UnsupportedError:
            rational = False
    if not rational:
        sides = [interval_run(space.nodes, {space.x: (v, v)})[space.root] for v in (a, b)]
        (la, ua), (lb, ub) = (tuple(map(_finite, s)) for s in sides)
        rises = np.array([max(a, b, Fraction(0)) for a, b in zip(la - ub, lb - ua, strict=True)], dtype=object)
    run = np.abs(to_fractions(a) - to_fractions(b))
    value = _ratio(rises, run, p, q)
    near = [evaluate((space.root,), {space.x: v})[space.root] for v in (a, b)]
    return Slope(a=a, b=b, values=(near[0], near[1]), value=value, replayed_by="exact" if rational else "intervals")


def _finite(side: Array) -> Array:
    """Rationals; an unbounded end as a large one, which leaves the rise at 0."""
    return np.asarray(to_fractions(np.clip(side, -1e300, 1e300)))


def _ratio(rises: Array, run: Array, p: Norm, q: Norm) -> float:
    """A quotient of norms of vectors of Fractions >= 0, rounded down."""
    top, bottom = _length(rises, q, up=False), _length(run, p, up=True)
    if bottom == 0 or top == 0:
        return 0.0
    exact = Fraction(top) / Fraction(bottom)
    return max(0.0, float(round_down(np.array([exact], dtype=object))[0]))


def _length(values: Array, p: Norm, *, up: bool) -> Fraction:
    """The norm, exact for 1 and infinity, else a float on the side that was asked for."""
    if p == "inf":
        return max(values.tolist(), default=Fraction(0))
    if p == 1:
        return sum(values.tolist(), start=Fraction(0))
    most = max(values.tolist(), default=Fraction(0))
    if most == 0:
        return most
    unit = Fraction(2) ** (most.numerator.bit_length() - most.denominator.bit_length())  # no square overflows
    total = np.array([sum(((v / unit) ** 2 for v in values.tolist()), start=Fraction(0))], dtype=object)
    root = float(np.sqrt((round_up if up else round_down)(total)[0]))
    return unit * Fraction(float(np.nextafter(root, np.inf if up else 0.0)))
