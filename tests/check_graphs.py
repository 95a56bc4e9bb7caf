"""Random graphs of every kind of node that the checker knows, in plain form."""

from __future__ import annotations

from typing import Any

import numpy as np
from certificates import plain

CURVES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Relu", {}), ("LeakyRelu", {"alpha": 0.125}), ("LeakyRelu", {"alpha": 0.01}), ("Abs", {}), ("Sign", {}),
    ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}), ("Sigmoid", {}), ("Tanh", {}), ("Square", {}), ("Clip", {}),
)  # fmt: skip


def random_graph(
    rng: np.random.Generator, *, curves: int = 3, kinds: tuple[str, ...] = (), fine: bool = False
) -> tuple[dict[str, Any], int]:
    """A graph over x[3], and the size of its output y: layers that read any earlier tensors, products and maxima.

    Weights are eighths, or (``fine``) float32 numbers of 24 bits.
    """
    chosen = [c for c in CURVES if not kinds or c[0] in kinds]
    constants: dict[str, Any] = {"two": [2], "low": -0.5, "high": 1.25}
    nodes: list[Any] = []
    ready = [("x", 3)]

    def dense(source: tuple[str, int], size: int) -> str:
        k = len(nodes)
        for name, shape in ((f"W{k}", (source[1], size)), (f"b{k}", (size,))):
            coarse = rng.integers(-8, 9, shape) / 8
            constants[name] = rng.standard_normal(shape).astype(np.float32).astype(float) if fine else coarse
        nodes.append(["MatMul", [source[0], f"W{k}"], [f"m{k}"]])
        nodes.append(["Add", [f"m{k}", f"b{k}"], [f"z{k}"]])
        return f"z{k}"

    for _ in range(curves):
        size = int(rng.integers(2, 5))
        z = dense(ready[int(rng.integers(len(ready)))], size)
        if rng.random() < 0.4:  # a second path joins
            other = dense(ready[int(rng.integers(len(ready)))], size)
            kind = "Add" if kinds else str(rng.choice(["Add", "Sub", "Mul", "Max", "Min"]))
            nodes.append([kind, [z, other], [f"j{len(nodes)}"]])
            z = nodes[-1][2][0]
        kind, attributes = chosen[int(rng.integers(len(chosen)))]
        out = f"c{len(nodes)}"
        if kind == "Square":
            nodes.append(["Mul", [z, z], [out]])
        elif kind == "Clip":
            nodes.append(["Clip", [z, "low", "high"], [out]])
        else:
            nodes.append([kind, [z], [out], attributes])
        ready.append((out, size))
    nodes.append(["Concat", [name for name, _ in ready[1:]], ["all"], {"axis": 0}])
    last = dense(("all", sum(n for _, n in ready[1:])), 2)
    nodes.append(["Identity", [last], ["y"]])
    return plain({"x": [3]}, nodes, ["y"], **constants), 2
