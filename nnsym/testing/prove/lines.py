"""The lines of linear bounds, proved by running :func:`nnsym.bounds.engine.relaxations.relax` itself on symbolic
tensors.

The theorem: ``low h + c <= f(h) <= high h + d`` for all bounds ``l <= h <= u`` and all slopes. The slip in a hinge's
offsets is made for float64, so there plain operations are off by at most its unit (underflow left out).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np
import z3

from nnsym.bounds.engine.inputs import Range
from nnsym.bounds.engine.maps import Slopes
from nnsym.bounds.engine.relaxations import Relaxation, relax
from nnsym.bounds.engine.rounding import FLOAT64
from nnsym.bounds.sources import LowerSlope
from nnsym.ir.node import Pointwise
from nnsym.ir.univariate import Piecewise
from nnsym.testing.prove.arrays import Numbers
from nnsym.testing.prove.number import Number, term
from nnsym.testing.prove.search import Denial, Proof, prove
from nnsym.testing.prove.subjects import Setup, Subject
from nnsym.testing.prove.theorem import counterexample
from nnsym.testing.prove.world import World


class Tensors(Numbers):
    """Symbolic arrays that pass for tensors: PyTorch asks them what its functions are, and NumPy has the answers."""

    def __array_ufunc__(self, *args: Any, **options: Any) -> Any:
        return tensors(super().__array_ufunc__(*args, **options))

    def __array_function__(self, *args: Any) -> Any:
        return tensors(super().__array_function__(*args))

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return getattr(np, func.__name__)(*args, **(kwargs or {}))

    def abs(self) -> Any:
        return np.abs(self)

    def clamp(self, least: Any, most: Any) -> Any:
        return np.clip(self, least, most)

    def to(self, *_: Any) -> Any:
        return self

    def cpu(self) -> Any:
        return self

    def numpy(self) -> Any:
        return self.view(Numbers)


def tensors(values: Any) -> Any:
    """Arrays as symbolic tensors; other results as they are."""
    return values.view(Tensors) if isinstance(values, np.ndarray) else values


def _tensor(values: Any) -> Any:
    return np.asarray(values, dtype=object).view(Tensors)


@final
class _Maps:
    """What the lines of one neuron ask of an engine."""

    precision = FLOAT64

    def slopes(self, node: Pointwise) -> Slopes:
        return Slopes.of(_tensor(node.fn.left), _tensor(node.fn.right), exact=False)  # type: ignore[attr-defined]

    def tensor(self, values: Any) -> Any:
        return _tensor(values)

    def outward(self, values: Any, direction: float) -> Any:
        return _tensor(values)


@final
@dataclass(frozen=True, eq=False)
class _Made:
    setup: Setup
    lines: Relaxation


def prove_lines(
    subject: Subject, lower: LowerSlope, *, seconds: float, lines: Callable[..., Relaxation] = relax
) -> Proof:
    """Prove or refute the lines of one neuron."""

    def run(world: World) -> _Made:
        setup = subject.make(world)
        h, own = (Range(*(_tensor(side)[None] for side in ends)) for ends in setup.bounds.values())
        return _Made(setup, lines(setup.node, (h,), own, _Maps(), lower))

    def denials(made: _Made) -> Iterator[Denial]:
        (h,), (y,) = made.setup.values.values()
        (tap,) = made.lines.taps
        sides = ((1, tap.low, made.lines.low, "its lower line"), (-1, tap.high, made.lines.high, "its upper line"))
        for sign, slope, offset, name in sides:
            constant = offset.item()
            if isinstance(constant, Number) or np.isfinite(constant):
                wrong = sign * (term(slope.item()) * h + term(constant) - y) > 0
                yield wrong, partial(counterexample, made.setup, subject, f"{name} cuts it off")

    unit = _UNIT if not isinstance(subject.fn, Piecewise) else None
    return prove((f"lines, {lower}", subject.name, "below and above"), run, denials, seconds=seconds, unit=unit)


_UNIT = z3.Q(1, 2**53)
