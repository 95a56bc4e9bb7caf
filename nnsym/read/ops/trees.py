"""Tree ensembles: piecewise-constant functions, as steps of features and products of these.

    c_k  =  [x_f(k) <= t_k]                    one step for each test that occurs, shared by all trees
    n(child)  =  n(parent) c_k or n(parent) (1 - c_k)                    1 at the nodes that the input passes, else 0
    value(tree)  =  w_0 + sum_leaf (w_leaf - w_0) n(leaf)                exact differences, w_0 between the extremes

Tests compare the stored float32 threshold as ONNX Runtime does. Products have a factor that is 0 or 1, so that they are
linear in two cases for every encoding (:mod:`nnsym.encode.gates`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nnsym.ir import exact, logic
from nnsym.ir.array import Array
from nnsym.ir.functions import comparisons as steps
from nnsym.ir.linear import Select, Sparse
from nnsym.ir.network import Tensor
from nnsym.ir.node import Node, affine, concatenate, maximum, pointwise, product
from nnsym.ir.univariate import Piecewise
from nnsym.read.forest import Forest, listed_nodes, named_nodes, numbers_of
from nnsym.read.ops.base import Call
from nnsym.read.ops.labels import label_of, transformed
from nnsym.read.sizes import require_size
from nnsym.read.tensors import Value, scaled, total

_TESTS: dict[str, Callable[[object], Piecewise]] = {
    "BRANCH_LEQ": steps.less_equal,
    "BRANCH_LT": steps.less,
    "BRANCH_GTE": steps.greater_equal,
    "BRANCH_GT": steps.greater,
    "BRANCH_EQ": steps.equal,
    "BRANCH_NEQ": steps.unequal,
}
_AGGREGATES, _TRANSFORMS = ("AVERAGE", "SUM", "MIN", "MAX"), ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


def regressor(call: Call) -> list[Value]:
    """TreeEnsembleRegressor: one value a target."""
    count, how = call.integer("n_targets", 1), call.text("aggregate_function", "SUM")
    return [transformed(call, _sums(call, named_nodes(call, "target"), count, how), _transform(call))]


def ensemble(call: Call) -> list[Value]:
    """TreeEnsemble, operator set 5: the same with nodes by number."""
    count, how = call.integer("n_targets", 1), _AGGREGATES[call.integer("aggregate_function", 1)]
    if "membership_values" in call.attributes:
        raise call.refuse("tests of membership in a set", "Split them into comparisons")
    kind = _TRANSFORMS[call.integer("post_transform", 0)]
    return [transformed(call, _sums(call, listed_nodes(call), count, how), kind)]


def classifier(call: Call) -> list[Value]:
    """TreeEnsembleClassifier: the label with the largest score, and all scores.

    Two classes of which only one has weights get its score and the opposite one, as ONNX Runtime gives them.
    """
    forest = named_nodes(call, "class")
    labels = call.ints("classlabels_int64s", ())
    if not labels:
        raise call.refuse("labels that are texts", "Convert it with integer labels")
    used, kind = {target for _, target in forest.weights}, _transform(call)
    if len(labels) == 2 and len(used) == 1:
        scores = _sums(call, forest, max(used) + 1, "SUM")
        only = Tensor(affine(((Select(np.arange(max(used), scores.node.size, max(used) + 1), scores.node.size),
                               scores.node),)), (scores.shape[0], 1))  # fmt: skip
        return _two_classes(call, only, labels, kind, positive=min(forest.weights.values()) >= 0)
    scores = _sums(call, forest, len(labels), "SUM")
    return [label_of(scores, labels), transformed(call, scores, kind)]


def _two_classes(call: Call, score: Tensor, labels: tuple[int, ...], kind: str, *, positive: bool) -> list[Value]:
    """Of scores that are all positive weights ``(1 - s, s)``, else ``(-s, s)``; the second class wins above the middle.

    A logistic transform is applied to the pair ``(-s, s)``.
    """
    if kind not in ("NONE", "LOGISTIC") or (positive and kind != "NONE"):
        raise call.refuse(f"the transform {kind} of one score of two classes", "Export the raw scores")
    first = total((np.ones(1), score), (1.0, -1.0)) if positive else scaled(score, np.asarray(-1.0))
    rows = score.shape[0]
    both = concatenate((first.node, score.node))
    order = (np.arange(2) * rows + np.arange(rows)[:, None]).ravel()
    scores = Tensor(affine(((Select(order, 2 * rows), both),)), (rows, 2))
    wins = pointwise(steps.greater(0.5 if positive else 0.0), score.node)
    label = Tensor(logic.where(wins, *(_numbers(labels[k], rows) for k in (1, 0))), (rows,))
    return [label, transformed(call, scores, kind)]


def _numbers(value: float, count: int) -> Node:
    return affine((), np.full(count, float(value)))


def _transform(call: Call) -> str:
    return call.text("post_transform", "NONE")


def _sums(call: Call, forest: Forest, targets: int, how: str) -> Tensor:
    """The scores ``(rows, targets)`` before any transform."""
    forest.require_trees()
    x = call.tensor(0)
    if len(x.shape) not in (1, 2):
        raise ValueError(f"a table of samples, not shape {x.shape}")
    rows, features = (1, x.shape[0]) if len(x.shape) == 1 else x.shape
    if len(forest.feature) and forest.feature.max() >= features:
        raise ValueError(f"feature {forest.feature.max()} of {features}")
    trees = _values(call, forest, x.node, rows, targets)  # (rows, trees, targets)
    count, base = len(forest.roots), numbers_of(call, "base_values")
    index = np.arange(rows * count * targets).reshape(rows, count, targets).swapaxes(1, 2).reshape(-1, count)
    if how in ("MIN", "MAX"):
        sign = np.asarray(1.0 if how == "MAX" else -1.0)
        all_trees = Tensor(trees, (trees.size,))
        best = maximum((all_trees if how == "MAX" else scaled(all_trees, sign)).node, index)
        scores = Tensor(best, (rows, targets)) if how == "MAX" else scaled(Tensor(best, (rows, targets)), sign)
    else:
        share = 1.0 / count if how == "AVERAGE" else 1.0
        sums = Sparse(np.full(index.size, share), index.ravel(), np.arange(len(index) + 1) * count, trees.size)
        scores = Tensor(affine(((sums, trees),)), (rows, targets))
    return total((scores, base), (1.0, 1.0)) if base.any() else scores


def _values(call: Call, forest: Forest, x: Node, rows: int, targets: int) -> Node:
    """The value of every tree for every target, ``(rows, trees, targets)`` flat."""
    passed, entries = _passed(call, forest, x, rows)
    bias = np.zeros((len(forest.roots), targets))
    blocks: list[list[tuple[int, int, float]]] = [[] for _ in passed]  # by level: (row of the result, entry, weight)
    for tree, leaves in enumerate(entries):
        for target in range(targets):
            weights = np.array([forest.weights.get((leaf, target), 0.0) for leaf, *_ in leaves])
            middle = (weights.min() + weights.max()) / 2
            apart = exact.add(weights, np.full(len(weights), -middle))
            if apart.dtype == object:  # a difference that float64 does not hold
                apart, middle = weights, 0.0
            if len(leaves) == 1:
                bias[tree, target] = weights[0]
                continue
            bias[tree, target] = middle
            for (_, level, entry), weight in zip(leaves, apart.tolist(), strict=True):
                blocks[level].append((tree * targets + target, entry, weight))
    terms = []
    for node, block in zip(passed, blocks, strict=True):
        if not block:
            continue
        row, column, data = (np.array(part) for part in zip(*sorted(block), strict=True))
        indptr = np.searchsorted(row, np.arange(bias.size + 1))
        width = node.size // rows
        column = (np.arange(rows)[:, None] * width + column).ravel()
        ends = np.concatenate([indptr[:-1] + k * len(row) for k in range(rows)] + [np.array([rows * len(row)])])
        terms.append((Sparse(np.tile(data, rows), column, ends, node.size), node))
    return affine(tuple(terms), np.tile(bias.ravel(), rows))


def _passed(call: Call, forest: Forest, x: Node, rows: int) -> tuple[list[Node], list[list[tuple[int, int, int]]]]:
    """By depth, which nodes the input passes; and the leaves of every tree as ``(leaf, depth, entry)``."""
    tests, number = _tests(call, forest, x, rows)
    many = tests.size // rows // 2
    levels: list[Node] = []
    leaves: list[list[tuple[int, int, int]]] = [[(~r, -1, -1)] if r < 0 else [] for r in forest.roots.tolist()]
    open_ = [(tree, root, -1) for tree, root in enumerate(forest.roots.tolist()) if root >= 0]
    while open_:
        taken = [(tree, node, before, side) for tree, node, before in open_ for side in (0, 1)]
        literal = np.array([number[node] + side * many for _, node, _, side in taken])
        here: Node = affine(((Select(_each(literal, rows, 2 * many), tests.size), tests),))
        if levels:
            above, width = levels[-1], levels[-1].size // rows
            parents = Select(_each(np.array([before for *_, before, _ in taken]), rows, width), above.size)
            here = product(affine(((parents, above),)), here)
        require_size((here.size,))
        levels.append(here)
        open_ = []
        for entry, (tree, node, _, side) in enumerate(taken):
            child = int(forest.children[node, side])
            if child >= 0:
                open_.append((tree, child, entry))
            else:
                leaves[tree].append((~child, len(levels) - 1, entry))
    return levels, leaves


def _each(index: Array, rows: int, width: int) -> Array:
    """The same elements of every row of a table of so many columns."""
    return (np.arange(rows)[:, None] * width + index).ravel()


def _tests(call: Call, forest: Forest, x: Node, rows: int) -> tuple[Node, Array]:
    """All tests, ``(rows, 2 tests)``: what holds, then what does not; and the test of every internal node."""
    keys = list(zip(forest.mode, forest.feature.tolist(), forest.split.tolist(), strict=True))
    distinct = sorted(set(keys))
    unknown = {mode for mode, *_ in distinct} - _TESTS.keys()
    if unknown:
        raise call.refuse(f"tests of the kind {sorted(unknown)[0]}", "Split them into comparisons")
    width, parts = x.size // rows, []
    for mode, step in _TESTS.items():
        mine = [(f, t) for m, f, t in distinct if m == mode]
        if mine:
            index = _each(np.array([f for f, _ in mine]), rows, width)
            found = step(np.tile([t for _, t in mine], rows))
            parts.append((len(mine), pointwise(found, affine(((Select(index, x.size), x),)))))
    if not parts:
        return affine((), np.zeros(0)), np.zeros(0, dtype=np.int64)
    order = [mode for mode in _TESTS if any(m == mode for m, *_ in distinct)]
    holds = _side_by_side(parts, rows)
    ranked = [key for mode in order for key in distinct if key[0] == mode]
    place = {key: k for k, key in enumerate(ranked)}
    both = _side_by_side([(len(distinct), holds), (len(distinct), logic.negation(holds))], rows)
    return both, np.array([place[key] for key in keys], dtype=np.int64)


def _side_by_side(parts: list[tuple[int, Node]], rows: int) -> Node:
    """Tables of so many columns each, as one table."""
    if len(parts) == 1:
        return parts[0][1]
    joined = concatenate(tuple(node for _, node in parts))
    starts = np.cumsum([0, *(rows * count for count, _ in parts)])
    columns = [start + _each(np.arange(count), rows, count).reshape(rows, count)
               for start, (count, _) in zip(starts, parts, strict=False)]  # fmt: skip
    return affine(((Select(np.concatenate(columns, axis=1).ravel(), joined.size), joined),))
