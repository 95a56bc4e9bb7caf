"""The conformance kit for encodings: what every encoding, ours or a third party's, has to pass.

On small random queries over every kind of network that the encoding takes it checks, by exact arithmetic
where the network is piecewise linear:

- *sound*: a run of the network (``nnsym.encode.point.complete``) satisfies every row of the program exactly, and
  those of the property exactly where the property's precondition (Boolean form: its violation) holds;
- *right*: the optimum is the least margin of the exact oracle (an outer encoding: not above it), and in
  Boolean form the program is satisfiable where that margin is negative or an attained 0; where the network jumps a
  margin form may go down to the oracle's margin with both limits for values;
- *tight where fixed*: with all inputs fixed, an exact encoding has the margin at that input as its optimum.

Half of the margins lie within 2^-12 of 0. Cuts are separated for every program, however small, and a family that
fails is an error. Layers of many neurons between arbitrary float64 bounds of all sizes show constants that were rounded
to the wrong side, and of open inputs those that were invented (:mod:`nnsym.testing.neuron_layers`); whatever a rule
emits must be declared. Networks without a rule are skipped, and said to be. Use it from a test:
``check_encoding(MY_ENCODING)``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import final

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.bounds.methods import compute
from nnsym.encode.needs import needs
from nnsym.encode.point import complete, exact_margin, residual, worst_row
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import exactness_of
from nnsym.encoding import Encoding, Exactness, Form
from nnsym.errors import MissingBoundsError, NnsymError
from nnsym.ir.array import Array
from nnsym.ir.names import node_names
from nnsym.ir.node import Affine, Input, Point, Pointwise
from nnsym.ir.query import Query
from nnsym.ir.rational.oracle import OracleAnswer, minimum_margin
from nnsym.ir.univariate import Piecewise, Univariate
from nnsym.judge.programs.build import build
from nnsym.judge.programs.methods import default_solver
from nnsym.program import Feature, Kind, Program, Role, Tag
from nnsym.report.pictures.neuron import OPS, draw
from nnsym.solvers.base import Answer, Goal, Limits, Status
from nnsym.solvers.registry import find
from nnsym.testing.conformance import Conformance, reached
from nnsym.testing.conformance import ConformanceError as ConformanceError
from nnsym.testing.neuron_layers import (
    LAYERS,
    OF_KINDS,
    layer_points,
    layer_query,
    network_query,
    open_query,
    sized_query,
)
from nnsym.testing.random_nets import KINDS, PIECE_KINDS, SMOOTH_KINDS, random_network, random_query

_EVERY = frozenset(Tag)
_TOLERANCE = 1e-6  # of a tolerance solver's optimum
_NO_RULE = "it has no rule for such a network"


@final
@dataclass(frozen=True, kw_only=True)
class EncodingConformance(Conformance):
    """What was checked: random ``queries``, wide ``layers``; and what was ``skipped``, with the reason.

    ``proved`` and ``unproved`` count theorems, where proofs were asked for.
    """

    queries: int = 0
    layers: int = 0
    runs: int = 0
    solved: int = 0
    proved: int = 0
    unproved: int = 0


def check_encoding(
    encoding: str | Encoding,
    *,
    kinds: Iterable[str] = (*KINDS, *PIECE_KINDS, *SMOOTH_KINDS),
    seeds: Iterable[int] = range(4),
    bounds: tuple[str, ...] = ("ibp", "crown"),
    runs: int = 4,
    solver: str | None = None,
    picture: str | Path | None = None,
    prove: bool = False,
) -> EncodingConformance:
    """Check an encoding on random queries.

    Args:
        encoding: its name or itself.
        kinds: kinds of network (``nnsym.testing.random_nets``); those it has no rule for are passed over.
        seeds: one query per kind, seed and method of ``bounds``.
        bounds: what feeds the encoding.
        runs: runs of the network per query.
        solver: the lane; by default :func:`nnsym.judge.programs.methods.default_solver`. ``"none"`` leaves solving out.
        picture: where to draw what a failed encoding makes of the neuron that it gets wrong (.svg or .png), beside
            the triangle; a cross marks a point of the neuron's graph that is cut off.
        prove: prove its rules for all numbers first (:func:`nnsym.testing.prove.prove_encoding`).

    Raises:
        ConformanceError: a check failed, or a rule was refuted.
    """
    chosen = find_encoding(encoding)
    chosen = replace(chosen, rounds=replace(chosen.rounds, least_binaries=0))
    lane = solver or default_solver(chosen)
    done, kinds = _proved(chosen, picture) if prove else EncodingConformance(), tuple(kinds)
    for kind in kinds:
        for seed in seeds:
            query = _query(kind, seed)
            if exactness_of(chosen, query) is Exactness.UNSUPPORTED:
                done = done.skip(kind, _NO_RULE)
                continue
            for method in bounds:
                found = compute(query, method)
                program = build(query, found, chosen)
                try:
                    done = _check_program(chosen, program, kind, seed, lane, runs, done)
                except ConformanceError as error:
                    neuron = _neuron(error.columns, kind, program, query, found)
                    if picture is None or neuron is None or not _draw(chosen, neuron, picture):
                        raise
                    raise ConformanceError(f"{error} (drawn in {picture})", error.columns) from error
    done = _check_layers(chosen, set(kinds), done)
    done.say(f"check_encoding({chosen.name})")
    if not done.queries and not done.layers:
        raise ConformanceError(f"encoding '{chosen.name}' takes none of the networks that it was to be checked on")
    return done


def _check_layers(encoding: Encoding, kinds: set[str], done: EncodingConformance) -> EncodingConformance:
    """Runs of layers of all sizes, and of a small network with random weights, satisfy every row exactly."""
    chosen = [layer for layer in LAYERS if OF_KINDS[layer] & kinds]
    queries = [layer_query(layer) for layer in chosen]
    queries += [network_query(seed) for seed in range(3)] if "dense" in kinds else []
    for query in queries:
        done = _check_layer(encoding, query, done)
    for layer in chosen:
        for count in (90, 1) if layer != "product" else (90,):
            done = _check_layer(encoding, sized_query(layer, count), done, sized=True)
    for layer in chosen:
        try:
            done = _check_layer(encoding, open_query(layer), done)
        except MissingBoundsError:  # as it should, where rows hold bounds
            done = replace(done, layers=done.layers + 1)
    return done


def _check_layer(
    encoding: Encoding, query: Query, done: EncodingConformance, *, sized: bool = False
) -> EncodingConformance:
    """Where a layer's numbers are of all sizes, an LP with them may be refused, and no cuts are separated then."""
    if exactness_of(encoding, query) is Exactness.UNSUPPORTED:
        return done.skip(query.name, _NO_RULE)
    program = build(query, compute(query, "ibp"), encoding)
    if sized and _without_cuts(program):
        return done.skip(query.name, "its numbers are too large for an LP, so there are no cuts")
    check_emits(encoding, program, query)
    points = list(layer_points(query))
    for point in points:
        check_run(program, query, point, property_too=False)
    return replace(done, layers=done.layers + 1, runs=done.runs + len(points))


