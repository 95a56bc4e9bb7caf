"""Gaussian noise of any covariance, which has to be told what a shift of the input weighs in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from nnsym.errors import InputError
from nnsym.evidence.noise import SLACK, Gaussian, Noise, translation
from nnsym.ir.array import Array

_MOST = 256  # elements; the matrix is part of every text and hash


@final
@dataclass(frozen=True, kw_only=True)
class CorrelatedGaussian(Noise):
    """``e = F z`` for standard normal z, F the float64 Cholesky factor of ``covariance``.

    A shift v weighs ``|F^-1 v|``. The classifier is smoothed with this F, whatever rounding its computation met. Its
    inverse is bounded by an approximate one X: ``|F^-1 v| <= |X v| / (1 - |I - X F|)``.
    """

    covariance: tuple[tuple[float, ...], ...]
    norm = 2

    def __post_init__(self) -> None:
        size = len(self.covariance)
        if not 0 < size <= _MOST or any(len(row) != size for row in self.covariance):
            raise InputError("a covariance is a square matrix", remedy=f"Give at most {_MOST} rows, or one sigma each")
        matrix = np.array(self.covariance)
        if not np.isfinite(matrix).all() or (matrix != matrix.T).any():
            raise InputError("a covariance is finite and symmetric")
        if self._off >= 0.5:
            raise InputError("the covariance is singular, or too near it", remedy="Add some variance to its diagonal")

    @cached_property
    def factor(self) -> Array:
        """F."""
        try:
            return np.linalg.cholesky(np.array(self.covariance))
        except np.linalg.LinAlgError:
            raise InputError("the covariance is not positive definite") from None

    @cached_property
    def inverse(self) -> Array:
        """X."""
        return np.linalg.inv(self.factor)

    @cached_property
    def _off(self) -> float:
        """An upper bound of ``|I - X F|``, with what its computation may round."""
        size = len(self.factor)
        rounding = 4 * size * 2.0**-53 * np.linalg.norm(self.inverse) * np.linalg.norm(self.factor)
        return float(np.linalg.norm(np.eye(size) - self.inverse @ self.factor) + rounding)

    @cached_property
    def _weight(self) -> float:
        """An upper bound of ``|F^-1|``: the largest singular value of X, with what the decomposition may round."""
        largest = float(np.linalg.svd(self.inverse, compute_uv=False)[0])
        return largest * (1 + 1e-9) / (1 - self._off)

    @property
    def text(self) -> str:
        return f"gaussian(covariance={[list(row) for row in self.covariance]})"

    @property
    def unit(self) -> float:
        return (1 - SLACK) / self._weight

    def check(self, size: int) -> None:
        if size != len(self.covariance):
            raise InputError(f"a covariance of {len(self.covariance)} elements on an input of {size}")

    def draw(self, source: np.random.Generator, count: int, size: int) -> Array:
        return np.asarray(source.standard_normal((count, size)) @ self.factor.T)

    def least(self, p: float, t: float, size: int) -> float:
        return Gaussian(scale=1.0).least(p, t, size)

    def distance_of_ball(self, radius: float, p: float, size: int) -> float:
        return radius * translation(p, 2, size) * self._weight * (1 + SLACK)

    def distance_of_box(self, reach: Array) -> float:
        each = float(np.linalg.norm(np.abs(self.inverse) @ reach)) / (1 - self._off) * (1 + 1e-9)
        return min(each, self.distance_of_ball(float(np.linalg.norm(reach)), 2, len(reach)))
