"""Files: models and properties written, pages of results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from nnsym.ask import export as exporting
from nnsym.cli.options import Networks, Sets, Targets
from nnsym.cli.output import check_files, print_line
from nnsym.cli.targets import load_query
from nnsym.report.page import write_report


def export(
    targets: Targets,
    output: Annotated[Path, typer.Option("-o", "--output", help="model.lp, .mps, .smt2 or .vnnlib.")],
    sets: Sets = None,
    encoding: Annotated[Optional[str], typer.Option(help="bigm for .lp and .mps, smt for .smt2 if left out.")] = None,  # noqa: UP045
    bounds: Annotated[str, typer.Option(help="ibp, crown, alpha:20 ...: nnsym methods lists them.")] = "crown",
    network: Networks = None,
    version: Annotated[str, typer.Option("--vnnlib-version", help="2.0 or 1.0, for .vnnlib.")] = "2.0",
) -> None:
    """Write the very model that is solved, or the property as VNN-LIB."""
    check_files(output)
    query = load_query(targets, sets or (), network or ())
    path = exporting.export(query, output, encoding=encoding, bounds=bounds, version=version)
    for loss in exporting.to_vnnlib(query, version=version).losses if output.suffix == ".vnnlib" else ():
        print_line(f"loss: {loss}")
    print_line(f"{path}  {path.stat().st_size / 1e6:.2f} MB")


def report(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="result.json of --save, or a record (.jsonl) of compare or table.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The page, one file.")] = Path("report.html"),
) -> None:
    """An HTML page of a result or of a record, for those who have to judge it; it needs no network."""
    check_files(output)
    print_line(str(write_report(source, output)))
