"""Proofs of an encoding's rules: its own code, unmodified, run on symbolic numbers, and Z3 to prove what it made.

:func:`prove_encoding` proves of every rule that it is sound, and exact where it says so, for all bounds, arguments and
slopes and for every outward rounding. What it covers, and what a proof rests on: docs/proofs.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, final

from nnsym.bounds.sources import LowerSlope
from nnsym.encode.registry import find_encoding
from nnsym.encoding import Encoding, NodeRule
from nnsym.ir.functions.powers import Monomial, power_function
from nnsym.ir.functions.stairs import Floor, RoundEven
from nnsym.ir.node import Max, Pointwise, Product
from nnsym.ir.univariate import Hinge, Piecewise, clip, sign
from nnsym.ir.zero_one import gates
from nnsym.testing.prove.cuts import prove_cut
from nnsym.testing.prove.lines import array_lines, engine_lines, prove_lines
from nnsym.testing.prove.search import Answer, Counterexample, Proof
from nnsym.testing.prove.subjects import Subject, gate, hinge, largest, pieces, promised, stairs, times, whole_power
from nnsym.testing.prove.theorem import prove_rule
from nnsym.testing.prove.world import NotModelledError

__all__ = ["Answer", "Counterexample", "Proof", "Proofs", "Theorem", "prove_bounds", "prove_encoding", "theorems"]

#: The piecewise-linear functions that rules are proved for where no others are named.
FUNCTIONS = (clip(-1.0, 1.5), sign())

#: The powers that rules are proved for where no others are named.
POWERS = (2, -1)


@final
@dataclass(frozen=True)
class Proofs:
    """The proofs of all rules and cuts of some encodings; prints as a table."""

    proofs: tuple[Proof, ...]

    def __iter__(self) -> Iterator[Proof]:
        return iter(self.proofs)

    def __str__(self) -> str:
        return "\n".join(map(str, self.proofs))

    __repr__ = __str__

    @property
    def answer(self) -> Answer:
        """Refuted if some rule is, else unknown if the answer about some rule is, else proved."""
        found = {proof.answer for proof in self.proofs}
        return next((a for a in (Answer.REFUTED, Answer.UNKNOWN) if a in found), Answer.PROVED)


@final
@dataclass(frozen=True, eq=False)
class Theorem:
    """What there is to prove about one rule of an encoding, on one subject."""

    encoding: Encoding
    rule: NodeRule
    subject: Subject

    def prove(self, *, seconds: float) -> Proof:
        """Prove or refute it within so much processor time."""
        return prove_rule(self.encoding, self.rule, self.subject, seconds=seconds)


def prove_encoding(
    *encodings: str | Encoding,
    functions: Iterable[Piecewise] = FUNCTIONS,
    powers: Iterable[int] = POWERS,
    members: int = 2,
    fan_in: int = 0,
    seconds: float = 120.0,
) -> Proofs:
    """Prove or refute the rules of encodings, and their cuts; a rule that several share is proved once.

    Args:
        encodings: their names or themselves.
        functions: piecewise-linear functions with one row of numbers; their rules are proved for these.
        powers: whole exponents; others than 2 and -1 have columns for lower powers, and take up to a minute each.
        members: up to how many members of a maximum.
        fan_in: prove rules for hinges of ``w x + b`` as well, and cuts, with 1 to so many inputs in a box and any
            weights.
        seconds: processor time for one rule and subject.
    """
    found = [find_encoding(e) for e in encodings]
    proofs = [
        t.prove(seconds=seconds)
        for t in theorems(found, functions=functions, powers=powers, members=members, fan_in=fan_in)
    ]
    for encoding in found:
        for cut in encoding.cuts:
            proofs += [prove_cut(encoding, cut, count, seconds=seconds) for count in range(1, max(fan_in, 1) + 1)]
    return Proofs(tuple(proofs))


def prove_bounds(*, functions: Iterable[Piecewise] = FUNCTIONS, seconds: float = 120.0) -> Proofs:
    """Prove the lines that linear bounds put below and above a neuron, a maximum of two, a product and a square.

    These are the lines of :mod:`nnsym.bounds.engine.relaxations`, for each lower slope of a hinge, and of
    :mod:`nnsym.bounds.kept.passes.relaxations`.
    """
    hinges = [hinge("relu", 0.0, 1.0), hinge("abs", -1.0, 1.0)]
    others = [*map(pieces, functions), largest(2), times(), times(square=True)]
    slopes: tuple[LowerSlope, ...] = ("adaptive", "parallel", "zero")
    engine = [(subject, slope) for subject in hinges for slope in slopes]
    engine += [(subject, "adaptive") for subject in others]
    proofs = [
        prove_lines(subject, engine_lines(slope), of=f"lines, {slope}", seconds=seconds) for subject, slope in engine
    ]
    relu_too = (hinges[0], hinge("any hinge"))
    proofs += [
        prove_lines(subject, array_lines(), of="lines, kept", seconds=seconds, sharp=subject in relu_too)
        for subject in (*relu_too, *others)
    ]
    return Proofs(tuple(proofs))


def theorems(
    encodings: Iterable[Encoding],
    *,
    functions: Iterable[Piecewise] = FUNCTIONS,
    powers: Iterable[int] = POWERS,
    members: int = 2,
    fan_in: int = 0,
) -> list[Theorem]:
    """What there is to prove about the rules of encodings, each rule of several once."""
    found: dict[Any, Theorem] = {}
    for encoding in encodings:
        for rule in encoding.rules:
            for subject in _subjects(encoding, rule, tuple(functions), tuple(powers), members, fan_in):
                key = rule.rule, rule.exactness, encoding.form, subject.name
                found.setdefault(key, Theorem(encoding, rule, subject))
    return list(found.values())


def _subjects(
    encoding: Encoding,
    rule: NodeRule,
    functions: tuple[Piecewise, ...],
    powers: tuple[int, ...],
    members: int,
    fan_in: int,
) -> Iterator[Subject]:
    """What a rule is proved on; a rule for any function gets those that no rule before it takes."""
    earlier = encoding.rules[: encoding.rules.index(rule)]
    taken = {r.fn for r in earlier if r.kind is Pointwise}
    anything = rule.kind is Pointwise and rule.fn is None
    if rule.kind is Pointwise and (rule.fn is Hinge or (anything and Hinge not in taken)):
        yield hinge("any hinge")
        yield hinge("relu", 0.0, 1.0)
        yield hinge("relu of the constant 0", 0.0, 1.0, zero=True)
        if not encoding.needs_bounds:
            for ends in ("l", "u", "lu"):
                yield hinge(f"relu, infinite {' '.join(ends)}", 0.0, 1.0, infinite=ends)
        for count in range(1, fan_in + 1):
            yield hinge(f"relu, fan-in {count}", 0.0, 1.0, fan_in=count)
    if rule.kind is Pointwise and (rule.fn is Piecewise or (anything and Piecewise not in taken)):
        yield from map(pieces, functions)
    if rule.kind is Max:
        yield from map(largest, range(2, members + 1))
    if rule.when is gates:
        yield gate()
    elif rule.kind is Product:
        yield times()
        yield times(square=True)
    if anything and {Hinge, Piecewise} <= taken:
        yield promised("any other function")
    if rule.kind is Pointwise and rule.fn is Monomial:
        yield from (whole_power(power_function(n)) for n in powers)  # type: ignore[arg-type]
    elif rule.kind is Pointwise and rule.fn in _ROUNDED:
        yield from _ROUNDED[rule.fn]
    elif rule.kind is Pointwise and rule.fn not in (None, Hinge, Piecewise):
        yield _uncovered(rule.fn.__name__.lower())


def _uncovered(name: str) -> Subject:
    def refuse(world: Any) -> Any:
        raise NotModelledError("rules for this kind of function are not covered")

    return Subject(name, refuse)


#: Functions of unboundedly many pieces that rules are proved for.
_ROUNDED: dict[Any, tuple[Subject, ...]] = {
    Floor: (stairs(Floor()), stairs(Floor(0.25))),
    RoundEven: (stairs(RoundEven()),),
}
