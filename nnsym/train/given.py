"""What a training is given: arrays of finite numbers, and classes by their numbers; anything else is refused."""

from __future__ import annotations

import math
import numbers
from typing import Any

import torch
from torch import Tensor

from nnsym.errors import InputError


def real(given: Any, what: str) -> float:
    """A finite number."""
    if isinstance(given, bool) or not isinstance(given, numbers.Real) or not math.isfinite(given):
        raise InputError(f"{what} is {given!r}", remedy="Give a finite number")
    return float(given)


def tensor(given: Any, what: str) -> Tensor:
    """Numbers in any form that torch takes."""
    try:
        found = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        said = str(error).strip().partition("\n")[0]
        raise InputError(f"{what} are no array of numbers: {said}", remedy="Give a tensor or an array") from None
    if found.is_complex():
        raise InputError(f"{what} are complex numbers", remedy="Give real ones")
    return found


def classes(given: Any, what: str, count: int) -> Tensor:
    """Numbers of classes, each whole, from 0 to below ``count``."""
    found = tensor(given, what)
    whole = found.to(torch.int64)
    wrong = (whole != found) | (whole < 0) | (whole >= count)
    if bool(wrong.any()):
        remedy = f"Give whole numbers from 0 to {count - 1}"
        raise InputError(f"{what}: {found[wrong].ravel()[0].item()} is no number of {count}", remedy=remedy)
    return whole


def require_boxes(lower: Tensor, upper: Tensor, what: str) -> None:
    """Raise unless there is a box, and all ends are finite and in order."""
    width = upper - lower  # NaN or infinite where an end is
    if not width.numel() or not bool(((width >= 0) & (width < torch.inf)).all()):
        raise InputError(
            f"{len(lower)} boxes, and not all have finite ends in order", where=what, remedy="Give lower <= upper"
        )
