"""``nnsym table``: a family over a data set, a folder of the competition, or a record that is there already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from nnsym.cli.options import DISAGREE, Json, Memory, Seed, Wide
from nnsym.cli.output import check_files, check_pictures, print_line, print_rich, split
from nnsym.errors import InputError
from nnsym.report.files import write_csv
from nnsym.results import ranges
from nnsym.results.extras import require
from nnsym.sweep import table as sweeping
from nnsym.sweep.answered import Table, load_table
from nnsym.sweep.data import Data
from nnsym.sweep.family import FileFamily
from nnsym.sweep.grid import table_grid
from nnsym.sweep.instances import Instances, instance, instances_grid, read_instances, score
from nnsym.sweep.pool import workers as working

_METHODS = "ibp,crown,portfolio"


def table(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="FILE.py:family, instances.csv of a competition's folder, or a record (.jsonl)."
        ),
    ],
    data: Annotated[
        Path | None, typer.Option(help="The data set: an .npz file whose arrays are named as the family's parameters.")
    ] = None,
    eps: Annotated[str, typer.Option(help="Comma-separated radii, such as 0.01,0.02 or 8/255.")] = "",
    methods: Annotated[
        str, typer.Option(help=f"Comma-separated methods, the quick ones first ({_METHODS}; portfolio for instances).")
    ] = "",
    file: Annotated[
        Path | None, typer.Option(help="The record (JSON lines); what it holds is not asked again.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            help="Wall seconds of each question (60; for instances at most what their file says).",
            callback=lambda value: value if value is None else ranges.seconds(value, "--timeout"),
        ),
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="Ask every method everything, not only what is open.")] = False,
    first: Annotated[int, typer.Option(min=0, help="Only so many items, the first ones; 0 for all.")] = 0,
    workers: Annotated[int, typer.Option(min=0, max=1024, help="Processes; 0 for this one alone.")] = 0,
    scheduler: Annotated[str, typer.Option(help="tcp://HOST:PORT of a dask scheduler (extra: sweep).")] = "",
    plot_file: Annotated[
        Path | None, typer.Option("--plot", help="Write the picture as .png or .svg (extra: report).")
    ] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write an answer a line.")] = None,
    parquet_file: Annotated[Path | None, typer.Option("--parquet", help="The same as Parquet (needs pyarrow).")] = None,
    memory: Memory = 8.0,
    seed: Seed = 0,
    as_json: Json = False,
    wide: Wide = False,
) -> None:
    """Judge a property of every item of a data set, by methods in stages; a run that was interrupted goes on."""
    check_files(csv_file, parquet_file)
    check_pictures(plot_file)
    require(*(("pandas", "pyarrow") if parquet_file else ()), *(("distributed",) if scheduler else ()))
    rows: Instances | None = None
    if target.endswith(".jsonl"):
        found = load_table(target)
    else:
        limit = 60.0 if timeout is None else timeout
        options = {"file": file, "memory": int(memory), "seed": seed, "staged": not each}
        if target.endswith(".csv"):
            _refuse(data is not None or bool(eps), target)
            rows = read_instances(Path(target), most=timeout)
            rows = rows.head(first) if first else rows
            found = _instances(rows, methods or "portfolio", options, workers, scheduler)
        else:
            asked = {**options, "timeout": limit, "eps": split(eps) or None}
            found = _family(target, data, methods or _METHODS, first, asked, workers, scheduler)
    _show(found, rows, as_json=as_json, wide=wide)
    _write(found, plot_file, csv_file, parquet_file)
    if found.disagreements:
        raise typer.Exit(DISAGREE)


def _refuse(given: bool, target: str) -> None:
    if given:
        raise InputError("instances have their own data and radii", where=target, remedy="Leave --data and --eps out")


def _instances(rows: Instances, methods: str, options: dict[str, Any], count: int, scheduler: str) -> Table:
    with working(count, scheduler) as executor:
        return sweeping.table(
            {rows.path.parent.name or "instances": instance},
            rows.data,
            split(methods),
            timeout=rows.timeouts,
            executor=executor,
            **options,
        )


def _family(
    target: str, data: Path | None, methods: str, first: int, options: dict[str, Any], count: int, scheduler: str
) -> Table:
    if data is None:
        raise InputError("a family needs a data set", where=target, remedy="Give --data FILE.npz")
    items = Data.of(data)
    with working(count, scheduler) as executor:
        return sweeping.table(
            FileFamily(target), items.head(first) if first else items, split(methods), executor=executor, **options
        )


def _write(found: Table, plot_file: Path | None, csv_file: Path | None, parquet_file: Path | None) -> None:
    if plot_file is not None:
        found.plot(plot_file)
    if csv_file is not None:
        write_csv(found.to_records(every=True), csv_file)
    if parquet_file is not None:
        found.to_parquet(parquet_file)


def _show(found: Table, rows: Instances | None, *, as_json: bool, wide: bool) -> None:
    if as_json:
        points = {} if rows is None else {"points": score(found, rows).points}
        print_line(json.dumps({**found.to_json(), **points}))
    elif rows is not None:
        print_rich(instances_grid(rows, found), chosen=not wide)
    else:
        print_rich(table_grid(found, wide=wide), chosen=True)