def check_emits(encoding: Encoding, program: Program, query: Query) -> None:
    """``emits`` names what the rules add: solvers are chosen by it. What the property adds need not be named.

    Of a program whose cuts could not be separated nothing is said.
    """
    if _without_cuts(program):
        raise ConformanceError(f"{query.name}: no cuts were found: {program.meta['cuts'].removeprefix('none: ')}")
    names = {name for node, name in node_names(query.nodes).items() if not isinstance(node, (Affine, Input))}
    made = [program.kind[b.start : b.start + len(b.index)] for b in program.blocks if b.node in names and len(b.index)]
    kinds = np.concatenate([np.zeros(0, np.int8), *made])
    origins = {b.origin.partition(":")[0] for b in program.rows if b.tag is Tag.NETWORK and len(b)}
    found = {
        Feature.BINARIES: bool((kinds == Kind.BINARY).any()),
        Feature.INTEGERS: bool((kinds == Kind.INTEGER).any()),
        Feature.ROWS: bool(origins & names),
        Feature.CLAUSES: any(b.tag is Tag.NETWORK for b in program.clauses),
    }
    hidden = {feature for feature, there in found.items() if there} - encoding.emits - needs(query, encoding).keys()
    if hidden:
        what = ", ".join(sorted(feature.value for feature in hidden))
        raise ConformanceError(f"{query.name}: the rules of '{encoding.name}' emit {what}, which emits= does not name")


