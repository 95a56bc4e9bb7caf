"""``export``: the very model that is solved, as a file that anyone can check."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nnsym.bounds.domains import domain_margin
from nnsym.encode.registry import find_encoding
from nnsym.encoding import Encoding, Form
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.names import node_names
from nnsym.ir.node import Node
from nnsym.ir.query import Query, Reading
from nnsym.ir.titles import node_titles, output_title
from nnsym.judge.methods import BoundsChoice, check_bounds
from nnsym.judge.programs.build import build
from nnsym.lang.question import HasQuery, query_of
from nnsym.program import Program, Role
from nnsym.relaxation.sources import find_source
from nnsym.results import ranges as options
from nnsym.results.files import path_of
from nnsym.results.saved import check_writable, write_file
from nnsym.results.versions import package_version, versions
from nnsym.write.lp import to_lp
from nnsym.write.mps import to_mps
from nnsym.write.smtlib import to_smtlib
from nnsym.write.vnnlib import VnnlibFile
from nnsym.write.vnnlib import to_vnnlib as write

FORMATS = (".lp", ".mps", ".smt2", ".vnnlib")

#: By reading: what a point of the program is, and what t is.
_GOALS = {
    Reading.FORALL: ("the violation", "the margin of the property"),
    Reading.EXISTS: ("the condition and the conclusion", "minus the margin of the property"),
    Reading.MINIMUM: ("the condition with a term of at most 0", "the term"),
}


def build_program(
    prop: HasQuery | Query, encoding: str | Encoding = "bigm", *, bounds: BoundsChoice = "crown", device: str = "cpu"
) -> tuple[Query, Program, Encoding]:
    """The program of a property under an encoding, cuts included."""
    query = query_of(prop, "export")
    found = find_encoding(encoding)
    _, computed = domain_margin(query, find_source(check_bounds(bounds)), device=options.device(device))
    return query, build(query, computed, found), found


def export(
    prop: HasQuery | Query,
    path: str | Path,
    *,
    encoding: str | Encoding | None = None,
    bounds: BoundsChoice = "crown",
    device: str = "cpu",
    version: str = "2.0",
) -> Path:
    """Write the program of a property; the suffix chooses the format.

    ``.lp`` (CPLEX LP) and ``.mps`` take margin encodings (``bigm``, ``triangle``), ``.smt2`` takes any. The header says
    what the file is about, and what its optimum or ``sat`` means for the property. ``.vnnlib`` states the property's
    violation itself, in ``version`` 2.0 or 1.0; it needs no encoding (:func:`to_vnnlib` also says what was lost).

    Raises:
        UnsupportedError: the format cannot hold what the encoding emits.
        InputError: unknown suffix, an empty input region, or a path that cannot be written.
    """
    target = path_of(path)
    if target.suffix not in FORMATS:
        raise InputError(
            f"unknown format '{target.suffix}'", where=str(target), remedy=f"Use one of: {', '.join(FORMATS)}"
        )
    check_writable(target)
    if target.suffix == ".vnnlib":
        return write_file(target, to_vnnlib(prop, version=version).text)
    chosen = encoding if encoding is not None else ("smt" if target.suffix == ".smt2" else "bigm")
    query = query_of(prop, "export")
    if query.empty_box:
        raise InputError("the input region is empty: there is nothing to solve", where=query.name)
    query, program, found = build_program(query, chosen, bounds=bounds, device=device)
    if found.form is Form.BOOLEAN and target.suffix != ".smt2":
        raise UnsupportedError(
            f"encoding '{found.name}' states a Boolean problem that {target.suffix} cannot hold",
            where=str(target),
            remedy="Use .smt2, or a margin encoding such as bigm or triangle",
        )
    text = program_text(
        program, target.suffix, header(query, program, found, check_bounds(bounds)), strict=query.strict
    )
    return write_file(target, text)


def to_vnnlib(prop: HasQuery | Query, *, version: str = "2.0") -> VnnlibFile:
    """The violation of a property as a VNN-LIB file: its text, its logic, and what the format could not say.

    ``sat`` means that the property is violated (for ``exists``: that it holds). Whatever is lost makes the file
    satisfied by more points, so that ``unsat`` carries over. Raises :class:`UnsupportedError` for what cannot be said.
    """
    query = query_of(prop, "export")
    if query.reading is Reading.MINIMUM:
        remedy = "State a bound as a property, or export to .lp or .mps"
        raise UnsupportedError("VNN-LIB has no objectives", where=query.name, remedy=remedy)
    networks = dict.fromkeys((a.network.name, a.network.hash) for a in query.applications)
    goal = _GOALS[query.reading][0]
    head = (
        f"property  {query.name}",
        *(f"          {line}" for line in query.text.splitlines()),
        f"          sha256 {query.hash}",
        *(f"network   {name}: sha256 {digest}" for name, digest in networks),
        f"meaning   unsat: {goal} has no solution; sat, where no loss is named: it has one",
        f"written by nnsym {package_version('nnsym')}",
    )
    return write(query, version=version, header=head)


def program_text(program: Program, suffix: str, head: tuple[str, ...], *, strict: bool) -> str:
    """A program in one of :data:`FORMATS`. As SMT-LIB a margin program is asked for a margin that violates."""
    if suffix == ".lp":
        return to_lp(program, header=head)
    if suffix == ".mps":
        return to_mps(program, header=head)
    return to_smtlib(program, header=head, decide_below=None if program.objective is None else 0, strictly=strict)


def header(query: Query, program: Program, encoding: Encoding, bounds: str) -> tuple[str, ...]:
    """What a reader of the file must know."""
    used = ", ".join(f"{name} {text}" for name, text in versions().items())
    networks = dict.fromkeys((a.network.name, a.network.hash) for a in query.applications)
    goal, least = _GOALS[query.reading]
    form = f"minimise t, {least}" if encoding.form is Form.MARGIN else f"satisfiability of {goal}"
    return (
        f"property  {query.name}",
        *(f"          {line}" for line in query.text.splitlines()),
        f"          sha256 {query.hash}",
        *(f"network   {name}: sha256 {digest}" for name, digest in networks),
        f"encoding  {encoding.name}: {encoding.summary}",
        f"source    {encoding.source}",
        f"bounds    {bounds}",
        *_named(query),
        f"objective {form}",
        f"meaning   {program.decides}",
        f"written by {used}",
    )


def _named(query: Query) -> Iterator[str]:
    """What stored models call the layers whose columns are called by our names, and of which application they are."""
    titles = node_titles(query)
    said = [f"{name} is {titles[node]}" for node, name in node_names(query.nodes).items() if node in titles]
    if said:
        yield f"layers    in the models: {', '.join(said)}"


def to_pyomo(prop: HasQuery | Query, encoding: str | Encoding = "bigm", *, bounds: BoundsChoice = "crown") -> Any:
    """The program of a property as a Pyomo model (see :mod:`nnsym.solvers.pyomo.model`).

    ``model.inputs`` and ``model.outputs`` are the variables of inputs and of networks' outputs by name, in C order:
    what a model of one's own is tied to. A network alone, without a property, is :func:`nnsym.ask.surrogate.surrogate`.

    Raises:
        UnsupportedError: the program has more than linear rows and binaries; balls of norm 1 and 2 are more.
    """
    from nnsym.solvers.pyomo.model import to_pyomo as convert  # heavy: pyomo

    importlib.import_module("nnsym.solvers.pyomo_solvers")  # registers nnsym_highs and nnsym_gurobi
    query, program, _ = build_program(prop, encoding, bounds=bounds)
    if program.quadratics:
        remedy = "Take its box for the domain, and state the ball in Pyomo as a quadratic constraint over model.inputs"
        raise UnsupportedError("a ball of norm 1 or 2 has no linear rows", where=query.name, remedy=remedy)
    model = convert(program, columns="all")
    inputs, outputs = _ends(query, program)
    columns = program.column_names()
    model.inputs = {name: [model.x[columns[k]] for k in found] for name, found in inputs.items()}
    model.outputs = {name: [model.x[columns[k]] for k in found] for name, found in outputs.items()}
    return model


def _ends(query: Query, program: Program) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """The columns of every input's elements, and of the elements of outputs that have columns."""
    names = node_names(query.nodes)
    column = {
        (block.node, int(index)): block.start + k
        for role in (Role.PRE, Role.VALUE, Role.POST)  # the last one counts: what an activation gives
        for block in program.blocks
        if block.role == role
        for k, index in enumerate(block.index)
    }

    def found(node: Node) -> list[int]:
        keys = [(names.get(node, ""), k) for k in range(node.size)]
        return [column[key] for key in keys] if all(key in column for key in keys) else []

    inputs = {x.name: found(x) for x in query.inputs}
    outputs = {
        output_title(query, a, name): found(a.output(name)) for a in query.applications for name in a.network.outputs
    }
    return {n: v for n, v in inputs.items() if v}, {n: v for n, v in outputs.items() if v}
