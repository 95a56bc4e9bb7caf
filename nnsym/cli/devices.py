"""A device beside the processor: the same bounds of the same boxes on both, how far apart they are, and the time.

Bounds of two machines need not be equal, since sums are taken in another order; both have to hold. So runs of the
network are looked at in every box, and not only the difference.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.base import Interval
from nnsym.bounds.methods import compute
from nnsym.bounds.sources import Dtype, FloatBoxes
from nnsym.ir.array import Array
from nnsym.ir.query import Query
from nnsym.lang.algebra.variables import Variable
from nnsym.lang.property import forall
from nnsym.lang.statements.formulas import reduce_all
from nnsym.lang.statements.sets import box
from nnsym.lang.zoo import random_mlp

_WIDTHS, _BOXES, _RADIUS, _ROUNDS = (64, 512, 512, 10), 32, 0.05, 2


@final
@dataclass(frozen=True, kw_only=True)
class Compared:
    """One format on a device: seconds of both, the largest distance of their bounds as a share of the widest interval,
    and how many runs of the network lie outside of the device's.
    """

    dtype: Dtype
    processor: float
    device: float
    apart: float
    outside: int

    @property
    def row(self) -> list[str]:
        said = f"{self.outside} runs outside: report it" if self.outside else "bounds hold"
        return [f"crown, {self.dtype}", f"{self.processor:.3f} s", f"{self.device:.3f} s", f"{self.apart:.1e}", said]


def compared(device: str) -> list[Compared]:
    """``crown`` on the processor and on a device, in both formats.

    Raises:
        InputError: torch has no such device here.
    """
    query, boxes, rows = _question()
    found = []
    for dtype in ("float64", "float32"):
        here, there = (_timed(query, boxes, where, dtype) for where in ("cpu", device))
        (processor, known), (seconds, bounds) = here, there
        sides = zip((bounds.lower, bounds.upper), (known.lower, known.upper), strict=True)
        apart = max(float(np.abs(a - b).max()) for a, b in sides) / float((known.upper - known.lower).max())
        outside = int(((rows < bounds.lower) | (rows > bounds.upper)).any(axis=1).sum())
        found.append(Compared(dtype=dtype, processor=processor, device=seconds, apart=apart, outside=outside))
    return found


def _question() -> tuple[Query, FloatBoxes, Array]:
    """The outputs of a network, boxes ``(batch, size)`` round random points, and a run in each, ``(batch, rows)``."""
    x, network = Variable(_WIDTHS[0], name="x"), random_mlp(0, widths=_WIDTHS)
    query = forall(x, where=box(x, -1, 1), then=reduce_all(network(x) <= 0)).query
    rng = np.random.default_rng(0)
    centre = rng.uniform(-1 + _RADIUS, 1 - _RADIUS, (_BOXES, _WIDTHS[0]))
    point = centre + rng.uniform(-_RADIUS, _RADIUS, centre.shape)
    rows = query.rows.value(query.values({query.inputs[0]: point}))
    return query, {query.inputs[0]: (centre - _RADIUS, centre + _RADIUS)}, rows


def _timed(query: Query, boxes: FloatBoxes, device: str, dtype: Dtype) -> tuple[float, Interval]:
    """The least wall seconds of some rounds, after one that is not counted, and the rows' bounds."""
    seconds = []
    for _ in range(_ROUNDS + 1):
        start = time.perf_counter()
        found = compute(query, "crown", boxes=boxes, device=device, dtype=dtype)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:]), found.rows
