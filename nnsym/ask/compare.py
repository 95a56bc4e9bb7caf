"""``compare``: the same property by many methods, one row each, side by side."""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from nnsym.ask.verify import verify
from nnsym.encode.registry import find_encoding
from nnsym.encoding import Encoding, Form
from nnsym.errors import InputError, NnsymError
from nnsym.ir.query import Query, Reading
from nnsym.judge.method import Method
from nnsym.judge.methods import BoundsChoice, check_bounds
from nnsym.judge.programs import program
from nnsym.judge.registry import MethodChoice, check_method, judges_alone, resolve
from nnsym.lang.question import HasQuery, query_of
from nnsym.report.frame import frame
from nnsym.report.grid import render
from nnsym.report.html import comparison_html
from nnsym.report.plot import plot_comparison
from nnsym.report.records import comparison_json, row_record
from nnsym.report.table import comparison_table
from nnsym.results import ranges as options
from nnsym.results.lines import append_line
from nnsym.results.result import NoTruthValue, Result, Semantics, Verdict
from nnsym.results.versions import versions
from nnsym.solvers.base import Solver
from nnsym.solvers.registry import find

if TYPE_CHECKING:
    import pandas


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Row(NoTruthValue):
    """One method on the property. ``error`` says why there is no result; ``seconds`` are medians over repeats."""

    spoken = ("a row of a comparison", "Ask for row.result.status")

    method: str
    solver: str
    bounds: str
    goal: str
    exact: bool
    result: Result | None = None
    error: str = ""
    seconds: Mapping[str, float] | None = None
    repeats: int = 0

    def __repr__(self) -> str:
        """``<row bigm+highs on crown: verified>``."""
        fed = f" on {self.bounds}" if self.bounds and self.bounds != self.method else ""
        said = self.error if self.result is None else self.result.status.value
        return f"<row {self.method}{f'+{self.solver}' if self.solver else ''}{fed}: {said}>"

    @property
    def margin(self) -> float | None:
        """The proved bound of the margin, the lower one (of ``exists`` the upper one); None where there is none."""
        if self.result is None:
            return None
        bound = self.result.upper if self.result.reading is Reading.EXISTS else self.result.lower
        return None if np.isinf(bound) else bound


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Comparison(NoTruthValue):
    """All rows; prints as a table in a terminal and in a notebook.

    Where several properties were compared ``parts`` are their comparisons, and the table has a column for the property.
    """

    spoken = (
        "a comparison",
        "Ask a row: table.rows[0].result.status, or table.disagreement is not None",
    )

    name: str
    text: str
    rows: tuple[Row, ...]
    network_hashes: tuple[str, ...]
    property_hash: str
    seed: int
    timeout: float
    reading: Reading = Reading.FORALL
    parts: tuple[Comparison, ...] = ()

    @property
    def best(self) -> float | None:
        """The strongest proved bound of the table, whatever it rests on; None of several properties."""
        if self.parts:
            return None
        pick = min if self.reading is Reading.EXISTS else max
        return pick((row.margin for row in self.rows if row.margin is not None), default=None)

    @property
    def disagreement(self) -> tuple[Row, Row] | None:
        """A row that verified and a row that falsified one property, if there are both; a bug in one of them."""
        if self.parts:
            return next((part.disagreement for part in self.parts if part.disagreement is not None), None)
        verified = [r for r in self.rows if r.result is not None and r.result.status is Verdict.VERIFIED]
        falsified = [r for r in self.rows if r.result is not None and r.result.status is Verdict.FALSIFIED]
        return (verified[0], falsified[0]) if verified and falsified else None

    def to_records(self) -> list[dict[str, Any]]:
        """One flat dictionary per row."""
        if self.parts:
            return [record for part in self.parts for record in part.to_records()]
        about = {"property": self.name, "property_hash": self.property_hash}
        return [{**about, **row_record(row, self.best)} for row in self.rows]

    def to_json(self) -> dict[str, Any]:
        """The whole comparison as plain data."""
        return comparison_json(self)

    def to_frame(self) -> pandas.DataFrame:
        """A pandas DataFrame (extra ``report``)."""
        return frame(self)

    def plot(self, path: str | Path | None = None) -> Any:
        """Bars of certified margin and of seconds per method, of one property (extra ``report``)."""
        return plot_comparison(self, path)

    def __rich__(self) -> Any:
        return comparison_table(self)

    def to_text(self, *, wide: bool = False, width: int = 80) -> str:
        """The table as text: the columns that fit ``width``, or with ``wide`` all of them. Nothing is ever cut."""
        return render(comparison_table(self, wide=wide), width)

    def __str__(self) -> str:
        return self.to_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return comparison_html(self)


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
        return " ".join(filter(None, (self.method, self.solver, self.bounds)))


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
    methods: Sequence[MethodChoice] = ("ibp", "crown", "triangle", "bigm", "smt"),
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
        methods: bound methods, encodings or method values; encodings are paired with every solver.
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
    queries = [query_of(one) for one in prop] if isinstance(prop, (list, tuple)) else [query_of(prop)]  # type: ignore[arg-type]
    if not queries:
        raise InputError("no properties to compare methods on", remedy="Give one, or a list of some")
    timeout, repeat = options.seconds(timeout), options.repeats(repeat)
    memory, seed = options.count_of_bytes(memory), options.seed(seed)
    several = bounds if isinstance(bounds, Sequence) and not isinstance(bounds, str) else (bounds,)
    sources = tuple(check_bounds(choice) for choice in several)
    plans = plan(methods, solvers, sources, optimise=not decide)
    import nnsym.bounds.engine.linear  # noqa: F401  # heavy: torch, loaded before any row is timed

    tables: list[Comparison] = []
    for query, name in zip(queries, _told_apart([query.name for query in queries]), strict=True):
        table = Comparison(
            name=name,
            text=query.text,
            rows=(),
            network_hashes=tuple(dict.fromkeys(a.network.hash for a in query.applications)),
            property_hash=query.hash,
            seed=seed,
            timeout=timeout,
            reading=query.reading,
        )
        for number, item in enumerate(plans, len(tables) * len(plans)):
            if announce is not None:
                announce(number, len(plans) * len(queries), item)
            row = _run(query, item, repeat=repeat, timeout=timeout, memory=memory, seed=seed, semantics=semantics)
            table = replace(table, rows=(*table.rows, row))
            if record is not None:
                append_record(record, table, row)
        tables.append(table)
    return tables[0] if len(tables) == 1 else _together(tables)


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
) -> Row:
    row = Row(
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


def append_record(path: str | Path, table: Comparison, row: Row) -> None:
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
