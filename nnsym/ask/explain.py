"""``explain``: one neuron's part of a program, in paper notation, with its numbers.

What is shown is read off the finished program, so it is what solvers and files get, for any encoding. A row belongs
to a neuron if it mentions one of the neuron's own columns and no other node's rule wrote it; cuts belong to every
neuron in them; the rows of later layers that read the neuron are counted.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from typing import Any

import numpy as np

from nnsym.bounds.domains import domain_margin
from nnsym.encode.registry import find_encoding
from nnsym.encode.statement import QUERY, SPEC
from nnsym.encode.walk import Encoded, encode_columns
from nnsym.encoding import Encoding
from nnsym.errors import InputError
from nnsym.ir.functions.pieces import Cells, cells
from nnsym.ir.names import node_names
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.query import Query
from nnsym.ir.text import linear_text, number
from nnsym.ir.titles import node_titles
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.ir.words import count_of
from nnsym.judge.methods import BoundsChoice, check_bounds
from nnsym.lang.question import HasQuery, query_of
from nnsym.program import Kind, Role, Tag
from nnsym.report.explain import ExplainedColumn, Explanation
from nnsym.write.notation import Line, lines

#: Roles whose index is the element, or numbers pairs (element, member or cell), and the letters of roles.
_KEYED = (Role.PRE, Role.POST, Role.VALUE, Role.PHASE, Role.CHOICE, Role.AUX)
_LETTERS = {**dict(zip(_KEYED, "hyyzzt", strict=True)), Role.PART: "p", Role.COPY: "c"}


def explain(
    prop: HasQuery | Query,
    encoding: str | Encoding = "bigm",
    *,
    neuron: str,
    bounds: BoundsChoice = "crown",
    device: str = "cpu",
) -> Explanation:
    """One neuron's columns and rows in the program of a property, with l, u and where every row comes from.

    ``neuron`` is an element of a node by the name that files and tables use (``relu_2[7]``, ``affine_1[0]``,
    ``max_1[3]``) or by the network's own tensor name, or a row of the specification (``spec[0]``).

    Raises:
        InputError: no such neuron; lists close names.
        UnsupportedError, MissingBoundsError: the encoding does not fit the property.
    """
    query = query_of(prop, "explain")
    found = find_encoding(encoding)
    match = re.fullmatch(r"(.+)\[([0-9]{1,18})\]", str(neuron).strip())
    if match is None:
        raise InputError("not an element of a node", where=f"neuron '{neuron}'", remedy="Write relu_2[7] or spec[0]")
    name, index = match[1], int(match[2])
    node = None if name == SPEC else _node(query, name)
    size = len(query.rows) if node is None else node.size
    if index >= size:
        raise InputError(
            f"'{name}' has {count_of(size, 'element')}", where=neuron, remedy=f"Use {name}[0] to {name}[{size - 1}]"
        )
    _, computed = domain_margin(query, check_bounds(bounds), device=device)
    return _Neuron(query, encode_columns(query, computed, found), node, index).explained(found)


def _node(query: Query, name: str) -> Node:
    """The node of that name: nnsym's, its title, or that of a tensor of the one network application that has it."""
    named = {text: node for node, text in node_names(query.nodes).items()}
    titled = {text: node for node, text in node_titles(query).items() if node in named.values()}
    if name in named or name in titled:
        return named.get(name) or titled[name]
    tensors = [(a, a.network.tensors[name]) for a in query.applications if name in a.network.tensors]
    nodes = {a.image[tensor.node] for a, tensor in tensors} & set(query.nodes)
    if len(nodes) == 1:
        return nodes.pop()
    if nodes:
        raise InputError(f"{len(nodes)} applications have it", where=name, remedy=f"Use one of: {', '.join(named)}")
    known = [*named, SPEC]
    close = difflib.get_close_matches(name, known, n=5, cutoff=0.4) or known[:12]
    raise InputError(f"no node is called '{name}'", where=query.name, remedy=f"Close names: {', '.join(close)}")


