"""``compare``: the same property by many methods, one row each, side by side."""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from nnsym.ask.verify import verify
from nnsym.encode.registry import find_encoding
from nnsym.encoding import Encoding, Form
from nnsym.errors import InputError, NnsymError
from nnsym.ir.query import Query
from nnsym.judge.method import Method
from nnsym.judge.methods import BoundsChoice, check_bounds
from nnsym.judge.programs.methods import program
from nnsym.judge.registry import MethodChoice, check_method, judges_alone, resolve
from nnsym.lang.question import HasQuery, query_of
from nnsym.report.compared import ComparisonRow
from nnsym.report.comparison import Comparison
from nnsym.report.records import row_record
from nnsym.results import ranges as options
from nnsym.results.lines import append_line
from nnsym.results.result import Result, Semantics
from nnsym.results.versions import versions
from nnsym.solvers.base import Solver
from nnsym.solvers.registry import find

Announce = Callable[[int, int, "Plan"], None]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """A row before it is run: a method, or the reason why there is none."""

    method: str
    solver: str
    bounds: str
    chosen: Method | None = None
    error: str = ""

    @property
    def label(self) -> str:
        """``bigm highs, crown bounds``."""
        own = " ".join(filter(None, (self.method, self.solver)))
        return own if self.bounds in ("", self.method) else f"{own}, {self.bounds} bounds"


def plan(
    methods: Sequence[MethodChoice],
    solvers: Sequence[str | Solver] | None,
    bounds: Sequence[str],
    *,
    optimise: bool,
) -> list[Plan]:
    """The rows of a comparison: method x solver x bounds, unsupported pairs kept with their reason."""
    for solver in solvers or ():
        find(solver)
    rows: list[Plan] = []
    for method in methods:
        if judges_alone(method) or not isinstance(method, (str, Encoding)):
            rows.append(_given(resolve(method)))
        else:
            if isinstance(method, str):
                check_method(method)
            encoding = find_encoding(method)
            for lane in solvers or (None,):
                rows.extend(_pair(encoding, lane, source, optimise) for source in bounds)
    if not rows:
        raise InputError("nothing to compare", remedy="Name at least one method, for example ibp,crown,bigm")
    return rows


def _given(method: Method) -> Plan:
    return Plan(method=method.encoded or method.name, solver=method.lane, bounds=method.bounds, chosen=method)


def _pair(encoding: Encoding, solver: str | Solver | None, source: str, optimise: bool) -> Plan:
    try:
        can = encoding.form is Form.MARGIN and (solver is None or not find(solver).exact)
        chosen = program(encoding, solver=solver, bounds=source, optimise=optimise and can)
    except NnsymError as error:
        return Plan(
            method=encoding.name, solver="" if solver is None else find(solver).name, bounds=source, error=str(error)
        )
    return Plan(method=encoding.name, solver=chosen.solver, bounds=source, chosen=chosen)


def compare(
    prop: HasQuery | Query | Sequence[HasQuery | Query],
    methods: Sequence[MethodChoice] | MethodChoice = ("ibp", "crown", "triangle", "bigm", "smt"),
    *,
    solvers: Sequence[str | Solver] | None = None,
    bounds: Sequence[BoundsChoice] | BoundsChoice = ("crown",),
    timeout: float = 60.0,
    repeat: int = 1,
    decide: bool = False,
    memory: int = 8 * 2**30,
    seed: int = 0,
    semantics: str | Semantics = Semantics.REAL,
    record: str | Path | None = None,
    announce: Announce | None = None,
) -> Comparison:
    """Run every method on the property and put the results side by side.

    Args:
        prop: a property or its query, or a list of several, which have one table.
        methods: bound methods, encodings or method values, or one of them; encodings are paired with every solver.
        solvers: lanes; each encoding's default where none are given. Pairs that do not fit become rows that say why.
        bounds: bounds that feed the encodings; one row for each.
        timeout: wall seconds of one run of one row.
        repeat: runs per row; seconds are the medians.
        decide: ask margin encodings for the sign only. By default they go on to the margin itself.
        memory: bytes a solver's process may use.
        seed: seed of the solvers.
        semantics: the function that every row speaks of, ``real`` or ``deployed`` (:func:`nnsym.ask.verify.verify`).
        record: a JSON-lines file; each row is appended as it finishes.
        announce: called with (row number, rows, plan) before each row runs.
    """
    queries = _queries(prop)
    if not queries:
        raise InputError("no properties to compare methods on", remedy="Give one, or a list of some")
    timeout, repeat = options.seconds(timeout), options.repeats(repeat)
    memory, seed = options.count_of_bytes(memory), options.seed(seed)
    several = bounds if isinstance(bounds, Sequence) and not isinstance(bounds, str) else (bounds,)
    sources = tuple(check_bounds(choice) for choice in several)
    listed = methods if isinstance(methods, Iterable) and not isinstance(methods, str) else (methods,)
    plans = plan(tuple(listed), solvers, sources, optimise=not decide)
    import nnsym.bounds.engine.backward.linear  # noqa: F401  # heavy: torch, loaded before any row is timed

    tables: list[Comparison] = []
    for query, name in zip(queries, _told_apart([query.name for query in queries]), strict=True):
        table = _without_rows(query, name, seed=seed, timeout=timeout)
        for number, item in enumerate(plans, len(tables) * len(plans)):
            if announce is not None:
                announce(number, len(plans) * len(queries), item)
            row = _run(query, item, repeat=repeat, timeout=timeout, memory=memory, seed=seed, semantics=semantics)
            table = replace(table, rows=(*table.rows, row))
            if record is not None:
                append_record(record, table, row)
        tables.append(table)
    return tables[0] if len(tables) == 1 else _together(tables)