def _without_cuts(program: Program) -> bool:
    """True if there were to be cuts, and none could be separated."""
    return program.meta.get("cuts", "").startswith("none")


def _proved(encoding: Encoding, picture: str | Path | None) -> EncodingConformance:
    """How many theorems were proved, and of how many that is not known."""
    from nnsym.testing.prove import Answer, prove_encoding  # heavy: z3

    proofs = list(prove_encoding(encoding))
    for proof in proofs:
        found = proof.counterexample
        if found is not None:
            drawn = picture is not None and found.fn is not None and found.draw(encoding, picture) is not None
            where = f" (drawn in {picture})" if drawn else ""
            raise ConformanceError(f"encoding '{encoding.name}' is refuted on {proof.subject}: {found}{where}")
    count = [proof.answer for proof in proofs]
    return EncodingConformance(proved=count.count(Answer.PROVED), unproved=count.count(Answer.UNKNOWN))


Neuron = tuple[str | Univariate, float, float]  # its function, and the bounds of the argument


def _neuron(columns: Array, kind: str, program: Program, query: Query, bounds: Bounds) -> Neuron | None:
    """The neuron that one of the columns is of; without any columns one as in networks of the kind, on [-1, 2]."""
    if not len(columns):
        known = {"leaky": "leaky_relu"}
        return known.get(kind, kind if kind in OPS else "relu"), -1.0, 2.0
    nodes = {name: node for node, name in node_names(query.nodes).items()}
    for block in program.blocks:
        inside = columns[(columns >= block.start) & (columns < block.start + len(block.index))]
        node = nodes.get(block.node)
        if isinstance(node, Pointwise) and block.role in (Role.POST, Role.PHASE, Role.CHOICE) and len(inside):
            k = block.index[inside[:1] - block.start]
            if isinstance(node.fn, Piecewise) and block.role != Role.POST:
                k = k // (2 * node.fn.breaks.shape[1] + 1)
            interval = bounds[node.parents[0]]
            return node.fn.take(k), float(interval.lower[k[0]]), float(interval.upper[k[0]])
    return None


def _draw(encoding: Encoding, neuron: Neuron, picture: str | Path) -> bool:
    """Draw what the encoding makes of a neuron; False where it has no region: Boolean forms, infinite bounds."""
    op, l, u = neuron  # noqa: E741
    try:
        draw([encoding, "triangle"], op=op, l=l, u=u, path=picture)
    except NnsymError:
        return False
    return True


@cache
def _query(kind: str, seed: int) -> Query:
    return random_query(random_network(kind, seed), seed, tight=kind not in SMOOTH_KINDS and seed % 2 == 0)


@cache
def _least(kind: str, seed: int, *, closed: bool = False) -> OracleAnswer:
    return minimum_margin(_query(kind, seed), max_unstable=24, closed=closed)


