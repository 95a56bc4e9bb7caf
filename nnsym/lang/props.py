"""Ready-made properties; each is an ordinary one whose text is its formula."""

from __future__ import annotations

import math
from typing import Any

from nnsym.ir.network import Network
from nnsym.lang.guard import bad_input
from nnsym.lang.property import Property, forall
from nnsym.lang.ranking import argmax
from nnsym.lang.sets import ball
from nnsym.lang.variables import Variable


def robust(
    f: Network,
    x0: Any,
    label: object,
    eps: object,
    *,
    p: object = math.inf,
    within: tuple[object, object] | None = None,
    name: str = "robust",
) -> Property:
    """``forall x in the ball round x0: argmax(f(x)) == label``.

    ``x0`` has the network's declared input shape, or as many elements. ``within`` cuts the ball to valid inputs, such
    as (0, 1) for images.
    """
    x = variable_of(f, "robust")
    return forall(x, where=ball(x, x0, eps, p=p, within=within), then=argmax(f(x)) == label, name=name)


def variable_of(f: Network, what: str, name: str = "x") -> Variable:
    """A variable of the network's input shape; raises unless the network has one input and one output."""
    if len(f.inputs) != 1 or len(f.outputs) != 1:
        raise bad_input(
            f"'{f.name}' has {len(f.inputs)} inputs and {len(f.outputs)} outputs; {what} takes one of each",
            "Write the property with nn.forall",
        )
    declared = next(iter(f.inputs.values())).shape
    return Variable(declared if declared else 1, name=name)
