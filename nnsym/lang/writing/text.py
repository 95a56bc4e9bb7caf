"""How a property reads: small strings with a binding strength, and the syntax tree that says it in full.

The string is for people and is shortened; ``form`` is a Python expression whose constants hold the exact arrays,
variables and networks themselves. :mod:`nnsym.lang.writing.dump` writes it out, :mod:`nnsym.lang.writing.latex`
typesets it. A text without a form cannot be written in full.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from nnsym.ir import digits
from nnsym.lang.guard import number, plain

COMPARE, OR, AND, IMPLIES, SUM, PRODUCT, UNARY, ATOM = range(8)
_LONGEST = 400
_INLINE = 8

_BINARY: dict[str, type[ast.operator]] = {
    "+": ast.Add,
    "-": ast.Sub,
    "*": ast.Mult,
    "/": ast.Div,
    "@": ast.MatMult,
    "**": ast.Pow,
    "&": ast.BitAnd,
    "|": ast.BitOr,
    ">>": ast.RShift,
}
_COMPARE: dict[str, type[ast.cmpop]] = {
    "<=": ast.LtE,
    "<": ast.Lt,
    ">=": ast.GtE,
    ">": ast.Gt,
    "==": ast.Eq,
    "!=": ast.NotEq,
}
_PREFIX: dict[str, type[ast.unaryop]] = {"-": ast.USub, "~": ast.Invert}


class Text(NamedTuple):
    """A string, the strength of its outermost operator, and its syntax tree if it has one."""

    string: str
    level: int = ATOM
    form: ast.expr | None = None

    def at(self, level: int) -> str:
        """The string, in brackets if its operator binds weaker than ``level``."""
        return self.string if self.level >= level else f"({self.string})"


_CUT = " ... "


def clip(string: str) -> str:
    """Very long text shortened in the middle."""
    return string if len(string) <= _LONGEST else f"{string[: _LONGEST - 60]}{_CUT}{string[-50:]}"


def is_clipped(string: str) -> bool:
    """True for text that :func:`clip` shortened."""
    return _CUT in string


def leaf(string: str, value: Any, level: int = ATOM) -> Text:
    """Something that stands for itself: a variable, a network, or exact numbers."""
    return Text(string, level, ast.Constant(value))


def infix(left: Text, operator: str, right: Text, level: int, *, associative: bool = False) -> Text:
    """``left operator right``."""
    first = left.at(level + 1 if level == COMPARE else level)  # a comparison of a comparison needs its brackets
    string = clip(f"{first} {operator} {right.at(level if associative else level + 1)}")
    if left.form is None or right.form is None:
        return Text(string, level)
    if operator in _COMPARE:
        return Text(string, level, ast.Compare(left.form, [_COMPARE[operator]()], [right.form]))
    return Text(string, level, ast.BinOp(left.form, _BINARY[operator](), right.form))


def prefix(operator: str, operand: Text, strength: int) -> Text:
    """``-operand`` or ``~operand``; the operand in brackets if it binds weaker than ``strength``."""
    form = None if operand.form is None else ast.UnaryOp(_PREFIX[operator](), operand.form)
    return Text(f"{operator}{operand.at(strength)}", UNARY, form)


def call(name: str, /, *arguments: str | Text, **keywords: str | Text) -> Text:
    """``name(arguments, keyword=...)``, a function of the language."""
    return applied(Text(name, form=ast.Name(name)), *arguments, **keywords)


def applied(function: Text, /, *arguments: str | Text, **keywords: str | Text) -> Text:
    """``function(arguments, keyword=...)``; plain strings among the arguments have no full form."""
    pieces = [_string(a) for a in arguments] + [f"{k}={_string(a)}" for k, a in keywords.items()]
    string = clip(f"{function.string}({', '.join(pieces)})")
    forms = _forms(arguments)
    named = _forms(keywords.values())
    if function.form is None or forms is None or named is None:
        return Text(string)
    keyword = [ast.keyword(k, form) for k, form in zip(keywords, named, strict=True)]
    return Text(string, ATOM, ast.Call(function.form, forms, keyword))


def method(operand: Text, name: str, /, *arguments: str | Text, **keywords: str | Text) -> Text:
    """``operand.name(arguments)``."""
    return applied(attribute(operand, name), *arguments, **keywords)


def attribute(operand: Text, name: str) -> Text:
    """``operand.name``."""
    form = None if operand.form is None else ast.Attribute(operand.form, name)
    return Text(f"{operand.at(ATOM)}.{name}", ATOM, form)


def item(operand: Text, key: Any, string: str = "") -> Text:
    """``operand[key]``; ``string`` replaces how it reads to people."""
    form = None if operand.form is None else ast.Subscript(operand.form, _key_form(key))
    return Text(string or f"{operand.at(ATOM)}[{key_text(key)}]", ATOM, form)


def listed(parts: Iterable[Text]) -> Text:
    """``[a, b, ...]``."""
    parts = list(parts)
    string = f"[{', '.join(p.string for p in parts[:_INLINE])}{', ...' if len(parts) > _INLINE else ''}]"
    forms = _forms(parts)
    return Text(string, ATOM, None if forms is None else ast.List(forms))


def pair(first: Text, second: Text) -> Text:
    """``(first, second)``."""
    forms = _forms((first, second))
    return Text(f"({first.string}, {second.string})", ATOM, None if forms is None else ast.Tuple(forms))


def _string(argument: str | Text) -> str:
    return argument if isinstance(argument, str) else argument.string


def _forms(arguments: Iterable[str | Text]) -> list[ast.expr] | None:
    found: list[ast.expr] = []
    for argument in arguments:
        if isinstance(argument, str) or argument.form is None:
            return None
        found.append(argument.form)
    return found


def key_text(key: Any) -> str:
    """An index as it is written between brackets."""
    if isinstance(key, tuple):
        return ", ".join(key_text(k) for k in key)
    if isinstance(key, slice):
        ends = ["" if v is None else str(v) for v in (key.start, key.stop)]
        return ":".join(ends) + ("" if key.step is None else f":{key.step}")
    return "..." if key is Ellipsis else str(key) if np.ndim(key) == 0 or np.size(key) <= _INLINE else "<indices>"


def _key_form(key: Any) -> ast.expr:
    if isinstance(key, tuple):
        return ast.Tuple([_key_form(k) for k in key])
    if isinstance(key, slice):
        return ast.Slice(*(None if v is None else ast.Constant(int(v)) for v in (key.start, key.stop, key.step)))
    if key is None or key is Ellipsis:
        return ast.Constant(key)
    return _held(np.array(plain(key)))


def _held(value: Any) -> ast.Constant:
    """A constant that holds an array until it is written out."""
    return ast.Constant(value)


def number_text(value: Any, numbers: Any = None) -> Text:
    """A constant as it was written: numbers in full, short arrays as lists, long ones by shape.

    ``numbers`` is the exact array that it denotes, which the full form holds.
    """
    text = _number_text(value)
    if value is None or isinstance(value, bool):
        return text._replace(form=ast.Constant(value))
    return text if numbers is None else text._replace(form=ast.Constant(numbers))


def _nested(value: Any) -> str:
    return f"[{', '.join(map(_nested, value))}]" if isinstance(value, list) else _number_text(value).string


def _number_text(value: Any) -> Text:
    if value is None:
        return Text("None")
    if isinstance(value, np.longdouble):  # which NumPy makes no number of Python of
        value = number(value)
    if isinstance(value, (str, bool, int, float, Decimal, Fraction)) and not isinstance(value, np.generic):
        if isinstance(value, (int, Fraction)) and not isinstance(value, bool):  # of any length
            string = "/".join(map(digits.text, value.as_integer_ratio())).removesuffix("/1")
        else:
            string = str(value)
        return Text(string, UNARY if string.startswith("-") else PRODUCT if "/" in string else ATOM)
    array = np.asarray(value, dtype=object) if isinstance(value, (list, tuple)) else np.asarray(plain(value))
    if array.ndim == 0:
        return _number_text(array.item())
    if array.ndim in (1, 2) and 0 < array.size <= _INLINE:
        return Text(_nested(array.tolist()))
    return Text(f"<array of shape {array.shape}>")
