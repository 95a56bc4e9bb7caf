"""Distinct numbers of an array, where every start pays: ``np.unique`` and its kin load NumPy's masked arrays first."""

from __future__ import annotations

import numpy as np

from nnsym.ir.array import Array


def distinct(*arrays: Array) -> Array:
    """The distinct values of all arrays together, rising; every NaN counts as one of its own."""
    ordered = np.sort(np.concatenate([a.ravel() for a in arrays]))
    return np.concatenate((ordered[:1], ordered[1:][ordered[1:] != ordered[:-1]]))
