"""Reading the full text of a property back: Python's syntax, a list of what is allowed, nothing is ever executed.

A text is a sequence of ``name = expression`` and one last expression, the property. Expressions are the functions,
methods and operators of the language on variables and networks; every other construct is refused with its line.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from nnsym.errors import InputError, NnsymError
from nnsym.evidence.families import FAMILIES
from nnsym.ir.network import Hidden, Network
from nnsym.lang.algebra import functions, ranking
from nnsym.lang.algebra.hidden import HiddenTerms
from nnsym.lang.algebra.ranking import Argmax, TopK
from nnsym.lang.algebra.smooth import SmoothedClassifier, smooth
from nnsym.lang.algebra.terms import Term
from nnsym.lang.algebra.variables import Variable
from nnsym.lang.property import Property, exists, forall
from nnsym.lang.statements import formulas, sets
from nnsym.lang.statements.formulas import Formula

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": functions.abs_,
    "all": formulas.reduce_all,
    "any": formulas.reduce_any,
    "apply": functions.apply,
    "argmax": ranking.argmax,
    "argmin": ranking.argmin,
    "ball": sets.ball,
    "box": sets.box,
    "clip": functions.clip,
    "concat": functions.concat,
    "cos": functions.cos,
    "exists": exists,
    "exp": functions.exp,
    "forall": forall,
    "log": functions.log,
    "max": functions.max_,
    "min": functions.min_,
    "norm": functions.norm,
    "relu": functions.relu_,
    "sign": functions.sign,
    "sin": functions.sin,
    "smooth": smooth,
    "sqrt": functions.sqrt,
    "topk": ranking.topk,
    "wins": ranking.wins,
    **FAMILIES,
}
_METHODS: dict[type, frozenset[str]] = {
    Term: frozenset({"reshape", "sum", "mean", "max", "min", "abs", "hidden", "active"}),
    Formula: frozenset({"all", "any"}),
    TopK: frozenset({"has", "sum"}),
    Network: frozenset({"hidden", "active"}),
    HiddenTerms: frozenset({"active"}),
    Property: frozenset({"relaxed"}),
}
_ATTRIBUTES: dict[type, frozenset[str]] = {
    Term: frozenset({"T"}),
    TopK: frozenset({"values"}),
    HiddenTerms: frozenset({"pre", "post"}),
}
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.MatMult: operator.matmul,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.RShift: operator.rshift,
    ast.LtE: operator.le,
    ast.Lt: operator.lt,
    ast.GtE: operator.ge,
    ast.Gt: operator.gt,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
}
_FAILURES = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError, MemoryError)
_ELEMENTS = 2**24  # of a variable
_SYMBOLIC = (Term, Formula, Argmax)


def parse(text: str, networks: Mapping[str, Network] | Iterable[Network] = ()) -> Property:
    """The property of a text that :func:`nnsym.dumps` wrote (or a person did).

    Args:
        text: the full text of one property.
        networks: the networks that it names, by those names or in any order; their hashes are compared.

    Raises:
        InputError: not Python's syntax, something the language does not have, a network that is missing or whose hash
            differs; with the line of the text.
        LanguageError: what the language itself refuses, with the line of the text.
    """
    try:
        module = ast.parse(text)
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        raise InputError(f"not the text of a property: {error}", where=f"line {line}" if line else "text") from None
    reader = _Reader(text.splitlines(), networks)
    found: object = None
    for statement in module.body:
        found = reader.statement(statement)
    if not isinstance(found, Property):
        raise InputError("the text does not end with a property", where="text", remedy="End with forall(...)")
    return found


class _Reader:
    """Evaluates the allowed expressions; ``values`` are the names that the text has bound."""

    def __init__(self, lines: list[str], networks: Mapping[str, Network] | Iterable[Network]) -> None:
        self.lines = lines
        self.networks = dict(networks) if isinstance(networks, Mapping) else {n.name: n for n in networks}
        self.values: dict[str, Any] = {}
        self.last: ast.AST = ast.Module([], [])  # what was read last, for the place of an error
        self.refusal: InputError | None = None

    def statement(self, statement: ast.stmt) -> Any:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.values[name] = self._located(value)
                return None
            case ast.Expr(value=value):
                return self._located(value)
        raise self._refused(statement, f"'{type(statement).__name__}' is no part of a property's text")

    def _located(self, node: ast.expr) -> Any:
        """The value; what the language refuses is refused at this line of the text."""
        try:
            return self.value(node)
        except NnsymError as error:
            if error is self.refusal:  # it has its place already
                raise
            raise type(error)(error.reason, where=self._place(self.last), remedy=error.remedy) from error
        except _FAILURES as error:
            raise InputError(f"{type(error).__name__}: {error}", where=self._place(self.last)) from error

    def value(self, node: ast.expr) -> Any:
        self.last = node
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name) if name in self.values:
                return self.values[name]
            case ast.Name(id="inf"):
                return math.inf
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return self._sequence([self.value(p) for p in parts], isinstance(node, ast.List))
            case ast.Slice(lower=lower, upper=upper, step=step):
                return slice(*(None if v is None else self.value(v) for v in (lower, upper, step)))
            case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _OPERATORS:
                return _OPERATORS[type(sign)](self.value(operand))
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
                return self._combined(node, sign, self.value(left), self.value(right))
            case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in _OPERATORS:
                return self._combined(node, sign, self.value(left), self.value(right))
            case ast.Compare(ops=[_, _, *_]):
                raise self._refused(node, "a chained comparison", "Split it: (0 < y[0]) & (y[0] < 1)")
            case ast.Subscript(value=value, slice=key):
                return self.value(value)[self.value(key)]
            case ast.Attribute(value=value, attr=name):
                return self._member(node, self.value(value), name, _ATTRIBUTES)
            case ast.Call():
                return self._call(node)
            case ast.Name(id=name):
                raise self._refused(node, f"'{name}' is not defined", f"Known names: {', '.join(sorted(self.values))}")
        raise self._refused(node, f"'{type(node).__name__}' is no part of the language")

    def _sequence(self, parts: list[Any], brackets: bool) -> Any:
        if not brackets:
            return tuple(parts)
        truths = parts and all(isinstance(p, bool) or getattr(p, "dtype", None) == np.bool_ for p in parts)
        return np.array(parts) if truths else parts

    def _combined(self, node: ast.expr, sign: ast.AST, left: Any, right: Any) -> Any:
        if not isinstance(left, _SYMBOLIC) and not isinstance(right, _SYMBOLIC):
            raise self._refused(node, "an operation on two numbers", "Write its result")
        return _OPERATORS[type(sign)](left, right)

    def _member(self, node: ast.expr, owner: Any, name: str, allowed: Mapping[type, frozenset[str]]) -> Any:
        if not any(isinstance(owner, kind) and name in names for kind, names in allowed.items()):
            raise self._refused(node, f"'.{name}' of {type(owner).__name__} is no part of the language")
        return getattr(owner, name)

    def _call(self, node: ast.Call) -> Any:
        arguments = [self.value(a) for a in node.args]
        options = {k.arg: self.value(k.value) for k in node.keywords if k.arg is not None}
        if len(options) < len(node.keywords):
            raise self._refused(node, "'**' is no part of the language")
        match node.func:
            case ast.Name(id="network"):
                return self._network(node, *arguments, **options)
            case ast.Name(id="variable"):
                return _variable(*arguments, **options)
            case ast.Name(id=name) if name in _FUNCTIONS and name not in self.values:
                return _FUNCTIONS[name](*arguments, **options)
            case ast.Attribute(value=value, attr=name):
                return self._member(node, self.value(value), name, _METHODS)(*arguments, **options)
        function = self.value(node.func)
        if not isinstance(function, (Network, Hidden, SmoothedClassifier)):
            raise self._refused(node, f"{type(function).__name__} cannot be called")
        return function(*arguments, **options)

    def _network(self, node: ast.Call, name: str, digest: str) -> Network:
        """The given network of that name, else one of that hash."""
        found = self.networks.get(name) or next((n for n in self.networks.values() if n.hash == digest), None)
        if found is None:
            remedy = f'Pass networks={{"{name}": f}}, or --network {name}=FILE.onnx'
            raise self._refused(node, f"the network '{name}' is not given", remedy)
        if found.hash != digest:
            reason = f"the network '{name}' has the hash {found.hash[:12]}..., the text is about {digest[:12]}..."
            raise self._refused(node, reason, "Pass the network that the text was written with")
        return found

    def _place(self, node: ast.AST) -> str:
        line = getattr(node, "lineno", 1)
        source = self.lines[line - 1].strip()
        return f"line {line}: `{source if len(source) <= 120 else source[:117] + '...'}`"

    def _refused(self, node: ast.AST, reason: str, remedy: str = "") -> InputError:
        self.refusal = InputError(reason, where=self._place(node), remedy=remedy)
        return self.refusal


def _variable(
    name: str,
    shape: tuple[int, ...],
    integer: Any = False,
    one_hot: bool = False,
    names: Any = (),
    units: Any = (),
) -> Variable:
    lengths = shape if isinstance(shape, tuple) else (shape,)
    if all(isinstance(n, int) for n in lengths) and math.prod(lengths) > _ELEMENTS:
        raise InputError(f"a variable of {math.prod(lengths)} elements", remedy=f"At most {_ELEMENTS} are read")
    return Variable(shape, name=name, integer=integer, one_hot=one_hot, names=names, units=units)
