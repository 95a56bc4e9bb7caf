"""Integrals over the radius of spherical noise, each with a bound of its error.

Gauss-Legendre on pieces, twice: with n and with 3n/2 nodes. The difference, with an allowance for rounding and for the
tails that are cut off, is taken for the error. Pieces end where the integrand has a kink, and the substitution
``w^2 (3 - 2w)`` makes square roots at their ends smooth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import final

import numpy as np

from nnsym.ir.array import Array

_NODES = 80  # a piece
_TAIL = 1e-17  # mass that is cut off on either side
_ROUNDING = 1e-13


@final
@dataclass(frozen=True)
class Enclosed:
    """A number and a bound of its error."""

    value: float
    error: float

    @property
    def lower(self) -> float:
        return self.value - self.error

    @property
    def upper(self) -> float:
        return self.value + self.error


@cache
def _nodes(count: int) -> tuple[Array, Array]:
    """Nodes and weights on [0, 1] after the substitution."""
    x, weight = np.polynomial.legendre.leggauss(count)
    w = (x + 1) / 2
    return w * w * (3 - 2 * w), weight * 3 * w * (1 - w)


@final
@dataclass(frozen=True)
class Gamma:
    """The distribution of ``|e|^2 / 2 s^2``: density ``t^(shape-1) exp(-t) / Gamma(shape)``."""

    shape: float

    @property
    def ends(self) -> tuple[float, float]:
        """Between them lies all mass but the tails."""
        return _ends(self.shape)

    def mean(self, function: Callable[[Array], Array], breaks: Iterable[float] = ()) -> Enclosed:
        """``E f(t)`` of a function with values in [0, 1] that is smooth between the ``breaks``."""
        low, high = self.ends
        inner = sorted({float(b) for b in breaks if low < b < high} | {min(max(self.shape, low), high)})
        edges = np.array([low, *(b for b in inner if low < b < high), high])
        parts = [self._weighted(edges, n) for n in (_NODES, _NODES * 3 // 2)]
        values = function(np.concatenate([t for t, _ in parts]))
        coarse, fine = (float(w @ v) for (_, w), v in zip(parts, np.split(values, [len(parts[0][0])]), strict=True))
        return Enclosed(fine, abs(fine - coarse) + _ROUNDING + 2 * _TAIL)

    def _weighted(self, edges: Array, count: int) -> tuple[Array, Array]:
        """Nodes on all pieces, and their weights times the density."""
        from scipy.special import gammaln

        place, weight = _nodes(count)
        width = np.diff(edges)[:, None]
        t = (edges[:-1, None] + width * place).ravel()
        density = np.exp((self.shape - 1) * np.log(t) - t - gammaln(self.shape))
        return t, (width * weight).ravel() * density


@cache
def _ends(shape: float) -> tuple[float, float]:
    from scipy.special import gammainccinv, gammaincinv

    return max(float(gammaincinv(shape, _TAIL)), 1e-300), float(gammainccinv(shape, _TAIL))
