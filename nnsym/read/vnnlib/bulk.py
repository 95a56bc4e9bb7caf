"""Long VNN-LIB 1.0 files of the common kinds, read as arrays: bounds, comparisons of outputs, disjunctions of boxes.

Taken are ``(assert A)``, ``(assert (and A ...))`` and ``(assert (or C ...))`` where a case ``C`` is ``A`` or
``(and ...)`` of ``A`` and of ``(or A ...)`` about outputs, and ``A`` compares a variable with a number or another one.
Everything else is left to :mod:`nnsym.read.vnnlib.version1`, which also finds the words for what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.read.meter import Meter
from nnsym.read.vnnlib import lex as lexer
from nnsym.read.vnnlib.sexpr import without_comments

#: Characters from which a text is worth it.
LONG = 1 << 15
_ATOM = 15


@final
@dataclass(frozen=True, eq=False)
class Inequalities:
    """Comparisons ``sign (a - b - value / 10 ** decimals) <= 0``, or ``< 0``.

    Variables are numbered as in :class:`nnsym.read.vnnlib.tree.Term`; ``single`` marks those without ``b``.
    """

    a: Array
    b: Array
    single: Array
    sign: Array
    strict: Array
    value: Array
    decimals: Array

    def __len__(self) -> int:
        return len(self.a)


@final
@dataclass(frozen=True, eq=False)
class Bulk:
    """A file: ``top`` are the atoms that stand alone, ``atoms[member]`` those of the cases.

    ``group`` numbers the case of each member, ``inner`` the ``or`` inside of it (-1: none), ``statement`` the assertion
    of each case.
    """

    name: str
    inputs: int
    outputs: int
    atoms: Inequalities
    top: Array
    member: Array
    group: Array
    inner: Array
    statement: Array


def read(text: str, name: str, meter: Meter) -> Bulk | None:
    """The file, or None where it is not of these kinds."""
    tokens = lexer.lex(without_comments(text), meter, name)
    if tokens is None:
        return None
    code = tokens.code
    counts, declared = _declared(tokens)
    if counts is None:
        return None
    place, atoms = _atoms(tokens)
    meter.check(name)
    kept = np.ones(len(code), dtype=bool)
    kept[declared] = False
    kept[(place[:, None] + np.arange(1, 5)).ravel()] = False
    code = code.copy()
    code[place] = _ATOM
    rest = code[kept]
    number = np.cumsum(rest == _ATOM) - 1
    alone = _find(rest, (lexer.OPEN, lexer.ASSERT, _ATOM, lexer.CLOSE))
    top = [number[alone + 2]]
    kept = np.ones(len(rest), dtype=bool)
    kept[(alone[:, None] + np.arange(4)).ravel()] = False
    found = _cases(rest[kept], number[kept])
    meter.check(name)
    if found is None:
        return None
    conjoined, member, group, inner, statement = found
    bulk = Bulk(name, *counts, atoms, np.concatenate([*top, conjoined]), member, group, inner, statement)
    return bulk if len(atoms) and _fits(bulk) else None


def _find(code: Array, pattern: Sequence[int | tuple[int, ...]]) -> Array:
    """Where tokens follow each other so; a tuple takes any of its codes."""
    if len(code) < len(pattern):
        return np.zeros(0, dtype=np.int64)
    match = np.ones(len(code) - len(pattern) + 1, dtype=bool)
    for k, wanted in enumerate(pattern):
        here = code[k : k + len(match)]
        match &= np.isin(here, wanted) if isinstance(wanted, tuple) else here == wanted
    return np.flatnonzero(match)


def _declared(tokens: lexer.Lexed) -> tuple[tuple[int, int] | None, Array]:
    """How many variables X and Y are declared, each once and before all assertions, and the tokens that say so."""
    code, value = tokens.code, tokens.value
    place = _find(code, (lexer.OPEN, lexer.DECLARE, (lexer.X, lexer.Y), lexer.REAL, lexer.CLOSE))
    first = int(np.argmax(code == lexer.ASSERT))
    counts = []
    for kind in (lexer.X, lexer.Y):
        index = np.sort(value[place + 2][code[place + 2] == kind])
        if not np.array_equal(index, np.arange(len(index))):
            return None, place
        counts.append(len(index))
    if not len(place) or code[first] != lexer.ASSERT or place[-1] > first:
        return None, place
    return (counts[0], counts[1]), (place[:, None] + np.arange(5)).ravel()


def _atoms(tokens: lexer.Lexed) -> tuple[Array, Inequalities]:
    """Where comparisons of variables and numbers begin, and what they say."""
    code, value = tokens.code, tokens.value
    signs = (lexer.BELOW, lexer.ABOVE, lexer.LESS, lexer.MORE)
    leaf = (lexer.X, lexer.Y, lexer.NUMBER)
    place = _find(code, (lexer.OPEN, signs, leaf, leaf, lexer.CLOSE))
    place = place[(code[place + 2] != lexer.NUMBER) | (code[place + 3] != lexer.NUMBER)]
    turned = code[place + 2] == lexer.NUMBER  # 0.5 <= X_0
    left, right = np.where(turned, place + 3, place + 2), np.where(turned, place + 2, place + 3)
    single = code[right] == lexer.NUMBER
    below = np.isin(code[place + 1], (lexer.BELOW, lexer.LESS)) != turned

    def variable(token: Array) -> Array:
        return np.where(code[token] == lexer.Y, ~value[token], value[token])

    a, b, sign = variable(left), np.where(single, 0, variable(right)), np.where(below, 1, -1)
    swapped = ~single & (a > b)  # a - b is -(b - a): one row, however it is written
    return place, Inequalities(
        np.where(swapped, b, a),
        np.where(swapped, a, b),
        single,
        np.where(swapped, -sign, sign),
        np.isin(code[place + 1], (lexer.LESS, lexer.MORE)),
        np.where(single, value[right], 0),
        np.where(single, tokens.decimals[right], 0),
    )


def _cases(code: Array, number: Array) -> tuple[Array, Array, Array, Array, Array] | None:
    """``(conjoined, member, group, inner, statement)`` of what is left: assertions of ``and`` and ``or``."""
    opens, atom = code == lexer.OPEN, code == _ATOM
    after = np.cumsum(opens.astype(np.int64) - (code == lexer.CLOSE))
    depth = after - opens  # before an opening token, of what it stands in
    following = np.append(code[1:], lexer.OTHER)
    heads = np.isin(code, (lexer.ASSERT, lexer.AND, lexer.OR))
    if len(code) and (after[-1] != 0 or after.min() < 0 or after.max() > 5):
        return None
    empty = np.zeros(0, dtype=np.int64)
    if not len(code):
        return empty, empty, empty, empty, empty
    statement = np.cumsum(opens & (depth == 0)) - 1
    kind = following[opens & (depth == 1)]  # of each statement: its connective
    one_each = len(kind) == int(statement[-1]) + 1 and np.array_equal(
        statement[opens & (depth == 1)], np.arange(len(kind))
    )
    wanted = np.select([depth == 0, depth == 2, depth == 3], [lexer.ASSERT, lexer.AND, lexer.OR], lexer.OTHER)
    good = one_each and np.isin(kind, (lexer.AND, lexer.OR)).all()
    good = good and (following[opens & (depth != 1)] == wanted[opens & (depth != 1)]).all()
    good = good and int(opens.sum()) == int(heads.sum()) and (np.flatnonzero(opens) + 1 == np.flatnonzero(heads)).all()
    good = good and not (following[heads] == lexer.CLOSE).any() and (depth[atom] >= 2).all()
    good = good and (atom | opens | heads | (code == lexer.CLOSE)).all()
    if not good:
        return None
    flat = kind[statement] == lexer.AND
    if (opens & flat & (depth > 1)).any():
        return None
    chosen = atom & ~flat
    begins = (atom | opens) & (depth == 2) & ~flat
    groups = np.cumsum(begins) - 1
    inners = np.where(depth == 4, np.cumsum(opens & (depth == 3)) - 1, -1)
    assertion = np.unique(statement[begins], return_inverse=True)[1]  # the flat ones are not counted
    return number[atom & flat], number[chosen], groups[chosen], inners[chosen], assertion


def _fits(bulk: Bulk) -> bool:
    """Variables are declared, bounds of inputs are closed, and nothing compares inputs, or a variable with itself."""
    atoms = bulk.atoms
    for variable, used in ((atoms.a, np.ones(len(atoms), dtype=bool)), (atoms.b, ~atoms.single)):
        limit = np.where(variable >= 0, bulk.inputs, bulk.outputs)
        if (np.where(variable >= 0, variable, ~variable)[used] >= limit[used]).any():
            return False
    hard = (atoms.a >= 0) & (atoms.single | (atoms.b >= 0))  # b is the larger of the two, and outputs are negative
    if (hard & (atoms.strict | ~atoms.single)).any() or (~atoms.single & (atoms.a == atoms.b)).any():
        return False
    return not (hard[bulk.member] & (bulk.inner >= 0)).any()
