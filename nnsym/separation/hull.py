"""Facets of the convex hull of points: directions only, because right-hand sides are made anew and rounded up.

Qhull (through SciPy) is the first choice; where it fails, on flat or nearly flat sets, the Parma Polyhedra Library
does it in exact arithmetic on points rounded to short numbers (the package pplpy, extra ``hull``). Without it there
are no facets then, and the group has no cuts, which is sound.

Source: Barber, Dobkin, Huhdanpaa, The Quickhull algorithm, ACM TOMS 22, 1996; Bagnara, Hill, Zaffanella, The Parma
Polyhedra Library, Science of Computer Programming 72, 2008.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from nnsym.ir.array import Array

#: Points count as one where they agree to this; facets where their directions do.
_SAME = 1e-9

#: The fallback rounds coordinates of about 1 to multiples of this.
_GRID = 2**20


def facets(points: Array) -> Array:
    """Outward directions of the facets, ``(f, d)``, each with largest entry 1; none where the hull cannot be found.

    Points are best scaled to about 1 before.
    """
    _, first = np.unique(np.round(points / _SAME), axis=0, return_index=True)
    found = _qhull(points[first])
    if found is None:
        found = exact_facets(points[first])
    if found is None or not len(found):
        return np.zeros((0, points.shape[1]))
    found = found / np.abs(found).max(axis=1, keepdims=True)
    found = np.where(np.abs(found) < _SAME, 0.0, found)
    _, first = np.unique(np.round(found / (100 * _SAME)), axis=0, return_index=True)
    return np.asarray(found[np.sort(first)])


def _qhull(points: Array) -> Array | None:
    from scipy.spatial import ConvexHull, QhullError

    if len(points) <= points.shape[1]:
        return None
    try:
        return np.asarray(ConvexHull(points).equations[:, :-1])
    except QhullError:
        return None


def exact_facets(points: Array) -> Array | None:
    """The same from exact arithmetic on rounded points; an equation counts as two facets. None without pplpy."""
    if find_spec("ppl") is None or not len(points):
        return None
    from ppl import C_Polyhedron, Generator_System, Linear_Expression, point

    generators = Generator_System()
    for row in np.unique(np.round(points * _GRID).astype(np.int64), axis=0).tolist():
        generators.insert(point(Linear_Expression(row, 0), _GRID))
    found = []
    for constraint in C_Polyhedron(generators).minimized_constraints():
        direction = [-float(a) for a in constraint.coefficients()]
        direction += [0.0] * (points.shape[1] - len(direction))
        found.append(direction)
        if constraint.is_equality():
            found.append([-a for a in direction])
    return np.array(found).reshape(-1, points.shape[1])
