"""A query as one graph and a VNN-LIB 2.0 text about its outputs, when it was not read from such a text.

The text asserts what the query searches for, exactly: numbers are decimals or stand multiplied by their denominator.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, final

import numpy as np

from nnsym.certify.plain_graph import PlainGraph, outputs_of
from nnsym.ir.array import Array
from nnsym.ir.domain import Ball
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms, InBox, reduce_formula
from nnsym.ir.network import Network
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query
from nnsym.write.vnnlib_terms import finite_scale

_FALSE = "(<= 1 0)"


def written(query: Query) -> tuple[dict[str, Any], str, list[Network], dict[str, str]]:
    """The graph, the text, the stored networks that the graph applies, and what the text calls the query's inputs."""
    graph = PlainGraph(query)
    text = _Text(query, graph)
    distances = [name for names in text.sums.values() for name in names]
    outputs = [*(graph.called[node] for node in text.outputs), *distances]
    called = {x.name: graph.called[x] for x in query.inputs}
    networks = [Network(name, f.inputs, f.outputs, dtype=f.dtype, model=f.model) for name, f in graph.networks.items()]
    return graph.json(outputs), text.stated(), networks, called


@final
class _Text:
    def __init__(self, query: Query, graph: PlainGraph) -> None:
        self.query, self.graph = query, graph
        self.sums = {x: [self._distance(x, ball) for ball in some if ball.p == 1] for x, some in query.balls.items()}
        self.outputs = outputs_of(query.rows.parts, graph)
        self.hidden = [n for n in query.rows.parts if n in graph.hidden and n not in self.outputs]
        self.names: dict[Node, str] = {x: graph.called[x] for x in query.inputs}
        self.names |= {node: f"y{k}" for k, node in enumerate(self.outputs)}
        self.names |= {node: f"h{k}" for k, node in enumerate(self.hidden)}
        self.rows = self._rows()

    def stated(self) -> str:
        """The file."""
        extra = [name for names in self.sums.values() for name in names]
        lines = ["(vnnlib-version <2.0>)", "(declare-network query"]
        for x in self.query.inputs:
            kind = "int64" if x.integer.all() else "real"
            lines.append(f"  (declare-input {self.names[x]} {kind} [{x.size}])")
        lines += [f'  (declare-hidden {self.names[n]} real [{n.size}] "{self.graph.hidden[n]}")' for n in self.hidden]
        lines += [f"  (declare-output {self.names[n]} real [{n.size}])" for n in self.outputs]
        lines += [f"  (declare-output d{k} real [1])" for k in range(len(extra))]
        lines[-1] += ")"
        for x, box in self.query.boxes.items():
            places = (f"{self.names[x]}[{k}]" for k in range(x.size))
            for name, low, high in zip(places, _limits(box.lower), _limits(box.upper), strict=True):
                lines += [f"(assert {atom})" for atom in _between(name, low, high)]
        lines += [f"(assert {atom})" for atom in self._balls()]
        formula = self._formula()
        lines += [f"(assert {formula})"] if formula else []
        return "\n".join(lines) + "\n"

    def _distance(self, x: Input, ball: Ball) -> str:
        """The tensor of a distance in the norm 1; its centre is stated exactly."""
        add, constant = self.graph.add, self.graph.constant
        centre = self.graph.rational(to_fractions(ball.centre))
        away = add("Abs", [add("Sub", [self.graph.called[x], centre])])
        return add("MatMul", [constant(np.ones((1, x.size))), away])

    def _balls(self) -> Iterator[str]:
        number = 0
        for x, some in self.query.balls.items():
            for ball in some:
                if ball.p == 1:
                    q = finite_scale([ball.radius])
                    yield f"(<= {_times(Fraction(q), f'd{number}[0]')} {_decimal(q * ball.radius)})"
                    number += 1
                    continue
                centre = to_fractions(ball.centre)
                rest = ball.radius**2 - sum(c * c for c in centre)
                scale = finite_scale([rest, *(2 * c for c in centre)])
                terms = []
                for k, c in enumerate(centre):
                    name = f"{self.names[x]}[{k}]"
                    terms.append(_times(Fraction(scale), f"{name} {name}"))
                    if c:
                        terms.append(_times(-2 * c * scale, name))
                yield f"(<= (+ {' '.join(terms)}) {_decimal(rest * scale)})"

    def _rows(self) -> list[str]:
        """The left sides of the rows, each multiplied by what makes decimals of its numbers."""
        count = len(self.query.rows)
        terms: list[list[tuple[Fraction, str]]] = [[] for _ in range(count)]
        for node, part in self.query.rows.parts.items():
            for row, column, c in zip(
                part.row.tolist(), part.column.tolist(), to_fractions(part.coefficient), strict=True
            ):
                terms[row].append((c, f"{self.names[node]}[{column}]"))
        found = []
        for row, constant in zip(terms, to_fractions(self.query.rows.constant), strict=True):
            scale = finite_scale([constant, *(c for c, _ in row)])
            words = [_times(c * scale, name) for c, name in row]
            words += [_decimal(constant * scale)] if constant or not row else []
            found.append(words[0] if len(words) == 1 else f"(+ {' '.join(words)})")
        return found

    def _formula(self) -> str:
        def leaf(node: Atoms | InBox) -> str:
            if isinstance(node, InBox):
                sides = zip(_limits(node.lower), _limits(node.upper), strict=True)
                name = self.names[node.input]
                return _all([atom for k, ends in enumerate(sides) for atom in _between(f"{name}[{k}]", *ends)])
            sign = "<" if node.strict else "<="
            atoms = [f"({sign} {self.rows[row]} 0)" for row in node.rows.tolist()]
            return _all(atoms) if node.every else _any(atoms)

        return reduce_formula(self.query.formula, leaf, _all, _any)


def _limits(limits: Array) -> list[Fraction | None]:
    """Limits as fractions; None where there is none."""
    return [None if abs(v) == np.inf else Fraction(v) for v in limits.tolist()]


def _between(name: str, low: Fraction | None, high: Fraction | None) -> list[str]:
    atoms = []
    for sign, limit in ((">=", low), ("<=", high)):
        if limit is not None:
            q = finite_scale([limit])
            atoms.append(f"({sign} {_times(Fraction(q), name)} {_decimal(q * limit)})")
    return atoms


def _all(parts: list[str]) -> str:
    """A conjunction; empty text is true."""
    parts = [p for p in parts if p]
    return parts[0] if len(parts) == 1 else f"(and {' '.join(parts)})" if parts else ""


def _any(parts: list[str]) -> str:
    if not parts:
        return _FALSE
    if "" in parts:
        return ""
    return parts[0] if len(parts) == 1 else f"(or {' '.join(parts)})"


def _times(factor: Fraction, name: str) -> str:
    return name if factor == 1 and " " not in name else f"(* {_decimal(factor)} {name})"


def _decimal(value: Fraction) -> str:
    """The digits of a decimal, all of them."""
    places = 0
    while 10**places % value.denominator:
        places += 1
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    whole, rest = digits[: len(digits) - places], digits[len(digits) - places :]
    return ("-" if value < 0 else "") + whole + ("." + rest if places else "")
