"""How statements are typeset: LaTeX of their syntax trees, as notebooks show it.

Long arrays and deep nests are abbreviated; the full text is :mod:`nnsym.lang.writing.dump`'s.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np

from nnsym.ir.exact import nearest_float
from nnsym.ir.network import Network
from nnsym.ir.node import Input
from nnsym.ir.text import number

_SHOWN = 6
_DEEPEST = 40

# operator: how it is written, how strongly it binds
_OPERATORS: dict[type[ast.AST], tuple[str, int]] = {
    ast.BitOr: (r"\vee", 1),
    ast.RShift: (r"\Rightarrow", 0),
    ast.BitAnd: (r"\wedge", 2),
    ast.LtE: (r"\leq", 3),
    ast.Lt: ("<", 3),
    ast.GtE: (r"\geq", 3),
    ast.Gt: (">", 3),
    ast.Eq: ("=", 3),
    ast.NotEq: (r"\neq", 3),
    ast.Add: ("+", 4),
    ast.Sub: ("-", 4),
    ast.Mult: (r"\cdot", 5),
    ast.MatMult: (r"\,", 5),
    ast.USub: ("-", 6),
    ast.Invert: (r"\neg", 6),
}
_ATOM = 8
_NAMED = {
    **{name: rf"\{name}" for name in ("max", "min", "exp", "log", "sin", "cos")},
    "argmax": r"\arg\max",
    "argmin": r"\arg\min",
    "relu": r"\mathrm{ReLU}",
}


#: A formula of more LaTeX than this is no line any more: the text, which names what stands in it twice, says it better.
_LONGEST = 600


def short_latex(form: ast.expr | None) -> str:
    """A statement in LaTeX if it is one line to look at, else nothing."""
    found = "" if form is None else _write(form, 0)[0]
    return found if len(found) <= _LONGEST else ""


def _text(plain: str) -> str:
    words = " ".join(plain.replace("\\", "").split())
    return rf"\text{{{_escaped(words)}}}"


def _escaped(plain: str) -> str:
    return re.sub(r"([#$%&_{}])", r"\\\1", plain).replace("~", r"\sim{}").replace("^", r"\hat{}")


def _write(node: ast.expr, depth: int) -> tuple[str, int]:
    """The LaTeX and the binding strength of its outermost operator."""
    if depth > _DEEPEST:
        return r"\ldots", _ATOM
    match node:
        case ast.Constant(value=value):
            return _constant(value), _ATOM
        case ast.BinOp(left=top, op=ast.Div(), right=bottom):
            return rf"\frac{{{_write(top, depth + 1)[0]}}}{{{_write(bottom, depth + 1)[0]}}}", 6
        case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
            return f"{{{_at(base, _ATOM, depth)}}}^{{{_write(exponent, depth + 1)[0]}}}", 7
        case ast.BinOp(left=left, op=sign, right=right) | ast.Compare(left=left, ops=[sign], comparators=[right]):
            symbol, strength = _OPERATORS[type(sign)]
            tighter = 0 if isinstance(sign, (ast.Add, ast.BitAnd, ast.BitOr)) else 1
            return f"{_at(left, strength, depth)} {symbol} {_at(right, strength + tighter, depth)}", strength
        case ast.UnaryOp(op=sign, operand=operand):
            symbol, strength = _OPERATORS[type(sign)]
            return f"{symbol} {_at(operand, strength, depth)}", strength
        case ast.Subscript(value=value, slice=key):
            return f"{{{_at(value, _ATOM, depth)}}}_{{{_label(value, key) or _key(key)}}}", _ATOM
        case ast.Attribute(value=value, attr=name):
            owner = _at(value, _ATOM, depth)
            return rf"{{{owner}}}^{{T}}" if name == "T" else rf"{owner}.\mathrm{{{name}}}", _ATOM
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return rf"\left({_several(parts, depth)}\right)", _ATOM
        case ast.Call():
            return _call(node, depth)
    return _text(ast.unparse(node)), _ATOM


def _at(node: ast.expr, strength: int, depth: int) -> str:
    inner, own = _write(node, depth + 1)
    return inner if own >= strength else rf"\left({inner}\right)"


def _several(parts: list[ast.expr], depth: int) -> str:
    shown = [_write(p, depth + 1)[0] for p in parts[:_SHOWN]]
    return ", ".join([*shown, *([r"\ldots"] if len(parts) > _SHOWN else [])])


def _label(value: ast.expr, key: ast.expr) -> str:
    """The name of a variable's element; nothing where it has none."""
    variable, place = (node.value if isinstance(node, ast.Constant) else None for node in (value, key))
    if not isinstance(variable, Input) or not variable.labels.names or np.ndim(place) or place is None:
        return ""
    return rf"\mathrm{{{_escaped(variable.labels.names[int(place)])}}}"


