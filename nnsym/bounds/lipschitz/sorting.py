"""The two halves of a sort: the larger and the smaller of the same pairs, which no norm grows under.

A layer of MaxMin (Anil, Lucas, Grosse, Sorting Out Lipschitz Function Approximation, 2019, section 4) is two maxima in
the graph, of ``x`` and of ``-x``. Together they permute every pair, so their joint change is no longer than that of x;
one by one they would count it twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from nnsym.bounds.lipschitz.merged import Weight, merged
from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.node import Affine, Max, Node


def sorted_pairs(nodes: Iterable[Node]) -> list[tuple[Max, Max]]:
    """Pairs of maxima of two elements each, no element in two groups, the second's arguments the first's negated."""
    maxima = [n for n in nodes if isinstance(n, Max) and n.groups.shape[1] == 2 and _apart(n.groups)]
    found: list[tuple[Max, Max]] = []
    left = list(maxima)
    while left:
        first = left.pop(0)
        other = next(
            (m for m in left if _same(m.groups, first.groups) and opposite(m.parents[0], first.parents[0])), None
        )
        if other is not None:
            left.remove(other)
            found.append((first, other))
    return found


def opposite(u: Node, v: Node) -> bool:
    """True if ``u = -v`` as the coefficients of both say, exactly."""
    if u.size != v.size:
        return False
    a, b = _form(u), _form(v)
    if a is None or b is None or set(a) != set(b):
        return False
    if any((a[below].matrix != -b[below].matrix).any() for below in a):
        return False
    return bool((_offset(u) == -_offset(v)).all())


def _offset(node: Node) -> Array:
    """The node where all nodes below that are not affine are 0, in rationals."""
    if not isinstance(node, Affine):
        return np.asarray(to_fractions(np.zeros(node.size)))
    total = to_fractions(node.bias)
    for linear, parent in zip(node.maps, node.parents, strict=True):
        if isinstance(parent, Affine):
            total = total + linear.apply(_offset(parent))
    return np.asarray(total)


def _form(node: Node) -> Mapping[Node, Weight] | None:
    """The node over nodes that are not affine; None where that cannot be had without rounding."""
    found = merged(node) if isinstance(node, Affine) else {node: Weight(np.eye(node.size))}
    exact = found is not None and all(w.slack is None or not w.slack.any() for w in found.values())
    return found if exact else None


def _apart(groups: Array) -> bool:
    return bool((groups >= 0).all() and len(np.unique(groups)) == groups.size)


def _same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool((np.sort(a, axis=1) == np.sort(b, axis=1)).all())
