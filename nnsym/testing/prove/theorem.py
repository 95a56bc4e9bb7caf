"""The theorem about one rule and one subject, and its proof: path by path of the rule's own code.

*Sound*: for all numbers and arguments within their bounds, some choice of the binaries satisfies every row, with the
node's value in the node's column and the other columns as a run of the network fills them. *Exact*: whatever satisfies
the rows has the node's value in its column (in margin form, at a jump, one of both limits or the value).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from itertools import product as combinations
from pathlib import Path
from typing import Any, final

import numpy as np
import z3

from nnsym.bounds.base import Bounds, Interval
from nnsym.builder import ProgramBuilder
from nnsym.encoding import Context, Encoding, Exactness, Form, NodeRule
from nnsym.ir.univariate import Hinge, Univariate
from nnsym.program import Kind, Program, Role
from nnsym.testing.prove.arrays import exact_numbers
from nnsym.testing.prove.formulas import defined, formulas, integral
from nnsym.testing.prove.number import Number, term
from nnsym.testing.prove.subjects import Setup, Subject
from nnsym.testing.prove.world import World, paths


class Answer(Enum):
    """What came of a theorem."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNKNOWN = "unknown"


@final
@dataclass(frozen=True, eq=False)
class Counterexample:
    """Numbers for which a rule is wrong, and what is wrong there. ``fn`` is the neuron's function, if it is one."""

    numbers: dict[str, Fraction]
    says: str
    fn: Univariate | None = None

    def __str__(self) -> str:
        return f"{', '.join(f'{name} = {float(v):.6g}' for name, v in self.numbers.items())}: {self.says}"

    def draw(self, encoding: Encoding, path: str | Path | None = None) -> Any:
        """What the encoding makes of the neuron, beside the triangle (:func:`nnsym.draw`)."""
        from nnsym.report.draw import draw

        lower, upper = (float(self.numbers[f"{side}(h)"]) for side in "lu")
        return draw([encoding, "triangle"], op=self.fn or "relu", l=lower, u=upper, path=path)


@final
@dataclass(frozen=True, eq=False)
class Proof:
    """The answer about one rule on one subject; ``seconds`` are of the processor."""

    encoding: Encoding
    subject: str
    claim: str
    answer: Answer
    paths: int
    seconds: float
    reason: str = ""
    counterexample: Counterexample | None = None

    def __str__(self) -> str:
        why = self.reason or (str(self.counterexample) if self.counterexample else "")
        head = f"{self.encoding.name:15} {self.subject:24} {self.claim:22} {self.answer.value:8}"
        return f"{head} {self.paths:5} paths {self.seconds:6.2f} s{f'  {why}' if why else ''}"


def prove_rule(encoding: Encoding, rule: NodeRule, subject: Subject, *, seconds: float) -> Proof:
    """Prove or refute that a rule is sound on a subject, and exact if it says so."""
    exact = rule.exactness is Exactness.EXACT
    jumps = ", jumps closed" if exact and encoding.form is Form.MARGIN and getattr(subject.fn, "jumps", False) else ""
    claim = f"sound, exact{jumps}" if exact else "sound"
    started, count = time.process_time(), 0

    def proof(answer: Answer, reason: str = "", found: Counterexample | None = None) -> Proof:
        spent = time.process_time() - started
        return Proof(encoding, subject.name, claim, answer, count, spent, reason, found)

    try:
        for world, made in paths(lambda world: _encoded(world, rule, subject)):
            count += 1
            for claimed in (_sound, _exact) if exact else (_sound,):
                left = seconds - (time.process_time() - started)
                if left <= 0:
                    return proof(Answer.UNKNOWN, f"{seconds:g} s did not suffice for all paths")
                for denial, says in claimed(encoding, made):
                    found = find_model(world, denial, left)
                    if found is None:
                        return proof(Answer.UNKNOWN, f"Z3 has no answer within {left:.3g} s, the terms are nonlinear")
                    if found is not False:
                        return proof(Answer.REFUTED, "", _counterexample(found, made.setup, subject, says))
    except Exception as error:  # whatever the rule does with numbers that are none: nothing is proved
        return proof(Answer.UNKNOWN, f"{type(error).__name__}: {error}")
    return proof(Answer.PROVED)


