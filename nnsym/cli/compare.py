"""``nnsym compare``: one property, many methods."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Optional

import typer

from nnsym.ask import compare as asking
from nnsym.cli.console import row_progress
from nnsym.cli.options import (
    DISAGREE,
    Json,
    Meaning,
    Memory,
    Networks,
    Seed,
    Sets,
    Targets,
    Wide,
)
from nnsym.cli.output import (
    check_files,
    check_pictures,
    print_error,
    print_line,
    print_rich,
    print_styled,
    split,
)
from nnsym.cli.reading import read_target
from nnsym.cli.streams import complain
from nnsym.ir.words import count_of
from nnsym.report.compared import ComparisonRow
from nnsym.report.comparison import Comparison
from nnsym.report.files import write_csv
from nnsym.report.table import comparison_table, result_lines
from nnsym.results import ranges
from nnsym.results.saved import write_file


def compare(
    targets: Targets,
    sets: Sets = None,
    methods: Annotated[str, typer.Option(help="Comma-separated methods.")] = "ibp,crown,triangle,bigm,smt",
    solvers: Annotated[
        str | None, typer.Option(help="Comma-separated lanes; each encoding's default if left out.")
    ] = None,
    bounds: Annotated[str, typer.Option(help="Comma-separated bounds for the encodings.")] = "crown",
    timeout: Annotated[
        float,
        typer.Option(
            help="Wall seconds of each run of each row, and of reading.",
            callback=lambda value: ranges.seconds(value, "--timeout"),
        ),
    ] = 60.0,
    repeat: Annotated[
        int,
        typer.Option(
            help="Runs per row; seconds are medians.", callback=lambda value: ranges.repeats(value, "--repeat")
        ),
    ] = 1,
    decide: Annotated[bool, typer.Option("--decide", help="Ask for the margin's sign only.")] = False,
    semantics: Meaning = "real",
    memory: Memory = 8.0,
    seed: Seed = 0,
    as_json: Json = False,
    json_file: Annotated[Optional[Path], typer.Option("--json-file", help="Write the table as JSON.")] = None,  # noqa: UP045
    csv_file: Annotated[Optional[Path], typer.Option("--csv", help="Write the table as CSV.")] = None,  # noqa: UP045
    plot_file: Annotated[
        Path | None, typer.Option("--plot", help="Write bars as .png or .svg (extra: report).")
    ] = None,
    record: Annotated[Path, typer.Option(help="JSON-lines run record that every row is appended to.")] = Path(
        "nnsym-runs.jsonl"
    ),
    wide: Wide = False,
    network: Networks = None,
) -> None:
    """Judge one property by many methods, one row each."""
    check_files(json_file, csv_file)
    check_files(record, remedy="Name its record elsewhere: --record FILE")
    check_pictures(plot_file)
    query = read_target(targets, sets, network, seconds=timeout, memory=int(memory), late=print_error)
    with row_progress() as announce:
        table = asking.compare(
            query,
            split(methods),
            solvers=split(solvers) if solvers else None,
            bounds=split(bounds),
            timeout=timeout,
            repeat=repeat,
            decide=decide,
            semantics=semantics,
            memory=int(memory),
            seed=seed,
            record=record,
            announce=announce,
        )
    if as_json:
        print_line(json.dumps(table.to_json()))
    else:
        print_rich(comparison_table(table, wide=wide), chosen=True)
    _write(table, json_file, csv_file, plot_file)
    complain(f"{count_of(len(table.rows), 'row')} appended to {record}")
    if table.disagreement is not None:
        if not as_json:
            _show_points(table.disagreement)
        raise typer.Exit(DISAGREE)


def _write(table: Comparison, json_file: Path | None, csv_file: Path | None, plot_file: Path | None) -> None:
    if json_file is not None:
        write_file(json_file, json.dumps(table.to_json(), indent=1) + "\n")
    if csv_file is not None:
        write_csv(table.to_records(), csv_file)
    if plot_file is not None:
        table.plot(plot_file)


def _show_points(rows: Iterable[ComparisonRow]) -> None:
    """The results of those rows that have a point to show for it."""
    for row in rows:
        if row.result is not None and (row.result.counterexample or row.result.witness):
            print_styled(result_lines(row.result))
