"""The margin of a property from lower bounds of its rows, for a batch of boxes, differentiable."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from nnsym.bounds.engine.inputs import Range
from nnsym.ir.formula import Atoms, InBox, reduce_formula
from nnsym.ir.node import Node
from nnsym.ir.query import Query

_FAR = 1e30  # the margin of what cannot be violated; infinite ones would make gradients NaN


def alike(queries: tuple[Query, ...]) -> bool:
    """True if the formulas are the same over the numbers of the rows, so that boxes of all cases fold as one batch."""

    def leaf(node: Atoms | InBox) -> object:
        if isinstance(node, InBox):
            return node.input, tuple(node.lower.tolist()), tuple(node.upper.tolist())
        return tuple(node.rows.tolist()), node.strict, node.soft, node.every

    shapes = [
        reduce_formula(query.formula, leaf, lambda parts: ("and", *parts), lambda parts: ("or", *parts))
        for query in queries
    ]
    return all(shape == shapes[0] for shape in shapes)


def margins(query: Query, rows: Tensor, inputs: Mapping[Node, Range], *, smooth: bool) -> Tensor:
    """The margin ``(batch,)``: the least over alternatives of a violation, the largest over what it needs at once.

    As :func:`nnsym.bounds.methods.margin`: what a precondition rules out by its bounds cannot be violated. With
    ``smooth`` the least of m_1, m_2, ... is ``-log(exp(-m_1) + exp(-m_2) + ...)``, which is at most the least.
    """
    some, every = rows.new_full((len(rows),), _FAR), rows.new_full((len(rows),), -_FAR)

    def least(values: Tensor) -> Tensor:
        return -torch.logsumexp(-values, 1) if smooth else values.amin(1)

    def leaf(node: Atoms | InBox) -> Tensor:
        if isinstance(node, InBox):
            box = inputs[node.input]
            lower, upper = (rows.new_tensor(side.astype(np.float64)) for side in (node.lower, node.upper))
            return torch.where(((lower > box.upper) | (upper < box.lower)).any(1), some, every)
        if not len(node.rows):
            return every if node.every else some
        chosen = rows[:, torch.as_tensor(node.rows, device=rows.device)]
        if node.soft:
            return chosen.amax(1) if node.every else least(chosen)
        refuted = chosen >= 0 if node.strict else chosen > 0
        return torch.where(refuted.any(1) if node.every else refuted.all(1), some, every)

    return reduce_formula(
        query.formula,
        leaf,
        lambda parts: torch.stack((every, *parts), 1).amax(1),
        lambda parts: least(torch.stack((some, *parts), 1)),
    )
