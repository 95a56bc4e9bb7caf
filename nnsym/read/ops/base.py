"""One operator of a model as its lowering sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

import numpy as np

from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.network import Tensor
from nnsym.ir.node import Node
from nnsym.read.tensors import Value


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """An operator applied to values; an input that was left out is None.

    ``types`` are the inputs' element types. ``where`` names the node in messages, ``opset`` is the operator set of the
    model and ``dtype`` what it computes in, ``outputs`` is how many results are named, and ``proto`` is the node
    itself, for the reference implementation. A lowering enters in ``either`` what engines may compute by another
    formula (:attr:`nnsym.ir.network.Network.either`).
    """

    op: str
    where: str
    inputs: tuple[Value | None, ...]
    attributes: Mapping[str, Any]
    outputs: int
    opset: int
    dtype: str
    proto: Any
    types: tuple[str, ...] = ()
    either: dict[Node, Node] = field(default_factory=dict)

    def value(self, position: int) -> Value:
        """A required input."""
        found = self.optional(position)
        if found is None:
            raise InputError(f"input {position} is missing", where=self.where, remedy="Check the model")
        return found

    def optional(self, position: int) -> Value | None:
        """An input that may be left out."""
        return self.inputs[position] if position < len(self.inputs) else None

    def type(self, position: int) -> str:
        """The element type of an input: ``float32``, ``int64``, ``bool`` ..."""
        return self.types[position] if position < len(self.types) else ""

    def tensor(self, position: int) -> Tensor:
        """A required input that depends on the network's input."""
        found = self.value(position)
        if not isinstance(found, Tensor):
            raise UnsupportedError(f"input {position} is a constant here", where=self.where, remedy="Fold it first")
        return found

    def constant(self, position: int) -> Array:
        """A required input that must be a constant."""
        found = self.value(position)
        if isinstance(found, Tensor):
            raise UnsupportedError(
                f"input {position} must be a constant, but it depends on the network's input",
                where=self.where,
                remedy="Export the model with fixed weights",
            )
        return found

    def optional_constant(self, position: int) -> Array | None:
        """An input that may be left out and must be a constant."""
        return None if self.optional(position) is None else self.constant(position)

    def ints(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        """An attribute that is a list of integers."""
        return tuple(int(v) for v in self.attributes.get(name, default))

    def integer(self, name: str, default: int) -> int:
        """An attribute that is an integer."""
        return int(self.attributes.get(name, default))

    def flag(self, name: str, default: int) -> bool:
        """An attribute that is 0 or 1: of other numbers some engines make the one, and some the other."""
        value = self.integer(name, default)
        if value not in (0, 1):
            raise self.refuse(f"{name} = {value}, which engines read in different ways", "Export it as 0 or 1")
        return bool(value)

    def number(self, name: str, default: float) -> float:
        """An attribute that is a number: the float32 that the file holds, or the float32 of the default."""
        return float(np.float32(self.attributes.get(name, default)))

    def text(self, name: str, default: str) -> str:
        """An attribute that is a string."""
        found = self.attributes.get(name, default)
        return found.decode() if isinstance(found, bytes) else str(found)

    def refuse(self, reason: str, remedy: str) -> UnsupportedError:
        """The error for a use of the operator that has no lowering."""
        return UnsupportedError(reason, where=self.where, remedy=remedy)


Lowering: TypeAlias = Callable[[Call], Sequence[Value]]
