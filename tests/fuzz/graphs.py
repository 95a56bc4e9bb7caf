"""Random small ONNX graphs: grown operator by operator, each tried in ONNX Runtime before the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from nnsym.ir.array import Array
from tests.fuzz.draws import Draw

Shape = tuple[int, ...]

Maker: TypeAlias = Callable[["Graph", str, Shape], list[str]]

#: No tensor has more elements.
_LARGEST = 160


class NotHere(Exception):  # noqa: N818
    """The operator does not fit this tensor or operator set."""


@dataclass(eq=False)
class Graph:
    """A graph that grows; ``shapes`` of every tensor that depends on the inputs, in the order they were made."""

    draw: Draw
    opset: int
    kind: np.dtype[Any]
    inputs: dict[str, Shape]
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    exact: bool = True
    invalid: int = 0

    @property
    def elem(self) -> int:
        return int(helper.np_dtype_to_tensor_dtype(self.kind))

    @property
    def operators(self) -> tuple[str, ...]:
        return tuple(n.op_type for n in self.nodes)

    def numbers(self, *shape: int, positive: bool = False) -> Array:
        """Random constants: short dyadic ones, or of full length; ``positive`` ones are 1/8 or more."""
        if self.exact:
            found = self.draw.rng.integers(1 if positive else -12, 13, shape) / 8
        else:
            found = self.draw.rng.normal(size=shape)
            found = np.abs(found) + 0.125 if positive else found
        return np.asarray(found, dtype=self.kind)

    def constant(self, values: Any, *, whole: bool = False) -> str:
        """A new initializer of the graph's type, or of int64."""
        name = f"c{len(self.constants)}"
        array = np.asarray(values, dtype=np.int64 if whole else self.kind)
        how = self.draw.choice(("stored",) * 7 + ("Constant", "Identity", "Neg"))
        if how == "Constant":
            return self.node("Constant", [], value=numpy_helper.from_array(array, name))[0]
        self.constants.append(numpy_helper.from_array(-array if how == "Neg" else array, name))
        return name if how == "stored" else self.node(how, [name])[0]

    def flags(self, values: Any) -> str:
        """A new initializer of truth values."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=bool), name))
        return name

    def node(self, op: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> list[str]:
        """One more node; what it is given may be left out by empty names at the end."""
        names = [f"t{len(self.nodes)}_{k}" for k in range(outputs)]
        given = list(inputs)
        while given and not given[-1]:
            given.pop()
        self.nodes.append(helper.make_node(op, given, names, f"n{len(self.nodes)}", **attributes))
        return names

    def model(self, outputs: Sequence[str]) -> onnx.ModelProto:
        ends = [[helper.make_tensor_value_info(n, self.elem, s) for n, s in self.inputs.items()]]
        ends.append([helper.make_tensor_value_info(n, self.elem, self.shapes.get(n)) for n in outputs])
        graph = helper.make_graph(self.nodes, "g", *ends, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    def grow(self, make: Maker, start: str) -> bool:
        """Add an operator on ``start``; False, and as before, if it does not fit or ONNX Runtime refuses it."""
        before = len(self.nodes), len(self.constants)
        try:
            names = make(self, start, self.shapes[start])
            found = run(self.model(names), self.point())
            if any(v.size > _LARGEST or v.size == 0 or v.dtype != self.kind for v in found.values()):
                raise NotHere
            if not all(np.isfinite(v).all() and np.abs(v).max() < 1e4 for v in found.values()):
                raise NotHere
        except NotHere:
            self._undo(before)
            return False
        except Exception:  # what ONNX Runtime raises on an invalid model
            self._undo(before)
            self.invalid += 1
            return False
        self.shapes |= {n: v.shape for n, v in found.items()}
        return True

    def _undo(self, before: tuple[int, int]) -> None:
        del self.nodes[before[0] :]
        del self.constants[before[1] :]

    def point(self) -> dict[str, Array]:
        """A random point: multiples of 1/8, or numbers of full length."""
        return {n: self.numbers(*s) for n, s in self.inputs.items()}

    def other(self, shape: Shape) -> str:
        """An earlier tensor that broadcasts with a shape; raises :class:`NotHere`."""
        fits = [n for n, s in self.shapes.items() if _broadcast(s, shape)]
        if not fits:
            raise NotHere
        return self.draw.choice(fits)


def _broadcast(a: Shape, b: Shape) -> bool:
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        return False
    return True


def run(model: onnx.ModelProto, point: dict[str, Array]) -> dict[str, Array]:
    """The outputs in ONNX Runtime."""
    found = session(model.SerializeToString())
    names = [o.name for o in found.get_outputs()]
    return dict(zip(names, found.run(names, point), strict=True))


@lru_cache(maxsize=8)
def session(model: bytes) -> Any:
    """A model in ONNX Runtime, unoptimised, on one thread."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def draw_graph(seed: int, makers: Sequence[Maker]) -> Graph:
    """One to four operators on one or two inputs, of an operator set from 7 to 22; the first in turn by seed."""
    draw = Draw.seeded(seed, 21)
    graph = _inputs(draw)
    for _ in range(12):
        if graph.grow(makers[seed % len(makers)], list(graph.shapes)[-1]):
            break
        graph = _inputs(draw)
    wanted, tries = draw.choice((0, 1, 1, 2, 3)), 0
    while wanted and tries < 40:
        tries += 1
        wanted -= graph.grow(draw.choice(makers), list(graph.shapes)[-1])
    return graph


def _inputs(draw: Draw) -> Graph:
    rank = draw.choice((1, 2, 2, 3, 4, 4))
    shape = tuple(draw.whole(1, 4) for _ in range(rank))
    if rank > 2:
        shape = (1 if draw.chance(0.8) else 2, draw.choice((1, 2, 4)), *(draw.whole(2, 5) for _ in range(rank - 2)))
    inputs = {"x": shape, "z": shape} if draw.chance(0.15) else {"x": shape}
    kind = np.dtype(np.float64 if draw.chance(0.12) else np.float32)
    graph = Graph(draw, draw.whole(7, 22), kind, inputs, shapes=dict(inputs), exact=draw.chance(0.7))
    if "z" in inputs:
        graph.grow(_together, "x")
    return graph


def _together(graph: Graph, x: str, shape: Shape) -> list[str]:
    return graph.node(graph.draw.choice(("Add", "Sub", "Mul", "Max", "Min")), [x, "z"])
