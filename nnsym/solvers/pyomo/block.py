"""A program as a Pyomo block inside a model of one's own: its variables, and its ends by place and by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.var import IndexedVar

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.program import Program
from nnsym.solvers.pyomo.model import fill


@final
@dataclass(frozen=True, kw_only=True)
class End:
    """A named array of columns: its shape, and names of its elements where people gave some."""

    name: str
    shape: tuple[int, ...]
    columns: Array
    names: tuple[str, ...] = ()


@final
class Elements(IndexedVar):  # type: ignore[misc]
    """References to the variables of a block's inputs or outputs: an indexed ``Var`` over ``0 .. n - 1``, in C order.

    An element is also found by its own name (``inputs["oil"]``), by its array and place (``outputs["y", 3]``,
    ``outputs["y", 0, 3]``), and, where there is one array, by its index (``outputs[0, 3]``). The name of an array gives
    the list of its elements.
    """

    def __init__(self, *indexing: Any, ctype: Any = None) -> None:
        self.places: dict[Any, int | list[int]] = {}
        super().__init__(*indexing, ctype=pyo.Var)

    def __getitem__(self, key: Any = None) -> Any:
        if not isinstance(key, (str, tuple)):
            return super().__getitem__(key)
        if key not in self.places:
            known = ", ".join(repr(k) for k in self.places if isinstance(k, str))
            raise InputError(f"no element {key!r}", where=f"Pyomo component '{self.name}'", remedy=f"Known: {known}")
        found = self.places[key]
        if isinstance(found, int):
            return super().__getitem__(found)
        return [super(Elements, self).__getitem__(k) for k in found]


def to_block(program: Program, *, inputs: Sequence[End], outputs: Sequence[End]) -> Any:
    """A ``Block`` with ``x`` and ``rows`` (:func:`nnsym.solvers.pyomo.model.to_pyomo`), ``inputs`` and ``outputs``."""
    block = pyo.Block(concrete=True)
    fill(block, program, columns="all")
    block.inputs, block.outputs = _elements(block, inputs), _elements(block, outputs)
    return block


def _elements(block: Any, ends: Sequence[End]) -> Elements:
    variables = [block.rows.variables[int(column)] for end in ends for column in end.columns]
    found: Elements = pyo.Reference(dict(enumerate(variables)), ctype=Elements)
    found.places.update(_places(ends))
    return found


def _places(ends: Sequence[End]) -> Mapping[Any, int | list[int]]:
    """Every key but the numbers themselves; a plain name of an element gives way to that of an array."""
    places: dict[Any, int | list[int]] = {}
    start = 0
    for end in ends:
        numbers = range(start, start + len(end.columns))
        for index, k in zip(np.ndindex(end.shape), numbers, strict=True):
            places[end.name, k - start] = k
            places[(end.name, *index)] = k
            if len(ends) == 1 and len(index) > 1:
                places[index] = k
        for name, k in zip(end.names, numbers, strict=False):
            places[f"{end.name}.{name}"] = k
            places.setdefault(name, k)
        start += len(end.columns)
    start = 0
    for end in ends:
        places[end.name] = list(range(start, start + len(end.columns)))
        start += len(end.columns)
    return places