def _key(key: ast.expr) -> str:
    if isinstance(key, ast.Constant):
        return _constant(key.value)
    if isinstance(key, ast.Tuple):
        return ",".join(_key(k) for k in key.elts)
    return ast.unparse(key) if isinstance(key, ast.Slice) else r"\cdot"


def _constant(value: Any) -> str:
    match value:
        case Input() | Network():
            return value.name if len(value.name) == 1 else rf"\mathrm{{{_escaped(value.name)}}}"
        case bool():
            return r"\top" if value else r"\bot"
        case np.ndarray() if value.ndim == 0:
            return _constant(value.item())
        case np.ndarray() if value.ndim == 1 and value.size <= _SHOWN:
            return rf"\left({', '.join(_constant(v) for v in value.tolist())}\right)"
        case np.ndarray():
            shape = r" \times ".join(map(str, value.shape))
            return rf"\mathbf{{c}}_{{{shape}}}"
        case int() | float():
            return r"\infty" if value == np.inf else r"-\infty" if value == -np.inf else number(nearest_float(value))
        case None:
            return r"\cdot"
    return number(value) if hasattr(value, "numerator") else _text(str(value))


def _call(node: ast.Call, depth: int) -> tuple[str, int]:
    options = {k.arg: k.value for k in node.keywords}
    arguments, name = node.args, node.func.id if isinstance(node.func, ast.Name) else ""

    def part(k: int, strength: int = 0) -> str:
        return _at(arguments[k], strength, depth)

    match name:
        case "forall" | "exists":
            return _quantified(name, arguments[0], options, depth), 0
        case "abs":
            return rf"\left|{part(0)}\right|", _ATOM
        case "sqrt":
            return rf"\sqrt{{{part(0)}}}", _ATOM
        case "norm":
            return rf"\left\| {part(0)} \right\|_{{{part(1)}}}", _ATOM
        case "box":
            return rf"{part(1, 4)} \leq {part(0, 4)} \leq {part(2, 4)}", 3
        case "ball":
            p = _write(options["p"], depth)[0] if "p" in options else r"\infty"
            ball = rf"\left\| {part(0, 4)} - {part(1, 5)} \right\|_{{{p}}} \leq {part(2, 4)}"
            if not isinstance(within := options.get("within"), ast.Tuple):
                return ball, 3
            low, high = (_at(side, 4, depth) for side in within.elts)
            return rf"{ball} \wedge {low} \leq {part(0, 4)} \leq {high}", 2
        case "wins":
            return rf"{{{part(0, _ATOM)}}}_{{{part(1)}}} > \max_{{j \neq {part(1)}}} {{{part(0, _ATOM)}}}_{{j}}", 3
        case "all" | "any":
            symbol, big, strength = (r" \wedge ", r"\bigwedge", 2) if name == "all" else (r" \vee ", r"\bigvee", 1)
            if len(arguments) == 1:
                return rf"{big} \left({part(0)}\right)", 2
            shown = [_at(a, strength, depth) for a in arguments[:_SHOWN]]
            return symbol.join([*shown, *([r"\ldots"] if len(arguments) > _SHOWN else [])]), strength
    function = _NAMED.get(name) or (rf"\mathrm{{{name}}}" if name else _at(node.func, _ATOM, depth))
    return rf"{function}\left({_several(arguments, depth)}\right)", _ATOM


def _range(variable: ast.expr, depth: int) -> str:
    """``x in R^3``."""
    name = _write(variable, depth + 1)[0]
    if not isinstance(variable, ast.Constant) or not isinstance(variable.value, Input):
        return name
    numbers = r"\mathbb{Z}" if variable.value.integer.all() else r"\mathbb{R}"
    return rf"{name} \in {numbers}^{{{variable.value.size}}}"


def _quantified(word: str, variables: ast.expr, options: dict[str | None, ast.expr], depth: int) -> str:
    """``forall x: where => then``, ``exists x: where and then``."""
    names = ", ".join(_range(v, depth) for v in getattr(variables, "elts", [variables]))
    head = rf"\{word} {names}:\quad "
    joint, strength = (r"\Rightarrow", 1) if word == "forall" else (r"\wedge", 2)
    then = _at(options["then"], strength, depth)
    return f"{head}{_at(options['where'], strength, depth)} \\;{joint}\\; {then}" if "where" in options else head + then