@final
@dataclass(frozen=True, eq=False)
class Encoded:
    """What a rule made on one path: columns of nodes in ``ids``, and the values that it brought for others."""

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
    return Encoded(setup, program, ids | {setup.node: made}, _brought(world, setup, program))


def _brought(world: World, setup: Setup, program: Program) -> dict[int, Any]:
    """The values of columns whose rule brings them, at the values of the nodes; those of binaries are not asked for."""
    run = {node: exact_numbers(world, values) for node, values in setup.values.items()}
    found: dict[int, Any] = {}
    for block in program.blocks:
        if block.value is not None and len(block.index) and program.kind[block.start] == Kind.REAL:
            found |= dict(enumerate(map(term, block.value(run).tolist()), start=block.start))
    return found


def _sound(encoding: Encoding, made: Encoded) -> Iterator[tuple[Any, str]]:
    setup, program, ids = made.setup, made.program, made.ids
    known, (y,) = made.columns(parents=False) | made.brought, ids[setup.node]
    (value,) = setup.values[setup.node]
    given = known_value(setup, ids, int(y))
    if given is not None:
        yield z3.simplify(given) != value, "its value is not that of the column that stands for it"
    names = [z3.Real(f"column {j}") for j in range(program.n_columns)]
    binaries, choices = integral(program), []
    for choice in combinations((0, 1), repeat=len(binaries)):
        fixed = {j: z3.RealVal(v) for j, v in zip(binaries, choice, strict=True)}
        choices.append([f for _, f in formulas(program, defined(program, names, known | fixed))])
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
    names, parents = [z3.Real(f"column {j}") for j in range(program.n_columns)], made.columns(parents=True)
    values = [parents.get(j, name) for j, name in enumerate(names)]
    binary = [z3.Or(values[j] == 0, values[j] == 1) for j in integral(program)]
    (value,), out = setup.values[setup.node], values[y] if y >= 0 else z3.RealVal(0)
    closed = setup.closed if encoding.form is Form.MARGIN else ()
    said = [f for _, f in formulas(program, values)]
    yield z3.And(*said, *binary, *(out != v for v in (value, *closed))), "its rows allow another value"


def find_model(world: World, denial: Any, seconds: float) -> Any:
    """Numbers of a path that deny a claim; False if there are none, None if that is not known.

    Facts about numbers that the claim does not speak of are left out at first: without them there may be none already.
    """
    spoken = unknowns(denial)
    near = [fact for fact in world.facts if world.term(unknowns, fact) <= spoken]
    for facts, make, share in ((near, z3.Solver, 0.1), (world.facts, z3.Solver, 0.4), (world.facts, _nonlinear, 1.0)):
        solver = make()
        solver.set("timeout", max(1, int(1000 * share * seconds)))
        solver.add(*facts, denial)
        answer = solver.check()
        if answer == z3.unsat:
            return False
        if answer == z3.sat and facts is world.facts:
            return solver.model()
    return None


def _nonlinear() -> Any:
    return z3.SolverFor("QF_NRA")


def unknowns(formula: Any) -> frozenset[int]:
    """The numbers that a formula speaks of."""
    found, stack, seen = set(), [formula], set()
    while stack:
        some = stack.pop()
        key = some.get_id()
        if key not in seen:
            seen.add(key)
            children = some.children()
            stack += children
            if not children and z3.is_const(some) and some.decl().kind() == z3.Z3_OP_UNINTERPRETED:
                found.add(key)
    return frozenset(found)


def _counterexample(model: Any, setup: Setup, subject: Subject, says: str) -> Counterexample:
    numbers = {name: number_in(model, v) for name, v in setup.shown.items() if isinstance(v, (Number, z3.ExprRef))}
    numbers["y"] = number_in(model, setup.values[setup.node][0])
    fn = subject.fn
    if fn is None and "left" in numbers:
        fn = Hinge(np.array([float(numbers["left"])]), np.array([float(numbers["right"])]))
    return Counterexample(numbers, says, fn)


def number_in(model: Any, value: Any) -> Fraction:
    """The value of a number or term in a model; of an irrational one a rational near it."""
    found = model.eval(term(value) if isinstance(value, Number) else value, model_completion=True)
    if z3.is_algebraic_value(found):
        found = found.approx(20)
    return Fraction(found.as_fraction())
