"""Two runs: the largest ``|f - g|`` certified by each by itself, by one graph, over differences, and what that costs.

Teacher and student share the input; of two applications the inputs differ by at most 1/1024 in each element, or in the
middle element alone, anywhere in its range (monotonicity).
Networks and boxes are those of the field (``NNSYM_BENCHMARKS``, else ``../shared/benchmarks``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nnsym.bounds.methods import compute, find_source
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.formula import Atoms, conjunction
from nnsym.ir.linear import Dense
from nnsym.ir.network import Network
from nnsym.ir.node import Affine, Input, Node, affine, new_input
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows, stack
from nnsym.ir.walk import fold
from nnsym.lang.zoo import random_mlp
from nnsym.read.onnx import load
from nnsym.read.vnnlib.load import load_vnnlib
from nnsym.solvers.base import Goal, Limits
from nnsym.solvers.registry import find
from tests.benchmarks.measure import benchmark_folder, table

APART = 2.0**-10


def half(weight: Array) -> Array:
    """Rounded to float16."""
    return weight.astype(np.float16).astype(np.float64)


def pruned(weight: Array) -> Array:
    """The smallest tenth of the weights set to 0."""
    return np.where(np.abs(weight) < np.quantile(np.abs(weight), 0.1), 0.0, weight)


def scaled(weight: Array) -> Array:
    """Every weight smaller by one part in 128."""
    return weight * (1 - 2.0**-7)


def student(root: Node, change: Callable[[Array], Array]) -> Node:
    """The graph with other weights."""

    def rule(node: Node, parents: tuple[Node, ...]) -> Node:
        if isinstance(node, Affine) and all(isinstance(m, Dense) for m in node.maps):
            maps = [Dense(change(m.weight)) for m in node.maps if isinstance(m, Dense)]
            return affine(tuple(zip(maps, parents, strict=True)), node.bias)
        return node.with_parents(parents) if parents else node

    return fold([root], rule)[root]


def shared(network: Network, box: Box, change: Callable[[Array], Array]) -> Query:
    """Every ``f_i(x) - g_i(x)``."""
    x, root = _ends(network)
    rows = Rows.of(root) - Rows.of(student(root, change))
    return Query("student", {x: box}, rows, Atoms(np.arange(len(rows)), True, True))


def twice(network: Network, box: Box, low: Array, high: Array) -> Query:
    """Every ``f_i(x) - f_i(z)`` where ``low <= x - z <= high``."""
    x, root = _ends(network)
    z = new_input("z", x.size)
    rows = Rows.of(root) - Rows.of(network.apply((z,)).output(next(iter(network.outputs))))
    apart = Rows.of(x) - Rows.of(z)
    hard = stack((apart - Rows.constants(high), Rows.constants(low) - apart))
    formula = conjunction(
        Atoms(len(rows) + np.arange(len(hard)), False, soft=False), Atoms(np.arange(len(rows)), True, True)
    )
    return Query("twice", {x: box, z: box}, stack((rows, hard)), formula)


def _ends(network: Network) -> tuple[Input, Node]:
    x = next(iter(network.inputs.values())).node
    assert isinstance(x, Input)
    return x, next(iter(network.outputs.values())).node


def report(rounds: int) -> str:
    """Two tables: bounds, and the programs that are made of them."""
    return "\n".join((_bounds(rounds), _programs(rounds)))


def _programs(rounds: int) -> str:
    """The optimum and the seconds of HiGHS, with the cuts of differences and without, on random networks 3-10-10-2."""
    rows = []
    for seed in range(3):
        network, box = random_mlp(seed, widths=(3, 10, 10, 2)), Box(-np.ones(3), np.ones(3))
        one = np.array([2.0, 0.0, 0.0])
        queries = {"scaled": shared(network, box, scaled), "rising": twice(network, box, -one, 0 * one)}
        for name, query in queries.items():
            bounds = compute(query, "crown")
            for encoding in ("triangle", "bigm"):
                found = []
                for some in (replace(bounds, differences={}), bounds):
                    program = encode(query, some, find_encoding(encoding))
                    answers = [
                        find("highs").solve(program, Limits(seconds=60), Goal(decide=False)) for _ in range(rounds)
                    ]
                    spent = np.median([a.seconds["solve"] for a in answers])
                    found += [f"{answers[0].bound:.6g}", f"{spent:.2f}", str(program.n_rows)]
                rows.append([f"{name} {seed}", encoding, *found])
    head = ["query", "encoding", "without: bound", "s", "rows", "with: bound", "s", "rows"]
    return table("Programs", head, rows)


def _bounds(rounds: int) -> str:
    """One row a query and source; seconds are medians of ``rounds`` runs of both ways in turn."""
    rows = []
    for name, query, outputs in _queries():
        for source in ("ibp", "crown"):
            spent: list[list[float]] = [[], []]
            for _ in range(rounds):
                start = time.process_time()
                alone = find_source(source).compute(query)
                middle = time.process_time()
                together = compute(query, source)
                spent[0].append(middle - start)
                spent[1].append(time.process_time() - middle)
            one, two = (find_source(source).compute(q).rows for q in _single(query))
            product = float(np.maximum(one.upper - two.lower, two.upper - one.lower).max())
            most = [float(np.maximum(-b.rows.lower, b.rows.upper)[:outputs].max()) for b in (alone, together)]
            ratio = np.median(spent[1]) / np.median(spent[0])
            figures = (product, *most, product / most[1], ratio)
            rows.append([name, source, *(f"{v:.3g}" for v in figures)])
    head = ["query", "bounds", "product", "one graph", "differences", "gain over product", "time over one graph"]
    return table("Two runs", head, rows)


def _single(query: Query) -> list[Query]:
    """Each network by itself: what bounds of products rest on."""
    outputs = [node for node in query.rows.parts if not isinstance(node, Input)]
    return [replace(query, rows=Rows.of(y), formula=Atoms(np.arange(y.size), True, True)) for y in outputs]


def _queries() -> list[tuple[str, Query, int]]:
    folder = benchmark_folder()
    found = []
    for name, net, spec in (
        ("mnist_fc 256x2, image 0, eps 0.03", "mnist_fc/onnx/mnist-net_256x2", "mnist_fc/vnnlib/prop_0_0.03"),
        ("acasxu 1_1, box of property 3", "acasxu/onnx/ACASXU_run2a_1_1_batch_2000", "acasxu/vnnlib/prop_3"),
    ):
        network = load(folder / f"{net}.onnx.gz")
        box = next(iter(load_vnnlib(folder / f"{spec}.vnnlib.gz", network).boxes.values()))
        size = next(iter(network.outputs.values())).node.size
        found.append((f"{name}: against float16 weights", shared(network, box, half), size))
        found.append((f"{name}: a tenth of the weights pruned", shared(network, box, pruned), size))
        all_near, one = np.full(len(box.lower), APART), np.zeros(len(box.lower))
        one[len(one) // 2] = float(box.upper[len(one) // 2] - box.lower[len(one) // 2])
        found.append((f"{name}: two inputs 1/1024 apart", twice(network, box, -all_near, all_near), size))
        found.append((f"{name}: one input rises, the others are equal", twice(network, box, -one, 0 * one), size))
    return found
