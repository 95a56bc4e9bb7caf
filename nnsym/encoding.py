"""Encodings are data plus rules: which blocks they emit, how exact they are, one rule per kind of node.

:func:`nnsym.encode.walk.encode` walks the graph of a query once, parents first, and calls the encoding's rule for
every nonlinear node. A rule gets a :class:`Context`, the node, and the column ids of the node's parents; it adds
columns and rows, and returns the ids of the node's own columns, one for each element, where -1 stands for the constant
0. Affine layers, the domain and the specification need no rule: they are the same for every encoding. An encoding knows
no solver; it says what it emits, and a solver says what it accepts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, final

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.builder import ProgramBuilder, RowTerms, row_block, sum_block
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.node import Node
from nnsym.ir.outward import floats
from nnsym.program import OWN, Feature, ImplicationBlock, Kind, Role, RowBlock, Tag, Valued, role_of

if TYPE_CHECKING:
    from nnsym.separation.scene import Scene


class Exactness(Enum):
    """What an encoding's rule does to the set of values of a node."""

    EXACT = "exact"
    OUTER = "outer"
    UNSUPPORTED = "unsupported"


class Form(Enum):
    """How the violation is stated: ``MARGIN`` minimises t with soft rows ``s <= t``; ``BOOLEAN`` asks ``s <= 0``."""

    MARGIN = "margin"
    BOOLEAN = "boolean"


#: A rule gets the node and the column ids of its parents, adds to the context, and returns the node's column ids.
Rule = Callable[["Context", Any, tuple[Array, ...]], Array]


@final
@dataclass(frozen=True, eq=False)
class NodeRule:
    """One rule of an encoding: for nodes of ``kind`` whose function (if any) is of type ``fn``, those of ``when`` only.

    ``emits`` is what it emits besides the encoding's own, needed only by queries that have such a node.
    """

    kind: type[Node]
    exactness: Exactness
    rule: Rule
    fn: type | None = None
    emits: frozenset[Feature] = frozenset()
    when: Callable[[Node], bool] | None = None

    def takes(self, node: Node) -> bool:
        """True if the rule is for this node."""
        fits = isinstance(node, self.kind) and (self.fn is None or isinstance(getattr(node, "fn", None), self.fn))
        return fits and (self.when is None or self.when(node))


#: Gets a point of a program's relaxation; returns rows that hold for every run of the network and not at the point.
Separator = Callable[[Array], Iterable[RowBlock]]


@dataclass(frozen=True, kw_only=True)
class Cut(ABC):
    """A family of valid inequalities, too many to be listed: made where a point of the relaxation violates them.

    ``encoding + cut`` is an encoding. ``summary`` and ``source`` are as an encoding's. ``needs_phases`` is true where
    rows speak of the binaries of big-M. It is sent to a worker process, where separation runs: by name if its class can
    be imported, by value if not (a notebook's), so it holds no open files or locks.
    """

    name: str
    summary: str
    source: str
    needs_phases: bool = False

    @property
    def text(self) -> str:
        """What names it in ``triangle+tj+krelu3``, with its parameters after a colon where it has any."""
        return self.name

    def parse(self, parameters: str) -> Cut:
        """The family with parameters from text, the part after ``name:``."""
        raise InputError(f"the cut '{self.name}' takes no parameter", where=parameters, remedy=f"Write '{self.name}'")

    @abstractmethod
    def separator(self, scene: Scene) -> Separator:
        """What finds violated rows of this family in one program. Rows carry :attr:`nnsym.program.Tag.CUT`."""


@final
@dataclass(frozen=True, kw_only=True)
class Rounds:
    """How long cuts are added: family by family, each on top of those before it.

    A round solves the relaxation and adds the rows that its optimum violates by more than ``violation`` (relative to
    the row's norm). A family ends after ``most`` rounds, when it finds nothing, or when ``tail`` rounds together
    gained less than ``gain`` (absolute; relative for optima beyond 1). Rows that were slack in ``patience`` rounds in
    a row are dropped. A mixed-integer program with fewer than ``least_binaries`` binaries is left as it is: it is
    solved sooner.
    """

    most: int = 15
    tail: int = 3
    gain: float = 1e-3
    patience: int = 2
    violation: float = 1e-6
    least_binaries: int = 30


