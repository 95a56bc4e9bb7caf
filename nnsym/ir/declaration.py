"""Variables that a file declares for the tensors of its networks: names, element types and shapes of a witness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nnsym.ir.node import Node


@final
@dataclass(frozen=True, eq=False)
class Declaration:
    """``(declare-input x real [1, 5])``: ``kind`` is ``input``, ``hidden`` or ``output``; ``node`` holds the values.

    ``stored`` is the element type in the model, where it is known.
    """

    kind: str
    name: str
    type: str
    shape: tuple[int, ...]
    node: Node
    stored: str = ""
