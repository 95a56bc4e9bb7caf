"""Values of terms at a point: what a trajectory, an output or a margin is at a counterexample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.absent import marked
from nnsym.ir.array import Array
from nnsym.ir.evaluate import evaluate
from nnsym.ir.exact import nearest
from nnsym.ir.node import Input, Node
from nnsym.ir.walk import topological
from nnsym.lang.guard import bad_input, exact, fractions

if TYPE_CHECKING:
    from nnsym.lang.algebra.terms import Term


def values_at(term: Term, point: object) -> Array:
    """Float64 values of the term's elements, in its shape.

    Computed in rationals and rounded once; with smooth activations in float64. NaN where a function has no value.
    """
    inputs = [node for node in topological(term.rows.parts) if isinstance(node, Input)]
    given = {x: _values(x, point, alone=len(inputs) == 1) for x in inputs}
    parts = tuple(term.rows.parts)
    try:
        values: Mapping[Node, Array] = evaluate(parts, {x: fractions(v) for x, v in given.items()})
    except UnsupportedError:  # a smooth activation has no exact value
        values = marked(parts, evaluate(parts, {x: v.astype(np.float64) for x, v in given.items()}))
    return nearest(np.asarray(term.rows.value(values))).reshape(term.shape)


def _values(x: Input, point: object, *, alone: bool) -> Array:
    """The numbers of one variable at the point."""
    named = getattr(point, "inputs", point)
    if isinstance(named, Mapping):
        if x.name not in named:
            remedy = f"Give all variables of the term: {{'{x.name}': ...}}"
            raise bad_input(f"the point has no values for '{x.name}'", remedy)
        found = named[x.name]
    elif alone:
        found = named
    else:
        raise bad_input("the term has several variables", "Give a dictionary of arrays by the variables' names")
    numbers = exact(found, f"the value of {x.name}")
    if numbers.size != x.size:
        raise bad_input(f"'{x.name}' has {x.size} elements, the point {numbers.size}", "Give one number for each")
    return numbers.ravel()
