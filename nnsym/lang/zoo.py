"""Small networks to learn and to test with."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from nnsym.ir.linear import Dense
from nnsym.ir.network import Network, Tensor
from nnsym.ir.node import Node, affine, new_input, pointwise
from nnsym.ir.univariate import relu
from nnsym.lang.algebra.variables import Variable
from nnsym.lang.guard import bad_input
from nnsym.lang.property import Property, forall
from nnsym.lang.statements.sets import box

__all__ = ["lecture", "random_mlp", "sat3", "unsatisfiable", "xor"]


def __dir__() -> list[str]:
    """What completion offers: not what this module imports."""
    return __all__


def xor() -> Network:
    """``|x0 - x1|`` as two ReLUs: exclusive or on {0, 1}^2."""
    return _dense("xor", [([[1, -1], [-1, 1]], [0, 0]), ([[1, 1]], [0])])


def lecture() -> Network:
    """Two hidden ReLUs whose intervals lose what their sum cancels: ``relu(x + y) - relu(x - y)``."""
    return _dense("lecture", [([[1, 1], [1, -1]], [0, 0]), ([[1, -1]], [0])])


def random_mlp(seed: int = 0, *, widths: tuple[int, ...] = (3, 6, 6, 2)) -> Network:
    """Dense ReLU layers of the given widths; weights are multiples of 1/8, so that exact arithmetic stays short."""
    rng = np.random.default_rng(seed)
    layers: list[tuple[Any, Any]] = []
    for n_in, n_out in itertools.pairwise(widths):
        layers.append((rng.integers(-8, 9, size=(n_out, n_in)) / 8, rng.integers(-8, 9, size=n_out) / 8))
    return _dense(f"random_mlp_{seed}", layers)


def sat3(clauses: Sequence[Sequence[int]]) -> Network:
    """A ReLU network over [0, 1]^n whose maximum is the largest number of clauses that one assignment satisfies.

    A clause is up to three nonzero integers as in DIMACS files: k stands for variable k, -k for its negation. With the
    value ``l`` of a literal being ``x_k`` or ``1 - x_k``, the output is

        sum over clauses of min(1, sum of their l)  +  w sum_k (|x_k - 1/2| - 1/2),        min(1, s) = 1 - relu(1 - s),

    the gadgets of the proof that verification is NP-complete (Katz et al., Reluplex, 2017, appendix on NP-completeness)
    with a weight ``w`` larger than the number of clauses that any variable is in: then the output grows whenever an
    input moves to the nearer of 0 and 1, so it is largest at an assignment, where it counts satisfied clauses.
    """
    if not clauses or not all(1 <= len(c) <= 3 and all(c) for c in clauses):
        raise bad_input("a clause has one to three literals, none of them 0", "Write [[1, -2, 3], ...]")
    n = max(abs(literal) for clause in clauses for literal in clause)
    uses = np.zeros(n)
    first, offset = np.zeros((len(clauses), n)), np.ones(len(clauses))
    for row, clause in enumerate(clauses):
        for literal in clause:
            first[row, abs(literal) - 1] -= np.sign(literal)
            offset[row] -= literal < 0
            uses[abs(literal) - 1] += 1
    weight = uses.max() + 1
    inner = np.concatenate((first, np.eye(n), -np.eye(n)))
    bias = np.concatenate((offset, np.full(n, -0.5), np.full(n, 0.5)))
    last = np.concatenate((np.full(len(clauses), -1.0), np.full(2 * n, weight)))
    return _dense("sat3", [(inner, bias), (last[None, :], [len(clauses) - weight * n / 2])])


def unsatisfiable(clauses: Sequence[Sequence[int]], *, name: str = "unsatisfiable") -> Property:
    """``forall x in [0, 1]^n: sat3(clauses)(x) <= number of clauses - 1/2``, violated iff the formula is satisfiable.

    Its margin is a whole number and a half: 1/2 less than the number of clauses that stay unsatisfied.
    """
    f = sat3(clauses)
    x = Variable(next(iter(f.inputs.values())).shape, name="x")
    most = Fraction(2 * len(clauses) - 1, 2)
    return forall(x, where=box(x, 0, 1), then=f(x)[0] <= most, name=name)


def _dense(name: str, layers: list[tuple[Any, Any]]) -> Network:
    start = new_input("x", np.shape(layers[0][0])[1])
    node: Node = start
    tensors: dict[str, Tensor] = {}
    for number, (weight, bias) in enumerate(layers, start=1):
        if number > 1:
            node = pointwise(relu(), node)
            tensors[f"relu_{number - 1}"] = Tensor(node, (node.size,))
        node = affine(((Dense(np.asarray(weight, dtype=np.float64)), node),), bias)
        tensors[f"affine_{number}"] = Tensor(node, (node.size,))
    inputs, outputs = {"x": Tensor(start, (start.size,))}, {"y": Tensor(node, (node.size,))}
    return Network(name, inputs, outputs, tensors | inputs | outputs)