@final
@dataclass(frozen=True, eq=False)
class Encoding:
    """``name``, what it emits, and its rules. ``source`` is the paper and equation, ``summary`` one line.

    ``needs_bounds`` is true where rows contain bounds. ``emits`` is checked against a solver's ``accepts``.
    ``relaxed`` drops the integrality of network columns after encoding, ``bits`` shortens numbers before it. ``cuts``
    are separated from the relaxation, in order, under the limits of ``rounds``.
    """

    name: str
    summary: str
    source: str
    form: Form
    emits: frozenset[Feature]
    rules: tuple[NodeRule, ...]
    needs_bounds: bool = True
    relaxed: bool = False
    bits: int | None = None
    cuts: tuple[Cut, ...] = ()
    rounds: Rounds = Rounds()

    def __repr__(self) -> str:
        return f"<encoding {self.name}: {self.summary}>"

    def __add__(self, cut: Cut) -> Encoding:
        """The encoding with one more family of cuts: ``triangle + tj + krelu(3)``.

        Raises:
            UnsupportedError: a Boolean form has no relaxation to cut, or the family needs binaries that are not there.
        """
        if not isinstance(cut, Cut):
            return NotImplemented
        relaxed = all(rule.exactness is Exactness.OUTER for rule in self.rules)
        if self.form is Form.BOOLEAN or (cut.needs_phases and relaxed):
            what = "a margin to bound" if self.form is Form.BOOLEAN else "binary phases"
            raise UnsupportedError(
                f"the cuts '{cut.text}' need {what}, which it has not",
                where=f"encoding '{self.name}'",
                remedy=f"Write {'bigm' if cut.needs_phases else 'triangle'}+{cut.text}",
            )
        return replace(
            self, name=f"{self.name}+{cut.text}", cuts=(*self.cuts, cut), source=f"{self.source}; {cut.source}"
        )

    def rule_for(self, node: Node) -> NodeRule | None:
        """The rule that applies to a node, or None."""
        return next((rule for rule in self.rules if rule.takes(node)), None)

    def relax(self) -> Encoding:
        """The same rows without the integrality of phases and choices: an outer encoding."""
        rules = tuple(replace(r, exactness=Exactness.OUTER) for r in self.rules)
        return replace(self, name=f"{self.name}.relax", relaxed=True, rules=rules)

    def shorten(self, bits: int) -> Encoding:
        """The same rules over numbers of about ``bits`` bits, an outer encoding (:mod:`nnsym.encode.shorten`)."""
        rules = tuple(replace(r, exactness=Exactness.OUTER) for r in self.rules)
        return replace(self, name=f"{self.name}-short{bits}", bits=bits, rules=rules)


@final
@dataclass(frozen=True, eq=False)
class Context:
    """What a rule may use: the bounds, names, column ids of earlier nodes, and ways to add columns and rows."""

    builder: ProgramBuilder
    bounds: Bounds
    names: Mapping[Node, str]
    ids: Mapping[Node, Array]

    def every(self, node: Node) -> Array:
        """The numbers of a node's elements."""
        return np.arange(node.size)

    def interval(self, node: Node) -> tuple[Array, Array]:
        """``(l, u)`` of a node, outward rounded; may be infinite where bounds are missing."""
        interval = self.bounds[node]
        return interval.lower, interval.upper

    def columns(
        self,
        node: Node,
        role: Role,
        index: Array,
        lower: Array | float,
        upper: Array | float,
        *,
        kind: Kind = Kind.REAL,
        factors: tuple[Array, Array] | None = None,
        value: Valued | None = None,
    ) -> Array:
        """New columns for elements ``index`` of a node; returns their ids.

        ``factors`` says that they are products of two earlier columns each, ``value`` what they are in a run of the
        network, given the values of all nodes: a column that infeasible programs are checked by needs one of them,
        unless its role says it (:class:`nnsym.program.Role`).
        """
        if role_of(role) in OWN and factors is None and value is None:
            raise InputError(
                f"columns of the role '{role}' without their value in a run of the network",
                where=self.names[node],
                remedy="Give value= (from the values of the nodes) or factors=",
            )
        low, high = (np.broadcast_to(floats(v), (len(index),)) for v in (lower, upper))
        return self.builder.columns(self.names[node], role, index, low, high, kind=kind, factors=factors, value=value)

    def rows(
        self,
        node: Node,
        terms: RowTerms,
        *,
        lower: Array | float = -np.inf,
        upper: Array | float = np.inf,
        says: str = "",
    ) -> None:
        """Elementwise rows (see :func:`nnsym.builder.row_block`); ``says`` is the inequality in words."""
        if len(terms[0][1]):
            self.builder.rows(row_block(terms, lower=lower, upper=upper, origin=self._origin(node, says)))

    def sums(
        self,
        node: Node,
        group: Array,
        terms: RowTerms,
        *,
        head: Array | None = None,
        lower: Array | float = -np.inf,
        upper: Array | float = np.inf,
        says: str = "",
    ) -> None:
        """One row per number in ``group`` (sorted), the sum of all its terms, plus column ``head[number]``."""
        if len(group):
            origin = self._origin(node, says)
            self.builder.rows(sum_block(group, terms, head=head, lower=lower, upper=upper, origin=origin))

    def _origin(self, node: Node, says: str) -> str:
        return f"{self.names[node]}: {says}" if says else self.names[node]

    def implies(
        self,
        node: Node,
        guard: Array,
        value: int,
        terms: RowTerms,
        *,
        lower: Array | float = -np.inf,
        upper: Array | float = np.inf,
        strict: bool = False,
        says: str = "",
    ) -> None:
        """Rows that hold where Boolean column ``guard`` equals ``value``; ``strict`` excludes equality."""
        block: RowBlock = row_block(terms, lower=lower, upper=upper, tag=Tag.NETWORK, origin=self._origin(node, says))
        block = replace(block, strict=strict)
        self.builder.implications(ImplicationBlock(guard, np.full(len(guard), value, dtype=np.int8), block))
