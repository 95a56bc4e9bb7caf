"""The type of arrays in signatures, of floats, whole numbers, truth values or exact numbers, and no masked ones."""

from __future__ import annotations

import sys
from typing import Any

from numpy.typing import NDArray

from nnsym.errors import InputError

Array = NDArray[Any]


def unmasked(value: Any, what: str, where: str = "") -> Any:
    """A user's ``value`` as it is: NumPy would hand out what stands behind a mask, or NaN.

    Raises:
        InputError: elements of it are masked.
    """
    masked = sys.modules.get("numpy.ma")  # takes its time to load, and without it there are none
    if masked is not None and masked.is_masked(value):
        raise InputError(f"{what} has masked elements", where=where, remedy="Give them values, as .filled(...) does")
    return value
