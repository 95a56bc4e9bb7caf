"""The full text of a property: Python that builds it, with every number exact and networks by name and hash.

    # nnsym property
    f = network("f", "3c5a...")
    x = variable("x", (2,))
    y = f(x)
    forall(
        [x],
        where=box(x, 0, 1),
        then=argmax(y) != 0,
        name="phi",
    )

Numbers that are no float64 are text ("1/3", "0.1"), arrays are nested lists. What occurs more than once, and what nests
deeply, has a line of its own, so that texts stay as short as the property's graph and shallow enough to parse.
:func:`nnsym.lang.writing.parse.parse` reads it back.
"""

from __future__ import annotations

import ast
import copy
import keyword
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.network import Network
from nnsym.ir.node import Input
from nnsym.ir.text import number
from nnsym.ir.walk import postorder
from nnsym.lang.algebra.variables import Variable
from nnsym.lang.question import query_of

if TYPE_CHECKING:
    from nnsym.lang.property import Property

HEAD = "# nnsym property"
_DEEPEST = 12
_INLINE = 8  # an outline writes arrays of so many elements


def dumps(prop: Property) -> str:
    """The property as text that :func:`nnsym.parse` reads back: the same statement, with the same content hash.

    Raises :class:`UnsupportedError` for a property that was not written in the language (read from a VNN-LIB file), and
    :class:`InputError` for what is no property.
    """
    form = getattr(prop, "form", None)
    if form is None:
        raise UnsupportedError(
            "the property holds parts that have no text form",
            where=query_of(prop).name,
            remedy="Write it with the functions of nnsym, or export it as VNN-LIB",
        )
    return _Dump(form, prop.variables).text()


def outline(prop: Property) -> str:
    """The property for people where its formula is too long for a line: what occurs more than once has a name.

    Long arrays are named by their shapes, so that nothing reads it back.
    """
    assert prop.form is not None
    text = _Dump(prop.form, prop.variables, brief=True)
    ranges = ", ".join(f"{v.name}{list(v.shape)}{' one-hot' if v.input.groups() else ''}" for v in prop.variables)
    bound = [f"  let   {line}" for line in text.bindings()]
    parts = text.arguments()
    where = [f"  where {parts['where']}"] if "where" in parts else []
    return "\n".join([f"{prop.reading.value} {ranges}", *bound, *where, f"  then  {parts['then']}"])


