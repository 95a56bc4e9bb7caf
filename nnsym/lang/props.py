"""Ready-made properties; each is an ordinary one whose text is its formula.

Boxes are given by ``lower`` and ``upper``, numbers or arrays of the network's input shape (or as many elements in C
order). Every function takes ``name``, what tables and files call the property.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnsym.ir.network import Network
from nnsym.lang.algebra.functions import abs_, concat, norm
from nnsym.lang.algebra.ranking import argmax, wins
from nnsym.lang.algebra.smooth import SmoothedClassifier
from nnsym.lang.algebra.terms import Term
from nnsym.lang.algebra.variables import Variable, one_hot
from nnsym.lang.guard import bad_input, misread
from nnsym.lang.property import Property, forall
from nnsym.lang.statements.formulas import Formula, reduce_all, reduce_any
from nnsym.lang.statements.sets import ball, box

__all__ = ["dead_neuron", "equivalent", "fair", "lipschitz", "margin_table", "monotone", "robust", "targeted"]


def __dir__() -> list[str]:
    """What completion offers: not what this module imports."""
    return __all__


def robust(
    f: Network | SmoothedClassifier,
    x0: Any,
    label: object,
    eps: object,
    *,
    p: object = math.inf,
    within: tuple[object, object] | None = None,
    name: str = "robust",
) -> Property:
    """``forall x in the ball round x0: argmax(f(x)) == label``, of a network or a smoothed classifier.

    ``x0`` has the network's declared input shape, or as many elements. ``within`` cuts the ball to valid inputs, such
    as (0, 1) for images.
    """
    x, taken = _decided(f, label, operator.eq, "robust")
    return forall(x, where=ball(x, x0, eps, p=p, within=within), then=taken, name=name)


def targeted(
    f: Network | SmoothedClassifier,
    x0: Any,
    target: object,
    eps: object,
    *,
    p: object = math.inf,
    within: tuple[object, object] | None = None,
    name: str = "targeted",
) -> Property:
    """``forall x in the ball round x0: argmax(f(x)) != target``: nothing near x0 is taken for the target class."""
    x, taken = _decided(f, target, operator.ne, "targeted")
    return forall(x, where=ball(x, x0, eps, p=p, within=within), then=taken, name=name)


def margin_table(
    f: Network,
    x0: Any,
    label: int,
    eps: object,
    *,
    p: object = math.inf,
    within: tuple[object, object] | None = None,
) -> tuple[Property, ...]:
    """For every class ``j != label``: ``forall x in the ball round x0: f_label(x) > f_j(x)``.

    :func:`nnsym.margin_table` computes the margins of these properties.
    """
    x = variable_of(f, "margin_table")
    y = f(x).ravel()
    wins(y, label)  # raises for a class that does not exist
    where = ball(x, x0, eps, p=p, within=within)
    others = [j for j in range(y.size) if j != label]
    return tuple(forall(x, where=where, then=y[label] > y[j], name=f"margin to {j}") for j in others)


def monotone(
    f: Network,
    feature: int,
    lower: object,
    upper: object,
    *,
    output: int = 0,
    increasing: bool = True,
    name: str = "monotone",
) -> Property:
    """``forall x, v in the box: x_i <= v => f_k(x) <= f_k(x with v at i)``; ``>=`` where it is to decrease.

    ``i`` is ``feature`` and ``k`` is ``output``, flat numbers in C order. The two applications share all other inputs.
    """
    x, v = variable_of(f, "monotone"), Variable(1, name="v")
    flat, i = x.ravel(), _number(feature, x.size, "feature")
    moved = concat(flat[:i], v, flat[i + 1 :]) if x.size > 1 else v
    here, there = f(x).ravel(), f(moved).ravel()
    k = _number(output, here.size, "output")
    where = [box(x, lower, upper), box(v, *(_part(side, [i], x.size) for side in (lower, upper))), flat[i] <= v[0]]
    return forall([x, v], where=where, then=here[k] <= there[k] if increasing else here[k] >= there[k], name=name)


def lipschitz(
    f: Network,
    lower: object,
    upper: object,
    constant: object,
    *,
    p: object = math.inf,
    gap: object = 0,
    name: str = "lipschitz",
) -> Property:
    """``forall x, z in the box: |f_k(x) - f_k(z)| <= constant * norm(x - z, p) + gap`` for every output k.

    The norm on the right makes it more than bounds of a gradient can say: exact methods branch on it, outer ones relax
    it, and none leaves it out.
    """
    x, z = variable_of(f, "lipschitz"), variable_of(f, "lipschitz", "z")
    away = norm(x - z, p) * constant + gap
    where = [box(x, lower, upper), box(z, lower, upper)]
    return forall([x, z], where=where, then=reduce_all(abs_(f(x) - f(z)) <= away), name=name)


def equivalent(
    f: Network, g: Network, lower: object, upper: object, eps: object, *, name: str = "equivalent"
) -> Property:
    """``forall x in the box: norm(f(x) - g(x), inf) <= eps``; the networks may have different architectures."""
    x = variable_of(f, "equivalent")
    mine, other = f(x).ravel(), variable_of(g, "equivalent").size
    if other != x.size or g(x).size != mine.size:
        raise bad_input(
            f"'{f.name}' and '{g.name}' have different numbers of inputs or outputs",
            remedy="State what should be equal with nn.forall: elements of f(x) and g(x)",
        )
    return forall(x, where=box(x, lower, upper), then=norm(mine - g(x).ravel(), math.inf) <= eps, name=name)


def dead_neuron(
    f: Network, layer: str, index: Any, lower: object, upper: object, *, name: str = "dead neuron"
) -> Property:
    """``forall x in the box: z <= 0`` for the pre-activation z at ``index`` of the named layer: it never fires."""
    x = variable_of(f, "dead_neuron")
    then = reduce_all(f.hidden(layer)(x).pre[index] <= 0)
    return forall(x, where=box(x, lower, upper), then=then, name=name)


def fair(
    f: Network,
    lower: object,
    upper: object,
    sensitive: Sequence[int],
    *,
    deviation: object = 0,
    name: str = "fair",
) -> Property:
    """``forall u, v, s, t: |u - v| <= deviation and s != t => the decision on (u, s) is that on (v, t)``.

    Individual fairness: ``sensitive`` numbers the input elements that are a one-hot category, s and t; u and v are the
    others, in their order, inside the box. The decision is ``f > 0`` for one output and ``argmax f`` for several.
    """
    size = variable_of(f, "fair").size
    marked = [_number(k, size, "feature") for k in sensitive]
    rest = [k for k in range(size) if k not in marked]
    if len(set(marked)) < max(2, len(marked)) or not rest:
        raise bad_input("fair needs two sensitive elements or more, each once, and one other", "Number them from 0")
    u, v = Variable(len(rest), name="u"), Variable(len(rest), name="v")
    s, t = one_hot(len(marked), name="s"), one_hot(len(marked), name="t")
    low, high = (_part(side, rest, size) for side in (lower, upper))
    where = [box(w, low, high) for w in (u, v)]
    where += [reduce_all(abs_(u - v) <= deviation), reduce_any(s != t)]
    place = np.argsort([*rest, *marked])
    first, second = (pair[place] if (np.diff(place) != 1).any() else pair for pair in (concat(u, s), concat(v, t)))
    same = _same_decision(f(first).ravel(), f(second).ravel())
    return forall([u, v, s, t], where=where, then=same, name=name)


def _same_decision(y: Term, z: Term) -> Formula:
    return (y[0] > 0) == (z[0] > 0) if y.size == 1 else argmax(y) == argmax(z)


def _decided(
    f: Network | SmoothedClassifier, label: object, same: Callable[[Any, Any], Any], what: str
) -> tuple[Variable, Formula]:
    """x, and how ``argmax(f(x))`` compares with a label: made once for a network, as data sets ask it of every item."""
    plain = isinstance(label, (int, np.integer)) and not isinstance(label, bool)
    known, key = f.kept if isinstance(f, Network) and plain else {}, (_decided, same, label if plain else None)
    if key not in known:
        x = variable_of(f, what)
        y = f(x)
        if y.size == 1:
            raise bad_input(
                f"'{f.name}' has one output: it is always the largest, so {what} says nothing of it",
                "State what its value must be with nn.forall",
            )
        known[key] = x, same(argmax(y), label)
    found: tuple[Variable, Formula] = known[key]
    return found


def variable_of(f: Network | SmoothedClassifier, what: str, name: str = "x") -> Variable:
    """A variable of the network's input shape; raises unless the network has one input and one output."""
    if not isinstance(f, (Network, SmoothedClassifier)):
        raise misread(f"{what} is about a network, not {type(f).__name__}", "Pass what nn.load gives")
    if len(f.inputs) != 1 or len(f.outputs) != 1:
        raise bad_input(
            f"'{f.name}' has {len(f.inputs)} inputs and {len(f.outputs)} outputs; {what} takes one of each",
            "Write the property with nn.forall",
        )
    declared = next(iter(f.inputs.values())).shape
    return Variable(declared if declared else 1, name=name)


def _part(side: Any, index: list[int], size: int) -> Any:
    """The elements ``index`` of a bound; a single number stands for all."""
    array = np.asarray(side, dtype=object)
    return side if array.ndim == 0 else [np.broadcast_to(array.ravel(), size)[k] for k in index]


def _number(value: int, size: int, what: str) -> int:
    if not 0 <= value < size:
        raise bad_input(f"{what} {value} does not exist among {size}", f"They are numbered 0 to {size - 1}")
    return int(value)
