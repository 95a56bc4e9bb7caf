"""What a function of one variable says of single points: values, derivatives, a key, and those of its elements."""

from __future__ import annotations

from copy import copy
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.smooth_functions import Smooth
from nnsym.ir.univariate import Univariate
from nnsym.testing.conformance import ConformanceError
from nnsym.testing.function_intervals import defined, marks

#: The unit roundoff of float64, and what underflow is off by.
U, TINY = 2.0**-53, 2.0**-800
_MOST = 8  # elements with parameters of their own
_INTERVALS = ("span", "steepness", "lines", "band")  # questions about an interval


def answer(fn: Univariate, name: str, *arrays: Array) -> Any:
    """What the function says to a question, of arrays that it leaves as they are."""
    before = [array.copy() for array in arrays]
    with np.errstate(all="ignore"):
        told = getattr(fn, name)(*arrays)
    if not all(np.array_equal(one, two, equal_nan=True) for one, two in zip(before, arrays, strict=True)):
        raise ConformanceError(f"{fn.name}: {name} writes into the arrays that it is asked about")
    return told


def elements(fn: Univariate) -> list[Univariate]:
    """The functions of its first elements, each once: one where parameters do not differ."""
    found: dict[str, Univariate] = {}
    for k in range(_MOST):
        try:
            one = fn.take(np.array([k]))
        except IndexError:
            break
        found.setdefault(one.key, one)
    return list(found.values())


def check_values(fn: Univariate) -> None:
    """One value for every element, whatever the shape; the same again; rationals where it says so."""
    x = _places(fn)
    y = np.asarray(answer(fn, "value", x))
    grid = np.asarray(answer(fn, "value", np.stack((x, x[::-1]))))
    if y.dtype != np.float64 or y.shape != x.shape or not np.isfinite(y).all():
        raise ConformanceError(f"{fn.name}: value of 31 float64 is {y.dtype} of shape {y.shape}, or not finite")
    if grid.shape != (2, 31) or (grid != np.stack((y, y[::-1]))).any():
        raise ConformanceError(f"{fn.name}: value of an array of shape (2, 31) is not that of its elements")
    if not isinstance(fn.key, str) or not fn.key:
        raise ConformanceError(f"{fn.name}: key is no text")
    if fn.exact:
        try:
            exact = fn.value(to_fractions(x))
        except TypeError as error:  # NumPy has no exponential of a Fraction
            raise ConformanceError(f"{fn.name}: says it is exact, but has no value of Fractions: {error}") from error
        if not all(isinstance(v, (Fraction, int)) for v in exact.tolist()):
            raise ConformanceError(f"{fn.name}: says it is exact, but its value of Fractions holds no Fractions")
        if (np.abs(exact.astype(float) - y) > 1e-9 * np.maximum(1.0, np.abs(y))).any():
            raise ConformanceError(f"{fn.name}: its values of Fractions and of float64 differ")


def _places(fn: Univariate) -> Array:
    x = np.linspace(-7.5, 7.5, 31)
    return np.where(fn.defined(x, x), x, np.abs(x) + 0.25)


def check_key(fn: Univariate) -> None:
    """Functions that differ in a parameter have keys that differ: what is known of one is looked up by its key."""
    x = _places(fn)
    kept = [name for kind in type(fn).__mro__ for name, a in vars(kind).items() if isinstance(a, cached_property)]
    for name, value in dict(getattr(fn, "__dict__", {})).items():
        if name in kept or isinstance(value, bool) or not isinstance(value, (int, float, np.ndarray)):
            continue
        other = copy(fn)
        for made in kept:
            other.__dict__.pop(made, None)
        other.__dict__[name] = value + 1 if isinstance(value, int) else np.asarray(value) * 1.5 + 0.25
        try:
            with np.errstate(all="ignore"):
                differs = not np.array_equal(other.value(x), fn.value(x), equal_nan=True)
        except (TypeError, ValueError, IndexError):  # a parameter that takes no such number
            continue
        if differs and other.key == fn.key:
            raise ConformanceError(f"{fn.name}: key is the same whatever '{name}' is, which the values depend on")


def check_elements(fn: Univariate) -> None:
    """A selection of elements is the function of these, and several are answered as each is alone."""
    one = elements(fn)[0]
    x = _places(one)
    try:
        y = np.asarray(fn.value(x))
    except ValueError:  # parameters of another number of elements
        _check_parameters(fn)
        return
    index = np.array([3, 0, 30, 3])
    if (np.asarray(fn.take(index).value(x[index])) != y[index]).any():
        raise ConformanceError(f"{fn.name}: take does not give the function of the selected elements")


def _check_parameters(fn: Univariate) -> None:
    """The first elements, which have parameters of their own, over one interval each."""
    count = next((k for k in range(_MOST) if not _has(fn, k)), _MOST)
    several, alone = fn.take(np.arange(count)), [fn.take(np.array([k])) for k in range(count)]
    lower = np.linspace(0.25, 0.75, count) - 2.0 * all(one.defined(-np.ones(1), np.ones(1)).all() for one in alone)
    for name, arrays in (("value", (lower,)), *((name, (lower, lower + 1.5)) for name in _INTERVALS)):
        try:
            told = [answer(one, name, *(a[k : k + 1] for a in arrays)) for k, one in enumerate(alone)]
            whole = answer(several, name, *arrays)
        except UnsupportedError:
            continue
        if not np.array_equal(np.concatenate([np.atleast_2d(t) for t in told], axis=-1), np.atleast_2d(whole)):
            raise ConformanceError(f"{fn.name}: {name} of {count} elements is not what each says alone")


def _has(fn: Univariate, k: int) -> bool:
    try:
        fn.take(np.array([k]))
    except IndexError:
        return False
    return True


def check_precision(fn: Smooth) -> str:
    """Value and derivative are as accurate as ``ulps`` says, against the same formula in numbers of more digits.

    Returns why that could not be asked, or nothing.
    """
    if np.finfo(np.longdouble).eps > U / 8:
        return "this machine has no numbers of more digits"
    sizes = 10.0 ** np.linspace(-300, 300, 601)
    x = np.concatenate((np.linspace(-40, 40, 2001), sizes, -sizes, marks(fn)))
    x = x[defined(fn, x, x)]
    for name in ("value", "derivative"):
        y, fine = np.asarray(answer(fn, name, x)), x.astype(np.longdouble)
        try:
            z = np.asarray(answer(fn, name, fine))
        except TypeError:  # SciPy has no such loops
            return "it takes no numbers of more digits"
        if z.dtype != np.longdouble:
            return "it takes no numbers of more digits"
        with np.errstate(all="ignore"):
            near = np.abs(z) <= np.finfo(float).max
            room = 2 * (fn.ulps + 2) * U * np.maximum(np.abs(z), fn.unit) + TINY
            off = np.where(near, np.abs(y - z), 0.0)
        bad = np.flatnonzero(off > room)
        if len(bad):
            k = bad[0]
            raise ConformanceError(
                f"{fn.name}: {name} at x = {float(x[k])!r} is {float(y[k])!r}, {float(z[k])!r} in more digits; "
                f"it says that it is right to {fn.ulps} ulps of itself or of {fn.unit:g}"
            )
    return ""
