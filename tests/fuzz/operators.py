"""Random ONNX graphs: values against ONNX Runtime, bounds of every source against values, exactly at corners."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx

import nnsym as nn
from nnsym.bounds.methods import SOURCES, compute
from nnsym.errors import NnsymError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.network import Network
from nnsym.ir.node import Pointwise, concatenate, new_input
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from tests.fuzz.draws import Draw
from tests.fuzz.graphs import Graph, draw_graph, run
from tests.fuzz.makers import MAKERS
from tests.fuzz.properties import command, trials
from tests.fuzz.report import Report, Tally

#: Float32 may be off by this much of the largest number that occurs.
_NOISE = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-11}
_JUMPS = {"Sign", "ThresholdedRelu", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "Floor", "Ceil"} | {
    "Shrink", "Round", "Mod", "Cast", "ArgMax", "ArgMin", "OneHot",
}  # fmt: skip


@dataclass(eq=False)
class OperatorTally(Tally):
    """Counts over all graphs; ``wrong`` values or bounds, ``crashes``, and valid models ``refused`` as broken."""

    broken: int = 0
    checks: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    operators: Counter[str] = field(default_factory=Counter)
    opsets: set[int] = field(default_factory=set)
    invalid: int = 0

    @property
    def tracebacks(self) -> int:
        return self.crashes + self.broken

    def fault(self, seed: int, graph: Graph, text: str) -> None:
        what = " > ".join(graph.operators)
        self.lines.append(f"seed {seed}, opset {graph.opset}, {what}: {text[:300]}  [{command('operators', seed)}]")


def fuzz(seed: int, seconds: float, *, cases: int | None = None, controls: bool = False) -> Report:
    """Judge graphs from ``seed`` on for so many wall seconds."""
    tally = OperatorTally()
    for number in trials(seed, seconds, cases):
        judge(number, tally)
    caught: dict[str, bool] = {}
    if controls:
        from tests.fuzz.controls import operator_controls

        caught = operator_controls()
    return tally.report("operators", caught, *_summary(tally))


def judge(seed: int, tally: OperatorTally) -> None:
    """One graph: does it load, are its values ONNX Runtime's, are its bounds true?"""
    graph = draw_graph(seed, list(MAKERS.values()))
    tally.invalid += graph.invalid
    outputs = [n for n in graph.nodes[-1].output if n in graph.shapes] if graph.nodes else []
    if not outputs:
        return
    model = graph.model(outputs)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError:
        tally.invalid += 1
        return
    tally.cases += 1
    tally.operators.update(graph.operators)
    tally.opsets.add(graph.opset)
    network = _loaded(seed, graph, model, tally)
    if network is None:
        return
    try:
        found = [*_values(graph, model, network, tally), *_bounds(seed, graph, network, tally)]
    except Exception as error:
        tally.crashes += 1
        tally.fault(seed, graph, f"{type(error).__name__}: {error}")
        return
    for text in found[:3]:
        tally.fault(seed, graph, text)
    tally.wrong += bool(found)


def _loaded(seed: int, graph: Graph, model: onnx.ModelProto, tally: OperatorTally) -> Network | None:
    """The network, even where nnsym's own comparison with ONNX Runtime refuses it; None where it cannot be read."""
    network = None
    try:
        network = nn.load(model.SerializeToString(), check=False)
        nn.load(model.SerializeToString())
    except NnsymError as error:
        if isinstance(error, UnsupportedError) and error.remedy and "report" not in str(error):
            tally.refused[f"{error.where.rsplit(', ', 1)[-1]}: {error.reason}"] += 1
            return None
        tally.broken += 1
        tally.fault(seed, graph, f"a valid model is refused: {error}")
    except Exception as error:
        tally.crashes += 1
        tally.fault(seed, graph, f"{type(error).__name__}: {error}")
    return network


def _values(graph: Graph, model: onnx.ModelProto, network: Network, tally: OperatorTally) -> Iterator[str]:
    """Where values at random points differ by more than rounding explains."""
    whole = graph.model([n for n in graph.shapes if n not in graph.inputs])
    for _ in range(3):
        point = graph.point()
        expected = run(model, point)
        everything = run(whole, point)
        scale = max(1.0, *(float(np.abs(v).max()) for v in (*everything.values(), *point.values())))
        found = network.evaluate(*(point[n].astype(np.float64) for n in network.inputs))
        results = found if isinstance(found, tuple) else (found,)
        tally.checks["values"] += 1
        for (name, tensor), values in zip(network.outputs.items(), results, strict=True):
            if tensor.shape != expected[name].shape:
                yield f"shape {tensor.shape}, in ONNX Runtime {expected[name].shape}"
                return
            room = _NOISE[np.dtype(network.coarse or network.dtype)] * scale
            apart = np.abs(np.asarray(values, dtype=np.float64).reshape(tensor.shape) - expected[name]) > room
            if (apart & _steady(graph, model, point, name)).any():
                yield f"values {values} where ONNX Runtime gives {expected[name]}"


