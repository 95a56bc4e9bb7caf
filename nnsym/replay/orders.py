"""Runs of a stored model in its own dtype, in other orders of summation than the engine at hand.

Whoever deploys a model may sum in any order; the real function knows none. Every order here is a run that some correct
engine may make: products and sums are rounded one by one, to nearest, in the dtype of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.evaluate import apply_node
from nnsym.ir.linear import Dense
from nnsym.ir.network import Network
from nnsym.ir.node import Affine, Input, Node, Point
from nnsym.ir.query import Query
from nnsym.ir.walk import fold
from nnsym.read.runtime import operators
from nnsym.replay.engine import EngineRun, Runner, run_engine

#: Networks of more coefficients are run by the engine only.
_WORK = 2_000_000

#: Operators whose lowering rounds where they do. ``max(x, c)`` lowered as ``c + relu(x - c)``, say, rounds where no
#: engine does, and a run of the graph would be none of the model.
_PLAIN = frozenset(
    {"Gemm", "MatMul", "Conv", "Add", "Sub", "Mul", "Neg", "Relu", "Abs", "Sign", "LeakyRelu", "MaxPool", "Identity"}
    | {"Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Concat", "Constant", "Dropout"}
)


#: Puts the terms of every row ``(rows, terms)`` in the order in which they are added up.
Order = Callable[[Array], Array]


def _sorted(key: Callable[[Array], Array]) -> Order:
    def order(terms: Array) -> Array:
        return np.take_along_axis(terms, np.argsort(key(terms), axis=1, kind="stable"), axis=1)

    return order


#: The orders that are tried, by what a witness says of them.
ORDERS: Mapping[str, Order] = {
    "in order": lambda terms: terms,
    "last first": lambda terms: terms[:, ::-1],
    "smallest first": _sorted(np.abs),
    "largest first": _sorted(lambda terms: -np.abs(terms)),
    "negative first": _sorted(lambda terms: terms),
    "positive first": _sorted(lambda terms: -terms),
}


def float_runs(query: Query, point: Point) -> Iterator[EngineRun]:
    """The engine's run, then one per order for models that are small enough."""
    engine = run_engine(query, point)
    if engine is None:
        return
    yield engine
    networks = {id(a.network): a.network for a in query.applications if a.network.model is not None}
    work = sum(m.nnz for f in networks.values() for n in f.nodes if isinstance(n, Affine) for m in n.maps)
    if work > _WORK or not all(operators(f) <= _PLAIN for f in networks.values()):
        return
    for name, order in ORDERS.items():
        run = run_engine(query, point, _runner(order))
        if run is not None:
            dtypes = "/".join(sorted({f.dtype for f in networks.values()}))
            yield EngineRun(computed=run.computed, outputs=run.outputs, by=f"{dtypes}, sums {name}")


def _runner(order: Order) -> Runner:
    def run(network: Network, feeds: Mapping[str, Array], hidden: tuple[str, ...]) -> Mapping[str, Array]:
        kind = np.dtype(network.dtype)
        given: dict[Node, Array] = {t.node: feeds[name].reshape(-1) for name, t in network.inputs.items()}
        wanted = {n: network.outputs.get(n) or network.tensors[n] for n in (*network.outputs, *hidden)}

        def rule(node: Node, args: tuple[Array, ...]) -> Array:
            if isinstance(node, Input):
                return given[node]
            if isinstance(node, Affine):
                return _summed(node, args, kind, order)
            return np.asarray(apply_node(node, args)).astype(kind)

        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            values = fold([t.node for t in wanted.values()], rule)
        return {name: values[t.node].reshape(t.shape) for name, t in wanted.items()}

    return run


def _summed(node: Affine, args: tuple[Array, ...], kind: np.dtype[Any], order: Order) -> Array:
    """Products rounded, then added up one by one; a row's constant is its last term."""
    blocks = [_terms(linear, arg, kind) for linear, arg in zip(node.maps, args, strict=True)]
    if node.bias.any():
        blocks.append(node.bias.astype(kind)[:, None])
    if not blocks:
        return np.zeros(node.size, dtype=kind)
    ordered = order(np.concatenate(blocks, axis=1))
    return np.asarray(np.add.accumulate(ordered, axis=1, dtype=kind)[:, -1])


def _terms(linear: Any, x: Array, kind: np.dtype[Any]) -> Array:
    """The products of every row, ``(n_out, most terms of a row)``, filled up with zeros."""
    if isinstance(linear, Dense):
        return np.asarray(linear.weight.astype(kind) * x)
    data, indices, indptr = linear.csr()
    counts = np.diff(indptr)
    out = np.zeros((linear.n_out, max(1, int(counts.max(initial=0)))), dtype=kind)
    row = np.repeat(np.arange(linear.n_out), counts)
    out[row, np.arange(len(data)) - np.repeat(indptr[:-1], counts)] = data.astype(kind) * x[indices]
    return out
