"""A property of a smoothed classifier as samples at one point can judge it: the point, and how far it speaks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.evidence.certificate import Certificate, Known
from nnsym.evidence.margin import least_rows, margin, rows_of
from nnsym.evidence.noise import Noise
from nnsym.ir.array import Array
from nnsym.ir.exact import nearest, round_up, to_fractions
from nnsym.ir.formula import Atoms, InBox, leaves
from nnsym.ir.functions.smoothed import Smoothed, smoothed_nodes
from nnsym.ir.node import Input
from nnsym.ir.query import Query, Reading


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class SmoothedQuery:
    """A property of one smoothed classifier; every input of its domain is within ``distance`` of ``point``.

    ``inside`` says whether the point itself lies in the domain.
    """

    query: Query
    node: Smoothed
    noise: Noise
    point: Array
    distance: float
    inside: bool

    @staticmethod
    def of(query: Query) -> SmoothedQuery:
        """Read a query; raises :class:`UnsupportedError` for one that samples at a point say nothing about."""
        nodes = smoothed_nodes(query)
        node, x = nodes[0], nodes[0].parents[0]
        if len(nodes) > 1 or len(query.inputs) > 1 or not isinstance(x, Input) or set(query.rows.parts) - {node}:
            raise _refused(query, "it is about more than one smoothed classifier of one variable", "State it of one")
        if query.reading is not Reading.FORALL:
            raise _refused(query, "a witness of it could not be replayed", "State it for all points of a ball")
        if any(not leaf.soft for leaf in leaves(query.formula) if isinstance(leaf, Atoms)):
            raise _refused(query, "its precondition compares probabilities", "State a ball or a box")
        assert isinstance(node.noise, Noise)
        node.noise.check(x.size)
        point, distance = _centre(query, x, node.noise)
        exact = query.inside({x: to_fractions(point)}) and not _boxes(query)
        return SmoothedQuery(query=query, node=node, noise=node.noise, point=point, distance=distance, inside=exact)

    @property
    def size(self) -> int:
        """Elements of the input."""
        return self.point.size

    def lower(self, certificate: Certificate, known: Known) -> float:
        """A lower bound of the margin over the domain."""
        coefficients, constant = rows_of(self.query, self.node)
        rows = least_rows(coefficients, constant, *certificate.probabilities(known, self.distance))
        return margin(self.query, rows)

    def upper(self, certificate: Certificate, known: Known) -> float:
        """An upper bound of the margin at the point; +inf where it is not in the domain."""
        if not self.inside:
            return np.inf
        coefficients, constant = rows_of(self.query, self.node)
        rows = -least_rows(-coefficients, -constant, *certificate.probabilities(known, 0.0))
        return margin(self.query, rows)

    def decisive(self, certificate: Certificate, known: Known) -> float:
        """The least probability of the selected class, as bisection finds it, that decides the property; else 1."""

        def decides(p: float) -> bool:
            told = replace(known, lower=p)
            return self.lower(certificate, told) > 0 or self.upper(certificate, told) < 0

        low, high = 0.0, 1.0 - 2.0**-40
        if not decides(high):
            return 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if decides(middle) else (middle, high)
        return high


def _centre(query: Query, x: Input, noise: Noise) -> tuple[Array, float]:
    """The float64 point that is sampled, and the distance within which every input of the domain lies, rounded up."""
    box, balls = query.boxes[x], query.balls.get(x, ())
    bounded = all(abs(v) != np.inf for side in (box.lower, box.upper) for v in side)
    if not bounded and not balls:
        raise _refused(query, f"the domain of '{x.name}' is not bounded", "Give a ball: nn.ball(x, x0, r, p=2)")
    if balls:
        exact = to_fractions(balls[0].centre)
    else:
        exact = (to_fractions(box.lower) + to_fractions(box.upper)) / 2
    point = nearest(exact)
    if not np.isfinite(point).all():
        raise _refused(query, f"the centre of the domain of '{x.name}' is beyond floats", "Give a smaller domain")
    off = np.abs(to_fractions(point) - exact)
    distances = []
    if bounded:
        sides = (abs(to_fractions(side) - to_fractions(point)) for side in (box.lower, box.upper))
        distances.append(noise.distance_of_box(round_up(np.maximum(*sides))))
    if balls:
        ball = balls[0]
        reached = noise.distance_of_ball(ball.outer_radius, ball.p, x.size)
        distances.append(reached + (noise.distance_of_box(round_up(off)) if off.any() else 0.0))
    return point, float(np.nextafter(min(distances), np.inf))


def _boxes(query: Query) -> bool:
    return any(isinstance(leaf, InBox) for leaf in leaves(query.formula))


def _refused(query: Query, reason: str, remedy: str) -> UnsupportedError:
    return UnsupportedError(f"sampling cannot judge the property: {reason}", where=query.name, remedy=remedy)
