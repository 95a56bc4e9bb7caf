"""The gradient of a combination of outputs as nodes of the graph: what bounds and encodings then speak of.

Backwards from the outputs, an activation with slopes ``s_0, s_1 ...`` between breakpoints ``t_1 ...`` of its argument u
multiplies what arrives, ``v``, by its slope there:

    s_0 v + sum_j (s_j - s_{j-1}) [u > t_j] v

which are products with steps: linear in two cases, so that encodings of gates hold them exactly. The formula is the
derivative wherever no argument is at a breakpoint; at others it is the one of a neighbouring region or of a mixture of
them. As almost all points are of the first kind, on a convex set with inner points the largest norm of the formula
bounds the Lipschitz constant (Jordan and Dimakis, Exactly Computing the Local Lipschitz Constant of ReLU Networks,
2020, theorem 1). Nothing is multiplied out: coefficients are copied.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.functions.comparisons import greater
from nnsym.ir.linear import Dense, LinearMap, Scale, Select, Sparse
from nnsym.ir.node import Affine, Input, Node, Pointwise, affine, constant, pointwise, product
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.ir.walk import topological

_Terms = list[tuple[LinearMap, Node]]


def gradients(root: Node, weights: Array, x: Input) -> Iterator[Node]:
    """For every row of ``weights`` the gradient of ``row . root`` by ``x``, a node of ``x.size`` elements.

    Raises :class:`UnsupportedError` for a graph with nodes other than affine ones, hinges and continuous pieces.
    """
    turned: dict[LinearMap, LinearMap] = {}
    return (_gradient(root, row, x, turned) for row in weights)


def _gradient(root: Node, weights: Array, x: Input, turned: dict[LinearMap, LinearMap]) -> Node:
    arriving: dict[Node, _Terms] = {root: [(Select(np.arange(root.size), root.size), constant(weights))]}
    for node in reversed(topological((root,))):
        terms = arriving.pop(node, None)
        if terms is None or isinstance(node, Input):
            if node is x and terms is not None:
                arriving[x] = terms
            continue
        here = affine(tuple(terms))
        match node:
            case Affine():
                for linear, parent in zip(node.maps, node.parents, strict=True):
                    if linear not in turned:
                        turned[linear] = _transposed(linear)
                    arriving.setdefault(parent, []).append((turned[linear], here))
            case Pointwise(fn=Hinge() | Piecewise() as fn) if not fn.jumps:
                arriving.setdefault(node.parents[0], []).extend(_slope_terms(fn, node, here))
            case _:
                said = node.fn.name if isinstance(node, Pointwise) else type(node).__name__.lower()
                raise UnsupportedError(
                    f"no gradient of '{said}' is a term", remedy="Use the methods norms, sdp or jacobian"
                )
    found = arriving.get(x)
    return constant(np.zeros(x.size)) if found is None else affine(tuple(found))


def _slope_terms(fn: Hinge | Piecewise, node: Pointwise, v: Node) -> _Terms:
    """``s_0 v - s_0 P_1 + s_1 P_1 - ...`` with ``P_j = [u > t_j] v``."""
    if isinstance(fn, Hinge):
        left, right = fn.slopes(node.size)
        breaks, slopes = np.zeros((node.size, 1)), np.stack((left, right), axis=1)
    else:
        breaks = np.broadcast_to(fn.breaks, (node.size, fn.breaks.shape[1]))
        slopes = np.broadcast_to(fn.slopes, (node.size, fn.slopes.shape[1]))
    found: _Terms = [(Scale(slopes[:, 0]), v)] if slopes[:, 0].any() else []
    for j in range(breaks.shape[1]):
        gated = product(pointwise(greater(breaks[:, j]), node.parents[0]), v)
        found += [(Scale(s), gated) for s in (-slopes[:, j], slopes[:, j + 1]) if s.any()]
    return found or [(Scale(np.zeros(node.size)), v)]


def _transposed(linear: LinearMap) -> LinearMap:
    if isinstance(linear, Dense):
        return Dense(linear.weight.T)
    if isinstance(linear, Scale):
        return linear
    turned = linear.matrix().T.tocsr()
    return Sparse(turned.data, turned.indices, turned.indptr, linear.n_out)