class _Neuron:
    """What a program holds about element ``index`` of a node (None: row ``index`` of the specification)."""

    def __init__(self, query: Query, encoded: Encoded, node: Node | None, index: int) -> None:
        self.query, self.encoded, self.node, self.index = query, encoded, node, index
        self.name = SPEC if node is None else node_names(query.nodes)[node]
        self.letters: dict[int, str] = {}
        self.arguments = self._arguments()
        self.own = self._own()

    def explained(self, encoding: Encoding) -> Explanation:
        program, names = self.encoded.program, self.encoded.program.column_names()
        nodes = [block.node for block in program.blocks for _ in block.index]

        def called(column: int) -> str:
            return self.letters.get(column, names[column])

        rows: list[Line] = []
        definitions: list[Line] = []
        used: Counter[str] = Counter()
        mine = np.array([*self.own, *self.arguments.values()], dtype=np.int64)
        for line in lines(program, mine, called):
            if line.columns[-1] in self.arguments.values() and line.writer == nodes[line.columns[-1]]:
                definitions.append(line)
            elif not set(self.own).isdisjoint(line.columns):
                if line.writer == self.name or line.tag is Tag.CUT:
                    rows.append(line)
                else:
                    used[line.writer] += 1
        rows += self._disjunctions(rows, called)
        shown = {*self.own, *self.arguments.values(), *(j for line in rows for j in line.columns)}
        columns = tuple(
            ExplainedColumn(
                text, names[j], j, float(program.lower[j]), float(program.upper[j]), Kind(int(program.kind[j]))
            )
            for j, text in self.letters.items()
            if j in shown
        )
        return Explanation(
            f"{self.name}[{self.index}]", self.query, encoding, tuple(self._facts()), columns, tuple(rows),
            tuple(definitions), tuple(used.items()), self.encoded,
        )  # fmt: skip

    def _disjunctions(self, rows: list[Line], called: Any) -> list[Line]:
        """For a row of the specification: the clauses over the guards that it stands under."""
        if self.node is not None:
            return []
        guards = {
            j for b in self._blocks(QUERY) if b.role == Role.GUARD for j in range(b.start, b.start + len(b.index))
        }
        under = sorted({j for line in rows for j in line.columns} & guards)
        found = lines(self.encoded.program, np.array(under, dtype=np.int64), called)
        return [line for line in found if line.writer == QUERY]

    # -- columns and their letters

    def _blocks(self, node: str) -> list[Any]:
        return [block for block in self.encoded.program.blocks if block.node == node]

    def _own(self) -> list[int]:
        """The columns whose key is this element; those of members and cells are numbered by their place."""
        own = []
        width, numbered = _places(self.node)
        for block in self._blocks(self.name):
            paired = block.role in numbered
            element = block.index // width if paired else block.index
            if block.role in _KEYED:
                for k in np.flatnonzero(element == self.index).tolist():
                    letter = (
                        "s" if self.node is None else "h" if isinstance(self.node, Affine) else _LETTERS[block.role]
                    )
                    own.append(
                        self._letter(block.start + k, f"{letter}_{block.index[k] % width}" if paired else letter)
                    )
        if self.node is not None:
            return self._with_helpers(own)
        if not own and self.encoded.rows[self.index] >= 0:
            own.append(self._letter(int(self.encoded.rows[self.index]), "s"))
        for block in self._blocks(QUERY):
            for k, place in enumerate(block.index.tolist()):
                self.letters[block.start + k] = "t" if block.role == Role.MARGIN else f"{block.role[0]}_{place}"
        return own

    def _with_helpers(self, own: list[int]) -> list[int]:
        """And what the node's rule made besides for this element: its columns that rows of the rule tie to these."""
        helpers: dict[int, str] = {}
        for block in self.encoded.program.blocks:
            stem, _, suffix = block.node.partition(".")
            if self.name in (stem, block.node) and not (block.node == self.name and block.role in _KEYED):
                name = suffix or _LETTERS.get(block.role, block.role)
                helpers |= {block.start + k: name for k in range(len(block.index))}
        tied = list(own)
        while tied and helpers:
            found = lines(self.encoded.program, np.array(own, dtype=np.int64), str)
            tied = sorted({j for line in found if line.writer == self.name for j in line.columns if j in helpers})
            own += [self._letter(j, helpers.pop(j)) for j in tied]
        return own

    def _arguments(self) -> dict[str, int]:
        """The letters and columns of what the element is a function of; sums have too many to be named."""
        ids, node = self.encoded.ids, self.node
        found: dict[str, int] = {}
        if isinstance(node, Pointwise):
            found = {"h": ids[node.parents[0]][self.index]}
        elif isinstance(node, Product):
            found = {letter: ids[parent][self.index] for letter, parent in zip("xv", node.parents, strict=True)}
        elif isinstance(node, Max):
            members = ids[node.parents[0]][node.groups[self.index]]
            found = {f"x_{k}": members[k] for k in np.flatnonzero(node.groups[self.index] >= 0)}
        return {letter: self._letter(int(j), letter) for letter, j in found.items() if j >= 0}

    def _letter(self, column: int, letter: str) -> int:
        taken, number_ = set(self.letters.values()), 1
        wanted = letter
        while letter in taken:
            number_, letter = number_ + 1, f"{wanted}_{number_ + 1}"
        self.letters.setdefault(column, letter)
        return column

    # -- facts

    def _facts(self) -> list[tuple[str, str]]:
        bounds, node = self.encoded.bounds, self.node
        if node is None:
            labels = self.query.labels
            atom = labels[self.index] if self.index < len(labels) else ""
            interval = bounds.rows
            dropped = [("dropped", "bounds decide it")] if self.encoded.rows[self.index] < 0 else []
            return [("atom", atom), ("bounds", self._between("s", interval)), *dropped]
        facts = [("formula", _formula(node, self.index))]
        if isinstance(node, Pointwise):
            facts.append(("bounds", self._between("h", bounds[node.parents[0]])))
            facts.append(("phase", self._phase(node)))
        else:
            facts.append(("bounds", self._between("h" if isinstance(node, Affine) else "y", bounds[node])))
        value = int(self.encoded.ids[node][self.index])
        if value not in self.own:
            shared = self.letters.get(value) or self.encoded.program.column_names()[value] if value >= 0 else "0"
            facts.append(("value", f"{shared}, without a column of its own"))
        return facts

    def _between(self, letter: str, interval: Any) -> str:
        low, high = float(interval.lower[self.index]), float(interval.upper[self.index])
        return f"{number(low)} <= {letter} <= {number(high)}  ({interval.source})"

    def _phase(self, node: Pointwise) -> str:
        interval = self.encoded.bounds[node.parents[0]]
        if isinstance(node.fn, Piecewise):
            some = np.array([self.index])
            found = cells(node.fn.take(some), interval.lower[some], interval.upper[some])
            left = [_cell(found, int(c)) for c in np.flatnonzero(found.alive[0])]
            return f"stable: {left[0]}" if len(left) == 1 else f"open: {'; '.join(left)}"
        if not isinstance(node.fn, Hinge):
            return "open: between two lines"
        if interval.lower[self.index] >= 0:
            return "stable, active: l >= 0"
        return "stable, inactive: u <= 0" if interval.upper[self.index] <= 0 else "open: l < 0 < u"