def _steady(graph: Graph, model: onnx.ModelProto, point: dict[str, Array], name: str) -> Array:
    """Where no jump is near; everywhere if nothing jumps."""
    here = run(model, point)[name]
    if not _JUMPS & set(graph.operators):
        return np.ones(here.shape, dtype=bool)
    steady = np.ones(here.shape, dtype=bool)
    for side in (-1, 1):
        moved = {n: (v + side * 2.0**-12).astype(v.dtype) for n, v in point.items()}
        steady &= np.abs(run(model, moved)[name] - here) < 0.02
    return steady


def _bounds(seed: int, graph: Graph, network: Network, tally: OperatorTally) -> Iterator[str]:
    """Where a value lies outside of bounds over a random box."""
    query, corners = _query(seed, network)
    exact = all(node.fn.exact for node in network.nodes if isinstance(node, Pointwise))
    at = [_at(network, point, exact=exact) for point in corners]
    for source in SOURCES:
        bounds = compute(query, source).rows
        tally.checks["bounds"] += 1
        for point, values in zip(corners, at, strict=True):
            room = 0 if exact else 1e-12 * (1 + np.abs(np.asarray(values, dtype=np.float64)))
            low = to_fractions(np.where(np.isfinite(bounds.lower), bounds.lower, -1e300))
            high = to_fractions(np.where(np.isfinite(bounds.upper), bounds.upper, 1e300))
            bad = (values + room < low) | (values - room > high)
            if bad.any():
                k = int(np.argmax(bad))
                yield (
                    f"{source} says element {k} is in [{bounds.lower[k]!r}, {bounds.upper[k]!r}], "
                    f"it is {float(values[k])!r} at {[float(v) for v in point]}"
                )
                break


def _at(network: Network, point: Array, *, exact: bool) -> Array:
    """All outputs at a point, in rationals (in float64 where a function has none)."""
    parts, start = [], 0
    for tensor in network.inputs.values():
        parts.append(point[start : start + tensor.node.size])
        start += tensor.node.size
    given = parts if exact else [p.astype(np.float64) for p in parts]
    found = network.evaluate(*given)
    return np.concatenate([np.asarray(v).ravel() for v in (found if isinstance(found, tuple) else (found,))])


def _query(seed: int, network: Network) -> tuple[Query, list[Array]]:
    """A box, what it asks about the outputs, and points of the box: corners, the middle, others."""
    draw = Draw.seeded(seed, 22)
    nodes = tuple(new_input(n, t.node.size) for n, t in network.inputs.items())
    application = network.apply(nodes)
    y = concatenate(tuple(application.output(n) for n in network.outputs))
    boxes = {}
    for node in nodes:
        middle = draw.rng.integers(-12, 13, node.size) / 8 if draw.chance(0.7) else draw.rng.normal(size=node.size)
        radius = draw.rng.integers(0, 9, node.size) / 8
        boxes[node] = Box(middle - radius, middle + radius)
    low = to_fractions(np.concatenate([boxes[n].lower for n in nodes]))
    high = to_fractions(np.concatenate([boxes[n].upper for n in nodes]))
    points = [np.where(draw.rng.random(len(low)) < 0.5, low, high) for _ in range(6)]
    points += [low, high, (low + high) / 2, low + (high - low) * to_fractions(draw.rng.integers(0, 65, len(low)) / 64)]
    if len(low) <= 4:
        points += [np.array(c, dtype=object) for c in itertools.product(*zip(low, high, strict=True))]
    atoms = Atoms(np.arange(y.size), strict=False, soft=True)
    return Query("fuzz", boxes, Rows.of(y), atoms, (application,)), points


def _summary(tally: OperatorTally) -> list[str]:
    never = sorted({name.split()[0] for name in MAKERS} - {*tally.operators, "unsupported"})
    lines = [
        f"{sum(tally.operators.values())} nodes of {len(tally.operators)} operators, {len(tally.opsets)} operator sets",
        f"{tally.checks['values']} values and {tally.checks['bounds']} bounds checked, {tally.invalid} drafts invalid",
    ]
    if never and tally.cases > len(MAKERS):
        lines.append(f"not met: {', '.join(never)}")
    return lines + [f"refused {n} times: {what}" for what, n in tally.refused.most_common(12)]
