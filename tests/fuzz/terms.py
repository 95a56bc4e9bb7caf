"""Properties as plain data: variables, sums, functions, networks, statements. No two atoms of a sum are the same."""

from __future__ import annotations

from dataclasses import dataclass

from tests.fuzz.draws import Written
from tests.fuzz.nets import Net


@dataclass(frozen=True, eq=False)
class Var:
    """A variable: its box as written, and which elements are whole numbers."""

    name: str
    lower: tuple[Written, ...]
    upper: tuple[Written, ...]
    integer: tuple[bool, ...]

    @property
    def size(self) -> int:
        return len(self.lower)


class Atom:
    """What a sum has coefficients of."""


@dataclass(frozen=True, eq=False)
class In(Atom):
    """One element of a variable."""

    var: Var
    index: int


@dataclass(frozen=True, eq=False)
class Sum:
    """``sum c_i a_i + constant``."""

    parts: tuple[tuple[Written, Atom], ...]
    constant: Written = 0


@dataclass(frozen=True, eq=False)
class Applied:
    """A network on a whole variable, or on sums."""

    net: Net
    argument: Var | tuple[Sum, ...]


@dataclass(frozen=True, eq=False)
class Out(Atom):
    """One output of a network."""

    of: Applied
    index: int


@dataclass(frozen=True, eq=False)
class Fn(Atom):
    """``relu``, ``abs``, ``sign``, ``clip`` of one sum; ``max``, ``min``, ``norm1``, ``norminf`` of several."""

    kind: str
    arguments: tuple[Sum, ...]
    limits: tuple[Written, Written] = (0, 0)


@dataclass(frozen=True, eq=False)
class Times(Atom):
    """A product of two elements of variables or networks."""

    left: Atom
    right: Atom


class Statement:
    """What is true or false."""


@dataclass(frozen=True, eq=False)
class Compare(Statement):
    """``left op right``."""

    op: str
    left: Sum
    right: Sum


@dataclass(frozen=True, eq=False)
class Joined(Statement):
    """``and``, ``or``, ``not``, ``implies``, ``iff``, ``ite`` of statements."""

    kind: str
    parts: tuple[Statement, ...]


@dataclass(frozen=True, eq=False)
class Wins(Statement):
    """``argmax(y) == index``, ``argmax(y) != index`` or ``wins(y, index)``, of a network's outputs."""

    kind: str
    of: Applied
    index: int


@dataclass(frozen=True, eq=False)
class InBox(Statement):
    """``lower <= var <= upper``."""

    var: Var
    lower: tuple[Written, ...]
    upper: tuple[Written, ...]


@dataclass(frozen=True, eq=False)
class Ball(Statement):
    """``norm(var - centre, p) <= radius`` with ``p`` 1, 2 or 0, which is the largest element."""

    var: Var
    centre: tuple[Written, ...]
    radius: Written
    p: int


@dataclass(frozen=True, eq=False)
class Length(Statement):
    """``norm(arguments, 2) op limit`` with a limit of at least 0."""

    arguments: tuple[Sum, ...]
    op: str
    limit: Written


def nets_of(*statements: Statement | Sum) -> list[Net]:
    """The networks that statements speak of, each once."""
    return list({a.net.name: a.net for a in applied_of(*statements)}.values())


def applied_of(*statements: Statement | Sum) -> list[Applied]:
    """The applications of networks that statements speak of, inner ones too."""
    found: dict[Applied, None] = {}
    waiting: list[object] = list(statements)
    while waiting:
        match waiting.pop():
            case Applied(_, argument) as applied:
                found[applied] = None
                waiting += [argument]
            case Sum(parts, _):
                waiting += [a for _, a in parts]
            case Compare(_, left, right) | Times(left, right):
                waiting += [left, right]
            case Joined(_, parts):
                waiting += parts
            case Out(of, _) | Wins(_, of, _):
                waiting.append(of)
            case Fn(_, arguments) | Length(arguments, _, _):
                waiting += arguments
            case tuple() as several:
                waiting += several
    return list(found)
