"""Trees of a model as tables: what the operators of ``ai.onnx.ml`` spell in three ways.

Internal nodes compare one feature with a number; each has two children, internal nodes or leaves. A leaf adds weights
to some targets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.read.ops.base import Call
from nnsym.read.ops.fold import stored

_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")


@final
@dataclass(frozen=True, eq=False)
class Forest:
    """``feature``, ``split`` and ``mode`` of the internal nodes; ``children[k]`` where the test of node k holds, else.

    A child, and a root, is the number of an internal node, or ``~leaf``. ``weights`` maps ``(leaf, target)`` to what
    the leaf adds. ``roots`` has one entry a tree.
    """

    feature: Array
    split: Array
    mode: tuple[str, ...]
    children: Array
    roots: Array
    weights: Mapping[tuple[int, int], float]

    def require_trees(self) -> None:
        """Raise where a node has two parents, or none that a root leads to in finitely many steps."""
        seen: set[int] = set()
        pending = [int(root) for root in self.roots]
        while pending:
            node = pending.pop()
            if node in seen:
                raise InputError("a node of a tree has two parents", remedy="Export the model again")
            seen.add(node)
            if node >= 0:
                pending += self.children[node].tolist()


def named_nodes(call: Call, prefix: str) -> Forest:
    """The forest of a TreeEnsembleRegressor (``target``) or TreeEnsembleClassifier (``class``)."""
    keys = list(zip(call.ints("nodes_treeids", ()), call.ints("nodes_nodeids", ()), strict=True))
    modes = [m.decode() if isinstance(m, bytes) else str(m) for m in call.attributes.get("nodes_modes", ())]
    if len(set(keys)) < len(keys) or len(modes) != len(keys):
        raise ValueError("the nodes of the trees are not listed once each")
    inner = {key: k for k, key in enumerate(k for k, m in zip(keys, modes, strict=True) if m != "LEAF")}
    leaves = {key: k for k, key in enumerate(k for k, m in zip(keys, modes, strict=True) if m == "LEAF")}
    number = inner | {key: ~k for key, k in leaves.items()}
    sides = [call.ints(f"nodes_{side}nodeids", ()) for side in ("true", "false")]
    children = [[number[tree, side[p]] for side in sides] for p, (tree, _) in _inside(keys, modes)]
    places = [p for p, _ in _inside(keys, modes)]
    values, features = numbers_of(call, "nodes_values"), call.ints("nodes_featureids", ())
    below = {child for pair in children for child in pair}
    weights: dict[tuple[int, int], float] = defaultdict(float)
    given = zip(
        call.ints(f"{prefix}_treeids", ()),
        call.ints(f"{prefix}_nodeids", ()),
        call.ints(f"{prefix}_ids", ()),
        numbers_of(call, f"{prefix}_weights").tolist(),
        strict=True,
    )
    for tree, node, target, weight in given:
        place = ~number[tree, node], target
        if place in weights:
            raise call.refuse("a leaf with two weights for one target", "Add them up in the export")
        weights[place] = weight
    return Forest(
        feature=np.array([features[p] for p in places], dtype=np.int64),
        split=np.array([values[p] for p in places], dtype=np.float64),
        mode=tuple(modes[p] for p in places),
        children=np.array(children, dtype=np.int64).reshape(-1, 2),
        roots=np.array([n for n in number.values() if n not in below], dtype=np.int64),
        weights=dict(weights),
    )


def _inside(keys: list[tuple[int, int]], modes: list[str]) -> list[tuple[int, tuple[int, int]]]:
    return [(p, key) for p, (key, mode) in enumerate(zip(keys, modes, strict=True)) if mode != "LEAF"]


def numbers_of(call: Call, name: str) -> Array:
    """A list of float32, or a tensor under the name that the double form has."""
    tensor = call.attributes.get(f"{name}_as_tensor")
    if tensor is not None:
        return np.asarray(stored(tensor), dtype=np.float64).ravel()
    return np.asarray(call.attributes.get(name, ()), dtype=np.float32).astype(np.float64)


def listed_nodes(call: Call) -> Forest:
    """The forest of a TreeEnsemble, whose nodes have numbers."""
    sides = [
        np.where(
            np.array(call.ints(f"nodes_{side}leafs", ()), dtype=np.int64) != 0,
            ~np.array(call.ints(f"nodes_{side}nodeids", ()), dtype=np.int64),
            np.array(call.ints(f"nodes_{side}nodeids", ()), dtype=np.int64),
        )
        for side in ("true", "false")
    ]
    targets, added = call.ints("leaf_targetids", ()), np.asarray(stored(call.attributes["leaf_weights"]))
    modes = np.asarray(stored(call.attributes["nodes_modes"])).ravel().tolist()
    roots = np.array(call.ints("tree_roots", ()), dtype=np.int64)
    children = np.stack(sides, axis=1)
    # a tree that is one leaf is written as a node whose two children are that leaf
    alone = [int(r) for r in roots if children[r, 0] == children[r, 1]]
    roots = np.array([children[r, 0] if int(r) in alone else r for r in roots], dtype=np.int64)
    return Forest(
        feature=np.array(call.ints("nodes_featureids", ()), dtype=np.int64),
        split=np.asarray(stored(call.attributes["nodes_splits"]), dtype=np.float64).ravel(),
        mode=tuple(_MODES[m] for m in modes),
        children=children,
        roots=roots,
        weights={(k, t): float(w) for k, (t, w) in enumerate(zip(targets, added.ravel().tolist(), strict=True))},
    )
