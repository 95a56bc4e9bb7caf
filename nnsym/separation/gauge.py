"""Separation from the convex hull of points without its facets: one LP over the points, in as many unknowns as space.

With g inside ``K = conv { v_t }``, the directions a with ``a (v - g) <= 1`` for all t are the polar of ``K - g``, and

    max a (p - g)   subject to   a (v_t - g) <= 1 for all t

is the gauge of p: above 1 exactly where p is outside. A vertex of the polar is a facet of K, so a best a is the
direction of the facet that the ray from g to p leaves K through. Entries of a are limited, which matters only where K
is flat and the gauge infinite.

The LP is HiGHS's, through SciPy: it has some hundred rows and lives for one call, so there is no basis to keep.

Source: Cadoux, Computing deep facet-defining disjunctive cuts for mixed-integer programming, Math. Program. 122, 2010
(reverse polar, choice of the normalisation); Mueller et al., PRIMA, POPL 2022, for why hulls of four neurons are not
computed.
"""

from __future__ import annotations

import numpy as np

from nnsym.ir.array import Array

#: Facets nearer to g than one over this count as equations of a flat K.
_STEEPEST = 1e6

#: Entries below this part of the largest are noise.
_NOISE = 1e-9


def separate(points: Array, p: Array) -> tuple[Array, float]:
    """``(direction, gauge)`` of p with respect to the hull of points round their mean, all best scaled to about 1.

    The direction's largest entry is 1. A gauge of 0 where no LP was solved.
    """
    from scipy.optimize import linprog

    middle = points.mean(axis=0)
    away = p - middle
    found = linprog(-away, A_ub=points - middle, b_ub=np.ones(len(points)), bounds=(-_STEEPEST, _STEEPEST))
    if found.status != 0 or not found.x.any():
        return np.zeros(len(p)), 0.0
    direction = found.x / np.abs(found.x).max()
    return np.where(np.abs(direction) < _NOISE, 0.0, direction), float(found.x @ away)
