"""Noise by the names of the language, and from its text."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np

from nnsym.errors import InputError
from nnsym.evidence.correlated import CorrelatedGaussian
from nnsym.evidence.flips import Flips
from nnsym.evidence.general_gaussian import GeneralGaussian
from nnsym.evidence.grid import GridGaussian
from nnsym.evidence.noise import Gaussian, Laplace, Noise, Uniform
from nnsym.ir.array import unmasked

#: What a scale may be written as: one number, or one for each element of the input in C order.
Scale = Any


def gaussian(sigma: Scale = None, *, covariance: Any = None, grid: float | None = None) -> Noise:
    """Normal noise of standard deviation ``sigma``: one number, or one for each element; or of a ``covariance``.

    With ``grid`` the classifier reads its input rounded to multiples of that step, and noise is whole numbers of steps:
    no rounding of noise can void what is certified (:mod:`nnsym.evidence.grid`).
    """
    if (sigma is None) is (covariance is None):
        raise InputError("Gaussian noise has a sigma or a covariance", remedy="Write nn.gaussian(0.5)")
    if covariance is not None:
        if grid is not None:
            raise InputError("noise of a covariance has no grid", remedy="Use one sigma")
        return CorrelatedGaussian(covariance=_matrix(covariance))
    scale = _scale(sigma)
    if grid is None:
        return Gaussian(scale=scale)
    if isinstance(scale, tuple):
        raise InputError("noise on a grid has one sigma", remedy="Write nn.gaussian(0.5, grid=1 / 255)")
    return GridGaussian(sigma=scale, step=float(grid))


def laplace(scale: Scale) -> Noise:
    """Laplace noise of density ``exp(-|v| / scale) / (2 scale)`` in each element; its radii are of the norm 1."""
    return Laplace(scale=_scale(scale))


def uniform(reach: Scale) -> Noise:
    """Noise that is uniform on ``[-reach, reach]`` in each element; its radii are of the norm 1."""
    return Uniform(scale=_scale(reach))


def general_gaussian(sigma: float, k: int) -> Noise:
    """Gaussian noise whose radius is that of ``2 k`` fewer dimensions (:mod:`nnsym.evidence.general_gaussian`)."""
    return GeneralGaussian(sigma=float(sigma), k=k)


def flips(q: float) -> Noise:
    """Noise on labels 0 and 1: each is flipped with probability ``q`` (:mod:`nnsym.evidence.flips`)."""
    return Flips(q=float(q))


#: By their names in texts.
FAMILIES: dict[str, Callable[..., Noise]] = {
    "flips": flips,
    "gaussian": gaussian,
    "general_gaussian": general_gaussian,
    "laplace": laplace,
    "uniform": uniform,
}


def parse_noise(text: str) -> Noise:
    """The noise of a text such as ``gaussian(0.5)``: a name, numbers and lists of them, nothing that runs."""
    try:
        call = ast.parse(str(text), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id not in FAMILIES:
            raise ValueError
        given = [ast.literal_eval(a) for a in call.args]
        named = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
        return FAMILIES[call.func.id](*given, **named)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"'{text}' is no noise", remedy=f"Known: {', '.join(FAMILIES)}") from None


def _matrix(given: Any) -> tuple[tuple[float, ...], ...]:
    try:
        array = np.asarray(unmasked(given, "a covariance"), dtype=np.float64)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.ndim != 2:
        raise InputError("a covariance is a square matrix of numbers")
    return tuple(map(tuple, array.tolist()))


def _scale(given: Scale) -> float | tuple[float, ...]:
    """One float, or several."""
    try:
        array = np.asarray(unmasked(given, "the scale of noise"), dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("the scale of noise is no number", remedy="Give one number, or one for each element") from None
    return float(array) if array.ndim == 0 else tuple(array.ravel().tolist())
