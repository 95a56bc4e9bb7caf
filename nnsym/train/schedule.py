"""How a training goes on: the radius and the weight of the clean loss over the steps, and what is told of an epoch."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import final

from nnsym.errors import InputError


@final
@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Radius and clean share by the part of training that is done (Gowal et al. 2018, section 3).

    Up to ``warm`` of the steps the radius is 0 and the loss is the clean one; from there to ``full`` the radius grows
    linearly to its target, while the clean share ``kappa`` falls from 1 to ``kappa``.
    """

    warm: float = 0.08
    full: float = 0.5
    kappa: float = 0.5

    def __post_init__(self) -> None:
        parts = (self.warm, self.full, self.kappa)
        if not all(isinstance(part, numbers.Real) and 0 <= part <= 1 for part in parts):
            raise InputError(f"a schedule of {parts}", remedy="Give warm, full and kappa from 0 to 1")

    def grown(self, done: float) -> float:
        """The part of the radius that is asked for once ``done``, in [0, 1], of the steps are made."""
        if done <= self.warm:
            return 0.0
        return min(1.0, (done - self.warm) / max(self.full - self.warm, 1e-9))

    def clean(self, done: float) -> float:
        """The clean share."""
        return 1.0 - (1.0 - self.kappa) * self.grown(done)


@final
@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Where a training stands after an epoch; ``accuracy`` is that of the batches as they were met."""

    number: int
    of: int
    eps: float
    loss: float
    accuracy: float

    def __str__(self) -> str:
        width = len(str(self.of))
        return (
            f"epoch {self.number:{width}}/{self.of}  eps {self.eps:<8.4g}  loss {self.loss:8.4f}  "
            f"clean {100 * self.accuracy:5.1f} %"
        )
