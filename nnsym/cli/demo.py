"""``nnsym demo``: a few handwritten digits, every method, exported files, one table each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nnsym.ask.compare import Announce, compare
from nnsym.ask.export import export
from nnsym.cli.console import row_progress
from nnsym.cli.options import DISAGREE, Wide
from nnsym.cli.output import print_line, print_rich
from nnsym.demo import properties
from nnsym.errors import InputError
from nnsym.judge.method import Method
from nnsym.judge.methods import crown, ibp
from nnsym.judge.programs.methods import lp, milp, smt
from nnsym.report.comparison import Comparison
from nnsym.report.table import comparison_table
from nnsym.results.saved import write_file
from nnsym.solvers.registry import available


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")] = Path("build/demo"),
    wide: Wide = False,
) -> None:
    """Compare every method on a small network that ships with nnsym."""
    with row_progress() as announce:
        code = _run(output, announce, wide=wide)
    raise typer.Exit(code)


def _run(output: Path, announce: Announce, *, wide: bool) -> int:
    """Compare all methods on robustness of the shipped digits; returns the exit code.

    Leaves ``compare.json`` (all tables), ``runs.jsonl`` and one exported model of each format in ``output``.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot create the folder: {error.strerror}", where=str(output), remedy="Name one: --output FOLDER"
        ) from error
    record = output / "runs.jsonl"
    record.unlink(missing_ok=True)
    methods = _methods(available())
    tables: list[Comparison] = []
    for prop in properties():
        table = compare(prop, methods, timeout=5.0, record=record, announce=announce)
        print_rich(comparison_table(table, wide=wide), chosen=True)
        tables.append(table)
    first = properties()[0]
    for name, encoding in (("bigm.lp", "bigm"), ("bigm.mps", "bigm"), ("triangle.lp", "triangle"), ("smt.smt2", "smt")):
        export(first, output / name, encoding=encoding)
    data = {"comparisons": [table.to_json() for table in tables]}
    write_file(output / "compare.json", json.dumps(data, indent=1) + "\n")
    print_line(f"\n{len(tables)} comparisons and four exported models are in {output}/")
    return DISAGREE if any(table.disagreement for table in tables) else 0


def _methods(lanes: list[str]) -> list[Method]:
    """Bounds, then every encoding on the lanes at hand that suit it."""
    chosen: list[Method] = [ibp(), crown()]
    tolerant = [name for name in ("highs", "gurobi", "glpk", "pyomo:highs") if name in lanes]
    chosen += [lp("triangle", solver=name, optimise=True) for name in tolerant]
    chosen += [milp("bigm", solver=name, optimise=True) for name in tolerant]
    if "z3" in lanes:
        chosen += [milp("bigm", solver="z3"), smt("smt", solver="z3")]
    return chosen
