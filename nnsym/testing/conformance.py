"""What a kit raises: one class for all kits, so that a test may catch it whatever it judges."""

from __future__ import annotations

import numpy as np

from nnsym.ir.array import Array

_NO_COLUMNS = np.zeros(0, dtype=int)


class ConformanceError(AssertionError):
    """A guest breaks a rule of its door; the message says where, with the numbers that show it.

    ``columns`` are those of the row that a run of the network violates, empty where it is something else.
    """

    def __init__(self, message: str, columns: Array = _NO_COLUMNS) -> None:
        super().__init__(message)
        self.columns = columns
