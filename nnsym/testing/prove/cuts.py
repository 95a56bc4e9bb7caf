"""Families of cuts of one neuron over a box, proved by their own separator on a symbolic neuron and a symbolic point.

The theorem: whatever point the separator is asked about, the rows that it returns hold at every run of the neuron
``sign y = max(a h, b h)``, ``h = w x + b``, for all x in the box, with z = 1 on its active side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from types import SimpleNamespace
from typing import Any, final

import numpy as np
import z3

from nnsym.encode.hinges import OpenHinges
from nnsym.encoding import Cut, Encoding
from nnsym.ir.node import new_input
from nnsym.separation.box import BoxFamily, BoxNeurons
from nnsym.separation.scene import OpenLayer
from nnsym.testing.prove.arrays import Numbers, symbolic
from nnsym.testing.prove.formulas import rows
from nnsym.testing.prove.number import Number, term
from nnsym.testing.prove.search import Answer, Counterexample, Denial, Proof, number_in, prove
from nnsym.testing.prove.subjects import UNIT
from nnsym.testing.prove.tries import find_model
from nnsym.testing.prove.world import NotModelledError, World

#: Processor seconds for one fact about one input.
_LEMMA = 5.0


@final
@dataclass(frozen=True, eq=False)
class _Neuron:
    """What a family asks of a scene, for the columns ``x_0, ..., h, y, z`` of one neuron.

    ``runs`` are the columns' values on each side, and what makes it that side.
    """

    layers: tuple[OpenLayer, ...]
    program: Any
    ends: tuple[Numbers, Numbers]
    linear: tuple[Numbers, Numbers]
    inputs: tuple[Any, ...]
    runs: tuple[tuple[Any, tuple[Any, ...]], ...]
    shown: dict[str, Any]
    tolerance: float = 0.0

    @property
    def definitions(self) -> Any:
        return np.zeros(len(self.inputs) + 3, dtype=int)

    def feeders(self, h: Any) -> Any:
        return np.arange(len(self.inputs))

    def weights(self, h: Any) -> Any:
        weights, bias = self.linear
        return self.feeders(h), weights[None], bias

    def phases(self, layer: OpenLayer) -> Any:
        return np.array([len(self.inputs) + 2])

    def __getattr__(self, name: str) -> Any:
        raise NotModelledError(f"it reads '{name}' of its scene, which a single neuron has not")

    def remaining(self) -> float:
        return float(np.inf)


def _neuron(world: World, count: int) -> _Neuron:
    """``y = max(0, w x + b)`` with any weights and any box."""
    named = {f"{s}{k}": z3.Real(f"{s}{k}") for k in range(count) for s in ("l_x", "x", "u_x", "w")}
    side = {s: [named[f"{s}{k}"] for k in range(count)] for s in ("l_x", "x", "u_x", "w")}
    for low, x, high in zip(side["l_x"], side["x"], side["u_x"], strict=True):
        world.assume(low <= x, x <= high)
    bias = z3.Real("b")
    h = z3.Sum([w * x for w, x in zip(side["w"], side["x"], strict=True)]) + bias
    zero, whole = z3.RealVal(0), z3.RealVal(1)
    runs = (h <= 0, (*side["x"], h, zero, zero)), (h > 0, (*side["x"], h, h, whole))

    def numbers(terms: list[Any]) -> Numbers:
        return symbolic(np.array([Number(world, t) for t in terms], dtype=object))  # type: ignore[no-any-return]

    one = np.ones(1)
    l, u = numbers([z3.Real("l_h")]), numbers([z3.Real("u_h")])  # noqa: E741
    hinges = OpenHinges(np.zeros(1, int), np.array([count]), np.array([count + 1]), l, u, 0 * one, one, one)
    bounds = [
        numbers([*side[s], z3.Real(f"{s}h"), z3.Real(f"{s}y"), z3.RealVal(v)]) for s, v in (("l_x", 0), ("u_x", 1))
    ]
    program = SimpleNamespace(lower=bounds[0], upper=bounds[1], n_columns=count + 3)
    layer = OpenLayer("neuron", new_input("neuron", 1), hinges)
    shown = named | {"b": bias, "y": z3.If(h > 0, h, zero)}
    linear = numbers(side["w"]), numbers([bias])
    return _Neuron((layer,), program, (bounds[0], bounds[1]), linear, tuple(side["x"]), runs, shown)


@final
@dataclass(frozen=True, eq=False)
class _AnyCoefficients:
    """A family over a box that picks anything: rows that hold then hold for what the family picks."""

    family: BoxFamily
    world: World

    def picked(self, neurons: BoxNeurons) -> BoxNeurons:
        return neurons

    def coefficients(self, neurons: BoxNeurons, x: Any, z: Any) -> Numbers:
        count = len(neurons.x)
        return symbolic(np.array([[Number(self.world, z3.Real(f"c{k}")) for k in range(count)]], dtype=object))  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.family, name)

    def _with_phases(self, scene: Any, found: BoxNeurons) -> Any:
        return BoxFamily._with_phases(self, scene, found)  # type: ignore[arg-type]


def prove_cut(encoding: Encoding, cut: Cut, count: int, *, seconds: float) -> Proof:
    """Prove or refute the rows of a family over one neuron with ``count`` inputs.

    A family over a box (:class:`nnsym.separation.box.BoxFamily`) makes right-hand sides for whatever coefficients it
    picks: they are proved for all coefficients, and for its own where that fails.
    """
    if isinstance(cut, BoxFamily) and type(cut).separator is BoxFamily.separator:
        proof = _prove(encoding, cut, count, seconds=seconds, free=True)
        if proof.answer is Answer.PROVED:
            return proof
    return _prove(encoding, cut, count, seconds=seconds, free=False)


def _prove(encoding: Encoding, cut: Cut, count: int, *, seconds: float, free: bool) -> Proof:
    def separated(world: World) -> tuple[World, _Neuron, list[Any]]:
        neuron = _neuron(world, count)
        point = symbolic(np.array([Number(world, z3.Real(f"at {k}")) for k in range(count + 3)], dtype=object))
        family: Any = _AnyCoefficients(cut, world) if free else cut  # type: ignore[arg-type]
        return world, neuron, list(type(cut).separator(family, neuron)(point))  # type: ignore[arg-type]

    proved: dict[int, tuple[int, ...]] = {}

    def denials(made: tuple[World, _Neuron, list[Any]]) -> Iterator[Denial]:
        world, neuron, blocks = made
        for block in blocks:
            if free:
                world.assume(
                    *by_coordinate(world, neuron.inputs, _weights(neuron), _coefficients(block, count), proved)
                )
            shows = partial(_shown, neuron, f"cut off by {block.origin}")
            for side, run in neuron.runs:
                yield from ((z3.And(side, z3.Not(z3.And(said))), shows) for said in rows(block, run))

    claim = encoding.name, f"{cut.text}, fan-in {count}", "valid rows"
    return prove(claim, separated, denials, seconds=seconds, unit=UNIT)  # the separators' slack is made for float64


def _weights(neuron: _Neuron) -> list[Any]:
    return [w.term for w in neuron.linear[0]]


def _coefficients(block: Any, count: int) -> list[Any]:
    """What the only row of a block multiplies each input with, with the sign of ``c`` in ``y - c x <= q``."""
    found = dict(zip(map(int, block.indices), block.data, strict=True))
    return [-term(found[k]) if k in found else z3.RealVal(0) for k in range(count)]


def by_coordinate(
    world: World, x: Sequence[Any], w: Sequence[Any], c: Sequence[Any], proved: dict[int, tuple[int, ...]]
) -> Iterator[Any]:
    """Facts that are proved one input at a time, because Z3 does not find them in their sum.

    A row over a box says that ``-c x`` and ``(w - c) x`` stay below sums that were rounded up. Of each sum, or of
    two of them, each input's own products are already enough: that is proved for every input, or nothing is said.
    ``proved`` keeps which sums they were on other paths.
    """
    sums = [s for s in world.dots if len(s) == len(x)]
    groups = [(k,) for k in range(len(sums))] + list(combinations(range(len(sums)), 2))
    passive, active = (
        [-a * v for a, v in zip(c, x, strict=True)],
        [(b - a) * v for a, b, v in zip(c, w, x, strict=True)],
    )
    for side, left in enumerate((passive, active)):
        for group in sorted(groups, key=lambda some: some != proved.get(side)):
            facts = [part <= z3.Sum([sums[j][k] for j in group]) for k, part in enumerate(left)]
            if all(find_model(world, z3.Not(fact), _LEMMA) is False for fact in facts):
                proved[side] = group
                yield from facts
                break


def _shown(neuron: _Neuron, says: str, model: Any) -> Counterexample:
    return Counterexample({name: number_in(model, v) for name, v in neuron.shown.items()}, says)