class _Dump:
    """One text: which expressions have lines of their own, and what everything is called."""

    def __init__(self, form: ast.expr, variables: tuple[Variable, ...], *, brief: bool = False) -> None:
        self.form, self.brief = form, brief
        self.order = list(postorder([form], _children))
        self.names: dict[int, str] = {}
        functions = {node.id for node in self.order if isinstance(node, ast.Name)}
        self.taken = {"network", "variable", "inf", *keyword.kwlist, *functions}
        self.lines = [HEAD]
        held: list[Any] = [node.value for node in self.order if isinstance(node, ast.Constant)]
        networks: dict[int, Network] = {id(v): v for v in held if isinstance(v, Network)}
        for key, network in networks.items():
            self.names[key] = self._fresh(network.name)
            self.lines.append(f"{self.names[key]} = network({network.name!r}, {network.hash!r})")
        for variable in variables:
            self.names[id(variable.input)] = name = self._fresh(variable.name)
            self.lines.append(f"{name} = {_declaration(variable)}")

    def text(self) -> str:
        return "\n".join([*self.lines, *self.bindings(), self._last(), ""])

    def bindings(self) -> list[str]:
        """``t = ...``: what has a line of its own."""
        lines = []
        for node in self._bound():
            line = ast.unparse(self._plain(node))
            applied = isinstance(node, ast.Call) and isinstance(node.func, ast.Constant)
            self.names[id(node)] = name = self._fresh("y" if applied else "t")
            lines.append(f"{name} = {line}")
        return lines

    def arguments(self) -> dict[str, str]:
        """The named arguments of the quantifier itself."""
        return {str(k.arg): ast.unparse(k.value) for k in self._plain(_quantifier(self.form)).keywords}

    def _last(self) -> str:
        """The property itself, one argument a line."""
        whole = self._plain(self.form)
        arguments = [*map(ast.unparse, whole.args), *(f"{k.arg}={ast.unparse(k.value)}" for k in whole.keywords)]
        return "\n".join([f"{ast.unparse(whole.func)}(", *(f"    {a}," for a in arguments), ")"])

    def _fresh(self, wanted: str) -> str:
        """An identifier like ``wanted`` that nothing else is called."""
        base = re.sub(r"\W", "_", wanted, flags=re.A) or "_"
        base = f"_{base}" if base[0].isdigit() else base
        names = (base if k == 1 else f"{base}_{k}" for k in range(1, len(self.taken) + 2))
        found = next(name for name in names if name not in self.taken)
        self.taken.add(found)
        return found

    def _bound(self) -> Iterator[ast.expr]:
        """The expressions that get a line of their own, parts before wholes."""
        uses = Counter(id(child) for node in self.order for child in _children(node))
        methods = {id(node.func) for node in self.order if isinstance(node, ast.Call)}
        height: dict[int, int] = {}
        for node in self.order:
            tall = 1 + max((height[id(child)] for child in _children(node)), default=0)
            own = uses[id(node)] > 1 or tall > _DEEPEST
            if own and id(node) not in methods and not isinstance(node, (ast.Constant, ast.Name, ast.Slice, ast.Tuple)):
                tall = 0
                if node is not self.form:
                    yield node
            height[id(node)] = tall

    def _plain(self, node: Any) -> Any:
        """The expression as unparse takes it: own lines and objects by name, arrays as lists."""
        changed = copy.copy(node)
        if isinstance(node, ast.Constant):
            return self._constant(node.value)
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                setattr(changed, name, [self._part(v) for v in value])
            elif isinstance(value, ast.AST):
                setattr(changed, name, self._part(value))
        return changed

    def _part(self, node: Any) -> Any:
        if isinstance(node, ast.expr) and id(node) in self.names:
            return ast.Name(self.names[id(node)])
        return self._plain(node) if isinstance(node, ast.AST) else node

    def _constant(self, value: Any) -> ast.expr:
        if self.brief and isinstance(value, np.ndarray) and value.size > _INLINE:
            return ast.Name(f"<array of shape {value.shape}>")
        if isinstance(value, (Input, Network)):
            return ast.Name(self.names[id(value)])
        return literal(value)


def _quantifier(form: ast.expr) -> ast.expr:
    """The quantifier of a property, which stands inside where its conclusion is relaxed."""
    if isinstance(form, ast.Call) and isinstance(form.func, ast.Attribute):
        return form.func.value
    return form


def literal(value: Any) -> ast.expr:
    """Numbers, arrays of them, truth values, text and None as Python expressions that denote exactly the same."""
    if isinstance(value, np.ndarray):
        return literal(value.tolist())
    if isinstance(value, list):
        return ast.List([literal(v) for v in value])
    if isinstance(value, (float, Fraction)):
        return _number(value)
    if isinstance(value, int) and not isinstance(value, bool) and value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)


def _number(value: float | Fraction) -> ast.expr:
    if isinstance(value, Fraction):
        return ast.Constant(number(value))
    size = abs(value)
    whole = size.is_integer() and size < 2**53
    shown = ast.Name("inf") if size == np.inf else ast.Constant(int(size) if whole else size)
    return ast.UnaryOp(ast.USub(), shown) if value < 0 else shown


def _declaration(variable: Variable) -> str:
    integer, labels = variable.input.integer, variable.input.labels
    if variable.input.groups():
        marks = ", one_hot=True"
    else:
        marks = "" if not integer.any() else ", integer=True" if integer.all() else f", integer={integer.tolist()}"
    marks += f", names={list(labels.names)!r}" if labels.names else ""
    marks += f", units={list(labels.units)!r}" if labels.units else ""
    return f"variable({variable.name!r}, {variable.shape}{marks})"


def _children(node: ast.expr) -> Iterable[ast.expr]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.keyword):
            yield child.value
