"""The mutants of a file: its source with one place changed (``scripts/mutate.py`` runs tests against them)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_PAIRS = """min max, minimum maximum, argmin argmax, any all, lower upper, low high, left right, l u, a b, above below,
round_down round_up, sum_down sum_up, product_down product_up, at_l at_u, True False, 0 1, 0.0 1.0"""
_SWAP = {a: b for pair in _PAIRS.replace("\n", " ").split(",") for a, b in (pair.split(), pair.split()[::-1])}
_FLIP = {"+": ["-"], "-": ["+"], "&": ["|"], "|": ["&"], "and": ["or"], "or": ["and"], "==": ["!="], "!=": ["=="]}
_FLIP |= {"<": [">", "<="], "<=": [">=", "<"], ">": ["<", ">="], ">=": ["<=", ">"], "is": ["is not"]}
_SYMBOL = re.compile(r"<<|>>|<=|>=|==|!=|<|>|\+|-|&|\||\bis not\b|\bis\b|\band\b|\bor\b")
_TEXT_ARGUMENTS = ("says", "origin", "where", "remedy")
_TURNS_AWAY = (ast.Raise, ast.Return, ast.Continue, ast.Break)


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One changed place, and the whole changed source."""

    file: str
    line: int
    before: str
    after: str
    source: str
    #: Lines of the statement around it (of an ``if``, ``for`` ...: of its first line's expression).
    lines: range

    @property
    def key(self) -> str:
        """How the list of equivalent mutants names it; no line number, so that edits elsewhere do not matter."""
        return f"{Path(self.file).name}: {self.before} -> {self.after}"


def mutants(file: str) -> list[Mutant]:
    """All mutants of a file, in the order of their places."""
    text = (ROOT / file).read_text()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    tree, found = ast.parse(text), []
    spans = [_span(node) for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    for start, end, new in sorted(set(_edits(tree, text, starts))):
        line = text.count("\n", 0, start) + 1
        around = min((s for s in spans if line in s), key=len, default=range(line, line + 1))
        first, last = starts[line - 1], text.index("\n", end)
        source = text[:start] + new + text[end:]
        before, after = _one_line(text[first:last]), _one_line(source[first : last + len(new) - (end - start)])
        found.append(Mutant(file=file, line=line, before=before, after=after, source=source, lines=around))
    return found


def _span(statement: ast.stmt) -> range:
    body = getattr(statement, "body", None)
    end = max(statement.lineno, body[0].lineno - 1) if body else statement.end_lineno or statement.lineno
    return range(statement.lineno, end + 1)


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _edits(tree: ast.AST, text: str, starts: list[int]) -> Iterator[tuple[int, int, str]]:
    """``(start, end, new text)`` of every change."""
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        stack.extend(_children(node))
        if not hasattr(node, "lineno"):
            continue
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        match node:
            case ast.Constant(value=bool() | int() | float()) | ast.Name():
                yield from _swapped(text, start, end)
            case ast.Attribute(attr=name):
                yield from _swapped(text, end - len(name), end)
            case ast.keyword(arg=str(name)):
                yield from _swapped(text, start, start + len(name))
            case ast.UnaryOp(op=op):
                yield start, start + (3 if isinstance(op, ast.Not) else 1), ""
            case ast.Expr(value=ast.Call()):
                yield start, end, "pass"
            case ast.If(test=test, body=[ast.stmt() as first]) if isinstance(first, _TURNS_AWAY):
                yield (
                    starts[test.lineno - 1] + test.col_offset,
                    starts[test.end_lineno - 1] + test.end_col_offset,
                    "False",
                )
            case ast.AugAssign(target=left, value=right):
                yield start, end, "pass"
                yield from _flipped(text, starts, [left, right])
            case ast.BinOp(left=left, right=right):
                yield from _flipped(text, starts, [left, right])
            case ast.Compare(left=left, comparators=others):
                yield from _flipped(text, starts, [left, *others])
            case ast.BoolOp(values=values):
                yield from _flipped(text, starts, values)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """What may be mutated: no annotations, messages, texts or imports."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            named = isinstance(child, ast.keyword) and child.arg in _TEXT_ARGUMENTS
            if isinstance(child, ast.AST) and not named and not isinstance(child, (ast.Raise, ast.JoinedStr)):
                yield child


def _swapped(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """A name or number for its opposite; any other number for its negative and its successor."""
    word = text[start:end]
    if word in _SWAP:
        yield start, end, _SWAP[word]
    elif word[:1].isdigit():
        yield start, end, f"(-{word})"
        yield start, end, f"({word} + 1)"


def _flipped(text: str, starts: list[int], operands: list[ast.expr]) -> Iterator[tuple[int, int, str]]:
    """The operators between operands."""
    for left, right in pairwise(operands):
        start = starts[left.end_lineno - 1] + left.end_col_offset
        found = _SYMBOL.search(text, start, starts[right.lineno - 1] + right.col_offset)
        for new in _FLIP.get(found[0], []) if found else []:
            yield found.start(), found.end(), new