def _check_program(
    encoding: Encoding, program: Program, kind: str, seed: int, lane: str, runs: int, done: EncodingConformance
) -> EncodingConformance:
    query, exact = _query(kind, seed), kind not in SMOOTH_KINDS
    check_emits(encoding, program, query)
    points = list(_points(query, runs))
    for point in points:
        check_run(program, query, point, exact=exact)
    done = replace(done, queries=done.queries + 1, runs=done.runs + runs)
    if lane == "none" or not exact:
        return done
    best, where = _least(kind, seed), f"{query.name} on {program.meta['bounds']}"
    least = best.margin
    answer = find(lane).solve(program, Limits(seconds=60), Goal(decide=False))
    outer = exactness_of(encoding, query) is Exactness.OUTER
    if encoding.form is Form.BOOLEAN:
        if least != 0 or query.strict or reached(query, best):
            _compare_truth(answer, violated=least < 0 or (least == 0 and not query.strict), outer=outer, where=where)
        return replace(done, solved=done.solved + 1)
    _compare_optimum(answer, least, program, outer=outer, where=where)
    if outer and exactness_of(encoding, query, closed=True) is Exactness.EXACT:
        closed = _least(kind, seed, closed=True).margin
        if answer.status is Status.OPTIMAL and answer.objective < closed - _TOLERANCE:
            raise ConformanceError(
                f"{where}: optimum {answer.objective:.9g}, margin {float(closed):.9g} with jumps closed"
            )
    if not outer:
        fixed = _fix_inputs(program, query, points[-1])
        margin = exact_margin(query, query.values(points[-1], exact=True))
        answer = find(lane).solve(fixed, Limits(seconds=60), Goal(decide=False))
        _compare_optimum(answer, margin, program, outer=False, where=f"{where}, with its input fixed")
    return replace(done, solved=done.solved + 1 + (not outer))


def check_run(program: Program, query: Query, point: Point, *, exact: bool = True, property_too: bool = True) -> None:
    """A run of the network satisfies the program, without any tolerance where ``exact``."""
    values = complete(program, query, point, exact=exact)
    worst, origin = residual(program, values)
    if worst > (0.0 if exact else 1e-9):
        says = f"{query.name}: a run of the network violates a row by {worst:.3g}: {origin}"
        raise ConformanceError(says, worst_row(program, values))
    if not exact or not property_too:
        return
    nodes = query.values(point, exact=True)
    holds = exact_margin(query, nodes) < np.inf if program.objective is not None else query.violated(nodes)
    worst, origin = residual(program, values, _EVERY)
    if (worst == 0) != holds:
        says = f"violates a row of the property by {worst:.3g}: {origin}" if worst else "satisfies the whole program"
        expected = "meets" if holds else "does not meet"
        raise ConformanceError(f"{query.name}: a run that {expected} the property's conditions {says}")


def _points(query: Query, count: int) -> Iterable[Point]:
    """Corners and points of the boxes on a dyadic grid, so that floats are exact."""
    rng = np.random.default_rng(5)
    for k in range(count):
        point = {}
        for x, box in query.boxes.items():
            low, high = box.outer
            weight = rng.integers(0, 2 if k % 2 else 17, size=x.size) / (1 if k % 2 else 16)
            point[x] = low + weight * (high - low)
        yield point


def _fix_inputs(program: Program, query: Query, point: Point) -> Program:
    names = node_names(query.nodes)
    for x, values in point.items():
        block = next(b for b in program.blocks if b.node == names[x])
        program = program.with_bounds(np.arange(block.start, block.start + x.size), values)
    return program


def _compare_optimum(answer: Answer, margin: Fraction | float, program: Program, *, outer: bool, where: str) -> None:
    if answer.status is Status.INFEASIBLE:
        if margin < np.inf:
            raise ConformanceError(f"{where}: infeasible, but the margin is {float(margin):.9g}")
        return
    if answer.status is not Status.OPTIMAL:
        raise ConformanceError(f"{where}: {answer.solver} says {answer.status.value} ({answer.message})")
    if margin == np.inf and not outer:
        raise ConformanceError(f"{where}: optimum {answer.objective:.9g}, but no input meets the precondition")
    if margin == -np.inf and program.objective is not None:  # a violation without a conclusion: t is at its floor
        margin = float(program.lower[program.objective])
    gap = answer.objective - float(margin)
    if gap > _TOLERANCE or (not outer and gap < -_TOLERANCE):
        raise ConformanceError(f"{where}: optimum {answer.objective:.9g}, margin {float(margin):.9g}")


def _compare_truth(answer: Answer, *, violated: bool, outer: bool, where: str) -> None:
    if answer.status not in (Status.SAT, Status.UNSAT):
        raise ConformanceError(f"{where}: {answer.solver} says {answer.status.value} ({answer.message})")
    sat = answer.status is Status.SAT
    if sat != violated and not (outer and sat):
        raise ConformanceError(
            f"{where}: {answer.status.value}, but the property is {'violated' if violated else 'true'}"
        )
