"""Chained comparisons inside property functions: ``0 < y[0] < 1`` means what it says.

Python evaluates ``a < b < c`` as ``a < b and b < c`` and so asks the first formula for a truth value. The function's
source is read again, every chain becomes one call that compares neighbours, and the code is exchanged; lines, names,
defaults and closures stay. Without source, or without chains, the function stays as it is, and a chain raises.
"""

from __future__ import annotations

import ast
import inspect
import operator
import textwrap
from collections.abc import Callable
from types import CellType, CodeType, FunctionType
from typing import Any

from nnsym.lang.statements.formulas import Formula

_CALLED = "__nnsym_chain__"
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_NAMES = {kind: kind.__name__ for kind in _COMPARE}
_BY_NAME = {kind.__name__: compare for kind, compare in _COMPARE.items()}


def chain(names: str, *operands: Any) -> Any:
    """All neighbours compared: a conjunction if some result is a formula, else what Python's own chain gives."""
    pairs = zip(names.split(), operands[:-1], operands[1:], strict=True)
    parts = [_BY_NAME[name](a, b) for name, a, b in pairs]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole & part if isinstance(whole, Formula) or isinstance(part, Formula) else whole and part
    return whole


def with_chains(function: FunctionType) -> FunctionType:
    """The function with its chained comparisons split."""
    code = _split(function)
    if code is None:
        return function
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    cells[_CALLED] = CellType(chain)
    closure = tuple(cells[name] for name in code.co_freevars)
    changed = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, closure)
    for name in ("__kwdefaults__", "__annotations__", "__doc__", "__module__", "__qualname__"):
        setattr(changed, name, getattr(function, name))
    return changed


def _split(function: FunctionType) -> CodeType | None:
    """The code with chains split; None if there are none, or no source to read them from."""
    try:
        lines, first = inspect.getsourcelines(function)
        module = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return None
    definition = module.body[0]
    splitter = _Splitter()
    if not isinstance(definition, ast.FunctionDef) or not isinstance(splitter.visit(definition), ast.FunctionDef):
        return None
    if not splitter.count:
        return None
    definition.decorator_list = []
    names = [ast.arg(name) for name in (*function.__code__.co_freevars, _CALLED)]
    arguments = ast.arguments([], names, None, [], [], None, [])
    outer = ast.FunctionDef("__nnsym_outer__", arguments, [definition], [], None, None, lineno=1, col_offset=0)
    module.body = [outer]
    ast.increment_lineno(ast.fix_missing_locations(module), first - 1)
    compiled = compile(module, function.__code__.co_filename, "exec", dont_inherit=True)
    return _inner(_inner(compiled, "__nnsym_outer__"), function.__name__)


def _inner(code: CodeType, name: str) -> CodeType:
    return next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)


class _Splitter(ast.NodeTransformer):
    """``a < b < c`` becomes ``chain("Lt Lt", a, b, c)``."""

    count = 0

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if len(node.ops) < 2 or not all(type(op) in _NAMES for op in node.ops):
            return node
        self.count += 1
        names = ast.Constant(" ".join(_NAMES[type(op)] for op in node.ops))
        call = ast.Call(ast.Name(_CALLED, ast.Load()), [names, node.left, *node.comparators], [])
        return ast.copy_location(call, node)
