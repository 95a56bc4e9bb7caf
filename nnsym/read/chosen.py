"""Units that exporters write as a choice between two formulas, ``Where(comparison, a, b)``: one function each.

PyTorch writes softplus with its threshold, soft and hard shrinking, and a threshold so. As a choice they would be a
jump times a difference. A pattern is told by the operators and the names that they read; constants may be initializers
or ``Constant`` nodes.

| ``Where`` of | function |
| --- | --- |
| ``beta x > t``, ``x``, ``Softplus(beta x) / beta`` | softplus, the identity beyond t |
| ``|x| > t``, ``x - t sign(x)``, ``0 x`` | soft shrinking |
| ``|x| <= t``, ``0``, ``x`` | hard shrinking |
| ``x <= t``, ``v``, ``x`` | threshold |
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.functions.exponentials import CutSoftplus
from nnsym.ir.functions.shrinks import shrink, threshold
from nnsym.ir.univariate import Univariate
from nnsym.read.ops.fold import stored


@final
@dataclass(frozen=True, eq=False)
class Chosen:
    """A node whose first output is ``fn`` of the value called ``source``."""

    fn: Univariate
    source: str


def chosen(graph: Any, inputs: Collection[str] = ()) -> Mapping[int, Chosen]:
    """The nodes of a graph that are such a choice, by position. An initial value of one of ``inputs`` is no number."""
    found: dict[int, Chosen] = {}
    if any(node.op_type == "Where" for node in graph.node):
        look = _Look(graph, inputs)
        for position, node in enumerate(graph.node):
            if node.op_type == "Where" and len(node.input) == 3:
                one = next((c for pattern in _PATTERNS for c in pattern(look, *node.input)), None)
                if one is not None:
                    found[position] = one
    return found


@final
@dataclass(eq=False)
class _Look:
    """The node behind every name, and numbers that are stored once."""

    graph: Any
    inputs: Collection[str]
    behind: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.behind = {name: node for node in self.graph.node for name in node.output if name}
        self._stored = {t.name: t for t in self.graph.initializer if t.name not in self.inputs}

    def made(self, name: str, *ops: str) -> tuple[str, ...]:
        """What the node behind a name reads, if it is one of the operators; else nothing."""
        node = self.behind.get(name)
        return tuple(node.input) if node is not None and node.op_type in ops and node.domain in ("", "ai.onnx") else ()

    def number(self, name: str) -> float | None:
        """The single finite number that a name stands for."""
        node = self.behind.get(name)
        if name in self._stored:
            tensor = self._stored[name]
        elif node is not None and node.op_type == "Constant" and [a.name for a in node.attribute] == ["value"]:
            tensor = node.attribute[0].t
        else:
            return None
        if int(np.prod(list(tensor.dims), dtype=np.int64)) != 1 or len(tensor.dims) > 1:
            return None
        value = float(stored(tensor).astype(np.float64).item())
        return value if np.isfinite(value) else None

    def scaled(self, name: str) -> Iterator[tuple[str, float]]:
        """The value as a number times another value: every way to read it."""
        yield name, 1.0
        read = self.made(name, "Mul")
        for source, factor in (read, read[::-1]) if len(read) == 2 else ():
            if (number := self.number(factor)) is not None:
                yield source, number


def _softplus(look: _Look, test: str, yes: str, no: str) -> Iterator[Chosen]:
    compared = look.made(test, "Greater")
    at = look.number(compared[1]) if compared else None
    divided = look.made(no, "Div")
    inner, divisor = (divided[0], look.number(divided[1])) if divided else (no, 1.0)
    unit = look.made(inner, "Softplus")
    if at is None or divisor is None or not unit or unit[0] != compared[0]:
        return
    if any(source == yes and beta == divisor for source, beta in look.scaled(compared[0])):
        yield from _taken(lambda: CutSoftplus(divisor, at), yes)


def _soft_shrink(look: _Look, test: str, yes: str, no: str) -> Iterator[Chosen]:
    compared = look.made(test, "Greater")
    at, size = (look.number(compared[1]), look.made(compared[0], "Abs")) if compared else (None, ())
    moved, nothing = look.made(yes, "Sub"), look.made(no, "Mul")
    if at is None or at < 0 or not size or not moved or not nothing or moved[0] != size[0]:
        return
    by = look.made(moved[1], "Mul")
    signed = any(look.made(a, "Sign") == size and look.number(b) == at for a, b in (by, by[::-1]) if by)
    if signed and size[0] in nothing and 0.0 in {look.number(n) for n in nothing}:
        yield from _taken(lambda: shrink(at, at), size[0])


def _hard_shrink(look: _Look, test: str, yes: str, no: str) -> Iterator[Chosen]:
    compared = look.made(test, "LessOrEqual")
    at, size = (look.number(compared[1]), look.made(compared[0], "Abs")) if compared else (None, ())
    if at is not None and at >= 0 and size == (no,) and look.number(yes) == 0.0:
        yield from _taken(lambda: shrink(at, 0.0), no)


def _threshold(look: _Look, test: str, yes: str, no: str) -> Iterator[Chosen]:
    compared = look.made(test, "LessOrEqual")
    if compared and compared[0] == no:
        at, value = look.number(compared[1]), look.number(yes)
        if at is not None and value is not None:
            yield from _taken(lambda: threshold(at, value), no)


def _taken(make: Callable[[], Univariate], source: str) -> Iterator[Chosen]:
    """The function, unless it refuses its constants: then the nodes are read one by one."""
    try:
        yield Chosen(make(), source)
    except UnsupportedError:
        return


_PATTERNS = (_softplus, _soft_shrink, _hard_shrink, _threshold)
