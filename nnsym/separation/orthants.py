"""An octahedron cut by the planes ``h_i = 0``: points at its parts' vertices, and certified maxima over every part.

*Points.* A vertex of an orthant's part lies on some of these planes and is a vertex of P's section with them. A section
is an octahedron of fewer dimensions, ``c_b`` of it the least c_a of all a that are b there. So the vertices of all
``2^k`` parts are those of the sections with one plane, cut by the others, and those of P itself. Up to three
dimensions they are enumerated (:func:`nnsym.separation.octahedra.vertices`); beyond, Qhull intersects the halfspaces
of P. It promises nothing, and nothing rests on it: points decide what is looked at.

*Maxima.* On the part of P in the orthant ``s`` and for any ``lambda, mu >= 0``

    w h  <=  lambda c + sum_i |w - A' lambda + s mu|_i max |h_i|,

because ``A h <= c`` and ``s_i h_i >= 0`` there. Multipliers are those of the planes through the best point, by
nonnegative least squares; what they leave, and all rounding, is charged on the box (docs/rounding.md). A part without
points is left out if the same sum with ``w = 0`` is negative, which proves it empty (Farkas); else its maximum is that
over the box.

Source: Barber, Dobkin, Huhdanpaa, The Quickhull algorithm, ACM TOMS 22, 1996; Lawson and Hanson, Solving Least
Squares Problems, 1974, chapter 23; Neumaier and Shcherbina, Safe bounds in linear and mixed-integer linear
programming, Math. Program. 99, 2004, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.outward import dot_up, gamma
from nnsym.separation.octahedra import signs, vertices

#: Points and planes count as one, and a point as inside, up to this part of the octahedron's size.
_SAME = 1e-9

_ENUMERATED = 3  # dimensions in which all systems of planes are solved
_TINY = 2.0**-1000  # covers products that underflow


@cache
def orthants(k: int) -> Array:
    """All ``s`` in ``{-1, 1}^k``, shape ``(2^k, k)``."""
    found = np.array(list(product((-1.0, 1.0), repeat=k)))
    found.setflags(write=False)
    return found


@final
@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of one octahedron in its orthants, in the order of :func:`orthants`.

    ``c`` goes with :func:`nnsym.separation.octahedra.signs`. ``points`` (n, k) are vertices of parts, ``inside``
    ``(2^k, n)`` says of which; ``empty`` marks the parts that are proved empty.
    """

    c: Array
    points: Array
    inside: Array
    empty: Array

    @staticmethod
    def of(c: Array, k: int) -> Parts:
        """The parts of ``{ a h <= c_a }`` in k dimensions. Without points where Qhull fails."""
        points = _vertices(c, k)
        near = _SAME * np.abs(c).max(initial=0.0)
        inside = (points[None] * orthants(k)[:, None] >= -near).all(axis=2)
        found = Parts(c, points, inside, np.zeros(2**k, dtype=bool))
        return Parts(c, points, inside, found._proved_empty())

    def most(self, w: Array, slip: Array) -> float:
        """A float64 not below the largest ``w[s] h`` over the part of every orthant s, -inf if all are empty.

        ``w`` ``(2^k, k)`` may be off from what is meant by ``slip`` of the same shape.
        """
        multipliers = np.zeros((len(w), len(self.c) + w.shape[1]))
        for s in np.flatnonzero(self.inside.any(axis=1)).tolist():
            value = np.where(self.inside[s], self.points @ w[s], -np.inf)
            multipliers[s] = self._multipliers(s, self.points[np.argmax(value)], w[s])
        return float(self._weak(w, slip, multipliers)[~self.empty].max(initial=-np.inf))

    def _multipliers(self, s: int, point: Array, w: Array) -> Array:
        """Of the planes through a point those that add up to ``w``, as nearly as nonnegative ones do."""
        planes, right = self._planes(s)
        active = np.flatnonzero(right - planes @ point <= _SAME * np.abs(self.c).max(initial=0.0))
        found = np.zeros(len(planes))
        found[active] = _nonnegative(planes[active].T, w)
        return found

    def _planes(self, s: int) -> tuple[Array, Array]:
        """The part of an orthant as ``planes h <= right``."""
        k = self.points.shape[1]
        return np.concatenate((signs(k), -np.diag(orthants(k)[s]))), np.concatenate((self.c, np.zeros(k)))

    def _proved_empty(self) -> Array:
        """Of the parts without points those of which multipliers prove that there are none."""
        k = self.points.shape[1]
        multipliers = np.zeros((2**k, len(self.c) + k))
        for s in np.flatnonzero(~self.inside.any(axis=1)).tolist():
            planes, right = self._planes(s)
            scaled = right / np.abs(right).max(initial=1e-300)
            multipliers[s] = _nonnegative(np.vstack((planes.T, scaled)), np.append(np.zeros(k), -1.0))
        nothing = np.zeros((2**k, k))
        return np.asarray(self._weak(nothing, nothing, multipliers) < 0)

    def _weak(self, w: Array, slip: Array, multipliers: Array) -> Array:
        """For each orthant the right-hand side of the module's inequality, rounded up."""
        a, k = signs(w.shape[1]), w.shape[1]
        of_c, of_s = multipliers[:, :-k], multipliers[:, -k:]
        left = w - of_c @ a + orthants(k) * of_s
        size = np.abs(w) + of_c @ np.abs(a) + of_s
        off = np.abs(left) + (slip + gamma(len(a) + k) * size + _TINY)
        single = np.concatenate((np.eye(k), -np.eye(k)))
        ends = self.c[np.argmax((a == single[:, None]).all(axis=2), axis=1)]
        box = np.maximum(ends[:k], ends[k:])
        return dot_up(np.concatenate((of_c, off), axis=1), np.concatenate((self.c, box)))


