"""The type of arrays in signatures: of floats, whole numbers, truth values or exact numbers, as docstrings say."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