def _queries(prop: HasQuery | Query | Sequence[HasQuery | Query]) -> list[Query]:
    """The queries of one property, or of several."""
    if isinstance(prop, str) or not isinstance(prop, Sequence):
        return [query_of(prop)]
    return [query_of(one) for one in prop]


def _without_rows(query: Query, name: str, *, seed: int, timeout: float) -> Comparison:
    """The table of a query before any method was run."""
    return Comparison(
        name=name,
        text=query.text,
        rows=(),
        network_hashes=tuple(dict.fromkeys(a.network.hash for a in query.applications)),
        property_hash=query.hash,
        seed=seed,
        timeout=timeout,
        reading=query.reading,
    )


def _together(tables: Sequence[Comparison]) -> Comparison:
    """The comparisons of several properties as one."""
    return replace(
        tables[0],
        name=f"{len(tables)} properties",
        text="\n".join(table.text for table in tables),
        rows=tuple(row for table in tables for row in table.rows),
        network_hashes=tuple(dict.fromkeys(digest for table in tables for digest in table.network_hashes)),
        property_hash="",
        parts=tuple(tables),
    )


def _told_apart(names: Sequence[str]) -> list[str]:
    """Names that occur more than once with their number."""
    met: Counter[str] = Counter()
    found = []
    for name in names:
        met[name] += 1
        found.append(name if names.count(name) == 1 else f"{name} {met[name]}")
    return found


def _run(
    query: Query,
    item: Plan,
    *,
    repeat: int,
    timeout: float,
    memory: int,
    seed: int,
    semantics: str | Semantics,
) -> ComparisonRow:
    row = ComparisonRow(
        method=item.method,
        solver=item.solver,
        bounds=item.bounds,
        goal="" if item.chosen is None else item.chosen.goal,
        exact=item.chosen is not None and item.chosen.exact,
        error=item.error,
    )
    if item.chosen is None:
        return row
    results: list[Result] = []
    try:
        for turn in range(max(1, repeat)):
            last = verify(
                query,
                item.chosen,
                timeout=timeout,
                memory=memory,
                seed=seed,
                semantics=semantics,
                relaxation=turn == 0,
                shortcut=False,
            )
            results.append(last)
    except NnsymError as error:
        return replace(row, error=str(error))
    kept = results[0]
    names = dict.fromkeys(name for r in results for name in r.seconds)
    seconds = {name: statistics.median(r.seconds.get(name, 0.0) for r in results) for name in names}
    return replace(row, result=kept, seconds=seconds, repeats=len(results), error=_unstable_verdict(results))


def _unstable_verdict(results: Iterable[Result]) -> str:
    said = {r.status.value for r in results}
    return f"verdicts differ between repeats: {', '.join(sorted(said))}" if len(said) > 1 else ""


def append_record(path: str | Path, table: Comparison, row: ComparisonRow) -> None:
    """Append one finished row with what is needed to reproduce it."""
    found = row_record(row, None)
    del found["gap"]  # the best row may be yet to come
    data = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "property": table.name,
        "text": table.text,
        "property_hash": table.property_hash,
        "network_hashes": list(table.network_hashes),
        "seed": table.seed,
        "timeout": table.timeout,
        "versions": dict(row.result.versions) if row.result is not None else versions(),
        **found,
    }
    append_line(path, json.dumps(data))
