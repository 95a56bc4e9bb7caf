"""What every part of the language needs: whose line an error belongs to, and which numbers a user meant."""

from __future__ import annotations

import sys
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from nnsym.errors import InputError, LanguageError, foreign, line_of
from nnsym.ir.array import Array, unmasked
from nnsym.ir.digits import fraction
from nnsym.ir.exact import from_numbers, simplify, to_fractions
from nnsym.ir.words import kind_of


def user_line() -> str:
    """The line of the innermost frame outside nnsym, torch and numpy, as :func:`nnsym.errors.line_of` writes it.

    Empty on the command line, where it is not in a file of the user's: what called is a library there.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and not foreign(frame):
        if frame.f_globals.get("__name__", "").startswith("nnsym.cli."):
            return ""
        frame = frame.f_back
    return line_of(frame, frame.f_lineno)


def misread(reason: str, remedy: str = "") -> LanguageError:
    """The error for an expression that Python or nnsym cannot take, at the user's own line."""
    return LanguageError(reason, where=user_line(), remedy=remedy)


def bad_input(reason: str, remedy: str = "") -> InputError:
    """The error for a value that does not fit, at the user's own line."""
    return InputError(reason, where=user_line(), remedy=remedy)


def exact(value: object, what: str = "a constant", *, infinite: bool = False) -> Array:
    """The numbers that ``value`` denotes, without rounding, in its own shape.

    Numbers, Decimals, Fractions, decimal text, nested lists, numpy arrays, torch tensors and anything with
    ``__array__``. float64 where that is exact, else an object array of Fractions (infinities stay floats).
    NaN always raises, infinities unless ``infinite``.
    """
    try:
        unmasked(value, what)
    except InputError as error:
        raise bad_input(error.reason, error.remedy) from None
    try:
        array = np.asarray(plain(value))
        if array.dtype.kind == "U" and array.ndim:  # floats beside decimal text stay floats
            array = np.asarray(value, dtype=object)
        array = _exact_array(array)
    except LanguageError:
        raise
    except (TypeError, ValueError, ArithmeticError):
        raise misread(
            f"{shown(value)} is not a number or an array of numbers", "Give numbers, or decimal text"
        ) from None
    floats = [v for v in array.flat if isinstance(v, float)] if array.dtype == object else array
    if np.isnan(floats).any():
        raise bad_input(f"{what} holds NaN", remedy="Give a number")
    if not infinite and np.isinf(floats).any():
        raise bad_input(f"{what} holds an infinite number", remedy="Leave the bound out instead")
    return array


def plain(value: object) -> Any:
    """Torch tensors (recognised by ``detach`` and ``cpu``) as numpy arrays; the rest as it is."""
    if not (hasattr(value, "detach") and hasattr(value, "cpu")):
        return value
    tensor = value.detach().cpu()
    return tensor.double().numpy() if tensor.is_floating_point() else tensor.numpy()


def _exact_array(array: Array) -> Array:
    if array.dtype.kind == "f" and array.dtype.itemsize <= 8:
        return array.astype(np.float64)
    if array.dtype.kind in "iub":
        return from_numbers(array)
    if array.dtype.kind not in "fUO":
        raise TypeError(array.dtype.name)
    out = np.empty(array.shape, dtype=object)
    items = array.ravel()
    out.ravel()[:] = [number(plain(items[i])) for i in range(items.size)]
    return simplify(out)


def number(value: Any) -> Fraction | float:
    """One exact number; infinities and NaN as floats."""
    if isinstance(value, Fraction):
        return value
    if isinstance(value, (str, np.str_)):
        word = value.strip().lower()
        return float(word) if word.lstrip("+-") in ("inf", "infinity", "nan") else fraction(word)
    if isinstance(value, np.ndarray) and value.size == 1:
        return number(value.item())
    if isinstance(value, int):
        return Fraction(value)
    if isinstance(value, Decimal) and value.is_finite():
        return fraction(str(value))
    if isinstance(value, np.longdouble) and np.isfinite(value):
        return Fraction(*value.as_integer_ratio())
    as_float = float(value)
    if not np.isfinite(as_float):
        return as_float
    return Fraction(value.item() if isinstance(value, np.generic) else value)


def fractions(array: Array) -> Array:
    """``array`` as Fractions, its infinities as floats."""
    if array.dtype != object and np.isfinite(array).all():
        return np.asarray(to_fractions(array), dtype=object)
    out = np.empty(array.shape, dtype=object)
    out.ravel()[:] = [v if isinstance(v, float) and np.isinf(v) else Fraction(v) for v in array.ravel().tolist()]
    return out


def shown(value: object) -> str:
    """A value in at most 60 characters, for messages."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        text = f"{kind_of(value)} of too many digits"
    return text if len(text) <= 60 else f"{text[:57]}..."
