"""Which elements of a node matter to the lines of the nonlinear nodes that read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from nnsym.bounds.engine.inputs import Range
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.relaxations import undecided
from nnsym.ir.linear import Select
from nnsym.ir.node import Affine, Node


@final
@dataclass(frozen=True, eq=False)
class Use:
    """A nonlinear node and a parent of it; the parent is ``source`` or, where it only copies, elements of ``source``.

    Copies are as tight as what they copy: one pass for an element, however often it is read.
    """

    consumer: Node
    parent: Node
    source: Node

    @staticmethod
    def of(consumer: Node, parent: Node) -> Use:
        if isinstance(parent, Affine) and not parent.bias.any():
            copied = [
                node for linear, node in zip(parent.maps, parent.parents, strict=True) if isinstance(linear, Select)
            ]
            if len(copied) == len(parent.maps) == 1:
                return Use(consumer, parent, copied[0])
        return Use(consumer, parent, parent)

    def undecided(self, x: Range, maps: Maps) -> Tensor:
        """Elements of the source, of range x, whose bounds shape the consumer's lines."""
        if self.parent is self.source:
            return undecided(self.consumer, self.parent, x, maps)
        assert isinstance(self.parent, Affine)
        kind = maps[self.parent.maps[0]]
        open_copies = undecided(self.consumer, self.parent, Range(kind.apply(x.lower), kind.apply(x.upper)), maps)
        return kind.adjoint(open_copies.to(x.lower.dtype)) > 0
