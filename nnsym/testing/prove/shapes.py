"""The shapes of powers, which proofs about lines of smooth functions take for granted of a function.

The theorem: between neighbouring inflections, and on either side of a pole, what ``value`` computes lies above each of
its tangents where ``bends`` says convex, and below where it says concave, with the slope that ``derivative`` computes;
both without rounding. With it a proof of :func:`nnsym.testing.prove.curves.prove_offset`, which knows no more of a
function than that, is one about this power.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import z3

from nnsym.ir.smooth_functions import Smooth
from nnsym.testing.prove.arrays import exact_numbers
from nnsym.testing.prove.number import term
from nnsym.testing.prove.search import Counterexample, Denial, Proof, number_in, prove
from nnsym.testing.prove.world import World

#: Of an array ``(1,)`` another one.
Function = Callable[[Any], Any]


@final
@dataclass(frozen=True, eq=False)
class _Part:
    """Two points of one part, and the value and the slope at each; a slope may be infinite."""

    convex: bool
    points: tuple[Any, Any]
    values: tuple[Any, Any]
    slopes: tuple[Any, Any]

    def denials(self) -> Iterator[Denial]:
        """That a tangent at one point is on the wrong side of the other."""
        for here, there in ((0, 1), (1, 0)):
            if isinstance(self.slopes[here], float):
                continue
            along = self.slopes[here].term * (self.points[there] - self.points[here])
            above = term(self.values[there]) - term(self.values[here]) - along
            yield (above < 0 if self.convex else above > 0), self._shown

    def _shown(self, model: Any) -> Counterexample:
        x, z = (number_in(model, point) for point in self.points)
        return Counterexample({"x": x, "z": z}, f"it is not {'convex' if self.convex else 'concave'}")


def prove_shape(
    fn: Smooth, *, value: Function | None = None, derivative: Function | None = None, seconds: float = 30.0
) -> Proof:
    """Prove or refute what a power says of its shape; ``value`` and ``derivative`` are functions in place of its own.

    Its inflections and poles have to be the same everywhere.
    """
    cuts = [float(cut) for cut in fn.cuts(np.zeros(1))]
    parts = list(zip((None, *cuts), (*cuts, None), fn.bends, strict=True))

    def run(world: World) -> list[_Part]:
        return [part for k, some in enumerate(parts) if (part := _part(world, f"{k}", *some)) is not None]

    def _part(world: World, mark: str, start: float | None, end: float | None, convex: bool) -> _Part | None:
        points = z3.Real(f"x {mark}"), z3.Real(f"z {mark}")
        for point in points:
            world.assume(*([] if start is None else [point >= term(start)]))
            world.assume(*([] if end is None else [point <= term(end)]))
        x = exact_numbers(world, list(points))
        if not fn.defined(x, x).all():
            return None
        first, second = ((f or own)(x).tolist() for f, own in ((value, fn.value), (derivative, fn.derivative)))
        return _Part(convex, points, tuple(first), tuple(second))

    def denials(parts: list[_Part]) -> Iterator[Denial]:
        for part in parts:
            yield from part.denials()

    return prove(("shape", fn.name, "its tangents' side"), run, denials, seconds=seconds)
