"""Cones of influence: what some elements of a node depend on, where that is little of the network.

A neuron of a convolution reads a window, a member of a lattice of maxima a few elements. A row that starts at one is 0
almost everywhere, and a pass over all of a layer's rows is mostly about zeros. So the elements of a node are grouped by
where they read, and each group is bounded in its own cone: the same plan, cut down to what the group depends on. What
is a window of rows of convolutions elsewhere (the patches of Xu et al., Automatic Perturbation Analysis, 2020) is here
a selection of elements, whatever the maps are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nnsym.bounds.kept.plan.maps import columns, leading
from nnsym.ir.array import Array
from nnsym.ir.node import Affine, Input, Max, Node
from nnsym.ir.walk import topological

_GROUPS, _FEWEST = 32, 8  # of a node at most so many, of at least so many elements
_GAIN = 3  # elements of the whole below a node for one of a cone, from which on cones pay


def cones(keep: Mapping[Node, Array], node: Node) -> Sequence[Mapping[Node, Array]]:
    """The kept elements of a node in groups, each with what it depends on; no group where that is much of the whole."""
    count = min(_GROUPS, len(keep[node]) // _FEWEST)
    if count < 2:
        return ()
    whole = sum(len(keep[n]) for n in topological((node,)) if n is not node)
    found = []
    for group in np.array_split(keep[node][np.argsort(_first(node)[keep[node]], kind="stable")], count):
        found.append(_cone(keep, node, group))
        if _GAIN * sum(len(some) for n, some in found[-1].items() if n is not node) > whole:
            return ()
    return found


def _cone(keep: Mapping[Node, Array], node: Node, elements: Array) -> Mapping[Node, Array]:
    """The kept elements of every node below that some of a node's depend on, and these."""
    order = topological((node,))
    used = {n: np.zeros(n.size, dtype=bool) for n in order}
    used[node][elements] = True
    for n in reversed(order):
        if n is not node:
            matters = np.zeros(n.size, dtype=bool)
            matters[keep[n]] = True
            used[n] &= matters
        read(n, used)
    return {n: np.flatnonzero(mine) for n, mine in used.items()}


def read(node: Node, used: Mapping[Node, Array]) -> None:
    """Mark the elements of a node's parents that its own marked ones read."""
    mine = used[node]
    match node:
        case Affine():
            for linear, parent in zip(node.maps, node.parents, strict=True):
                used[parent][columns(linear, mine)] = True
        case Max():
            members = node.groups[mine]
            used[node.parents[0]][members[members >= 0]] = True
        case Input():
            pass
        case _:
            for parent in node.parents:
                used[parent][mine] = True


def _first(node: Node) -> Array:
    """Where each element of a node begins to read its parents, as a share of them: near elements read the same."""
    match node:
        case Affine(maps=[_, *_]):
            pairs = zip(node.maps, node.parents, strict=True)
            return np.asarray(np.min([leading(linear) / max(1, parent.size) for linear, parent in pairs], axis=0))
        case Max():
            return np.asarray(np.where(node.groups >= 0, node.groups, node.parents[0].size).min(axis=1))
    return np.arange(node.size)
