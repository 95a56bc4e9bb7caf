"""The theorem about one rule and one subject, and its proof: path by path of the rule's own code.

*Sound*: for all numbers and arguments within their bounds, some choice of the binaries satisfies every row, with the
node's value in the node's column and the other columns as a run of the network fills them. *Exact*: whatever satisfies
the rows has the node's value in its column (in margin form, at a jump, one of both limits or the value).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product as combinations
from typing import Any, final

import numpy as np
import z3

from nnsym.bounds.base import Bounds, Interval
from nnsym.builder import ProgramBuilder
from nnsym.encoding import Context, Encoding, Exactness, Form, NodeRule
from nnsym.ir.univariate import Hinge
from nnsym.program import Kind, Program, Role
from nnsym.testing.prove.arrays import exact_numbers
from nnsym.testing.prove.formulas import binaries, defined, formulas, integral, unknown_columns
from nnsym.testing.prove.number import Number, term
from nnsym.testing.prove.search import Counterexample, Denial, Proof, number_in, prove
from nnsym.testing.prove.subjects import Setup, Subject
from nnsym.testing.prove.world import World


def prove_rule(encoding: Encoding, rule: NodeRule, subject: Subject, *, seconds: float) -> Proof:
    """Prove or refute that a rule is sound on a subject, and exact if it says so."""
    exact = rule.exactness is Exactness.EXACT
    jumps = ", jumps closed" if exact and encoding.form is Form.MARGIN and getattr(subject.fn, "jumps", False) else ""

    def denials(made: Encoded) -> Iterator[Denial]:
        for claimed in (_sound, _exact) if exact else (_sound,):
            for denial, says in claimed(encoding, made):
                yield denial, partial(counterexample, made.setup, subject, says)

    claim = f"sound, exact{jumps}" if exact else "sound"
    return prove(
        (encoding.name, subject.name, claim),
        lambda world: _encoded(world, rule, subject),
        denials,
        seconds=seconds,
        unit=subject.unit,
    )


@final
@dataclass(frozen=True, eq=False)
class Encoded:
    """What a rule made on one path: columns of nodes in ``ids``, and the values that it brought for others."""

    world: World
    setup: Setup
    program: Program
    ids: dict[Any, Any]
    brought: dict[int, Any]

    def columns(self, *, parents: bool) -> dict[int, Any]:
        """The values of the columns of nodes, or of the node's parents only."""
        return {
            int(j): v
            for node, values in self.setup.values.items()
            if not (parents and node is self.setup.node)
            for j, v in zip(self.ids[node], values, strict=True)
            if j >= 0
        }


def _encoded(world: World, rule: NodeRule, subject: Subject) -> Encoded:
    """Run the rule in a world, in the context that it always gets."""
    setup = subject.make(world)
    builder, ids = ProgramBuilder(), dict[Any, Any]()
    names = dict(zip(setup.bounds, (*"abc"[: len(setup.bounds) - 1], "neuron"), strict=True))
    for node in list(setup.bounds)[:-1]:
        lower, upper = setup.bounds[node]
        elements = np.arange(0 if setup.zero else node.size)
        made = builder.columns(names[node], Role.VALUE, elements, lower[elements], upper[elements])
        ids[node] = np.full(node.size, -1) if setup.zero else made
    nodes = {node: Interval(*ends, "given") for node, ends in setup.bounds.items()}
    ctx = Context(builder, Bounds("given", nodes, Interval(np.zeros(0), np.zeros(0), "given")), names, ids)
    made = rule.rule(ctx, setup.node, tuple(ids[parent] for parent in setup.node.parents))
    program = builder.build(objective=None)
    return Encoded(world, setup, program, ids | {setup.node: made}, _brought(world, setup, program))


def _brought(world: World, setup: Setup, program: Program) -> dict[int, Any]:
    """The values of columns whose rule brings them, at the values of the nodes; those of binaries are not asked for."""
    run = {node: exact_numbers(world, values) for node, values in setup.values.items()}
    found: dict[int, Any] = {}
    for block in program.blocks:
        if block.value is not None and len(block.index) and program.kind[block.start] != Kind.BINARY:
            found |= dict(enumerate(map(term, block.value(run).tolist()), start=block.start))
    return found


def _sound(encoding: Encoding, made: Encoded) -> Iterator[tuple[Any, str]]:
    setup, program, ids = made.setup, made.program, made.ids
    known, (y,) = made.columns(parents=False) | made.brought, ids[setup.node]
    (value,) = setup.values[setup.node]
    given = known_value(setup, ids, int(y))
    if given is not None:
        yield z3.simplify(given) != value, "its value is not that of the column that stands for it"
    names = unknown_columns(program)
    free, choices = binaries(program), []
    for choice in combinations((0, 1), repeat=len(free)):
        fixed = {j: z3.RealVal(v) for j, v in zip(free, choice, strict=True)}
        values = defined(program, names, known | fixed)
        choices.append([*(f for _, f in formulas(program, values)), *integral(program, values, made.world)])
    origins = " / ".join(dict.fromkeys(origin for origin, _ in formulas(program, names)))
    yield z3.Not(z3.Or([z3.And(rows) for rows in choices])), f"no choice of binaries satisfies all of: {origins}"


def known_value(setup: Setup, ids: Any, y: int) -> Any:
    """What the node's column holds already, if it is no column of its own."""
    if y < 0:
        return z3.RealVal(0)
    for node in list(setup.bounds)[:-1]:
        for column, value in zip(ids[node], setup.values[node], strict=True):
            if column == y:
                return value
    return None


def _exact(encoding: Encoding, made: Encoded) -> Iterator[tuple[Any, str]]:
    setup, program, (y,) = made.setup, made.program, made.ids[made.setup.node]
    names, parents = unknown_columns(program), made.columns(parents=True)
    values = [parents.get(j, name) for j, name in enumerate(names)]
    (value,), out = setup.values[setup.node], values[y] if y >= 0 else z3.RealVal(0)
    closed = setup.closed if encoding.form is Form.MARGIN else ()
    said = [f for _, f in formulas(program, values)]
    yield (
        z3.And(*said, *integral(program, values, made.world), *(out != v for v in (value, *closed))),
        "its rows allow another value",
    )


def counterexample(setup: Setup, subject: Subject, says: str, model: Any) -> Counterexample:
    """The numbers of a setup in a model."""
    numbers = {name: number_in(model, v) for name, v in setup.shown.items() if isinstance(v, (Number, z3.ExprRef))}
    numbers["y"] = number_in(model, setup.values[setup.node][0])
    fn = subject.fn
    if fn is None and "left" in numbers:
        fn = Hinge(np.array([float(numbers["left"])]), np.array([float(numbers["right"])]))
    return Counterexample(numbers, says, fn)
