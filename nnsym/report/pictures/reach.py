"""The picture of two outputs: what methods say that a network reaches over a domain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.evaluate import evaluate
from nnsym.ir.formula import Atoms, InBox, reduce_formula
from nnsym.ir.network import Network
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query
from nnsym.judge.method import Method
from nnsym.judge.registry import MethodChoice, resolve
from nnsym.lang.algebra.linear import materialise
from nnsym.lang.algebra.terms import Term, as_term
from nnsym.lang.algebra.variables import Variable, of_input
from nnsym.lang.statements.formulas import Formula
from nnsym.lang.statements.over import terms_over
from nnsym.lang.statements.sets import box
from nnsym.lang.statements.statement import as_statement, mentioned
from nnsym.report.pictures.region import directions, polygon, support
from nnsym.report.pictures.sets import SIZE, fill, finish, window_round
from nnsym.report.pictures.style import picture
from nnsym.results import ranges


def draw_reach(
    f: Network | Term,
    domain: object,
    *,
    axes: tuple[int, int] = (0, 1),
    names: tuple[str, str] | None = None,
    methods: Iterable[MethodChoice] = ("ibp", "crown", "triangle", "bigm"),
    samples: int = 2000,
    timeout: float = 60.0,
    path: str | Path | None = None,
) -> Any:
    """What methods say of two numbers together, over a domain, in 64 directions.

    Args:
        f: a network with one input and one output, or a term of the language, such as the state after some steps.
        domain: what ``where=`` takes, a formula over the term's variables or a variable of the network's size; for a
            network also lower and upper corner of a box, numbers or arrays of the input's shape.
        axes: which two elements of the output.
        names: what the two are called.
        methods: sources of bounds and encodings; of an exact one the outline is the convex hull of what is reached.
            Conditions that are no bounds of variables are rows of encodings; bounds see little of them.
        samples: random inputs of the box whose outputs are dotted in where they satisfy ``domain``.
        timeout: wall seconds for each method; what is not finished by then is wider than it need be, and says so.
        path: where to save it, ``.svg``, ``.png`` or ``.pdf``.

    Raises:
        InputError: an empty or open domain, axes that are not there.
    """
    name, term, premise = _asked(f, domain)
    if not all(0 <= k < term.size for k in axes):
        raise InputError(f"axes {axes} of an output of {term.size} elements", where=name)
    pair = term.ravel()[list(axes)]
    query, places = terms_over({name: pair}, premise, name=name)
    if query.empty_box:
        raise InputError("the domain is empty", where=name)
    u, v = (materialise(query.rows.take(places[name][[k]])) for k in (0, 1))
    query = replace(query, rows=query.rows.take(np.arange(len(query.rows) - 2)), labels=query.labels[:-2])
    d = directions(64)
    chosen = [resolve(m) for m in methods]
    seconds = ranges.seconds(timeout)
    regions = [_region(label, query, (u, v), m, d, seconds) for label, m in zip(_labels(chosen), chosen, strict=True)]
    points = _samples(query, pair, samples)
    corners = [p for _, b in regions for p in polygon(d, b, (-1e9, 1e9, -1e9, 1e9)).tolist()]
    if not corners and not len(points):
        raise InputError("no point of the domain is known, and every method finds it empty", where=name)
    figure = picture(*SIZE)
    canvas = figure.subplots()
    fill(canvas, regions, d, window_round([*corners, *points.tolist()], margin=0.05))
    canvas.plot(points[:, 0], points[:, 1], ".", color="black", markersize=2.5, alpha=0.6, label="samples")
    first, second = names if names is not None else (f"{name}[{k}]" for k in axes)
    canvas.set_xlabel(first, parse_math=False)
    canvas.set_ylabel(second, parse_math=False)
    what = f"two outputs of {f.name}" if isinstance(f, Network) else f"{first} and {second}"
    return finish(figure, canvas, f"what {what} reach", path)


def _region(
    label: str, query: Query, plane: tuple[Node, Node], method: Method, d: Array, seconds: float
) -> tuple[str, Array]:
    """What a method says in all directions, under its name, and whether it took more time than it had."""
    found, done = support(query, plane, method, d, seconds)
    return label if done else f"{label}: out of time", found


def _asked(f: Network | Term, domain: object) -> tuple[str, Term, Formula]:
    """The name of what is drawn, its term, and its domain."""
    if isinstance(f, Term):
        shown = str(f)
        return shown if len(shown) <= 30 else "the term", f, as_statement(domain, "domain")
    if len(f.inputs) != 1 or len(f.outputs) != 1:
        raise InputError(f"{len(f.inputs)} inputs and {len(f.outputs)} outputs, one of each is drawn", where=f.name)
    (tensor,), (output,) = f.inputs.values(), f.outputs
    if isinstance(domain, (tuple, list)) and len(domain) == 2 and not isinstance(domain[0], Formula):
        x: Term = Variable(tensor.node.size, name="x")
        lower, upper = (np.ravel(side) if np.ndim(side) else side for side in domain)
        return output, as_term(f(x)), box(x, lower, upper)
    premise = as_statement(domain, "domain")
    inputs = mentioned(premise)
    if len(inputs) != 1:
        raise InputError(f"the domain is about {len(inputs)} variables, the network has one input", where=f.name)
    return output, as_term(f(of_input(inputs[0]))), premise


def _samples(query: Query, pair: Term, count: int) -> Array:
    """Values of the two numbers at random points of the box that satisfy the query's formula, ``(n, 2)``."""
    rng = np.random.default_rng(0)
    point: dict[Input, Array] = {}
    for x, limits in query.boxes.items():
        lower, upper = limits.outer
        if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
            raise InputError(
                f"'{x.name}' has no bounds", where=query.name, remedy="Bound it in the domain: nn.box(...)"
            )
        point[x] = lower + rng.random((count, x.size)) * (upper - lower)
    given: dict[Node, Array] = {x: v for x, v in query.move_inside(point).items()}  # noqa: C416
    values = evaluate((*query.inputs, *query.rows.parts, *pair.rows.parts), given)
    s = query.rows.value(values)

    def leaf(node: Atoms | InBox) -> Array:
        if isinstance(node, InBox):
            v = values[node.input]
            return np.asarray(((node.lower <= v) & (v <= node.upper)).all(axis=1), dtype=bool)
        holds = s[:, node.rows] < 0 if node.strict else s[:, node.rows] <= 0
        return np.asarray(holds.all(axis=1) if node.every else holds.any(axis=1))

    def every(parts: list[Array]) -> Array:
        return np.asarray(np.all([np.ones(count, dtype=bool), *parts], axis=0))

    def some(parts: list[Array]) -> Array:
        return np.asarray(np.any([np.zeros(count, dtype=bool), *parts], axis=0))

    return np.asarray(pair.rows.value(values)[reduce_formula(query.formula, leaf, every, some)])


def _labels(methods: list[Method]) -> list[str]:
    """Encodings and bounds by name; with the bounds, then the lane beside it where several would share one."""
    names = [m.encoded or m.name for m in methods]
    names = [f"{n} on {m.bounds}" if names.count(n) > 1 else n for n, m in zip(names, methods, strict=True)]
    return [f"{n} by {m.lane}" if m.lane and names.count(n) > 1 else n for n, m in zip(names, methods, strict=True)]
