"""Two runs: the largest ``|f - g|`` certified by each by itself, by one graph, over differences, and what that costs.

Teacher and student share the input; of two applications the inputs differ by at most 1/1024 in each element.
Networks and boxes are those of the field (``NNSYM_BENCHMARKS``, else ``../shared/benchmarks``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnsym.bounds.methods import compute, find_source
from nnsym.ir.formula import Atoms, conjunction
from nnsym.ir.linear import Dense
from nnsym.ir.network import Network
from nnsym.ir.node import Affine, Input, Node, affine, new_input
from nnsym.ir.query import Box, Query
from nnsym.ir.rows import Rows, stack
from nnsym.ir.walk import fold
from nnsym.read.onnx import load
from nnsym.read.vnnlib import load_vnnlib
from tests.benchmarks.measure import table

Array = NDArray[Any]
APART = 2.0**-10


def half(weight: Array) -> Array:
    """Rounded to float16."""
    return weight.astype(np.float16).astype(np.float64)


def pruned(weight: Array) -> Array:
    """The smallest tenth of the weights set to 0."""
    return np.where(np.abs(weight) < np.quantile(np.abs(weight), 0.1), 0.0, weight)


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


def twice(network: Network, box: Box) -> Query:
    """Every ``f_i(x) - f_i(z)`` where ``|x_j - z_j| <= 1/1024``."""
    x, root = _ends(network)
    z = new_input("z", x.size)
    rows = Rows.of(root) - Rows.of(network.apply((z,)).output(next(iter(network.outputs))))
    apart, most = Rows.of(x) - Rows.of(z), Rows.constants(np.full(x.size, APART))
    hard = stack((apart - most, -apart - most))
    formula = conjunction(
        Atoms(len(rows) + np.arange(len(hard)), False, soft=False), Atoms(np.arange(len(rows)), True, True)
    )
    return Query("twice", {x: box, z: box}, stack((rows, hard)), formula)


def _ends(network: Network) -> tuple[Input, Node]:
    x = next(iter(network.inputs.values())).node
    assert isinstance(x, Input)
    return x, next(iter(network.outputs.values())).node


def report(rounds: int) -> str:
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
    folder = Path(os.environ.get("NNSYM_BENCHMARKS", Path(__file__).parents[3] / "shared" / "benchmarks"))
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
        found.append((f"{name}: two inputs 1/1024 apart", twice(network, box), size))
    return found
