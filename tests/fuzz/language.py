"""The same property in nnsym's language."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

import nnsym as nn
from tests.fuzz.nets import Net
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

_COMPARE = {
    "<=": lambda a, b: a <= b, "<": lambda a, b: a < b, ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Speaker:
    """Says plain data in the language; a network is loaded once. ``lie`` is added to every network's outputs."""

    lie: float = 0.0
    said: dict[Any, Any] = field(default_factory=dict)

    def var(self, var: Var) -> Any:
        if var not in self.said:
            self.said[var] = nn.Variable(var.size, name=var.name, integer=np.array(var.integer))
        return self.said[var]

    def network(self, net: Net) -> Any:
        if net.name not in self.said:
            self.said[net.name] = (net.shifted(self.lie) if self.lie else net).network()
        return self.said[net.name]

    def outputs(self, of: Applied) -> Any:
        if of not in self.said:
            argument = of.argument
            given = self.var(argument) if isinstance(argument, Var) else nn.concat(*(self.sum(s) for s in argument))
            self.said[of] = self.network(of.net)(given).ravel()
        return self.said[of]

    def sum(self, term: Sum) -> Any:
        total: Any = None
        for c, a in term.parts:
            part = c * self.atom(a) if c != 1 else self.atom(a)
            total = part if total is None else total + part
        if total is None:
            return term.constant
        return total + term.constant if term.constant else total

    def atom(self, atom: Atom) -> Any:
        match atom:
            case In(var, index):
                return self.var(var)[index]
            case Out(of, index):
                return self.outputs(of)[index]
        if atom not in self.said:
            self.said[atom] = self._function(atom)
        return self.said[atom]

    def _function(self, atom: Atom) -> Any:
        if isinstance(atom, Times):
            return self.atom(atom.left) * self.atom(atom.right)
        assert isinstance(atom, Fn)
        given = [self.sum(s) for s in atom.arguments]
        match atom.kind:
            case "relu":
                return nn.relu(given[0])
            case "abs":
                return abs(given[0])
            case "sign":
                return nn.sign(given[0])
            case "clip":
                return nn.clip(given[0], *atom.limits)
            case "max":
                return nn.max(*given)
            case "min":
                return nn.min(*given)
        return nn.norm(nn.concat(*given), 1 if atom.kind == "norm1" else np.inf)

    def statement(self, statement: Statement) -> Any:
        match statement:
            case Compare(op, left, right):
                a, b = self.sum(left), self.sum(right)
                return _COMPARE[op](a, b)
            case Joined(kind, parts):
                return self._joined(kind, [self.statement(p) for p in parts])
            case Wins(kind, of, index):
                y = self.outputs(of)
                if kind == "wins":
                    return nn.wins(y, index)
                return nn.argmax(y) == index if kind == "argmax" else nn.argmax(y) != index
            case InBox(var, lower, upper):
                return nn.box(self.var(var), list(lower), list(upper))
            case Ball(var, centre, radius, p):
                return nn.ball(self.var(var), list(centre), radius, p=p or np.inf)
            case Length(arguments, op, limit):
                return _COMPARE[op](nn.norm(nn.concat(*(self.sum(s) for s in arguments)), 2), limit)
        raise AssertionError(statement)

    @staticmethod
    def _joined(kind: str, parts: list[Any]) -> Any:
        first, *rest = parts
        match kind:
            case "and":
                return nn.all(parts)
            case "or":
                return nn.any(parts)
            case "not":
                return ~first
            case "implies":
                return first >> rest[0]
            case "iff":
                return first == rest[0]
        return (first >> rest[0]) & (~first >> rest[1])