def _nonnegative(matrix: Array, right: Array) -> Array:
    """A nonnegative x with ``matrix x`` near ``right``; 0 where none is found."""
    from scipy.optimize import nnls

    try:
        return np.asarray(nnls(matrix, right)[0])
    except (RuntimeError, ValueError):
        return np.zeros(matrix.shape[1])


def _vertices(c: Array, k: int) -> Array:
    """Vertices of all parts, in floats, each once; none where they cannot be found."""
    if k <= _ENUMERATED:
        return _distinct(vertices(c, k)[0], c)
    sections = [np.insert(_vertices(_section(c, k, i), k - 1), i, 0.0, axis=1) for i in range(k)]
    on_planes = _distinct(np.concatenate(sections), c)
    whole = _intersection(c, k, on_planes)
    return _distinct(np.concatenate((on_planes, whole)), c) if len(whole) else whole


def _section(c: Array, k: int, i: int) -> Array:
    """The octahedron ``{ h in P : h_i = 0 }`` in the other coordinates."""
    rest = np.delete(signs(k), i, axis=1)
    match = (signs(k - 1)[:, None] == rest).all(axis=2)
    return np.asarray(np.where(match, c, np.inf).min(axis=1))


def _intersection(c: Array, k: int, on_planes: Array) -> Array:
    """The vertices of P itself by Qhull, round the middle of points on the coordinate planes; none if P is flat."""
    from scipy.spatial import HalfspaceIntersection, QhullError

    if not len(on_planes):
        return on_planes
    middle, a = on_planes.mean(axis=0), signs(k)
    if (c - a @ middle).min() <= _SAME * np.abs(c).max():
        return np.zeros((0, k))
    try:
        found = np.asarray(HalfspaceIntersection(np.column_stack((a, -c)), middle).intersections)
    except QhullError:
        return np.zeros((0, k))
    return np.asarray(found[np.isfinite(found).all(axis=1)])


def _distinct(points: Array, c: Array) -> Array:
    size = _SAME * np.abs(c).max(initial=1e-300)
    _, first = np.unique(np.round(points / size), axis=0, return_index=True)
    return np.asarray(points[first])
