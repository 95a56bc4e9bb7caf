"""Replay: a counterexample counts only after the real network was run on it.

A candidate is cast inward into the dtype of the stored model (no element may leave the property's exact
box by rounding), the network is executed by ONNX Runtime, and the property is decided exactly on the
numbers that came out. Networks built from arrays have no other semantics than exact arithmetic and are
replayed in rationals, those with smooth activations in intervals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.errors import UnsupportedError
from nnsym.ir.evaluate import apply_node, evaluate
from nnsym.ir.exact import nearest, to_fractions
from nnsym.ir.formula import Atoms, InBox, margin_lower, reduce_formula
from nnsym.ir.network import Application
from nnsym.ir.node import Affine, Input, Node, Pointwise, Product
from nnsym.ir.query import Ball, Box, Query, pull_inside
from nnsym.ir.univariate import Sigmoidal
from nnsym.ir.walk import topological
from nnsym.result import Witness

Array = NDArray[Any]
Point = Mapping[Input, Array]


class Outcome(Enum):
    """What replay found."""

    CONFIRMED = "confirmed"
    BOUNDARY = "boundary"  # violated in real arithmetic, not by the stored model's floats
    SPURIOUS = "spurious"


#: Up to this many coefficients a network is evaluated in rationals to tell float noise from a wrong candidate.
_EXACT_NONZEROS = 50_000


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Replay:
    """The outcome, the counterexample if confirmed, and the smallest replayed margin (+inf if none ran)."""

    outcome: Outcome
    counterexample: Witness | None = None
    margin: float = np.inf


def replay(query: Query, candidate: Point, *, polish_steps: int = 40) -> Replay:
    """Try the candidate, then points polished from it, until the real network confirms one."""
    return confirm(query, _attempts(query, candidate, polish_steps))


def _attempts(query: Query, candidate: Point, steps: int) -> Iterator[Point]:
    from nnsym.bounds.attack import descend

    yield candidate
    yield descend(query, {x: nearest(v)[None] for x, v in candidate.items()}, steps=steps)[0]


def confirm(query: Query, candidates: Iterable[Point]) -> Replay:
    """Replay candidates until one is confirmed; else the outcome that says most, with the least replayed margin."""
    best = Replay(outcome=Outcome.SPURIOUS)
    for point in candidates:
        attempt = replay_once(query, point)
        if attempt.outcome is Outcome.CONFIRMED:
            return attempt
        outcome = Outcome.BOUNDARY if Outcome.BOUNDARY in (best.outcome, attempt.outcome) else Outcome.SPURIOUS
        best = Replay(outcome=outcome, margin=min(best.margin, attempt.margin))
    return best


def replay_once(query: Query, candidate: Point) -> Replay:
    """Cast inward, execute, decide exactly."""
    run = _run_at(query, candidate)
    if run is None:
        return Replay(outcome=Outcome.SPURIOUS)
    if run.found:
        return Replay(outcome=Outcome.CONFIRMED, counterexample=run.witness, margin=run.witness.margin)
    smooth = run.witness.replayed_by == "intervals"
    outcome = Outcome.SPURIOUS if smooth else _float_noise(query, candidate)
    return Replay(outcome=outcome, margin=run.witness.margin)


def attained(query: Query, candidate: Point) -> Witness | None:
    """The run of the real network at a candidate, with its margin rounded up; None where the precondition fails."""
    run = _run_at(query, candidate)
    return run.witness if run is not None and run.witness.margin < np.inf else None


def found_at(query: Query, candidate: Point) -> Witness | None:
    """The run at a candidate, moved into the box, if the query's formula is true there."""
    run = _run_at(query, candidate)
    return run.witness if run is not None and run.found else None


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class _Run:
    """What was executed, and whether the query's formula is true there."""

    witness: Witness
    found: bool


def _run_at(query: Query, candidate: Point) -> _Run | None:
    dtype = stored_dtype(query)
    if dtype == "exact" and any(isinstance(n, Pointwise) and isinstance(n.fn, Sigmoidal) for n in query.nodes):
        return _enclose(query, candidate)
    point: dict[Input, Array] = {}
    for x, values in candidate.items():
        cast = cast_inward(values, query.boxes[x], dtype, x.integer, query.balls.get(x, ()))
        if cast is None:
            return None
        point[x] = cast
    computed, outputs, executed = execute(query, point)
    exact = {node: to_fractions(v) for node, v in computed.items()}
    witness = _witness(query, point, outputs, query.margin(exact, up=True), executed)
    return _Run(witness=witness, found=query.violated(exact))


