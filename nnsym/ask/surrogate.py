"""``surrogate``: a network as a block of constraints inside an optimisation model of one's own."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.bounds.methods import compute
from nnsym.encode.function import encode_function
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import Encoded
from nnsym.encoding import Encoding, Form
from nnsym.errors import InputError, MissingBoundsError, OutOfTimeError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.network import Network
from nnsym.ir.node import Input
from nnsym.ir.query import Query
from nnsym.judge.methods import BoundsChoice, check_bounds
from nnsym.judge.programs.build import cut
from nnsym.judge.run import BOUNDS_SHARE
from nnsym.lang.algebra.terms import Term, as_term
from nnsym.lang.algebra.variables import Variable, of_input
from nnsym.lang.guard import misread
from nnsym.lang.statements.formulas import Formula, reduce_all
from nnsym.lang.statements.over import terms_over
from nnsym.lang.statements.sets import box
from nnsym.lang.statements.statement import as_statement, mentioned
from nnsym.relaxation.sources import find_source
from nnsym.results import ranges as options
from nnsym.results.clock import Deadline, OutOfTime
from nnsym.solvers.base import Goal, Limits


def surrogate(
    f: Network | Term | Sequence[Term] | Mapping[str, Term],
    where: object,
    *,
    encoding: str | Encoding = "bigm",
    bounds: BoundsChoice = "crown",
    device: str = "cpu",
    timeout: float = 60.0,
) -> Any:
    """A Pyomo ``Block`` that relates ``block.inputs`` to ``block.outputs`` as ``f`` does over ``where``.

    Put it into a model as an attribute, any number of them; add objective and constraints over ``inputs`` and
    ``outputs``, and solve with any Pyomo solver that takes the encoding's columns (``nnsym_highs`` and
    ``nnsym_gurobi`` take the rows as arrays). Under an exact
    encoding the block's points are ``{(x, f(x)) : where}``; under an outer one (``triangle``) they contain them. There
    is no margin, no guard and no objective.

    Args:
        f: a network; or a term over variables, such as ``f((x - mean) / scale)``; or several terms by name; or what a
            network of several outputs gives on terms.
        where: the domain the function is encoded over: bounds and linear conditions, all of which hold (``nn.box(x, 0,
            1) & (x[0] + x[1] == 1)``). For a network with one input also ``(lower, upper)``; for one with several a
            dictionary of such pairs, or a formula over variables with the inputs' names.
        encoding: rules of linear rows, binaries and special ordered sets (``bigm``, ``partition4``, ``sos2``,
            ``triangle`` ...). Cuts (``triangle+krelu2``) are those that least and largest outputs of the relaxation
            violate: rows that hold for the whole domain, whatever the model is asked for.
        bounds: what the constants of the encoding and the bounds of its variables come from.
        device: where bounds are computed.
        timeout: wall seconds for everything, half of them for bounds. Bounds that were not reached and cuts that were
            not found make the program weaker, not wrong; without time for the program itself there is none.

    Returns:
        ``block.inputs`` and ``block.outputs`` are indexed by place in C order (inputs as the network declares them, or
        as the terms use them), and found by name
        (:class:`nnsym.solvers.pyomo.block.Elements`); ``block.x`` are all columns by their names, ``block.rows`` the
        rows. Bounds of variables may be tightened; a wider one is refused when the model is solved or written, because
        the rows hold for none but the domain.

    Raises:
        UnsupportedError: alternatives or balls in ``where``; an encoding in Boolean form, or with implications.
        MissingBoundsError: an input that ``where`` leaves open.
        InputError: an empty domain, names or shapes that do not fit.
        OutOfTimeError: the program was not complete in time.
    """
    end = Deadline.after(options.seconds(timeout))
    from nnsym.solvers.pyomo.block import End, to_block  # heavy: pyomo

    importlib.import_module("nnsym.solvers.pyomo_solvers")  # registers nnsym_highs and nnsym_gurobi

    chosen = _fitting(find_encoding(encoding))
    terms, premise, shapes = _stated(f, where)
    query, rows = terms_over(terms, premise, name="surrogate", first=tuple(shapes))
    if query.empty_box:
        raise InputError("the domain is empty: there is nothing to encode", where=str(premise))
    source = find_source(check_bounds(bounds)).until(end.share(BOUNDS_SHARE))
    found = compute(query, source, device=options.device(device))
    encoded = _encoded(query, found, chosen, rows, end)
    inputs = [
        End(name=x.name, shape=shapes.get(x, (x.size,)), columns=encoded.ids[x], names=x.labels.names)
        for x in query.inputs
    ]
    outputs = [End(name=name, shape=terms[name].shape, columns=encoded.rows[index]) for name, index in rows.items()]
    program = encoded.program
    if chosen.cuts:
        limits = Limits(seconds=end.left)
        aims = np.unique(np.concatenate([end.columns for end in outputs])).tolist()
        program = cut(query, encoded, chosen, limits=limits, goal=Goal(decide=False), aims=aims)
    return to_block(program, inputs=inputs, outputs=outputs)


def _encoded(query: Query, found: Bounds, encoding: Encoding, rows: Mapping[str, Array], end: Deadline) -> Encoded:
    late = OutOfTimeError("not encoded in the time there was", where="surrogate", remedy="Give more: timeout=")
    try:
        return encode_function(query, found, encoding, rows, deadline=end)
    except OutOfTime:
        raise late from None
    except MissingBoundsError:
        if found.ended:
            raise late from None
        raise


def _fitting(encoding: Encoding) -> Encoding:
    """The encoding, unless it states no program of rows."""
    if encoding.form is Form.BOOLEAN:
        remedy = "Use one of linear rows, such as bigm, or triangle for a relaxation"
        raise UnsupportedError(
            f"the encoding '{encoding.name}' states a Boolean problem", where="surrogate", remedy=remedy
        )
    return encoding


def _stated(f: object, where: object) -> tuple[dict[str, Term], Formula, dict[Input, tuple[int, ...]]]:
    """The outputs as terms by name, the domain as a formula, and shapes of inputs where a network declares them."""
    if isinstance(f, Network):
        arguments, premise = _arguments(f, where)
        made = f(*arguments)
        outputs = dict(zip(f.outputs, made if isinstance(made, tuple) else (made,), strict=True))
        inputs = [x for term in arguments for x in term.rows.parts if isinstance(x, Input)]
        return outputs, premise, dict(zip(inputs, (t.shape for t in f.inputs.values()), strict=True))
    if isinstance(f, (list, tuple)) and f and all(isinstance(term, Term) for term in f):
        names = [_output_name(term) for term in f]
        if len(set(names)) < len(names):
            raise misread(
                "two of the terms have no name of their own", "Give them by name: {'profit': ..., 'heat': ...}"
            )
        f = dict(zip(names, f, strict=True))
    if not isinstance(f, (Term, Mapping)):
        raise misread(f"{type(f).__name__} is no network and no term", "Give f, or f(x), or terms by name")
    premise = _premise(where)
    if isinstance(f, Mapping):
        return {str(name): as_term(term) for name, term in f.items()}, premise, {}
    term = as_term(f)
    return {_output_name(term): term}, premise, {}


def _output_name(term: Term) -> str:
    """What the one network calls the term, if it is its output; else y."""
    if len(term.applications) == 1:
        (application,) = term.applications
        for name in application.network.outputs:
            if list(term.rows.parts) == [application.output(name)]:
                return name
    return "y"


def _arguments(f: Network, where: object) -> tuple[list[Term], Formula]:
    """A variable for every input of the network, and the domain over them."""
    pairs = _pairs(f, where)
    if pairs is not None:
        variables = [Variable(tensor.shape or 1, name=name) for name, tensor in f.inputs.items()]
        return list(variables), reduce_all(*(box(v, *pairs[v.name]) for v in variables))
    premise = _premise(where)
    inputs = mentioned(premise)
    if len(inputs) == len(f.inputs) == 1:
        return [of_input(inputs[0])], premise
    by_name = {x.name: x for x in inputs}
    if set(by_name) != set(f.inputs):
        remedy = "Call the variables as the inputs, or say which is which: nn.surrogate(f(a, b), where=...)"
        raise misread(f"'where' is about {', '.join(by_name)}, the inputs are {', '.join(f.inputs)}", remedy)
    return [of_input(by_name[name]) for name in f.inputs], premise


def _premise(where: object) -> Formula:
    parts = where if isinstance(where, (list, tuple)) else [where]
    if not parts or not all(isinstance(part, Formula) for part in parts):
        raise misread(f"'where' is {type(where).__name__}", "Give nn.box(x, lower, upper), or (lower, upper)")
    return as_statement(where, "where")


def _pairs(f: Network, where: object) -> Mapping[str, tuple[object, object]] | None:
    """``(lower, upper)`` of every input by name, if ``where`` is given in numbers."""
    if isinstance(where, (tuple, list)) and len(where) == 2 and not any(isinstance(side, Formula) for side in where):
        where = {next(iter(f.inputs)): tuple(where)}
    if not isinstance(where, Mapping):
        return None
    if set(where) != set(f.inputs) or not all(isinstance(v, (tuple, list)) and len(v) == 2 for v in where.values()):
        remedy = f"Give a dictionary with a pair (lower, upper) for each of: {', '.join(f.inputs)}"
        raise misread(f"'where' does not bound the inputs of '{f.name}' one by one", remedy)
    return where
