"""Random properties whose thresholds lie at, just inside and just outside of what is possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from tests.fuzz.draws import STYLES, Draw, NumberStyle, Written, value
from tests.fuzz.nets import ACTIVATIONS, SMOOTH, draw_net
from tests.fuzz.oracle import Case, extremes
from tests.fuzz.terms import (
    Applied,
    Atom,
    Ball,
    Compare,
    Fn,
    In,
    InBox,
    Joined,
    Length,
    Out,
    Statement,
    Sum,
    Times,
    Var,
    Wins,
)

_KINDS = ("relu", "relu", "abs", "clip", "max", "min", "norm1", "norminf", "sign")
_STORED = ("", "", "float32", "float32", "float64")


def draw_case(seed: int) -> Case:
    """The case of a seed."""
    return Drawing.seeded(seed, 9).case(seed)


@dataclass(eq=False)
class Drawing:
    """What has been drawn so far."""

    draw: Draw
    style: NumberStyle
    variables: list[Var] = field(default_factory=list)
    applied: list[Applied] = field(default_factory=list)

    @staticmethod
    def seeded(seed: int, stream: int) -> Drawing:
        draw = Draw.seeded(seed, stream)
        return Drawing(draw, draw.choice(STYLES))

    def case(self, seed: int) -> Case:
        free = self.draw.choice((1, 1, 1, 1, 2, 2, 2, 3))
        self._variables(free)
        self._networks(small=free > 1)
        where: list[Statement] = [InBox(v, v.lower, v.upper) for v in self.variables]
        for _ in range(self.draw.choice((0, 0, 0, 1, 1, 2))):
            where.append(self._condition(Joined("and", tuple(where))))
        reading = "exists" if self.draw.chance(0.25) else "forall"
        premise = Joined("and", tuple(where))
        return Case(seed, reading, tuple(self.variables), tuple(where), self._conclusion(premise, 2))

    def objective(self, seed: int) -> tuple[Case, Sum]:
        """A term to minimise over a precondition; half of them with products, balls or smooth networks."""
        curved = self.draw.chance(0.5)
        self._variables(self.draw.choice((1, 2, 2, 3)))
        self._networks(small=True, activations=(*SMOOTH, "relu", "abs") if curved else ACTIVATIONS)
        where: list[Statement] = [InBox(v, v.lower, v.upper) for v in self.variables]
        if self.draw.chance(0.5):
            where.append(self._condition(Joined("and", tuple(where))))
        term = self._sum(2)
        if curved and self.draw.chance(0.6):
            extra = [self.draw.choice(self._atoms(0, inside=True)) for _ in range(2)]
            square = Times(extra[0], extra[0] if self.draw.chance(0.5) else extra[1])
            term = Sum((*term.parts, (self._number(), square)), term.constant)
        return Case(seed, "forall", tuple(self.variables), tuple(where), Joined("and", ())), term

    def _variables(self, free: int) -> None:
        for k in range(self.draw.choice((1, 1, 1, 2))):
            lower, upper, integer = [], [], []
            for _ in range(self.draw.whole(1, 2 if k else 3)):
                whole = self.draw.chance(0.1)
                low, high = self._interval(whole, fixed=free == 0)
                free -= low != high and not whole
                lower.append(low)
                upper.append(high)
                integer.append(whole)
            self.variables.append(Var("xz"[k], tuple(lower), tuple(upper), tuple(integer)))

    def _interval(self, whole: bool, *, fixed: bool) -> tuple[Written, Written]:
        if whole:
            low = self.draw.whole(-2, 1)
            return low, low + self.draw.whole(1, 2)
        if fixed:
            at: Written = self.draw.choice(("0.1", "0.3", 0.25, Fraction(1, 3), -1, "0.7000000000000001"))
            return at, at
        low, width = self.draw.number("decimal"), abs(value(self.draw.number(self.style))) + Fraction(1, 4)
        width = min(width, Fraction(4)) if self.draw.chance(0.95) else width
        return low, value(low) + width

    def _networks(self, *, small: bool, activations: Sequence[str] = ACTIVATIONS) -> None:
        for k in range(self.draw.choice((1, 1, 1, 2, 2))):
            var = self.draw.choice(self.variables)
            whole = not self.applied and self.draw.chance(0.75)
            argument: Var | tuple[Sum, ...] = var
            if not whole:
                argument = tuple(self._sum(1, inside=True) for _ in range(self.draw.whole(1, 2)))
            net = draw_net(
                self.draw,
                "fg"[k],
                argument.size if isinstance(argument, Var) else len(argument),
                style=self.style,
                stored=self.draw.choice(_STORED),
                small=small,
                activations=activations,
            )
            self.applied.append(Applied(net, argument))

    def _condition(self, so_far: Statement) -> Statement:
        """One more conjunct of the precondition: of inputs, networks, functions; alternatives; now and then nothing."""
        kind = self.draw.choice(("linear", "function", "output", "or", "ball", "nothing", "argmax"))
        var = self.draw.choice(self.variables)
        match kind:
            case "or":
                return Joined("or", (self._part(var), self._part(var)))
            case "ball":
                middle = [(value(a) + value(b)) / 2 for a, b in zip(var.lower, var.upper, strict=True)]
                centre = tuple(float(v) for v in middle)
                return Ball(var, centre, self.draw.choice((0.5, 0.75, 1.25)), self.draw.choice((0, 1, 1, 2)))
            case "argmax" if self._wins() is not None:
                found = self._wins()
                assert found is not None
                return found
        term = self._sum(2) if kind != "linear" else Sum(tuple((self._number(), a) for a in self._inputs()))
        ends = extremes(self.variables, so_far, term, self.draw)
        low, high = ends or (Fraction(0), Fraction(0))
        if kind == "nothing":
            beyond = high + (high - low) * Fraction(self.draw.choice((0, 1)), 2**20) + Fraction(1, 2**40)
            return Compare(self.draw.choice((">", ">=")), term, Sum((), beyond))
        limit = low + (high - low) * Fraction(self.draw.whole(2, 7), 8)
        return Compare(self.draw.choice(("<=", "<")), term, Sum((), self._written(limit)))

    def _part(self, var: Var) -> InBox:
        """A part of a variable's box."""
        lower, upper = list(var.lower), list(var.upper)
        k = self.draw.whole(0, var.size - 1)
        low, high = value(lower[k]), value(upper[k])
        if not var.integer[k] and low < high:
            lower[k], upper[k] = (low + (high - low) * share for share in sorted(self._shares()))
        return InBox(var, tuple(lower), tuple(upper))

    def _shares(self) -> list[Fraction]:
        return self.draw.some([Fraction(k, 7) for k in range(8)], 2)

    def _inputs(self) -> list[Atom]:
        every: list[Atom] = [In(v, k) for v in self.variables for k in range(v.size)]
        return self.draw.some(every, self.draw.whole(1, 3))

    def _number(self) -> Written:
        found = self.draw.number(self.style)
        return found if value(found) else 1

    def _atoms(self, depth: int, *, inside: bool) -> list[Atom]:
        outputs: list[Atom] = [Out(a, k) for a in self.applied for k in range(a.net.outputs)]
        found = self.draw.some(outputs, self.draw.whole(1, 2)) if outputs else self._inputs()
        if outputs and self.draw.chance(0.3):
            found = [*found, *self.draw.some(self._inputs(), 1)]
        if depth and self.draw.chance(0.75):
            found = [self._function(depth - 1), *self.draw.some(found, self.draw.whole(0, 1))]
        if not inside and self.draw.chance(0.05):
            found.append(Times(self.draw.choice(self._inputs()), self.draw.choice(outputs or self._inputs())))
        return found

    def _sum(self, depth: int, *, inside: bool = False) -> Sum:
        parts = [(self._number(), atom) for atom in self._atoms(depth, inside=inside)]
        if self.draw.chance(0.3):
            parts[0] = (1, parts[0][1])
        if len(parts) > 1 and self.draw.chance(0.1):
            parts[0] = (2.0 ** self.draw.choice((40, 60)), parts[0][1])
        return Sum(tuple(parts), self._number() if self.draw.chance(0.5) else 0)

    def _function(self, depth: int) -> Fn:
        kind = self.draw.choice(_KINDS)
        count = self.draw.whole(2, 3) if kind in ("max", "min", "norm1", "norminf") else 1
        arguments = [self._sum(depth, inside=True) for _ in range(count)]
        if kind in ("max", "min") and self.draw.chance(0.3):
            arguments[-1] = Sum((), self._number())
        limits: tuple[Written, Written] = (self.draw.choice((-1, "-0.3", 0)), self.draw.choice((1, "0.7", 2.5)))
        return Fn(kind, tuple(arguments), limits)

    def _conclusion(self, premise: Statement, depth: int) -> Statement:
        if not depth or self.draw.chance(0.45):
            return self._leaf(premise)
        kind = self.draw.choice(("and", "or", "not", "implies", "iff", "ite"))
        count = {"not": 1, "implies": 2, "iff": 2, "ite": 3}.get(kind, 2)
        return Joined(kind, tuple(self._conclusion(premise, depth - 1) for _ in range(count)))

    def _leaf(self, premise: Statement) -> Statement:
        if self.draw.chance(0.12) and (found := self._wins()) is not None:
            return found
        term = self._sum(2)
        if self.draw.chance(0.06):
            count = self.draw.choice((1, 1, 2))
            arguments = tuple(Sum(((1, atom),)) for atom in self.draw.some(self._inputs(), count))
            return Length(arguments, self.draw.choice(("<=", ">=", "<", ">")), self.draw.choice((0.5, 1, 1.25)))
        low, high = extremes(self.variables, premise, term, self.draw) or (Fraction(0), Fraction(1))
        if self.draw.chance(0.05):
            return Compare(self.draw.choice(("==", "!=")), term, Sum((), self._written(low)))
        scale = max(abs(low), abs(high), Fraction(1, 2**40))
        step = scale * self.draw.choice(
            (Fraction(0), Fraction(0), Fraction(1, 2**53), Fraction(1, 10**9), Fraction(1, 1000))
        )
        if self.draw.chance(0.3):
            step = (high - low) * Fraction(self.draw.whole(1, 7), 8)
        step *= self.draw.sign()
        if self.draw.chance(0.5):
            return Compare(self.draw.choice((">=", ">=", ">")), term, self._right(low + step))
        return Compare(self.draw.choice(("<=", "<=", "<")), term, self._right(high + step))

    def _right(self, limit: Fraction) -> Sum:
        return Sum((), self._written(limit))

    def _written(self, limit: Fraction) -> Written:
        """The limit itself, or near it as a float or as text."""
        kind = self.draw.choice(("exact", "exact", "exact", "float", "text"))
        if kind == "exact":
            return limit
        return float(limit) if kind == "float" else f"{float(limit):.17g}"

    def _wins(self) -> Wins | None:
        several = [a for a in self.applied if a.net.outputs > 1]
        if not several:
            return None
        of = self.draw.choice(several)
        return Wins(self.draw.choice(("argmax", "loses", "wins")), of, self.draw.whole(0, of.net.outputs - 1))
