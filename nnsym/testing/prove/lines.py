"""The lines of linear bounds, proved by running the engines' own code on symbolic tensors and arrays.

The theorem: ``sum_t low_t x_t + c <= y <= sum_t high_t x_t + d`` for all parents within their bounds and all slopes.
The slip in the offsets is made for float64, so there plain operations are off by at most its unit (underflow left out).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np

from nnsym.bounds.engine.inputs import Range
from nnsym.bounds.engine.relaxations import Lines, relax
from nnsym.bounds.kept.passes.relaxations import lines as kept_lines
from nnsym.bounds.sources import LowerSlope
from nnsym.ir.node import Max, Node
from nnsym.ir.univariate import Piecewise
from nnsym.testing.prove.arrays import symbolic
from nnsym.testing.prove.maxima import steps
from nnsym.testing.prove.number import Number, term
from nnsym.testing.prove.search import Denial, Proof, prove
from nnsym.testing.prove.subjects import UNIT, Setup, Subject
from nnsym.testing.prove.tensors import NodeMaps, tensor
from nnsym.testing.prove.theorem import counterexample
from nnsym.testing.prove.world import World

#: An engine's lines of the node of a setup.
Makes = Callable[[Setup], Any]


def engine_lines(lower: LowerSlope = "adaptive", *, relax: Callable[..., Lines] = relax) -> Makes:
    """The lines of :mod:`nnsym.bounds.engine.relaxations`, or of a function in its place."""

    def make(setup: Setup) -> Lines:
        ranges = {node: Range(*(tensor(side)[None] for side in ends)) for node, ends in setup.bounds.items()}
        parents = tuple(ranges[parent] for parent in setup.node.parents)
        return relax(setup.node, parents, ranges[setup.node], NodeMaps(), lower)

    return make


def array_lines(*, lines: Callable[..., Any] = kept_lines) -> Makes:
    """The lines of :mod:`nnsym.bounds.kept.passes.relaxations`, or of a function in its place."""

    def make(setup: Setup) -> Any:
        ranges = {node: tuple(symbolic(side[None]) for side in ends) for node, ends in setup.bounds.items()}
        parents = tuple(ranges[parent] for parent in setup.node.parents)
        return lines(_Plan(setup), setup.node, parents, ranges[setup.node])

    return make


@final
class _Plan:
    """What the lines of one node ask of a plan: all elements matter."""

    def __init__(self, setup: Setup) -> None:
        self.keep = {node: np.arange(node.size) for node in setup.bounds}
        self.summed: frozenset[Node] = frozenset()

    def groups(self, node: Max) -> Any:
        return node.groups


@final
@dataclass(frozen=True, eq=False)
class _Made:
    world: World
    setup: Setup
    lines: Any

    def at(self, side: str, offset: Any) -> Any:
        """The value of one line, a term."""
        summed = term(offset)
        for tap in self.lines.taps:
            index = 0 if tap.index is None else int(np.ravel(tap.index)[0])
            summed = summed + term(np.ravel(getattr(tap, side))[0]) * self.setup.values[tap.parent][index]
        return summed


def prove_lines(subject: Subject, makes: Makes, *, of: str, seconds: float, sharp: bool = False) -> Proof:
    """Prove or refute the lines of one node; ``of`` names whose they are, ``sharp`` what is known of floats (World)."""

    def run(world: World) -> _Made:
        world.sharp = sharp
        setup = subject.make(world)
        return _Made(world, setup, makes(setup))

    def denials(made: _Made) -> Iterator[Denial]:
        node = made.setup.node
        (y,) = at_least = made.setup.values[node]
        if isinstance(node, Max):
            at_least = made.setup.values[node.parents[0]]
            made.world.margins.clear()
            for fact in steps(made.world, made.setup, made.lines):
                made.world.assume(fact)
        for sign, side, name in ((1, "low", "its lower line"), (-1, "high", "its upper line")):
            offset = np.ravel(getattr(made.lines, side))[0]
            if isinstance(offset, Number) or np.isfinite(offset):
                for value in at_least if sign < 0 else (y,):
                    wrong = sign * (made.at(side, offset) - value) > 0
                    yield wrong, partial(counterexample, made.setup, subject, f"{name} cuts it off")

    unit = UNIT if not isinstance(subject.fn, Piecewise) else None
    return prove((of, subject.name, "below and above"), run, denials, seconds=seconds, unit=unit)