def _places(node: Node | None) -> tuple[int, tuple[Role, ...]]:
    """How many places an element has in the numbers of its columns, and the roles that are numbered so."""
    if isinstance(node, Max):
        return node.groups.shape[1], (Role.CHOICE, Role.AUX)
    if isinstance(node, Pointwise) and isinstance(node.fn, Piecewise):
        return 2 * node.fn.breaks.shape[1] + 1, (Role.PHASE, Role.CHOICE, Role.AUX)
    return 1, ()


def _cell(found: Cells, c: int) -> str:
    """``y = h where -1 <= h <= 1``."""
    low, high = (number(float(side[0, c])) for side in (found.low, found.high))
    line = linear_text([("h", float(found.slope[0, c]))] if found.slope[0, c] else [], float(found.offset[0, c]))
    return f"y = {line} where {low} <= h <= {high}"


def _formula(node: Node, index: int) -> str:
    match node:
        case Pointwise(fn=Hinge() as fn):
            left, right = (number(float(side[index])) for side in fn.slopes(node.size))
            known = {("0", "1"): "y = max(0, h)", ("-1", "1"): "y = |h|"}
            return known.get((left, right), f"y = {left} h where h <= 0, {right} h where h >= 0")
        case Pointwise(fn=Piecewise() as fn):
            slopes, offsets, breaks = (part[index % len(part)].tolist() for part in (fn.slopes, fn.offsets, fn.breaks))
            lines = [linear_text([("h", a)] if a else [], b) for a, b in zip(slopes, offsets, strict=True)]
            later = [f"{line} from {number(t)}" for line, t in zip(lines[1:], breaks, strict=True)]
            return f"y = {node.fn.name}(h) = {', '.join([lines[0], *later])}"
        case Pointwise():
            return f"y = {node.fn.name}(h)"
        case Max():
            return f"y = max({', '.join(f'x_{k}' for k in np.flatnonzero(node.groups[index] >= 0))})"
        case Product():
            return "y = x v"
        case Input():
            return "an input"
        case Affine():
            return "h = A v + b"
    return f"y = {type(node).__name__.lower()}"
