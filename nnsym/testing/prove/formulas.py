"""A program as formulas of Z3 over the values of its columns: what each block says, and what decided columns are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import z3

from nnsym.program import CaseBlock, Kind, Program, Role, RowBlock
from nnsym.testing.prove.number import Number, term
from nnsym.testing.prove.world import NotModelledError, World

Says = tuple[str, Any]  # where a formula comes from, and the formula


def formulas(program: Program, values: Sequence[Any]) -> Iterator[Says]:
    """What a program says about the values of its columns, block by block."""
    for block in program.blocks:
        for j in range(block.start, block.start + len(block.index)):
            inside = [*_at_least(values[j], program.lower[j]), *_at_most(values[j], program.upper[j])]
            yield f"bounds of {block.name(j - block.start)}", z3.And(inside)
    for linear in program.rows:
        yield from ((linear.origin, z3.And(said)) for said in rows(linear, values))
    for implied in program.implications:
        binds = [values[g] == int(v) for g, v in zip(implied.guard, implied.value, strict=True)]
        for guard, said in zip(binds, rows(implied.rows, values), strict=True):
            yield implied.rows.origin, z3.Implies(guard, z3.And(said))
    for clauses in program.clauses:
        positive = np.ones(len(clauses.indices), bool) if clauses.positive is None else clauses.positive
        literals = [(values[j] != 0) == bool(p) for j, p in zip(clauses.indices, positive, strict=True)]
        yield from ((clauses.origin, z3.Or(part)) for part in _split(literals, clauses.indptr))
    for products in program.products:
        for out, left, right in zip(products.out, products.left, products.right, strict=True):
            yield products.origin, values[out] == values[left] * values[right]
    for function in program.functions:
        yield from ((function.origin, _by_cases(function, k, values)) for k in range(len(function.out)))
    for sets in program.sets:
        for part in _split(list(sets.indices), sets.indptr):
            pairs = [(i, j) for (m, i), (n, j) in combinations(enumerate(part), 2) if n - m >= sets.most]
            yield sets.origin, z3.And([z3.Or(values[i] == 0, values[j] == 0) for i, j in pairs])
    if program.quadratics:
        raise NotModelledError("quadratic rows")


def _split(values: list[Any], pointers: Any) -> Iterator[list[Any]]:
    yield from (values[a:b] for a, b in pairwise(pointers))


def rows(block: RowBlock, values: Sequence[Any]) -> Iterator[list[Any]]:
    """The inequalities of every row of a block."""
    terms = [term(c) * values[j] for c, j in zip(block.data, block.indices, strict=True)]
    for k, part in enumerate(_split(terms, block.indptr)):
        total = z3.Sum(part)
        yield [*_at_least(total, block.lower[k], block.strict), *_at_most(total, block.upper[k], block.strict)]


def _at_least(value: Any, limit: Any, strict: bool = False) -> list[Any]:
    if not isinstance(limit, Number) and limit == -np.inf:
        return []
    return [value > term(limit) if strict else value >= term(limit)]


def _at_most(value: Any, limit: Any, strict: bool = False) -> list[Any]:
    return _at_least(-value, -limit, strict)


def _by_cases(block: CaseBlock, k: int, values: Sequence[Any]) -> Any:
    x, y = values[block.arg[k]], values[block.out[k]]
    lines = [y == term(a) * x + term(b) for a, b in zip(block.slopes[:, k], block.offsets[:, k], strict=True)]
    said = lines[0]
    for start, strict, line in zip(block.starts[:, k], block.strict[:, k], lines[1:], strict=True):
        said = z3.If(x > term(start) if strict else x >= term(start), line, said)
    return said


def binaries(program: Program) -> list[int]:
    """The columns that are 0 or 1."""
    return np.flatnonzero(program.kind == Kind.BINARY).tolist()


def unknown_columns(program: Program) -> list[Any]:
    """An unknown for every column, an integer where the column is one."""
    make = {Kind.INTEGER: lambda name: z3.ToReal(z3.Int(name))}
    return [make.get(Kind(kind), z3.Real)(f"column {j}") for j, kind in enumerate(program.kind)]


def integral(program: Program, values: Sequence[Any], world: World) -> list[Any]:
    """What it says that columns take integer values."""
    said = [z3.Or(values[j] == 0, values[j] == 1) for j in binaries(program)]
    for j in np.flatnonzero(program.kind == Kind.INTEGER).tolist():
        said += [z3.IsInt(values[j]), *world.apart(values[j])]
    return said


def defined(program: Program, values: Sequence[Any], known: dict[int, Any]) -> list[Any]:
    """Values of all columns, from those of some: products of others, and parts that close an equality.

    ``known`` are values of columns of nodes, of binaries, and of those whose rule brings them.
    """
    found = list(values)
    for block in program.blocks:
        for k in range(len(block.index)):
            j = block.start + k
            if j in known:
                found[j] = known[j]
            elif block.factors is not None:
                left, right = (found[int(side[k])] for side in block.factors)
                found[j] = left * right
            elif block.role == Role.PART:
                found[j] = _closing(program, j, found)
            else:
                raise NotModelledError(f"the column {block.name(k)} has no value in a run of the network")
    return found


def _closing(program: Program, column: int, values: Sequence[Any]) -> Any:
    for block in program.rows:
        for k in np.flatnonzero(block.indices[block.indptr[1:] - 1] == column):
            span = range(block.indptr[k], block.indptr[k + 1] - 1)
            return z3.Sum([term(block.data[i]) * values[block.indices[i]] for i in span]) - term(block.upper[k])
    raise NotModelledError(f"no row defines the column {column}")
