"""Families of cuts of one neuron over a box, proved by their own separator on a symbolic neuron and a symbolic point.

The theorem: whatever point the separator is asked about, the rows that it returns hold at every run of the neuron
``sign y = max(a h, b h)``, ``h = w x + b``, for all x in the box, with z = 1 on its active side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, final

import numpy as np
import z3

from nnsym.encode.rules import OpenHinges
from nnsym.encoding import Cut, Encoding
from nnsym.ir.node import new_input
from nnsym.separation.scene import OpenLayer
from nnsym.testing.prove.arrays import Numbers, symbolic
from nnsym.testing.prove.formulas import rows
from nnsym.testing.prove.number import Number
from nnsym.testing.prove.search import Counterexample, Denial, Proof, number_in, prove
from nnsym.testing.prove.world import NotModelledError, World

#: The separators' slack is made for float64, so plain operations are taken to be off by its unit.
_UNIT = z3.Q(1, 2**53)


@final
@dataclass(frozen=True, eq=False)
class _Neuron:
    """What a family asks of a scene, for the columns ``x_0, ..., h, y, z`` of one neuron; and a run of it."""

    layers: tuple[OpenLayer, ...]
    program: Any
    ends: tuple[Numbers, Numbers]
    linear: tuple[Numbers, Numbers]
    run: tuple[Any, ...]
    shown: dict[str, Any]
    tolerance: float = 0.0

    @property
    def definitions(self) -> Any:
        return np.zeros(len(self.run), dtype=int)

    def feeders(self, h: Any) -> Any:
        return np.arange(len(self.run) - 3)

    def weights(self, h: Any) -> Any:
        weights, bias = self.linear
        return self.feeders(h), weights[None], bias

    def phases(self, layer: OpenLayer) -> Any:
        return np.array([len(self.run) - 1])

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
    y, z = z3.If(h > 0, h, 0), z3.If(h > 0, z3.RealVal(1), z3.RealVal(0))

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
    shown = named | {"b": bias, "y": y}
    return _Neuron(
        (layer,), program, (bounds[0], bounds[1]), (numbers(side["w"]), numbers([bias])), (*side["x"], h, y, z), shown
    )


def prove_cut(encoding: Encoding, cut: Cut, count: int, *, seconds: float) -> Proof:
    """Prove or refute the rows of a family over one neuron with ``count`` inputs."""

    def separated(world: World) -> tuple[_Neuron, list[Any]]:
        neuron = _neuron(world, count)
        point = symbolic(np.array([Number(world, z3.Real(f"at {k}")) for k in range(count + 3)], dtype=object))
        return neuron, list(cut.separator(neuron)(point))  # type: ignore[arg-type]

    def denials(made: tuple[_Neuron, list[Any]]) -> Iterator[Denial]:
        neuron, blocks = made
        for block in blocks:
            shows = partial(_shown, neuron, f"cut off by {block.origin}")
            yield from ((z3.Not(z3.And(said)), shows) for said in rows(block, neuron.run))

    claim = encoding.name, f"{cut.text}, fan-in {count}", "valid rows"
    return prove(claim, separated, denials, seconds=seconds, unit=_UNIT)


def _shown(neuron: _Neuron, says: str, model: Any) -> Counterexample:
    return Counterexample({name: number_in(model, v) for name, v in neuron.shown.items()}, says)
