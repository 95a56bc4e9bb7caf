r"""CPLEX LP: a linear or mixed-integer Program as text that people and all MILP solvers read.

Numbers are the shortest decimals that read back as the same float64. Where readers differ, the file uses
what all of them read alike (HiGHS, GLPK, CBC, SCIP, Gurobi, CPLEX):

- the section is called ``Binaries``: CBC 2.10 takes ``bin`` for a name, drops the section without a word and
  solves the LP relaxation;
- a row with two sides is two rows, because GLPK reads no ``a <= row <= b``;
- every bound is written, because the default is ``0 <= x``; a fixed binary is a general integer with that bound,
  because ``Binaries`` resets bounds;
- lines stay short (CPLEX reads 560 characters), names are letters, digits and underscores.

Indicator constraints (``z = 1 -> row``), SOS1 sets and quadratic rows (``[ u ^ 2 + v ^ 2 ] <= 1``) are written where a
program has some; Gurobi, CPLEX and SCIP read them, the others refuse the file.

Source: the LP format of IBM ILOG CPLEX; GLPK Reference Manual, appendix C.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from math import isinf

from nnsym.program import Feature, Kind, Program, RowBlock
from nnsym.write.linear import linear_blocks, title
from nnsym.write.names import comments, identifiers, one_line
from nnsym.write.quadratic import Entries, quadratic_rows

_BESIDES = frozenset({Feature.IMPLICATIONS, Feature.SOS1, Feature.SOS2, Feature.PRODUCTS, Feature.QUADRATIC})
_PER_LINE = 5  # terms; names have up to 80 characters


def to_lp(program: Program, *, header: Sequence[str] = ()) -> str:
    r"""The program as CPLEX LP text; ``header`` lines become ``\`` comments.

    Rows are called ``network_3_17`` (row 17 of block 3), columns ``relu_1_17_pre``; comments say what the blocks are.

    Raises:
        UnsupportedError: the program holds definitions by cases.
    """
    blocks = linear_blocks(program, ".lp", besides=_BESIDES)
    names = identifiers(program)
    lines = comments("\\", [*header, *_columns(program, names)])
    lines += ["Minimize", f" obj: {_objective(program, names)}", "Subject To"]
    for name, block in blocks:
        lines += comments("\\", [title(block)])
        lines += _rows(name, block, names)
    for number, implication in enumerate(program.implications):
        rows = implication.rows
        lines += comments("\\", [title(rows)])
        guards = zip(implication.guard.tolist(), implication.value.tolist(), strict=True)
        conditions = [f"{names[guard]} = {int(value)} -> " for guard, value in guards]
        lines += _rows(f"{rows.tag.value}_if_{number}", rows, names, conditions)
    for quadratic in quadratic_rows(program):
        lines += comments("\\", [title(quadratic.linear)])
        lines += _rows(quadratic.name, quadratic.linear, names, after=[_squares(e, names) for e in quadratic.entries])
    lines.append("Bounds")
    lines += _bounds(program, names)
    lines += _integers(program, names)
    lines += _sets(program, names)
    lines.append("End\n")
    return "\n".join(lines)


def _columns(program: Program, names: list[str]) -> Iterator[str]:
    """Which column is which, one comment a block."""
    for block in program.blocks:
        count = len(block.index)
        if count:
            last = f" ... {block.name(count - 1)}" if count > 1 else ""
            yield one_line(f"column {names[block.start]} is {block.name(0)}{last}")


def _objective(program: Program, names: list[str]) -> str:
    if program.objective is not None:
        return names[program.objective]
    return f"0 {names[0]}" if names else "0"


def _rows(
    name: str, block: RowBlock, names: list[str], conditions: Sequence[str] = (), after: Sequence[str] = ()
) -> Iterator[str]:
    """The rows of a block, each behind its condition and before its quadratic part where there are some."""
    terms = [
        f"- {-c!r} {names[j]}" if c < 0 else f"+ {c!r} {names[j]}"
        for c, j in zip(block.data.tolist(), block.indices.tolist(), strict=True)
    ]
    ends = block.indptr.tolist()
    sides = zip(ends[:-1], ends[1:], block.lower.tolist(), block.upper.tolist(), strict=True)
    for k, (start, stop, low, high) in enumerate(sides):
        linear = _wrap(terms[start:stop]) or ("" if after else f"0 {names[0]}")
        body = " ".join(filter(None, ("".join(conditions[k : k + 1]) + linear, *after[k : k + 1])))
        if low == high:
            yield f" {name}_{k}: {body} = {low!r}"
            continue
        two = not isinf(low) and not isinf(high)
        if not isinf(low):
            yield f" {name}_{k}{'_low' if two else ''}: {body} >= {low!r}"
        if not isinf(high):
            yield f" {name}_{k}{'_up' if two else ''}: {body} <= {high!r}"


def _squares(entries: Entries, names: list[str]) -> str:
    """``+ [ + u ^ 2 - x * v ]``."""
    terms = []
    for c, i, j in entries:
        size = "" if abs(c) == 1 else f"{abs(c)!r} "
        terms.append(f"{'-' if c < 0 else '+'} {size}{names[i]}{' ^ 2' if i == j else f' * {names[j]}'}")
    return f"+ [ {_wrap(terms)} ]"


def _sets(program: Program, names: list[str]) -> Iterator[str]:
    """The section of special ordered sets, members weighted by their place."""
    if program.sets:
        yield "SOS"
    for number, block in enumerate(program.sets):
        yield from comments("\\", [f"network: {' '.join(block.origin.split())}"])
        for k, (start, stop) in enumerate(itertools.pairwise(block.indptr.tolist())):
            members = [f"{names[j]}:{place}" for place, j in enumerate(block.indices[start:stop].tolist(), start=1)]
            yield f" network_set_{number}_{k}: S{block.most}:: {_wrap(members)}"


def _wrap(terms: list[str]) -> str:
    if len(terms) <= _PER_LINE:
        return " ".join(terms)
    return "\n   ".join(" ".join(terms[k : k + _PER_LINE]) for k in range(0, len(terms), _PER_LINE))


def _bounds(program: Program, names: list[str]) -> Iterator[str]:
    for name, low, high, kind in zip(
        names, program.lower.tolist(), program.upper.tolist(), program.kind.tolist(), strict=True
    ):
        if low == high:
            yield f" {name} = {low!r}"
        elif kind == Kind.BINARY and low <= 0 and high >= 1:
            continue
        elif isinf(low):
            yield f" {name} free" if isinf(high) else f" -inf <= {name} <= {high!r}"
        else:
            yield f" {name} >= {low!r}" if isinf(high) else f" {low!r} <= {name} <= {high!r}"


def _integers(program: Program, names: list[str]) -> Iterator[str]:
    """``Binaries`` for free 0-1 columns, ``Generals`` for the other integers."""
    binary = (program.kind == Kind.BINARY) & (program.lower <= 0) & (program.upper >= 1)
    general = (program.kind != Kind.REAL) & ~binary
    for section, members in (("Binaries", binary), ("Generals", general)):
        if members.any():
            yield section
            yield from (f" {names[j]}" for j in members.nonzero()[0].tolist())
