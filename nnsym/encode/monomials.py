"""Powers with whole exponents by products: exact, for solvers that take bilinear rows."""

from __future__ import annotations

import numpy as np

from nnsym.encoding import Context, Exactness, NodeRule
from nnsym.ir.array import Array
from nnsym.ir.functions.powers import Monomial, WholePower
from nnsym.ir.node import Node, Pointwise
from nnsym.program import Feature, ProductBlock, Role


def monomial(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """``y = h^n`` by products, ``p_2 = h h, p_k = p_(k-1) h``; for a negative degree ``1 = y h^n``, which h = 0 fails.

    That the domain leaves out h = 0 is asked elsewhere (:mod:`nnsym.bounds.defined`).
    """
    fn, h = node.fn, args[0]
    assert isinstance(fn, Monomial)  # rules are looked up by the type of fn
    lower, upper = ctx.interval(node)
    ids, n = np.full(node.size, -1), abs(fn.degree)
    index = np.flatnonzero(h >= 0)
    ids[index] = ctx.columns(node, Role.POST, index, lower[index], upper[index])
    says, parent = f"{ctx.names[node]}: y = h^{fn.degree}", node.parents[0]
    last = h[index]
    for k in range(2, n + (fn.degree < 0)):
        power = _power_columns(ctx, node, index, parent, k)
        ctx.builder.products(ProductBlock(power, last, h[index], says))
        last = power
    if fn.degree > 0:
        ctx.builder.products(ProductBlock(ids[index], last, h[index], says))
    else:
        one = ctx.columns(node, Role.AUX, index, 1.0, 1.0, value=lambda values: np.ones(len(index)))
        ctx.builder.products(ProductBlock(one, last, ids[index], says))
    return ids


def _power_columns(ctx: Context, node: Pointwise, index: Array, parent: Node, k: int) -> Array:
    """Columns of ``h^k``."""
    return ctx.columns(
        node,
        Role.AUX,
        index,
        *(side[index] for side in WholePower(k).span(*ctx.interval(parent))),
        value=lambda values: values[parent][index] ** k,
    )


#: Powers with whole exponents, for solvers that take bilinear rows.
MONOMIAL = NodeRule(Pointwise, Exactness.EXACT, monomial, Monomial, emits=frozenset({Feature.PRODUCTS}))