def _enclose(query: Query, candidate: Point) -> _Run:
    """Replay of a network from arrays whose activations have no rational values: by outward rounded intervals.

    The formula is true if the upper ends of all rows at the point make it so, hence whatever the real values are.
    """
    from nnsym.bounds.methods import compute

    point = query.move_inside(candidate)
    values = query.values(point)
    upper = compute(query, "ibp", boxes={x: (v, v) for x, v in point.items()}).case(0).rows.upper

    def holds(node: Atoms | InBox) -> Array:
        if isinstance(node, InBox):
            return np.array([Box(node.lower, node.upper).contains(point[node.input])])
        return np.asarray(upper[node.rows] < 0 if node.strict else upper[node.rows] <= 0)

    def atom(node: Atoms | InBox) -> Array:
        if isinstance(node, Atoms) and node.soft:
            return np.asarray(upper[node.rows])
        return np.where(holds(node), -np.inf, np.inf)

    def true(node: Atoms | InBox) -> bool:
        return bool(holds(node).any() if isinstance(node, Atoms) and not node.every else holds(node).all())

    inside = query.inside(values)
    margin = margin_lower(query.formula, atom) if inside else np.inf
    results = evaluate(tuple(n for a in query.applications for n in _results(a)), values)
    outputs = {
        _label(query, a, name): results[a.output(name)].reshape(tensor.shape)
        for a in query.applications
        for name, tensor in a.network.outputs.items()
    }
    found = inside and reduce_formula(query.formula, true, all, any)
    return _Run(witness=_witness(query, point, outputs, margin, "intervals"), found=found)


def _witness(query: Query, point: Point, outputs: Mapping[str, Array], margin: float, executed: str) -> Witness:
    inputs = {x.name: v.reshape(_shape(query, x)) for x, v in point.items()}
    return Witness(inputs=inputs, outputs=outputs, margin=margin, replayed_by=executed)


def _float_noise(query: Query, candidate: Point) -> Outcome:
    """Boundary if the network of real arithmetic is violated at the candidate itself."""
    work = sum(linear.nnz for node in query.nodes if isinstance(node, Affine) for linear in node.maps)
    try:
        if work <= _EXACT_NONZEROS:
            values = query.values({x: to_fractions(v) for x, v in candidate.items()}, exact=True)
            return Outcome.BOUNDARY if query.violated(values) else Outcome.SPURIOUS
    except UnsupportedError:  # a smooth activation has no exact value
        pass
    values = query.values({x: v.astype(np.float64) for x, v in candidate.items()})
    return Outcome.BOUNDARY if query.inside(values) and query.margin(values) < 0 else Outcome.SPURIOUS


def stored_dtype(query: Query) -> str:
    """``exact`` if no network is stored as a model, else the narrowest dtype of the stored ones."""
    stored = {a.network.dtype for a in query.applications if a.network.model is not None}
    if not stored:
        return "exact"
    return "float32" if "float32" in stored else sorted(stored)[0]


#: Shares of a ball's radius, larger than what rounding in float64, in float32 and in half precision moves a point by.
_SHARES = tuple(1.0 - 2.0**-k for k in (40, 22, 20, 17, 9))


def cast_inward(values: Array, box: Box, dtype: str, integer: Array, balls: tuple[Ball, ...] = ()) -> Array | None:
    """The candidate in the model's dtype, moved into the box and the balls, exactly; None if that is not found.

    In balls it goes by the least share of their radii that rounding to the dtype does not undo.
    """
    cast = _into_box(values, box, dtype, integer)
    for share in _SHARES:
        if cast is None or all(ball.contains(cast) for ball in balls):
            return cast
        near = pull_inside(nearest(values), box.inner, balls, integer, share)
        cast = _into_box(near, box, dtype, integer)
    return None


def _into_box(values: Array, box: Box, dtype: str, integer: Array) -> Array | None:
    if dtype == "exact":
        exact = to_fractions(values)
        exact = np.where(integer, np.array([to_fractions(round(v)) for v in exact], dtype=object), exact)
        low = np.where(exact < box.lower, box.lower, exact)
        return np.asarray(to_fractions(np.where(low > box.upper, box.upper, low)))
    kind = np.dtype(dtype)
    cast = np.where(integer, np.round(values.astype(np.float64)), values.astype(np.float64)).astype(kind)
    low, high = _inner(box.lower, kind, +1), _inner(box.upper, kind, -1)
    return None if (low > high).any() else np.clip(cast, low, high)


