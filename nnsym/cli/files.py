"""Files: models and properties written, pages of results, certificates checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from nnsym.cli.options import (
    EXIT,
    Json,
    Networks,
    Sets,
    Targets,
)
from nnsym.cli.output import (
    check_files,
    print_line,
    print_rich,
)
from nnsym.cli.streams import shown


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
    from nnsym.ask.export import check_writable, to_vnnlib
    from nnsym.ask.export import export as run
    from nnsym.cli.targets import load_query

    check_writable(output)
    query = load_query(targets, sets or (), network or ())
    path = run(query, output, encoding=encoding, bounds=bounds, version=version)
    for loss in to_vnnlib(query, version=version).losses if output.suffix == ".vnnlib" else ():
        print_line(f"loss: {loss}")
    print_line(f"{path}  {path.stat().st_size / 1e6:.2f} MB")


def report(
    source: Annotated[Path, typer.Argument(help="result.json of --save, or a record (.jsonl) of compare or table.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The page, one file.")] = Path("report.html"),
) -> None:
    """An HTML page of a result or of a record, for those who have to judge it; it needs no network."""
    from nnsym.ask.export import check_writable
    from nnsym.report.page import write_report

    check_writable(output)
    print_line(str(write_report(source, output)))


def check(
    certificate: Annotated[Path, typer.Argument(help="A certificate's file, .json or .json.gz.")],
    files: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Argument(help="Its networks and properties, where they do not lie beside it; found by their hashes."),
    ] = None,
    engine: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="fast (NumPy, the default) or reference (Python's integers)."),
    ] = None,
    vipr: Annotated[
        Path | None, typer.Option(help="Also write the proof for viprchk (small ReLU networks, split by phases).")
    ] = None,
    lean: Annotated[Path | None, typer.Option(help="Also write the proof for Lean 4, of the same networks.")] = None,
) -> None:
    """Check a certificate with the independent checker: accepted (0) or refused (10)."""
    from nnsym.check.checker import check as run
    from nnsym.check.checker import opened
    from nnsym.check.errors import Refused

    check_files(vipr, lean)
    try:
        print_line(str(run(certificate, files or (), engine)))
        if vipr is not None:
            from nnsym.write.vipr import to_vipr

            vipr.write_text(to_vipr(*opened(certificate, files or ())), encoding="utf-8")
        if lean is not None:
            from nnsym.write.lean import to_lean

            lean.write_text(to_lean(*opened(certificate, files or ())), encoding="utf-8")
    except Refused as error:
        print_line(shown(f"refused: {error}", kept=""))
        raise typer.Exit(EXIT["falsified"]) from None


def audit(
    folder: Annotated[Path, typer.Argument(help="Certificates and saved results, in it and in its folders.")],
    networks: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Argument(help="Networks that lie elsewhere: files or folders; found by their hashes."),
    ] = None,
    engine: Annotated[Optional[str], typer.Option(help="fast (the default) or reference.")] = None,  # noqa: UP045
    as_json: Json = False,
) -> None:
    """Check all certificates of a folder: all certified (0), one refused (10), a result without one (30)."""
    from nnsym.ask.audit import audit as run
    from nnsym.report.audit import audit_grids, summary

    found = run(folder, networks=networks or (), engine=engine)
    if as_json:
        print_line(json.dumps(found.to_json()))
    else:
        for grid in audit_grids(found):
            print_rich(grid)
        print_line(summary(found))
    raise typer.Exit(found.code)