def _inner(limit: Array, kind: np.dtype[Any], sign: int) -> Array:
    """The number of the dtype nearest to the limit on its inner side (``sign`` +1: not below it)."""
    with np.errstate(over="ignore"):
        out = limit.astype(np.float64).astype(kind)
    exact = out.astype(np.float64) if limit.dtype != object else out.astype(object)
    if limit.dtype == object:
        exact = np.array([to_fractions(v) if np.isfinite(v) else v for v in out.astype(np.float64)], dtype=object)
    outside = exact < limit if sign > 0 else exact > limit
    return np.where(outside, np.nextafter(out, kind.type(sign * np.inf)), out)


def execute(query: Query, point: Point) -> tuple[dict[Node, Array], dict[str, Array], str]:
    """All node values the property reads, with every stored network run for real.

    Returns ``(values, outputs by name, who executed)``. Nodes that no stored model computes are evaluated
    from the IR: in rationals if nothing is stored, else on the numbers that the models gave.
    """
    computed: dict[Node, Array] = {}
    outputs: dict[str, Array] = {}
    executed = "exact"
    owners = _stored(query)
    targets = (*query.inputs, *query.rows.parts, *(n for a in query.applications for n in _results(a)))

    def dependencies(node: Node) -> tuple[Node, ...]:
        return owners[node].arguments if node in owners else node.parents

    order = topological(targets, dependencies)
    for node in order:
        if isinstance(node, Input):
            computed[node] = point[node]
        elif node in owners and node not in computed:
            executed = "onnxruntime"
            _run(query, owners[node], frozenset(order), computed, outputs)
        elif node not in computed:
            computed[node] = apply_node(node, _operands(node, tuple(computed[p] for p in node.parents), bool(owners)))
    for application in query.applications:
        if application.network.model is None:
            for name, tensor in application.network.outputs.items():
                outputs[_label(query, application, name)] = computed[application.output(name)].reshape(tensor.shape)
    return {node: computed[node] for node in (*query.inputs, *query.rows.parts)}, outputs, executed


def _operands(node: Node, values: tuple[Array, ...], stored: bool) -> tuple[Array, ...]:
    """The values a node is computed from: exact, or what stored models gave; products of those stay exact."""
    exact = not stored or isinstance(node, Product) or any(v.dtype == object for v in values)
    return tuple(map(to_fractions, values)) if exact else values


def _stored(query: Query) -> dict[Node, Application]:
    """Which nodes a stored network computes: its outputs and named tensors, but nothing that its arguments rest on."""
    owners: dict[Node, Application] = {}
    for application in query.applications:
        if application.network.model is not None:
            before = set(topological(application.arguments))
            hidden = (application.image[t.node] for t in application.network.tensors.values())
            owners.update({node: application for node in hidden if node not in before})
            owners.update(dict.fromkeys(_results(application), application))
    return {node: a for node, a in owners.items() if not isinstance(node, Input)}


def _results(application: Application) -> tuple[Node, ...]:
    return tuple(application.output(name) for name in application.network.outputs)


def _run(
    query: Query,
    application: Application,
    read: frozenset[Node],
    computed: dict[Node, Array],
    outputs: dict[str, Array],
) -> None:
    """Run one stored network on the values of its arguments; take its outputs and the hidden tensors that are read."""
    from nnsym.read.runtime import run

    network = application.network
    feeds = {
        name: computed[argument].astype(np.float64).astype(network.dtype).reshape(tensor.shape)
        for argument, (name, tensor) in zip(application.arguments, network.inputs.items(), strict=True)
    }
    images = ((name, application.image[tensor.node]) for name, tensor in network.tensors.items())
    wanted = {n: node for n, node in images if node in read and node not in computed and n not in network.outputs}
    found = run(network, feeds, hidden=tuple(wanted))
    for name in network.outputs:
        outputs[_label(query, application, name)] = found[name]
        computed[application.output(name)] = found[name].reshape(-1)
    for name, node in wanted.items():
        computed.setdefault(node, found[name].reshape(-1))


def _label(query: Query, application: Application, name: str) -> str:
    if len(query.applications) == 1:
        return name
    return f"{application.network.name}_{query.applications.index(application) + 1}.{name}"


def _shape(query: Query, x: Input) -> tuple[int, ...]:
    for application in query.applications:
        for argument, tensor in zip(application.arguments, application.network.inputs.values(), strict=True):
            if argument is x:
                return tensor.shape
    return (x.size,)
